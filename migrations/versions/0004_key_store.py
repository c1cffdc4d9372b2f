"""The store of wrapped data keys.

Revision ID: 0004
Revises: 0003
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from byjy_events.columns import Nanoseconds, Uuid, word

revision = "0004"
down_revision: str | None = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "key_store",
        sa.Column("id", Uuid, nullable=False),
        sa.Column("subject_kind", word(64), nullable=False),
        sa.Column("subject_id", Uuid, nullable=False),
        sa.Column("field", word(128), nullable=False),
        sa.Column("key_encryption_key_id", word(255), nullable=False),
        sa.Column("wrapped_key", sa.LargeBinary),
        sa.Column("created_at", Nanoseconds, nullable=False),
        sa.Column("erased_at", Nanoseconds),
        sa.PrimaryKeyConstraint("id", name="pk_key_store"),
        sa.CheckConstraint("(wrapped_key IS NULL) = (erased_at IS NOT NULL)", name=op.f("ck_key_store_erased")),
        sqlite_strict=True,
    )
    op.create_index("ix_key_store_subject", "key_store", ["subject_id", "subject_kind", "field"])
    live = sa.text("erased_at IS NULL")
    op.create_index(
        "ix_key_store_wrapping",
        "key_store",
        ["key_encryption_key_id", "id"],
        sqlite_where=live,
        postgresql_where=live,
    )


def downgrade() -> None:
    op.drop_table("key_store")
