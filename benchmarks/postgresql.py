"""The same append and the same lag on PostgreSQL, a server of our own on this machine's disk."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from benchmarks import appending, lag
from benchmarks.bench import Bench
from benchmarks.figure import Figure, milliseconds, spread
from benchmarks.honesty import assert_honest
from benchmarks.workload import producers
from byjy_events import EventLog
from tests.postgres import Server

LAG_RATE = 1_000
EVENTS = {100: 10_000, 1_000: 30_000}
"""Events of a round by number of producers."""


async def measure(bench: Bench) -> list[Figure]:
    """Events a second with many producers, and the lag at a steady rate."""
    server = Server()
    await asyncio.to_thread(server.__enter__)
    try:
        figures = [await _append(bench, server, count, bench.events(usual)) for count, usual in EVENTS.items()]
        return [*figures, await _lag(bench, server)]
    finally:
        await asyncio.to_thread(server.__exit__, None, None, None)


async def _append(bench: Bench, server: Server, count: int, events: int) -> Figure:
    async def once() -> appending.Round:
        scripts = producers(count, events)
        async with new_log(server) as log:
            result = await appending.appended(log, scripts)
            await assert_honest(log, len(result.acknowledgements))
        return result

    rounds = await bench.repeated(once)
    acknowledgements = [one.acknowledgements for one in rounds]
    p50, p99 = milliseconds(acknowledgements, 50), milliseconds(acknowledgements, 99)
    return Figure(
        name=f"append, {count:,} producers, PostgreSQL",
        unit="events/s",
        rounds=[one.rate for one in rounds],
        note=f"acknowledged p50 {p50:.2f} ms, p99 {p99:.2f} ms",
        spread=spread(acknowledgements),
    )


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
