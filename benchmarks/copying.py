"""A million events moved to another database: copied, tables replayed, both ends verified, as by ``byjy copy``."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing

import asyncpg
from asyncpg.pgproto.pgproto import UUID

from benchmarks.bench import Bench, Clock
from benchmarks.figure import Figure
from benchmarks.million import million
from benchmarks.postgresql import new_log
from byjy_events import EventLog
from byjy_events.chunk import Chunk, positions
from byjy_events.copying import copy_log
from byjy_events.copying.copier import CHUNK_EVENTS
from byjy_events.database import sqlite_path
from byjy_events.proof.auditing import audit
from byjy_events.query import COLUMNS, Query
from byjy_events.sqlite.lane import connect
from projections import catch_up, verify
from projections.registry import OWN_GROUPS
from tests.postgres import Server

ROUNDS = 1
"""A round is minutes long, and needs no other before it."""

NAMES = COLUMNS.split(", ")
IDS = [NAMES.index(name) for name in ("event_id", "stream_id", "correlation_id", "causation_id")]

Target = Callable[[], AbstractAsyncContextManager[EventLog]]
Store = Callable[[Chunk], Awaitable[object]]


async def measure(bench: Bench) -> list[Figure]:
    """Events a second of the copy alone; in the note what all of it takes, and the driver alone with the same rows."""
    path, _ = await million(bench)
    source = f"sqlite:///{path}"
    server = Server()
    await asyncio.to_thread(server.__enter__)
    try:
        return [
            await _figure(bench, source, "PostgreSQL", lambda: new_log(server), _with_asyncpg),
            await _figure(bench, source, "SQLite", bench.new_log, _with_sqlite),
        ]
    finally:
        await asyncio.to_thread(server.__exit__, None, None, None)


async def _figure(
    bench: Bench,
    source: str,
    kind: str,
    target: Target,
    driver: Callable[[EventLog], AbstractAsyncContextManager[Store]],
) -> Figure:
    rounds, note = [], ""
    for _ in range(min(bench.rounds, ROUNDS)):
        async with EventLog.open(source, read_only=True) as one:
            async with target() as other, driver(other) as store:
                bare = await _bare(one, store)
            async with target() as other:
                with Clock() as copying:
                    events = (await copy_log(one, other)).size
                with Clock() as replaying:
                    for group in OWN_GROUPS:
                        await catch_up(other, group)
                with Clock() as verifying:
                    await _verified(one, other, events)
        rounds.append(events / copying.seconds)
        parts = {"copied": copying.seconds, "replayed": replaying.seconds, "verified": verifying.seconds}
        listed = ", ".join(f"{name} in {seconds:.0f} s" for name, seconds in parts.items())
        share = bare / copying.seconds
        note = f"{events:,} events: {listed}, {sum(parts.values()):.0f} s; {share:.2f} of the speed of the driver alone"
    return Figure(name=f"copy, SQLite to {kind}", unit="events/s", rounds=rounds, note=note)


async def _verified(source: EventLog, target: EventLog, events: int) -> None:
    for log in (source, target):
        found = await audit(log, ())
        assert (found.intact, found.events) == (True, events)
    for group in OWN_GROUPS:
        assert not (await verify(target, group)).differences


async def _bare(source: EventLog, store: Store) -> float:
    """Seconds that a driver takes to store the same rows in transactions of the same size, when they are there."""
    seconds, after = 0.0, 0
    while chunk := await source.backend.fetch(Query(after=after), CHUNK_EVENTS):
        began = time.perf_counter()
        await store(chunk)
        seconds += time.perf_counter() - began
        after = positions(chunk)[-1]
    return seconds


@asynccontextmanager
async def _with_asyncpg(log: EventLog) -> AsyncIterator[Store]:
    connection = await asyncpg.connect(str(log.url))

    async def store(chunk: Chunk) -> None:
        columns = [[one and UUID(one) for one in column] if n in IDS else column for n, column in enumerate(chunk)]
        await connection.copy_records_to_table("events", records=list(zip(*columns, strict=True)), columns=NAMES)

    try:
        yield store
    finally:
        await connection.close()


@asynccontextmanager
async def _with_sqlite(log: EventLog) -> AsyncIterator[Store]:
    statement = f"INSERT INTO events ({COLUMNS}) VALUES ({', '.join('?' * len(NAMES))})"
    with closing(connect(sqlite_path(log.engine.url))) as connection:
        connection.execute("PRAGMA wal_autocheckpoint = 1000")  # pages: as often as the lane does

        async def store(chunk: Chunk) -> None:
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(statement, zip(*chunk, strict=True))
            connection.execute("COMMIT")

        yield store
