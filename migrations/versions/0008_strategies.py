"""Strategies, and their runs.

Revision ID: 0008
Revises: 0007
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

from byjy_events.columns import BigInt, Flag, Nanoseconds, Uuid, word

revision = "0008"
down_revision: str | None = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "strategies",
        sa.Column("id", Uuid, nullable=False),
        sa.Column("user_id", Uuid, nullable=False),
        sa.Column("name", word(255), nullable=False),
        sa.Column("name_key", word(255)),
        sa.Column("kind", word(64), nullable=False),
        sa.Column("parameters", sa.Text, nullable=False),
        sa.Column("parameters_version", BigInt, nullable=False),
        sa.Column("status", word(32), nullable=False),
        sa.Column("is_test", Flag, nullable=False, server_default=sa.false()),
        sa.Column("created_at", Nanoseconds, nullable=False),
        sa.Column("updated_at", Nanoseconds, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_strategies"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_strategies_user_id_users", ondelete="CASCADE"),
        sa.UniqueConstraint("user_id", "name_key", name="uq_strategies_user_id_name_key"),
        sa.CheckConstraint(
            "status IN ('DRAFT', 'ACTIVE', 'PAUSED', 'STOPPED', 'ARCHIVED')", name="ck_strategies_status"
        ),
        sa.CheckConstraint("(status = 'ARCHIVED') = (name_key IS NULL)", name="ck_strategies_name_key"),
        sa.CheckConstraint("substr(parameters, 1, 1) = '{'", name="ck_strategies_parameters"),
        sa.CheckConstraint("parameters_version >= 1", name="ck_strategies_parameters_version"),
        flag_is_a_bit("strategies"),
        sqlite_strict=True,
    )
    op.create_index("ix_strategies_user_id", "strategies", ["user_id", "created_at", "id"])
    op.create_index("ix_strategies_status", "strategies", ["status", "created_at", "id"])
    op.create_index("ix_strategies_created_at", "strategies", ["created_at", "id"])
    op.create_table(
        "strategy_executions",
        sa.Column("id", Uuid, nullable=False),
        sa.Column("strategy_id", Uuid, nullable=False),
        sa.Column("started_at", Nanoseconds, nullable=False),
        sa.Column("finished_at", Nanoseconds),
        sa.Column("status", word(32), nullable=False),
        sa.Column("stop_reason", sa.Text),
        sa.Column("error", sa.Text),
        sa.Column("process", word(255)),
        sa.Column("parameters_version", BigInt, nullable=False),
        sa.Column("is_test", Flag, nullable=False, server_default=sa.false()),
        sa.Column("created_at", Nanoseconds, nullable=False),
        sa.Column("updated_at", Nanoseconds, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_strategy_executions"),
        sa.ForeignKeyConstraint(
            ["strategy_id"],
            ["strategies.id"],
            name="fk_strategy_executions_strategy_id_strategies",
            ondelete="CASCADE",
        ),
        sa.CheckConstraint(
            "status IN ('RUNNING', 'COMPLETED', 'FAILED', 'STOPPED', 'LOST')", name="ck_strategy_executions_status"
        ),
        sa.CheckConstraint("(status = 'RUNNING') = (finished_at IS NULL)", name="ck_strategy_executions_finished_at"),
        sa.CheckConstraint("parameters_version >= 1", name="ck_strategy_executions_parameters_version"),
        flag_is_a_bit("strategy_executions"),
        sqlite_strict=True,
    )
    for column in ("strategy_id", "status"):
        op.create_index(f"ix_strategy_executions_{column}", "strategy_executions", [column, "started_at", "id"])
    op.create_index("ix_strategy_executions_started_at", "strategy_executions", ["started_at", "id"])
    op.create_table(
        "strategy_execution_heartbeats",
        sa.Column("strategy_execution_id", Uuid, nullable=False),
        sa.Column("beat_at", Nanoseconds, nullable=False),
        sa.Column("process", word(255), nullable=False),
        sa.PrimaryKeyConstraint("strategy_execution_id", name="pk_strategy_execution_heartbeats"),
        sqlite_strict=True,
    )


def downgrade() -> None:
    op.drop_table("strategy_execution_heartbeats")
    op.drop_table("strategy_executions")
    op.drop_table("strategies")


def flag_is_a_bit(table: str) -> Any:
    return sa.CheckConstraint("is_test IN (0, 1)", name=f"ck_{table}_flags").ddl_if(dialect="sqlite")
