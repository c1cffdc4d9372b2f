"""Questions to ``strategies`` and ``strategy_executions``, typed: rows in, rows out.

Executions are shown as they look from outside: one that the table has as RUNNING, and that gave no sign of life for too
long, is LOST. One whose end is in the log already, and not yet in the table, is not taken for that. What they traded is
from the tables of the group ``trading``, which follows the log by itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from byjy_events.heartbeat import LOST_AFTER_SECONDS
from byjy_events.heartbeat_table import database_now, strategy_execution_heartbeats
from byjy_events.schema import events
from byjy_events.stream import STRATEGY_EXECUTION
from byjy_events.vocabulary.strategies import ExecutionStatus, StrategyStatus
from projections.choices import Choice
from projections.queries import Queries, rows_of
from projections.statements import PAGE_LIMIT, Statement
from projections.strategies.table import StrategyExecutionRow, StrategyRow, strategies, strategy_executions
from projections.traded import NOTHING, Traded
from projections.users.spelling import canonical


class ExecutionSeen(StrategyExecutionRow, frozen=True, kw_only=True, gc=False):
    """A row of ``strategy_executions``, with its status as seen by its heartbeat, and what it traded.

    Attributes:
        beat_at: its last sign of life, by the clock of the database; None: there is none, as of what told its end and
            is beaten for no more. One that was declared lost and has a later one lives.
        traded: orders, fills, volume, realised profit and fees.
    """

    beat_at: int | None = None
    traded: Traded = NOTHING


class StrategyQueries:
    """Reads the tables as they are now; how far behind the log they are, ``group_statuses`` knows.

    Args:
        database: an engine, from which each question takes a connection of its own, or one connection.
        lost_after_seconds: after how long without a sign of life an execution is shown as LOST.
    """

    def __init__(
        self, database: AsyncEngine | AsyncConnection, *, lost_after_seconds: float = LOST_AFTER_SECONDS
    ) -> None:
        self._database = database
        self._lost_after = lost_after_seconds

    async def strategy(self, strategy_id: UUID) -> StrategyRow | None:
        """One strategy; None: there is no row."""
        found = await self._all(sa.select(strategies).where(strategies.c.id == strategy_id))
        return next(iter(rows_of(StrategyRow, found)), None)

    async def strategy_named(self, user_id: UUID, name: str) -> StrategyRow | None:
        """The strategy of a user that is called so, in whatever case and Unicode form, and is not archived."""
        found = await self._all(strategy_by_name(user_id, name))
        return next(iter(rows_of(StrategyRow, found)), None)

    async def strategies(
        self,
        *,
        user_id: UUID | None = None,
        status: StrategyStatus | None = None,
        after: StrategyRow | None = None,
        limit: int = 100,
        newest_first: bool = False,
    ) -> list[StrategyRow]:
        """A page of strategies, by the time at which they were created.

        Args:
            after: the last row of the page before.

        Raises:
            ValueError: ``limit`` is more than a page has.
        """
        return rows_of(StrategyRow, await self._all(strategies_page(user_id, status, after, limit, newest_first)))

    async def execution(self, execution_id: UUID) -> ExecutionSeen | None:
        """One execution as seen; None: there is no row."""
        seen = executions_seen(self._dialect, self._lost_after)
        found = await self._seen(await self._all(seen.where(strategy_executions.c.id == execution_id)))
        return found[0] if found else None

    async def executions(
        self,
        *,
        strategy_id: UUID | None = None,
        status: ExecutionStatus | None = None,
        since: int | None = None,
        after: ExecutionSeen | None = None,
        limit: int = 100,
        newest_first: bool = False,
    ) -> list[ExecutionSeen]:
        """A page of executions as seen, by the time at which they started.

        Args:
            status: as it is seen.
            since: started at this instant or later, nanoseconds UTC.
            after: the last row of the page before.

        Raises:
            ValueError: ``limit`` is more than a page has.
        """
        found: list[Any] = []
        for statement in executions_pages(
            self._dialect, self._lost_after, strategy_id, status, since, after, limit, newest_first
        ):
            found += await self._all(statement)
        found.sort(key=lambda row: (row.started_at, row.id.int), reverse=newest_first)
        return await self._seen(found[:limit])

    async def silent(self) -> list[ExecutionSeen]:
        """All that the table has as RUNNING and that are seen as LOST, the oldest first."""
        c = strategy_executions.c
        statement = executions_seen(self._dialect, self._lost_after, silent=True).order_by(c.started_at, c.id)
        return await self._seen(await self._all(statement))

    async def _seen(self, found: list[Any]) -> list[ExecutionSeen]:
        traded = await Queries(self._database).traded([row.id for row in found])
        return [ExecutionSeen(**row._mapping, traded=traded[row.id]) for row in found]

    @property
    def _dialect(self) -> str:
        return self._database.dialect.name

    async def _all(self, statement: Statement) -> list[Any]:
        if isinstance(self._database, AsyncConnection):
            return list((await self._database.execute(statement)).all())
        async with self._database.connect() as connection:
            return list((await connection.execute(statement)).all())


# --- statements -----------------------------------------------------------------------------------


def strategy_by_name(user_id: UUID, name: str) -> Statement:
    """The statement of :meth:`StrategyQueries.strategy_named`."""
    return sa.select(strategies).where(strategies.c.user_id == user_id, strategies.c.name_key == canonical(name))


def strategies_page(
    user_id: UUID | None = None,
    status: StrategyStatus | None = None,
    after: StrategyRow | None = None,
    limit: int = 100,
    newest_first: bool = False,
) -> Statement:
    """The statement of :meth:`StrategyQueries.strategies`."""
    c = strategies.c
    # A user has few strategies, a status may be that of most: no planner shall take the index of that instead.
    of_status = c.status == status if user_id is None else c.status.concat("") == str(status)
    statement = sa.select(strategies)
    statement = statement if user_id is None else statement.where(c.user_id == user_id)
    statement = statement if status is None else statement.where(of_status)
    place = None if after is None else (after.created_at, after.id)
    return _page(statement, c.created_at, c.id, place, limit, newest_first)


def executions_pages(
    dialect: str,
    lost_after_seconds: float,
    strategy_id: UUID | None = None,
    status: ExecutionStatus | None = None,
    since: int | None = None,
    after: StrategyExecutionRow | None = None,
    limit: int = 100,
    newest_first: bool = False,
) -> list[Statement]:
    """The statements of :meth:`StrategyQueries.executions`: what is LOST comes from two ends of an index."""
    c = strategy_executions.c
    seen: Callable[..., Statement] = lambda silent=None: executions_seen(dialect, lost_after_seconds, silent=silent)  # noqa: E731
    match status:
        case None:
            statements = [seen()]
        case ExecutionStatus.LOST:
            statements = [seen().where(_is(status, strategy_id)), seen(silent=True)]
        case ExecutionStatus.RUNNING:
            statements = [seen(silent=False)]
        case _:
            statements = [seen().where(_is(status, strategy_id))]
    place = None if after is None else (after.started_at, after.id)
    return [
        _page(_about(one, strategy_id, since), c.started_at, c.id, place, limit, newest_first) for one in statements
    ]


def executions_seen(dialect: str, lost_after_seconds: float, *, silent: bool | None = None) -> Statement:
    """All columns, with the status as seen, and the last sign of life.

    Args:
        silent: only what the table has as RUNNING, and what of it is seen as LOST; or what is not.
    """
    c, beats = strategy_executions.c, strategy_execution_heartbeats.c
    quiet = _is_quiet(dialect, lost_after_seconds)
    lost = sa.literal(ExecutionStatus.LOST, Choice(ExecutionStatus))
    shown = sa.case((sa.and_(c.status == ExecutionStatus.RUNNING, quiet), lost), else_=c.status)
    columns = [shown.label("status") if column is c.status else column for column in c]
    statement = sa.select(*columns, beats.beat_at).outerjoin_from(
        strategy_executions, strategy_execution_heartbeats, beats.strategy_execution_id == c.id
    )
    if silent is None:
        return statement
    return statement.where(c.status == ExecutionStatus.RUNNING, quiet if silent else sa.not_(quiet))


def _is_quiet(dialect: str, lost_after_seconds: float) -> sa.ColumnElement[bool]:
    """Without a sign of life for so long, counted from its start if there is none; and without an end in the log."""
    c, beats = strategy_executions.c, strategy_execution_heartbeats.c
    before = database_now(dialect) - sa.literal(round(lost_after_seconds * 1e9), sa.BigInteger)
    # Not EXISTS: for many rows PostgreSQL would rather gather all ends of the log than look up one for each.
    end = sa.select(sa.literal(1)).where(
        events.c.stream_id == c.id, events.c.stream_category == STRATEGY_EXECUTION, events.c.stream_version > 1
    )
    return sa.and_(sa.func.coalesce(beats.beat_at, c.started_at) < before, end.limit(1).scalar_subquery().is_(None))


def _is(status: ExecutionStatus, strategy_id: UUID | None) -> sa.ColumnElement[bool]:
    c = strategy_executions.c
    return c.status == status if strategy_id is None else c.status.concat("") == str(status)


def _about(statement: Statement, strategy_id: UUID | None, since: int | None) -> Statement:
    c = strategy_executions.c
    if strategy_id is not None:
        statement = statement.where(c.strategy_id == strategy_id)
    return statement if since is None else statement.where(c.started_at >= since)


def _page(
    statement: Statement,
    at: sa.Column[Any],
    key: sa.Column[Any],
    after: tuple[int, UUID] | None,
    limit: int,
    newest_first: bool,
) -> Statement:
    if not 1 <= limit <= PAGE_LIMIT:
        raise ValueError(f"limit {limit} is not between 1 and {PAGE_LIMIT}")
    place = sa.tuple_(at, key)
    if after is not None:
        last = sa.tuple_(sa.literal(after[0], at.type), sa.literal(after[1], key.type))
        statement = statement.where(place < last if newest_first else place > last)
    order = (at.desc(), key.desc()) if newest_first else (at.asc(), key.asc())
    return statement.order_by(*order).limit(limit)
