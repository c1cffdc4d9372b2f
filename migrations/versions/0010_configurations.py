"""Configuration.

Revision ID: 0010
Revises: 0009
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from byjy_events.columns import BigInt, Flag, Nanoseconds, word

revision = "0010"
down_revision: str | None = "0009"
branch_labels = None
depends_on = None

TYPES = "'STRING', 'INTEGER', 'NUMBER', 'BOOLEAN', 'OBJECT', 'ARRAY', 'NULL'"


def upgrade() -> None:
    op.create_table(
        "configurations",
        # The range of what is beneath a key has to be one of bytes, whatever the language of the database.
        sa.Column("key", sa.String(255, collation="C").with_variant(sa.Text(), "sqlite"), nullable=False),
        sa.Column("value", sa.Text),
        sa.Column("sealed_value", sa.LargeBinary),
        sa.Column("value_type", word(32)),
        sa.Column("description", sa.Text, nullable=False),
        sa.Column("is_secret", Flag, nullable=False, server_default=sa.false()),
        sa.Column("is_removed", Flag, nullable=False, server_default=sa.false()),
        sa.Column("version", BigInt, nullable=False),
        sa.Column("updated_by", word(255), nullable=False),
        sa.Column("created_at", Nanoseconds, nullable=False),
        sa.Column("updated_at", Nanoseconds, nullable=False),
        sa.Column("last_position", BigInt, nullable=False),
        sa.CheckConstraint(f"value_type IN ({TYPES})", name="ck_configurations_value_type"),
        sa.CheckConstraint("value IS NULL OR sealed_value IS NULL", name="ck_configurations_one_value"),
        sa.CheckConstraint("is_secret IN (0, 1) AND is_removed IN (0, 1)", name="ck_configurations_flags").ddl_if(
            dialect="sqlite"
        ),
        sa.PrimaryKeyConstraint("key", name="pk_configurations"),
        sqlite_strict=True,
    )


def downgrade() -> None:
    op.drop_table("configurations")
