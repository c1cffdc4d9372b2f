"""Listing runs of strategies, and giving up those that are lost."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from typing import NamedTuple
from uuid import UUID

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from byjy_events.heartbeat import LOST_AFTER_SECONDS
from byjy_events.vocabulary.strategies import ExecutionStatus
from byjy_ops.arguments import choices
from byjy_ops.listing import Column, Listing, emit, write_json
from byjy_ops.reading import existing_log, existing_tables
from byjy_ops.strategies import CHUNK, say_what_lacks, strategy_key, write_listed
from projections import ExecutionSeen, StrategyDesk, StrategyQueries
from projections.strategies.table import strategies

COLUMNS = (
    Column("id"),
    Column("strategy"),
    Column("status"),
    Column("started_at", "started (UTC)", instant=True),
    Column("finished_at", "finished (UTC)", instant=True),
    Column("beat_at", "last beat (UTC)", instant=True),
    Column("stop_reason", "reason"),
    Column("error"),
    Column("parameters_version", "version", right=True),
    Column("process"),
    Column("is_test", "test"),
)


class Asked(NamedTuple):
    """What a command line asks for; None: everything."""

    strategy: str | None = None
    status: Sequence[str] | None = None
    since: int | None = None
    lost_after: timedelta | None = None


async def list_executions(database: str, asked: Asked, limit: int, *, as_json: bool) -> None:
    """Write executions, the newest first, at most ``limit``; 0: all."""
    wanted = choices(ExecutionStatus, "--status", asked.status)
    async with existing_tables(database) as engine:
        key = None if asked.strategy is None else await strategy_key(engine, asked.strategy)
        queries = StrategyQueries(engine, lost_after_seconds=_seconds(asked.lost_after))
        pages = _executions(queries, key, wanted, asked.since, limit + 1 if limit else None)
        rows = [row async for row in pages]
        names = await _strategy_names(engine)
        cells = [{**msgspec.structs.asdict(row), "strategy": names.get(row.strategy_id)} for row in rows]
        write_listed(Listing(COLUMNS, as_json=as_json), cells, limit)
        await say_what_lacks(engine, database)


async def declare_lost(database: str, lost_after: timedelta | None, reason: str, *, as_json: bool) -> None:
    """Declare lost what gives no sign of life, and say which."""
    async with existing_log(database) as log:
        await say_what_lacks(log.engine, database)  # before: what is declared here is not projected yet
        desk = StrategyDesk(log, lost_after_seconds=_seconds(lost_after))
        declared = await desk.declare_lost(reason)
    if as_json:
        write_json([{"id": one, "status": ExecutionStatus.LOST} for one in declared])
    else:
        emit("".join(f"{one} is LOST\n" for one in declared) or "none\n")


async def _executions(
    queries: StrategyQueries,
    strategy_id: UUID | None,
    wanted: Sequence[ExecutionStatus],
    since: int | None,
    limit: int | None,
) -> AsyncIterator[ExecutionSeen]:
    last: ExecutionSeen | None = None
    while limit is None or limit > 0:
        page = await queries.executions(
            strategy_id=strategy_id,
            status=wanted[0] if len(wanted) == 1 else None,
            since=since,
            after=last,
            limit=CHUNK,
            newest_first=True,
        )
        for row in page:
            if not wanted or row.status in wanted:
                yield row
                limit = None if limit is None else limit - 1
                if limit == 0:
                    return
        if len(page) < CHUNK:
            return
        last = page[-1]


async def _strategy_names(engine: AsyncEngine) -> dict[UUID, str]:
    async with engine.connect() as connection:
        return {row.id: row.name for row in await connection.execute(sa.select(strategies.c.id, strategies.c.name))}


def _seconds(lost_after: timedelta | None) -> float:
    return LOST_AFTER_SECONDS if lost_after is None else lost_after.total_seconds()
