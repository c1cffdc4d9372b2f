"""Append with many concurrent producers, against a raw ``executemany`` of the same rows into the same table."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct

from benchmarks.bench import Bench, Clock
from benchmarks.figure import Figure, Floor, busy, milliseconds, spread
from benchmarks.honesty import assert_honest, assert_honest_connection
from benchmarks.workload import Step, producers
from byjy_events import EventLog
from byjy_events.query import COLUMNS
from byjy_events.sqlite.lane import connect

EVENTS = {1: 500, 10: 4_000, 100: 20_000, 1_000: 40_000}
"""Events of a round by number of producers."""

RATE_FLOORS = {1_000: Floor(20_000)}
RATIO_FLOORS = {1_000: Floor(0.35)}

_INSERT = f"INSERT INTO events ({COLUMNS}) VALUES ({', '.join('?' * len(COLUMNS.split(',')))})"


class Round(Struct):
    """What one round gave; ``acknowledgements`` in seconds, one for each append, ``busy`` in microseconds an event."""

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
        rate = inserted(path, rows, count)
        bench.remove(path)
        return Round(rate)

    rounds = await bench.in_turns({"log": through_the_log, "raw": raw})
    return _figures(count, rounds["log"], [one.rate for one in rounds["raw"]])


def _figures(count: int, log: Sequence[Round], raw: Sequence[float]) -> list[Figure]:
    name = f"append, {count:,} producer{'s' if count > 1 else ''}"
    acknowledgements = [one.acknowledgements for one in log]
    p50, p99 = milliseconds(acknowledgements, 50), milliseconds(acknowledgements, 99)
    rates = [one.rate for one in log]
    ratios = [ours / theirs for ours, theirs in zip(rates, raw, strict=True)]
    return [
        Figure(
            name=name,
            unit="events/s",
            rounds=rates,
            floor=RATE_FLOORS.get(count),
            note=f"acknowledged p50 {p50:.2f} ms, p99 {p99:.2f} ms; {busy([one.busy for one in log])}",
            spread=spread(acknowledgements),
        ),
        Figure(name=f"executemany of {count:,}", unit="rows/s", rounds=raw, note="the same rows, no program around it"),
        Figure(
            name=f"{name}, of raw",
            unit="ratio",
            rounds=ratios,
            floor=RATIO_FLOORS.get(count),
        ),
    ]


def inserted(path: Path, rows: Sequence[tuple[Any, ...]], together: int) -> float:
    """Rows a second that the driver alone inserts, so many in one durable transaction."""
    connection = connect(path)
    connection.execute("PRAGMA wal_autocheckpoint = 1000")
    batches = [rows[start : start + together] for start in range(0, len(rows), together)]
    with Clock() as clock:
        for batch in batches:
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(_INSERT, batch)
            connection.execute("COMMIT")
    assert_honest_connection(connection)
    connection.close()
    return len(rows) / clock.seconds


def _rows(path: Path) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(path)
    rows = connection.execute(f"SELECT {COLUMNS} FROM events ORDER BY position").fetchall()
    connection.close()
    return rows
