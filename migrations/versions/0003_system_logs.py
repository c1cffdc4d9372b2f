"""System logs.

Revision ID: 0003
Revises: 0002
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from byjy_events.columns import BigInt, Nanoseconds, Uuid, word

revision = "0003"
down_revision: str | None = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "system_logs",
        sa.Column("id", Uuid, nullable=False),
        sa.Column("level", word(16), nullable=False),
        sa.Column("logger", word(255), nullable=False),
        sa.Column("event", sa.Text, nullable=False),
        sa.Column("context", sa.Text, nullable=False),
        sa.Column("correlation_id", Uuid),
        sa.Column("event_position", BigInt),
        sa.Column("created_at", Nanoseconds, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_system_logs"),
        sa.CheckConstraint(
            "level IN ('DEBUG', 'INFO', 'WARNING', 'ERROR', 'CRITICAL')", name=op.f("ck_system_logs_level")
        ),
        sa.CheckConstraint("event_position >= 1", name=op.f("ck_system_logs_event_position")),
        sqlite_strict=True,
    )
    op.create_index("ix_system_logs_created_at", "system_logs", ["created_at", "id"])
    op.create_index("ix_system_logs_level", "system_logs", ["level", "created_at", "id"])
    op.create_index("ix_system_logs_correlation_id", "system_logs", ["correlation_id", "created_at", "id"])


def downgrade() -> None:
    op.drop_table("system_logs")
