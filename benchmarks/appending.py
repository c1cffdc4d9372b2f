"""Append with many concurrent producers, against a raw ``executemany`` of the same rows into the same table."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct

from benchmarks.bench import Bench, Clock
from benchmarks.figure import Figure, Floor, busy, milliseconds, percentile, spread
from benchmarks.honesty import assert_honest, assert_honest_connection
from benchmarks.workload import Step, producers
from byjy_events import EventLog
from byjy_events.query import COLUMNS
from byjy_events.sqlite.lane import connect

EVENTS = {1: 500, 10: 4_000, 100: 20_000, 1_000: 40_000}
"""Events of a round by number of producers."""

RATE_FLOORS = {1_000: Floor(20_000)}
RATIO_FLOORS = {10: Floor(0.5), 100: Floor(0.5), 1_000: Floor(0.5)}
WAIT_FLOORS = {
    1: (50, Floor(2.2, at_most=True)),
    10: (99, Floor(1.5, at_most=True)),
    100: (99, Floor(1.5, at_most=True)),
}
"""A percentile of the time to acknowledgement, and how many times that of the raw transaction it may be."""

_INSERT = f"INSERT INTO events ({COLUMNS}) VALUES ({', '.join('?' * len(COLUMNS.split(',')))})"


class Round(Struct):
    """What one round gave.

    Attributes:
        rate: events a second.
        acknowledgements: in seconds, one for each append, or for each transaction where nothing is in front of it.
        busy: microseconds an event that a processor was busy.
    """

    rate: float
    acknowledgements: list[float] = []
    busy: float = 0.0


async def measure(bench: Bench) -> list[Figure]:
    """Events a second, and how the time to acknowledgement spreads."""
    figures = []
    for count, usual in EVENTS.items():
        figures += await _with_producers(bench, count, bench.events(usual))
    return figures


async def appended(log: EventLog, scripts: Sequence[Sequence[Step]]) -> Round:
    """Every producer makes its appends one after the other, all of them at once."""
    acknowledgements: list[float] = []

    async def produce(script: Sequence[Step]) -> None:
        for stream, event, expected in script:
            called = time.perf_counter()
            await log.append(stream, [event], expected=expected)
            acknowledgements.append(time.perf_counter() - called)

    with Clock() as clock:
        await asyncio.gather(*map(produce, scripts))
    events = len(acknowledgements)
    return Round(events / clock.seconds, acknowledgements, clock.busy_seconds / events * 1e6)


async def _with_producers(bench: Bench, count: int, events: int) -> list[Figure]:
    rows: list[tuple[Any, ...]] = []

    async def through_the_log() -> Round:
        scripts = producers(count, events)
        path = await bench.new_file()
        async with EventLog.open(f"sqlite:///{path}") as log:
            result = await appended(log, scripts)
            await assert_honest(log, len(result.acknowledgements))
        rows[:] = _rows(path)
        bench.remove(path)
        return result

    async def raw() -> Round:
        path = await bench.new_file()
        found = inserted(path, rows, count)
        bench.remove(path)
        return found

    rounds = await bench.in_turns({"log": through_the_log, "raw": raw})
    return list(_figures(count, rounds["log"], rounds["raw"]))


def _figures(count: int, log: Sequence[Round], raw: Sequence[Round]) -> Iterator[Figure]:
    name = f"append, {count:,} producer{'s' if count > 1 else ''}"
    yield Figure(
        name=name,
        unit="events/s",
        rounds=[one.rate for one in log],
        floor=RATE_FLOORS.get(count),
        note=f"{acknowledged(log)}; {busy([one.busy for one in log])}",
        spread=spread([one.acknowledgements for one in log]),
    )
    yield Figure(
        name=f"executemany of {count:,}",
        unit="rows/s",
        rounds=[one.rate for one in raw],
        note=f"the same rows, no program around it; {acknowledged(raw)}",
    )
    ratios = [ours.rate / theirs.rate for ours, theirs in zip(log, raw, strict=True)]
    yield Figure(name=f"{name}, of raw", unit="ratio", rounds=ratios, floor=RATIO_FLOORS.get(count))
    if count in WAIT_FLOORS:
        percent, floor = WAIT_FLOORS[count]
        waits = [
            percentile(ours.acknowledgements, percent) / percentile(theirs.acknowledgements, percent)
            for ours, theirs in zip(log, raw, strict=True)
        ]
        yield Figure(name=f"{name}, p{percent} of raw p{percent}", unit="times", rounds=waits, floor=floor)


def acknowledged(rounds: Sequence[Round]) -> str:
    """How long it took until an append was acknowledged, as a note."""
    p50, p99 = (milliseconds([one.acknowledgements for one in rounds], percent) for percent in (50, 99))
    return f"acknowledged p50 {p50:.2f} ms, p99 {p99:.2f} ms"


def inserted(path: Path, rows: Sequence[tuple[Any, ...]], together: int) -> Round:
    """What the driver alone takes to insert rows, so many in one durable transaction."""
    connection = connect(path)
    connection.execute("PRAGMA wal_autocheckpoint = 1000")
    batches = [rows[start : start + together] for start in range(0, len(rows), together)]
    times = []
    with Clock() as clock:
        for batch in batches:
            began = time.perf_counter()
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(_INSERT, batch)
            connection.execute("COMMIT")
            times.append(time.perf_counter() - began)
    assert_honest_connection(connection)
    connection.close()
    return Round(len(rows) / clock.seconds, times)


def _rows(path: Path) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(path)
    rows = connection.execute(f"SELECT {COLUMNS} FROM events ORDER BY position").fetchall()
    connection.close()
    return rows
