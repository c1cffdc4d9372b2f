"""API keys.

Revision ID: 0007
Revises: 0006
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from byjy_events.columns import Flag, Nanoseconds, Uuid, word

revision = "0007"
down_revision: str | None = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "api_keys",
        sa.Column("id", Uuid, nullable=False),
        sa.Column("user_id", Uuid, nullable=False),
        sa.Column("exchange", word(64), nullable=False),
        sa.Column("label", word(255), nullable=False),
        sa.Column("fingerprint", sa.LargeBinary),
        sa.Column("encrypted_key", sa.LargeBinary),
        sa.Column("encrypted_secret", sa.LargeBinary),
        sa.Column("encrypted_passphrase", sa.LargeBinary),
        sa.Column("permissions", sa.Text, nullable=False),
        sa.Column("is_active", Flag, nullable=False),
        sa.Column("expires_at", Nanoseconds),
        sa.Column("last_used_at", Nanoseconds),
        sa.Column("created_at", Nanoseconds, nullable=False),
        sa.Column("updated_at", Nanoseconds, nullable=False),
        sa.Column("erased_at", Nanoseconds),
        sa.CheckConstraint(
            "(fingerprint IS NULL) = (erased_at IS NOT NULL)"
            " AND (encrypted_key IS NULL) = (erased_at IS NOT NULL)"
            " AND (encrypted_secret IS NULL) = (erased_at IS NOT NULL)"
            " AND (encrypted_passphrase IS NULL OR erased_at IS NULL)",
            name="ck_api_keys_erased",
        ),
        sa.CheckConstraint("erased_at IS NULL OR NOT is_active", name="ck_api_keys_is_active"),
        sa.CheckConstraint("is_active IN (0, 1)", name="ck_api_keys_flags").ddl_if(dialect="sqlite"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_api_keys_user_id_users", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_api_keys"),
        sa.UniqueConstraint("user_id", "exchange", "fingerprint", name="uq_api_keys_user_id_exchange_fingerprint"),
        sqlite_strict=True,
    )
    op.create_index("ix_api_keys_user_id", "api_keys", ["user_id", "exchange", "id"])
    op.create_index("ix_api_keys_exchange", "api_keys", ["exchange", "id"])


def downgrade() -> None:
    op.drop_table("api_keys")
