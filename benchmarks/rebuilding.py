"""Rebuilding the tables of a long log: how fast, and how long an engine that goes on appending has to wait."""

from __future__ import annotations

import asyncio
import itertools
import sqlite3
import time
from pathlib import Path
from random import Random

from benchmarks.bench import Bench, Clock
from benchmarks.figure import Figure, Floor, busy
from benchmarks.honesty import assert_honest
from benchmarks.recording import recording
from benchmarks.workload import lifecycle
from byjy_events import EventLog
from projections import TRADING, Rebuilt, catch_up, rebuild

FLOOR = Floor(60_000)
LONGEST_WAIT_FLOOR = Floor(100, at_most=True)
PAUSE_SECONDS = 0.002
_CHANCE = Random(1)


async def measure(bench: Bench) -> list[Figure]:
    """Events a second where nothing differs and where every row is missing, and the longest wait of an append."""
    source, what = await recording(bench)
    projected = bench.copy_of(source)
    async with EventLog.open(f"sqlite:///{projected}") as log:
        await catch_up(log, TRADING)
    wiped = bench.copy_of(projected)
    _wipe(wiped)
    figures = [
        await _speed(bench, "rebuild, nothing differs", projected, what, FLOOR),
        await _speed(bench, "rebuild, every row is missing", wiped, what, None),
        await _waiting(bench, wiped),
    ]
    for file in (projected, wiped):
        bench.remove(file)
    return figures


async def _speed(bench: Bench, name: str, source: Path, what: str, floor: Floor | None) -> Figure:
    async def rebuilt() -> tuple[float, float, Rebuilt]:
        path = bench.copy_of(source)
        async with EventLog.open(f"sqlite:///{path}") as log:
            with Clock() as clock:
                done = await rebuild(log, TRADING)
            await assert_honest(log, done.position)
        bench.remove(path)
        return done.position / clock.seconds, clock.busy_seconds / done.position * 1e6, done

    rates, microseconds, done = zip(*await bench.repeated(rebuilt), strict=True)
    note = f"{what}; {done[-1].rows:,} rows merged; {busy(microseconds)}"
    return Figure(name=name, unit="events/s", rounds=rates, floor=floor, note=note)


async def _waiting(bench: Bench, source: Path) -> Figure:
    """One producer of the same process appends all the while, one event after the other."""

    async def longest() -> float:
        path = bench.copy_of(source)
        async with EventLog.open(f"sqlite:///{path}") as log:
            work = asyncio.create_task(rebuild(log, TRADING))
            waits = await _appending(log, work)
            assert (await work).rows > 0
        bench.remove(path)
        return max(waits) * 1000

    rounds = await bench.repeated(longest)
    note = "same process, wiped tables, a pause of 2 ms between appends"
    return Figure(name="longest append during a rebuild", unit="ms", rounds=rounds, floor=LONGEST_WAIT_FLOOR, note=note)


async def _appending(log: EventLog, work: asyncio.Task[Rebuilt]) -> list[float]:
    waits: list[float] = []
    for number in itertools.count(10**9):
        for step in lifecycle(_CHANCE, number):
            if work.done():
                return waits
            called = time.perf_counter()
            await log.append(step.stream, [step.event], expected=step.expected)
            waits.append(time.perf_counter() - called)
            await asyncio.sleep(PAUSE_SECONDS)
    return waits


def _wipe(file: Path) -> None:
    connection = sqlite3.connect(file)
    for table in reversed(TRADING.tables):
        connection.execute(f"DELETE FROM {table.name}")
    connection.commit()
    connection.close()
