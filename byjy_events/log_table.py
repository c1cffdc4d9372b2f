"""The table of what a program logged, as SQLAlchemy sees it.

It is no projection: what a program said is no fact of the trade. A sink writes it beside the log of events, nothing is
rebuilt from it, and it is the one table that is pruned.
"""

from __future__ import annotations

from enum import StrEnum

import sqlalchemy as sa

from byjy_events.columns import BigInt, Nanoseconds, Uuid, one_of, word
from byjy_events.schema import metadata


class LogLevel(StrEnum):
    """How much an entry matters, the least first."""

    DEBUG = "DEBUG"
    INFO = "INFO"
    WARNING = "WARNING"
    ERROR = "ERROR"
    CRITICAL = "CRITICAL"

    @property
    def and_above(self) -> list[LogLevel]:
        """This level and those that matter more."""
        levels = list(LogLevel)
        return levels[levels.index(self) :]


system_logs = sa.Table(
    "system_logs",
    metadata,
    sa.Column("id", Uuid, primary_key=True),
    sa.Column("level", word(16), nullable=False),
    sa.Column("logger", word(255), nullable=False),
    sa.Column("event", sa.Text, nullable=False),
    sa.Column("context", sa.Text, nullable=False),
    sa.Column("correlation_id", Uuid),
    sa.Column("event_position", BigInt),
    sa.Column("created_at", Nanoseconds, nullable=False),
    one_of("level", LogLevel),
    sa.CheckConstraint("event_position >= 1", name="event_position"),
    sa.Index("ix_system_logs_created_at", "created_at", "id"),
    sa.Index("ix_system_logs_level", "level", "created_at", "id"),
    sa.Index("ix_system_logs_correlation_id", "correlation_id", "created_at", "id"),
    sqlite_strict=True,
)
"""``id`` (UUIDv7) is given under the write lock and only ever rises, so whoever has seen one has seen all before it.
``created_at`` is when the program logged the entry; entries of several processes may be stored in another order."""
