"""The audit trail: one narrow row for every event, whatever its type, found by who, what, of which kind and when.

The log has no index for these questions, since each would cost every append. Here they are kept by a group of its own,
which may lag behind the log and harms nobody; an engine that does not run it leaves it to ``byjy project``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from byjy_events.columns import BigInt, Nanoseconds, Uuid, word
from byjy_events.recorded import Recorded
from projections.projection import EVERY_EVENT, Group, Key, Projection
from projections.queries import rows_of
from projections.rows import Row
from projections.statements import PAGE_LIMIT, Statement
from projections.tables import metadata

CORRELATED = "correlation_id IS NOT NULL"

trail = sa.Table(
    "trail",
    metadata,
    sa.Column("position", BigInt, primary_key=True, autoincrement=False),
    sa.Column("recorded_at", Nanoseconds, nullable=False),
    sa.Column("actor", word(255), nullable=False),
    sa.Column("category", word(64), nullable=False),
    sa.Column("stream_id", Uuid, nullable=False),
    sa.Column("type", word(128), nullable=False),
    sa.Column("correlation_id", Uuid),
    sa.Index("ix_trail_actor", "actor", "position"),
    sa.Index(
        "ix_trail_correlation_id",
        "correlation_id",
        "position",
        sqlite_where=sa.text(CORRELATED),
        postgresql_where=sa.text(CORRELATED),
    ),
    sa.Index("ix_trail_recorded_at", "recorded_at", "position"),
    sa.Index("ix_trail_stream_id", "stream_id", "position"),
    sa.Index("ix_trail_type", "type", "position"),
    sqlite_strict=True,
)
"""Who did what when. What an event says is in the log, at the same position."""


class TrailRow(Row, frozen=True, kw_only=True, gc=False):
    """A row of ``trail``: ``actor`` did something to the entity that ``category`` and ``stream_id`` name."""

    position: int
    recorded_at: int
    actor: str
    category: str
    stream_id: UUID
    type: str
    correlation_id: UUID | None = None


class Trails(Projection[TrailRow]):
    """``trail``: one row for every event, also of a type that this program does not know."""

    name = "trail"
    version = 1
    table = trail
    row_type = TrailRow
    append_only = True
    handles = EVERY_EVENT

    def keys(self, recorded: Recorded) -> Sequence[Key]:
        return (recorded.position,)

    def evolve(self, row: TrailRow | None, recorded: Recorded, key: Key) -> TrailRow:
        return TrailRow(
            position=recorded.position,
            recorded_at=recorded.recorded_at,
            actor=recorded.actor,
            category=recorded.category,
            stream_id=recorded.stream_id,
            type=recorded.type,
            correlation_id=recorded.correlation_id,
        )


TRAIL = Group("trail", [Trails()])
"""``trail`` alone: it says nothing that another table has to agree with."""


class Trail:
    """Asks the trail as it is now; how far behind the log it is, ``group_statuses`` knows.

    Args:
        database: an engine, from which each question takes a connection of its own, or one connection.
    """

    def __init__(self, database: AsyncEngine | AsyncConnection) -> None:
        self._database = database

    async def page(
        self,
        *,
        actor: str | None = None,
        category: str | None = None,
        stream_id: UUID | None = None,
        event_type: str | None = None,
        since: int | None = None,
        after: TrailRow | None = None,
        limit: int = 100,
        newest_first: bool = False,
    ) -> list[TrailRow]:
        """Who did what when, in the order of the log: all that was asked for has to hold of a row.

        Args:
            category, stream_id: of the entity; a category alone has no index.
            since: nanoseconds UTC by the log's clock.
            after: the last row of the page before.

        Raises:
            ValueError: ``limit`` is more than a page has.
        """
        statement = trail_page(actor, category, stream_id, event_type, since, after, limit, newest_first)
        if isinstance(self._database, AsyncConnection):
            return rows_of(TrailRow, (await self._database.execute(statement)).all())
        async with self._database.connect() as connection:
            return rows_of(TrailRow, (await connection.execute(statement)).all())


def trail_page(
    actor: str | None = None,
    category: str | None = None,
    stream_id: UUID | None = None,
    event_type: str | None = None,
    since: int | None = None,
    after: TrailRow | None = None,
    limit: int = 100,
    newest_first: bool = False,
) -> Statement:
    """The statement of :meth:`Trail.page`."""
    if not 1 <= limit <= PAGE_LIMIT:
        raise ValueError(f"limit {limit} is not between 1 and {PAGE_LIMIT}")
    c = trail.c
    statement = sa.select(trail).where(*_about(actor, category, stream_id, event_type))
    if since is not None and (after is None or newest_first):
        statement = statement.where(c.position >= _first_since(since))
    if after is not None:
        statement = statement.where(c.position < after.position if newest_first else c.position > after.position)
    return statement.order_by(c.position.desc() if newest_first else c.position.asc()).limit(limit)


def _about(
    actor: str | None, category: str | None, stream_id: UUID | None, event_type: str | None
) -> list[sa.ColumnElement[bool]]:
    c = trail.c
    words = [(c.actor, actor), (c.category, category), (c.type, event_type)]
    wanted = [(column, value) for column, value in words if value is not None]
    if stream_id is None:
        return [column == value for column, value in wanted]
    # An entity has few events, an actor or a type may have millions: no planner shall take an index of those instead.
    return [c.stream_id == stream_id, *(column.concat("") == value for column, value in wanted)]


def _first_since(since: int) -> sa.ScalarSelect[Any]:
    """The log's clock never runs backwards, so an instant cuts the trail in two; without any row behind it: NULL."""
    c = trail.c
    found = sa.select(c.position).where(c.recorded_at >= since).order_by(c.recorded_at, c.position).limit(1)
    return found.scalar_subquery()


def trail_of(correlation_id: UUID, after: int = 0, limit: int = PAGE_LIMIT) -> Statement:
    """The places of a correlation's events behind a position, in the order of the log."""
    c = trail.c
    wanted = sa.and_(c.correlation_id == correlation_id, c.position > after)
    return sa.select(c.position).where(wanted).order_by(c.position).limit(limit)
