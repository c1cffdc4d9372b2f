"""Users.

Revision ID: 0006
Revises: 0005
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from byjy_events.columns import BigInt, Flag, Nanoseconds, Uuid, word

revision = "0006"
down_revision: str | None = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "users",
        sa.Column("id", Uuid, nullable=False),
        sa.Column("username", word(255), nullable=False),
        sa.Column("email", sa.LargeBinary),
        sa.Column("email_hash", sa.LargeBinary),
        sa.Column("password_hash", sa.LargeBinary),
        sa.Column("role", word(32), nullable=False),
        sa.Column("is_active", Flag, nullable=False, server_default=sa.true()),
        sa.Column("last_login_at", Nanoseconds),
        sa.Column("failed_login_count", BigInt, nullable=False, server_default="0"),
        sa.Column("locked_until", Nanoseconds),
        sa.Column("created_at", Nanoseconds, nullable=False),
        sa.Column("updated_at", Nanoseconds, nullable=False),
        sa.CheckConstraint("role IN ('ADMIN', 'TRADER', 'AUDITOR', 'READ_ONLY')", name="ck_users_role"),
        sa.PrimaryKeyConstraint("id", name="pk_users"),
        sqlite_strict=True,
    )


def downgrade() -> None:
    op.drop_table("users")
