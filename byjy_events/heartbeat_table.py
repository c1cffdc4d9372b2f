"""The table of heartbeats, as SQLAlchemy sees it.

It is no projection: a sign of life every few seconds is nothing to keep for ever. It stands beside the log, a row for
each execution that runs, overwritten by each beat and deleted when the execution has told its end.
"""

from __future__ import annotations

import time
from typing import Any

import sqlalchemy as sa

from byjy_events.columns import BigInt, Nanoseconds, Uuid, word
from byjy_events.schema import metadata

strategy_execution_heartbeats = sa.Table(
    "strategy_execution_heartbeats",
    metadata,
    sa.Column("strategy_execution_id", Uuid, primary_key=True),
    sa.Column("beat_at", Nanoseconds, nullable=False),
    sa.Column("process", word(255), nullable=False),
    sqlite_strict=True,
)
"""``beat_at`` is by the clock of :func:`database_now`. No foreign key: a beat does not wait for a projection."""

POSTGRES_NOW = "(extract(epoch FROM clock_timestamp()) * 1000000000)::bigint"
"""The server's clock, nanoseconds UTC."""


def database_now(dialect: str) -> sa.ColumnElement[Any]:
    """The clock that beats are told by: that of the server on PostgreSQL, so that the clocks of machines need not
    agree; on SQLite that of the machine, since all processes run on it.
    """
    if dialect == "postgresql":
        return sa.literal_column(POSTGRES_NOW, BigInt)
    return sa.literal(time.time_ns(), BigInt)
