"""Rebuilding the tables of a long log: how fast, and how long an engine that goes on appending has to wait."""

from __future__ import annotations

import asyncio
import itertools
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from random import Random

from msgspec import Struct

from benchmarks.bench import Bench, Clock
from benchmarks.figure import Figure, Floor, busy
from benchmarks.handwritten import COMPARED, assert_same, rebuilt
from benchmarks.honesty import assert_honest
from benchmarks.recording import recording
from benchmarks.workload import lifecycle
from byjy_events import EventLog
from projections import TRADING, Rebuilt, catch_up, rebuild

FLOORS = {"rebuild, nothing differs": Floor(60_000), "project from zero": Floor(40_000)}
RATIO_FLOORS = {"rebuild, every row is missing": Floor(0.6)}
LONGEST_WAIT_FLOOR = Floor(100, at_most=True)
PAUSE_SECONDS = 0.002
_CHANCE = Random(1)


async def measure(bench: Bench) -> list[Figure]:
    """Events a second of what makes the tables of a log, by hand too, and the longest wait of an append meanwhile."""
    source, what = await recording(bench)
    projected = bench.copy_of(source)
    async with EventLog.open(f"sqlite:///{projected}") as log:
        await catch_up(log, TRADING)
    wiped, three_wiped = bench.copy_of(projected), bench.copy_of(projected)
    _wipe(wiped, [table.name for table in reversed(TRADING.tables)])
    _wipe(three_wiped, reversed(COMPARED))

    async def by_hand() -> Round:
        path = bench.copy_of(three_wiped)
        with Clock() as clock:
            events = rebuilt(path)
        assert_same(path, projected)
        bench.remove(path)
        return Round(events / clock.seconds, clock.busy_seconds / events * 1e6)

    rounds = await bench.in_turns(
        {
            "the three tables by hand": by_hand,
            "rebuild, every row is missing": lambda: _rebuilt(bench, wiped),
            "rebuild, nothing differs": lambda: _rebuilt(bench, projected),
            "project from zero": lambda: _projected(bench, source),
        }
    )
    figures = [*_figures(rounds, what), await _waiting(bench, wiped)]
    for file in (projected, wiped, three_wiped):
        bench.remove(file)
    return figures


class Round(Struct):
    """What one round gave: events a second, and microseconds an event that a processor was busy."""

    rate: float
    busy: float


def _figures(rounds: Mapping[str, Sequence[Round]], what: str) -> Iterator[Figure]:
    by_hand = next(iter(rounds.values()))
    for name, found in rounds.items():
        note = f"{what}; {busy([one.busy for one in found])}"
        yield Figure(name=name, unit="events/s", rounds=[one.rate for one in found], floor=FLOORS.get(name), note=note)
        if found is not by_hand:
            ratios = [ours.rate / theirs.rate for ours, theirs in zip(found, by_hand, strict=True)]
            yield Figure(name=f"{name}, of by hand", unit="ratio", rounds=ratios, floor=RATIO_FLOORS.get(name))


async def _rebuilt(bench: Bench, source: Path) -> Round:
    path = bench.copy_of(source)
    async with EventLog.open(f"sqlite:///{path}") as log:
        with Clock() as clock:
            done = await rebuild(log, TRADING)
        await assert_honest(log, done.position)
    bench.remove(path)
    return Round(done.position / clock.seconds, clock.busy_seconds / done.position * 1e6)


async def _projected(bench: Bench, source: Path) -> Round:
    path = bench.copy_of(source)
    async with EventLog.open(f"sqlite:///{path}") as log:
        with Clock() as clock:
            events = await catch_up(log, TRADING)
        await assert_honest(log, events)
    bench.remove(path)
    return Round(events / clock.seconds, clock.busy_seconds / events * 1e6)


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


def _wipe(file: Path, tables: Iterable[str]) -> None:
    connection = sqlite3.connect(file)
    for table in tables:
        connection.execute(f"DELETE FROM {table}")
    connection.commit()
    connection.close()
