"""Questions by key or index on a database of a million events: how long the driver itself takes for each.

What the program asks is caught as it goes to the driver, and asked again there without the program: a thread hop and
the making of rows take longer than the database does, and say nothing about its indexes.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from benchmarks.bench import Bench
from benchmarks.figure import Figure, Floor, percentile
from benchmarks.large import large
from benchmarks.workload import PAIRS
from byjy_events import EventLog
from byjy_events.identifiers import pair_id
from projections import OrderRow, Queries

ASKED = 500
"""How often each question is asked, about another order each time."""

PAGE = 20
FLOOR = Floor(1.0, at_most=True)

SYMBOLS = {pair_id(pair.exchange, pair.symbol): pair.symbol for pair in PAIRS}

Asked = tuple[str, Sequence[Any]]
Question = Callable[[Queries, OrderRow], Awaitable[object]]

QUESTIONS: dict[str, Question] = {
    "an order by its id": lambda queries, row: queries.order(row.id),
    "an order by the venue's id": lambda queries, row: queries.order_by_exchange_id(
        row.exchange, row.account, SYMBOLS[row.trading_pair_id], str(row.exchange_order_id)
    ),
    "the trades of an order": lambda queries, row: queries.trades(order=row.id),
    "a page of orders of a pair": lambda queries, row: queries.orders(
        pair=row.trading_pair_id, since=row.created_at, limit=PAGE
    ),
    "a page of orders by status": lambda queries, row: queries.orders(
        status=row.status, since=row.created_at, limit=PAGE
    ),
    "a page of open orders": lambda queries, row: queries.open_orders(account=row.account, limit=PAGE),
    "positions of an account": lambda queries, row: queries.positions(account=row.account),
}


async def measure(bench: Bench) -> list[Figure]:
    """The 99th percentile of each question in the driver's thread."""
    path = await large(bench)
    figures = []
    for name, question in QUESTIONS.items():
        asked = await _asked(path, question, min(ASKED, bench.events(ASKED)))
        rounds = [_milliseconds(path, asked) for _ in range(bench.rounds + 1)][1:]
        p50 = sorted(percentile(one, 50) for one in rounds)[len(rounds) // 2]
        figures.append(
            Figure(
                name=f"query p99, {name}",
                unit="ms",
                rounds=[percentile(one, 99) for one in rounds],
                floor=FLOOR,
                note=f"p50 {p50:.3f} ms",
            )
        )
    return figures


async def _asked(path: Path, question: Question, times: int) -> list[Asked]:
    """The statements that a question came to, one after the other."""
    async with EventLog.open(f"sqlite:///{path}", read_only=True) as log:
        queries = Queries(log.engine)
        rows = await _some_orders(log, queries, times)
        async with _caught(log) as statements:
            for row in rows:
                await question(queries, row)
    assert len(statements) >= times
    return statements


async def _some_orders(log: EventLog, queries: Queries, count: int) -> list[OrderRow]:
    """From all over the log."""
    async with log.engine.connect() as connection:
        ids = [row[0] for row in await connection.execute(sa.text("SELECT id FROM orders"))]
    chosen = Random(1).choices(ids, k=count)
    found = [await queries.order(UUID(bytes=one)) for one in chosen]
    return [row for row in found if row is not None]


@asynccontextmanager
async def _caught(log: EventLog) -> AsyncIterator[list[Asked]]:
    statements: list[Asked] = []

    def catch(_connection: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, _many: bool) -> None:
        if statement.startswith("SELECT"):
            statements.append((statement, parameters))

    sa.event.listen(log.engine.sync_engine, "before_cursor_execute", catch)
    try:
        yield statements
    finally:
        sa.event.remove(log.engine.sync_engine, "before_cursor_execute", catch)


def _milliseconds(path: Path, asked: Sequence[Asked]) -> list[float]:
    connection = sqlite3.connect(path, isolation_level=None)
    times = []
    for statement, parameters in asked:
        called = time.perf_counter()
        connection.execute(statement, parameters).fetchall()
        times.append((time.perf_counter() - called) * 1000)
    connection.close()
    return times
