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
        sa.Column("username", word(64), nullable=False),
        sa.Column("username_key", word(255)),
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
        sa.CheckConstraint("failed_login_count >= 0", name="ck_users_failed_login_count"),
        sa.CheckConstraint("is_active IN (0, 1)", name="ck_users_flags").ddl_if(dialect="sqlite"),
        sa.PrimaryKeyConstraint("id", name="pk_users"),
        sa.UniqueConstraint("username_key", name="uq_users_username_key"),
        sa.UniqueConstraint("email_hash", name="uq_users_email_hash"),
        sqlite_strict=True,
    )
    op.create_index("ix_users_role", "users", ["role", "id"])


def downgrade() -> None:
    op.drop_table("users")
