"""Listing runs of strategies with what they traded, and giving up those that are lost."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from byjy_events.heartbeat import LOST_AFTER_SECONDS
from byjy_events.numbers import spelled
from byjy_events.vocabulary.strategies import ExecutionStatus
from byjy_ops.actor import acting
from byjy_ops.arguments import choices
from byjy_ops.errors import InvalidArgument
from byjy_ops.listing import Cells, Column, Listing, emit, write_json
from byjy_ops.reading import existing_log, existing_tables
from byjy_ops.strategies import CHUNK, say_what_lacks, strategy_key, write_listed
from projections import (
    OWNERSHIP,
    TRADING,
    ExecutionSeen,
    ExecutionTotalsRow,
    Queries,
    StrategyDesk,
    StrategyQueries,
    Traded,
    Turnover,
)
from projections.strategies.table import strategies
from projections.tables import trading_pairs

COLUMNS = (
    Column("id"),
    Column("strategy"),
    Column("status"),
    Column("started_at", "started (UTC)", instant=True),
    Column("finished_at", "finished (UTC)", instant=True),
    Column("orders", right=True),
    Column("fills", right=True),
    Column("volume"),
    Column("realized_pnl", "profit"),
    Column("fees"),
    Column("beat_at", "last beat (UTC)", instant=True),
    Column("stop_reason", "reason"),
    Column("error"),
    Column("parameters_version", "version", right=True),
    Column("process"),
    Column("is_test", "test"),
)
TOTALS = (
    Column("pair"),
    Column("account"),
    Column("is_test", "test"),
    Column("orders", right=True),
    Column("fills", right=True),
    Column("volume", right=True),
    Column("realized_pnl", "profit", right=True),
    Column("quote_asset", "quote"),
    Column("quantity", "holds", right=True),
    Column("avg_price", "average price", right=True),
)

OUT_OF_RANGE = "?"
"""What people read in place of a sum that left the range of money."""


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
        cells = [_cells(row, names, as_json=as_json) for row in rows]
        write_listed(Listing(COLUMNS, as_json=as_json), cells, limit)
        await say_what_lacks(engine, database, OWNERSHIP, TRADING)


async def show_execution(database: str, key: UUID, lost_after: timedelta | None, *, as_json: bool) -> None:
    """Write one, and what it traded of each pair on each account.

    Raises:
        InvalidArgument: the tables have no such execution.
    """
    async with existing_tables(database) as engine:
        queries = StrategyQueries(engine, lost_after_seconds=_seconds(lost_after))
        row = await queries.execution(key)
        if row is None:
            await say_what_lacks(engine, database)
            raise InvalidArgument("EXECUTION", f"there is no execution {key}; to see all of them: byjy executions")
        cells = _cells(row, await _strategy_names(engine), as_json=as_json)
        totals = await _totals(engine, key)
        if as_json:
            write_json([{**cells, "totals": totals}])
        else:
            width = max(len(column.heading) for column in COLUMNS) + 2
            emit("".join(f"{column.heading:{width}}{column.cell(cells)}\n" for column in COLUMNS))
            emit("\n" if totals else "")
            Listing(TOTALS, as_json=False).write(totals)
        await say_what_lacks(engine, database, OWNERSHIP, TRADING)


async def declare_lost(
    database: str, actor: str | None, lost_after: timedelta | None, reason: str, *, as_json: bool
) -> None:
    """Declare lost what gives no sign of life, and say which."""
    async with existing_log(database, actor=acting(actor)) as log:
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
    size = CHUNK if limit is None or len(wanted) > 1 else min(CHUNK, limit)
    while limit is None or limit > 0:
        page = await queries.executions(
            strategy_id=strategy_id,
            status=wanted[0] if len(wanted) == 1 else None,
            since=since,
            after=last,
            limit=size,
            newest_first=True,
        )
        for row in page:
            if not wanted or row.status in wanted:
                yield row
                limit = None if limit is None else limit - 1
                if limit == 0:
                    return
        if len(page) < size:
            return
        last = page[-1]


def _cells(row: ExecutionSeen, names: Mapping[UUID, str], *, as_json: bool) -> Cells:
    """For programs every sum is there by itself; for people those of a kind stand in one cell."""
    cells = {**msgspec.structs.asdict(row), "strategy": names.get(row.strategy_id)}
    traded: Traded = cells.pop("traded")
    cells |= {"orders": traded.orders, "fills": traded.fills}
    if as_json:
        cells["turnovers"] = [_turnover(one) for one in traded.turnovers]
        cells["fees"] = {one.asset: one.amount for one in traded.fees}
    else:
        cells["volume"] = ", ".join(_sum(one.volume, one, row) for one in traded.turnovers)
        cells["realized_pnl"] = ", ".join(_sum(one.realized_pnl, one, row) for one in traded.turnovers)
        cells["fees"] = ", ".join(f"{spelled(one.amount)} {one.asset}" for one in traded.fees)
    return cells


def _turnover(one: Turnover) -> Cells:
    cells = msgspec.structs.asdict(one)
    del cells["strategy_execution_id"]
    return cells


def _sum(amount: Decimal | None, of: Turnover, execution: ExecutionSeen) -> str:
    """A sum and its asset; and whether it is paper or live, where that is not what the execution is."""
    said = f"{OUT_OF_RANGE if amount is None else spelled(amount)} {of.quote_asset}"
    if of.is_test == execution.is_test:
        return said
    return f"{said} (paper)" if of.is_test else f"{said} (live)"


async def _totals(engine: AsyncEngine, key: UUID) -> list[Cells]:
    """What it traded, by pair and account, with the names of the pairs."""
    queries = Queries(engine)
    found: list[Cells] = []
    last: ExecutionTotalsRow | None = None
    while page := await queries.execution_totals(key, after=last, limit=CHUNK):
        last = page[-1]
        pairs = await _pairs(engine, [row.trading_pair_id for row in page])
        for row in page:
            pair = pairs[row.trading_pair_id]
            named = {"pair": f"{pair.exchange}:{pair.symbol}", "quote_asset": pair.quote_asset}
            found.append({**msgspec.structs.asdict(row), **named})
    return found


async def _pairs(engine: AsyncEngine, ids: Sequence[UUID]) -> dict[UUID, Any]:
    c = trading_pairs.c
    statement = sa.select(c.id, c.exchange, c.symbol, c.quote_asset).where(c.id.in_(ids))
    async with engine.connect() as connection:
        return {row.id: row for row in await connection.execute(statement)}


async def _strategy_names(engine: AsyncEngine) -> dict[UUID, str]:
    async with engine.connect() as connection:
        return {row.id: row.name for row in await connection.execute(sa.select(strategies.c.id, strategies.c.name))}


def _seconds(lost_after: timedelta | None) -> float:
    return LOST_AFTER_SECONDS if lost_after is None else lost_after.total_seconds()
