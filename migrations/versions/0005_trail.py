"""Who did what when.

Revision ID: 0005
Revises: 0004
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from byjy_events.columns import BigInt, Nanoseconds, Uuid, word

revision = "0005"
down_revision: str | None = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "trail",
        sa.Column("position", BigInt, autoincrement=False, nullable=False),
        sa.Column("recorded_at", Nanoseconds, nullable=False),
        sa.Column("actor", word(255), nullable=False),
        sa.Column("category", word(64), nullable=False),
        sa.Column("stream_id", Uuid, nullable=False),
        sa.Column("type", word(128), nullable=False),
        sa.Column("correlation_id", Uuid),
        sa.PrimaryKeyConstraint("position", name="pk_trail"),
        sqlite_strict=True,
    )
    for column in ("actor", "recorded_at", "stream_id", "type"):
        op.create_index(f"ix_trail_{column}", "trail", [column, "position"])


def downgrade() -> None:
    op.drop_table("trail")
