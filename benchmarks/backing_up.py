"""Backing a million events up: how long an engine that goes on appending has to wait at the most."""

from __future__ import annotations

import asyncio
import itertools
import time
from random import Random
from statistics import median
from typing import Any, NamedTuple

from benchmarks.bench import Bench, Clock
from benchmarks.figure import Figure, Floor, percentile
from benchmarks.honesty import assert_honest
from benchmarks.million import million
from benchmarks.workload import lifecycle
from byjy_events import EventLog
from byjy_events.backup import Backups, State

LONGEST_WAIT_FLOOR = Floor(100, at_most=True)
PAUSE_SECONDS = 0.002
_CHANCE = Random(1)
_NUMBERS = itertools.count(10**9)


class Round(NamedTuple):
    """One backup.

    Attributes:
        seconds: until it was made and verified.
        longest, p99: waits of appends meanwhile, milliseconds.
        usual: the longest of as many seconds without a backup.
    """

    seconds: float
    longest: float
    p99: float
    usual: float


async def measure(bench: Bench) -> list[Figure]:
    """The longest wait of an append while a backup is made and verified, in the same process."""
    source, events = await million(bench)
    path = bench.copy_of(source)
    async with EventLog.open(f"sqlite:///{path}") as log:
        rounds = await bench.repeated(lambda: _round(bench, log))
        await assert_honest(log, await log.head())
    bench.remove(path)
    seconds, p99, usual = (median(getattr(one, name) for one in rounds) for name in ("seconds", "p99", "usual"))
    note = (
        f"{events:,} events with their tables, a pause of {PAUSE_SECONDS * 1000:.0f} ms between appends;"
        f" p99 {p99:.1f} ms; made and verified in {seconds:.1f} s;"
        f" longest of as many seconds without a backup {usual:.1f} ms"
    )
    return [
        Figure(
            name="longest append during a backup",
            unit="ms",
            rounds=[one.longest for one in rounds],
            floor=LONGEST_WAIT_FLOOR,
            note=note,
        )
    ]


async def _round(bench: Bench, log: EventLog) -> Round:
    folder = bench.folder / "backups"
    with Clock() as clock:
        work = asyncio.create_task(Backups(folder).create(log.url))
        waits = await appending_during(log, work)
    assert (await work).state is State.VERIFIED
    bench.remove(folder)
    usual = await appending_during(log, asyncio.create_task(asyncio.sleep(clock.seconds)))
    return Round(clock.seconds, max(waits) * 1000, percentile(waits, 99) * 1000, max(usual) * 1000)


async def appending_during(log: EventLog, work: asyncio.Task[Any]) -> list[float]:
    """One producer appends all the while, one event after the other."""
    waits: list[float] = []
    while True:
        for step in lifecycle(_CHANCE, next(_NUMBERS)):
            called = time.perf_counter()
            await log.append(step.stream, [step.event], expected=step.expected)
            waits.append(time.perf_counter() - called)
            if work.done():
                return waits
            await asyncio.sleep(PAUSE_SECONDS)
