"""The tables ``strategies`` and ``strategy_executions``, and their rows."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import sqlalchemy as sa

from byjy_events.columns import BigInt, Flag, Nanoseconds, Uuid, one_of, word
from byjy_events.vocabulary.strategies import ExecutionStatus, StrategyStatus
from projections.choices import Choice
from projections.rows import Row
from projections.tables import metadata


def _flag_is_a_bit() -> Any:
    return sa.CheckConstraint("is_test IN (0, 1)", name="flags").ddl_if(dialect="sqlite")


strategies = sa.Table(
    "strategies",
    metadata,
    sa.Column("id", Uuid, primary_key=True),
    sa.Column("user_id", Uuid, sa.ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    sa.Column("name", word(255), nullable=False),
    sa.Column("name_key", word(255)),
    sa.Column("kind", word(64), nullable=False),
    sa.Column("parameters", sa.Text, nullable=False),
    sa.Column("parameters_version", BigInt, nullable=False),
    sa.Column("status", Choice(StrategyStatus), nullable=False),
    sa.Column("is_test", Flag, nullable=False, server_default=sa.false()),
    sa.Column("created_at", Nanoseconds, nullable=False),
    sa.Column("updated_at", Nanoseconds, nullable=False),
    # Reservations in the log see to it; whoever goes round them, or names nobody as the user, stops the projector here.
    sa.UniqueConstraint("user_id", "name_key", name="uq_strategies_user_id_name_key"),
    one_of("status", StrategyStatus),
    sa.CheckConstraint("(status = 'ARCHIVED') = (name_key IS NULL)", name="name_key"),
    sa.CheckConstraint("substr(parameters, 1, 1) = '{'", name="parameters"),
    sa.CheckConstraint("parameters_version >= 1", name="parameters_version"),
    _flag_is_a_bit(),
    sa.Index("ix_strategies_user_id", "user_id", "created_at", "id"),
    sa.Index("ix_strategies_status", "status", "created_at", "id"),
    sa.Index("ix_strategies_created_at", "created_at", "id"),
    sqlite_strict=True,
)
"""Every strategy, one row each. ``name_key`` is the name as names are compared, null once it is free again;
``parameters`` is a JSON object in one spelling."""

strategy_executions = sa.Table(
    "strategy_executions",
    metadata,
    sa.Column("id", Uuid, primary_key=True),
    sa.Column("strategy_id", Uuid, sa.ForeignKey("strategies.id", ondelete="CASCADE"), nullable=False),
    sa.Column("started_at", Nanoseconds, nullable=False),
    sa.Column("finished_at", Nanoseconds),
    sa.Column("status", Choice(ExecutionStatus), nullable=False),
    sa.Column("stop_reason", sa.Text),
    sa.Column("error", sa.Text),
    sa.Column("process", word(255)),
    sa.Column("parameters_version", BigInt, nullable=False),
    sa.Column("is_test", Flag, nullable=False, server_default=sa.false()),
    sa.Column("created_at", Nanoseconds, nullable=False),
    sa.Column("updated_at", Nanoseconds, nullable=False),
    one_of("status", ExecutionStatus),
    sa.CheckConstraint("(status = 'RUNNING') = (finished_at IS NULL)", name="finished_at"),
    sa.CheckConstraint("parameters_version >= 1", name="parameters_version"),
    _flag_is_a_bit(),
    sa.Index("ix_strategy_executions_strategy_id", "strategy_id", "started_at", "id"),
    sa.Index("ix_strategy_executions_status", "status", "started_at", "id"),
    sa.Index("ix_strategy_executions_started_at", "started_at", "id"),
    sqlite_strict=True,
)
"""Every run of a strategy, one row each. ``finished_at`` is when it told its end, or when it was given up."""


class StrategyRow(Row, frozen=True, kw_only=True, gc=False):
    """A row of ``strategies``.

    Attributes:
        name_key: None: it is archived, and its name is free.
        parameters: a JSON object as text.
    """

    id: UUID
    user_id: UUID
    name: str
    name_key: str | None
    kind: str
    parameters: str
    parameters_version: int
    status: StrategyStatus
    is_test: bool = False
    created_at: int
    updated_at: int


class StrategyExecutionRow(Row, frozen=True, kw_only=True, gc=False):
    """A row of ``strategy_executions``.

    Attributes:
        parameters_version: of the strategy's parameters, those that it runs with.
    """

    id: UUID
    strategy_id: UUID
    started_at: int
    finished_at: int | None = None
    status: ExecutionStatus
    stop_reason: str | None = None
    error: str | None = None
    process: str | None = None
    parameters_version: int
    is_test: bool = False
    created_at: int
    updated_at: int
