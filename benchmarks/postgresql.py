"""The same append and the same lag on PostgreSQL, a server of our own on this machine's disk.

What the server alone takes: the same rows, as many to a transaction as there are producers, by one INSERT from arrays
and by COPY, into the same table with its indexes, constraints and triggers.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from benchmarks import appending, lag
from benchmarks.bench import Bench, Clock
from benchmarks.figure import Figure, Floor, spread
from benchmarks.honesty import assert_honest
from benchmarks.workload import producers
from byjy_events import EventLog
from byjy_events.query import COLUMNS
from tests.postgres import Server

LAG_RATE = 1_000
EVENTS = {100: 10_000, 1_000: 30_000}
"""Events of a round by number of producers."""

RATIO_FLOOR = Floor(0.75)

_NAMES = COLUMNS.split(", ")
_TYPES = (
    "int8", "uuid", "text", "uuid", "int8", "text", "int4", "bytea", "int8", "int8", "int8", "text", "uuid", "uuid",
    "bytea",
)  # fmt: skip
_ARRAYS = ", ".join(f"${number}::{one}[]" for number, one in enumerate(_TYPES, 1))
_INSERT = f"INSERT INTO events ({COLUMNS}) SELECT * FROM unnest({_ARRAYS})"


async def measure(bench: Bench) -> list[Figure]:
    """Events a second with many producers, against the server alone, and the lag at a steady rate."""
    server = Server()
    await asyncio.to_thread(server.__enter__)
    try:
        figures = []
        for count, usual in EVENTS.items():
            figures += await _append(bench, server, count, bench.events(usual))
        return [*figures, await _lag(bench, server)]
    finally:
        await asyncio.to_thread(server.__exit__, None, None, None)


async def _append(bench: Bench, server: Server, count: int, events: int) -> list[Figure]:
    rows: list[tuple[Any, ...]] = []

    async def through_the_log() -> appending.Round:
        scripts = producers(count, events)
        async with new_log(server) as log:
            result = await appending.appended(log, scripts)
            await assert_honest(log, len(result.acknowledgements))
            rows[:] = await _rows(server.url(log.engine.url.database or ""))
        return result

    def alone(insert: Insert) -> Callable[[], Awaitable[appending.Round]]:
        async def inserted() -> appending.Round:
            async with new_log(server) as log:
                result = await _inserted(server.url(log.engine.url.database or ""), rows, count, insert)
                await assert_honest(log, len(rows))
            return result

        return inserted

    contenders = {"log": through_the_log, "INSERT": alone(_by_insert), "COPY": alone(_by_copy)}
    rounds = await bench.in_turns(contenders)
    return list(_figures(count, rounds))


def _figures(count: int, rounds: Mapping[str, Sequence[appending.Round]]) -> Iterator[Figure]:
    name, log = f"append, {count:,} producers, PostgreSQL", rounds["log"]
    yield Figure(
        name=name,
        unit="events/s",
        rounds=[one.rate for one in log],
        note=appending.acknowledged(log),
        spread=spread([one.acknowledgements for one in log]),
    )
    for raw, floor in (("INSERT", RATIO_FLOOR), ("COPY", None)):
        found = rounds[raw]
        rates = [one.rate for one in found]
        yield Figure(
            name=f"{raw} of {count:,}, PostgreSQL", unit="rows/s", rounds=rates, note=appending.acknowledged(found)
        )
        ratios = [ours.rate / theirs.rate for ours, theirs in zip(log, found, strict=True)]
        yield Figure(name=f"{name}, of {raw}", unit="ratio", rounds=ratios, floor=floor)


Insert = Callable[[asyncpg.Connection, Sequence[tuple[Any, ...]]], Awaitable[object]]


async def _inserted(url: str, rows: Sequence[tuple[Any, ...]], together: int, insert: Insert) -> appending.Round:
    connection = await asyncpg.connect(url)
    batches = [rows[start : start + together] for start in range(0, len(rows), together)]
    times = []
    with Clock() as clock:
        for batch in batches:
            began = time.perf_counter()
            await insert(connection, batch)
            times.append(time.perf_counter() - began)
    await connection.close()
    return appending.Round(len(rows) / clock.seconds, times)


async def _by_insert(connection: asyncpg.Connection, batch: Sequence[tuple[Any, ...]]) -> object:
    return await connection.execute(_INSERT, *map(list, zip(*batch, strict=True)))


async def _by_copy(connection: asyncpg.Connection, batch: Sequence[tuple[Any, ...]]) -> object:
    return await connection.copy_records_to_table("events", records=batch, columns=_NAMES)


async def _rows(url: str) -> list[tuple[Any, ...]]:
    connection = await asyncpg.connect(url)
    rows = await connection.fetch(f"SELECT {COLUMNS} FROM events ORDER BY position")
    await connection.close()
    return [tuple(row) for row in rows]


async def _lag(bench: Bench, server: Server) -> Figure:
    async def followed() -> lag.Round:
        async with new_log(server) as log:
            return await lag.live(log, LAG_RATE, bench.events(LAG_RATE * lag.SECONDS))

    return lag.figure("PostgreSQL", LAG_RATE, await bench.repeated(followed), None)


_numbers = itertools.count(1)


@asynccontextmanager
async def new_log(server: Server) -> AsyncIterator[EventLog]:
    """An open, empty log; its database is dropped in the end."""
    name = f"bench_{next(_numbers)}"
    await _command(server, f"CREATE DATABASE {name}")
    async with EventLog.open(server.url(name)) as log:
        yield log
    await _command(server, f"DROP DATABASE {name} WITH (FORCE)")


async def _command(server: Server, statement: str) -> None:
    connection = await asyncpg.connect(server.url("postgres"))
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
