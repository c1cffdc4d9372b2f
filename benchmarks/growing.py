"""What becomes slower as a log grows: appending to it, and projecting it. Neither should."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path

from benchmarks.appending import appended
from benchmarks.bench import Bench, Clock
from benchmarks.figure import Figure, Floor
from benchmarks.honesty import assert_honest
from benchmarks.large import EVENTS, filled, large
from benchmarks.workload import producers
from byjy_events import EventLog
from projections import TRADING, catch_up

SHORTER = (10_000, 100_000)
"""Lengths that are compared with the long log's."""

PRODUCERS = 100
APPENDED = 20_000
FLOOR = Floor(0.9)


async def measure(bench: Bench) -> list[Figure]:
    """The rates at a million events, and at fewer, in the same rounds."""
    logs = {bench.events(size): await filled(bench, bench.events(size)) for size in SHORTER}
    appends = await _appends(bench, logs, await large(bench))
    projections = [await _projected(bench, size, path) for size, path in logs.items()]
    projections.append(await _projected(bench, bench.events(EVENTS), await large(bench)))
    for path in logs.values():
        bench.remove(path)
    return appends + projections


async def _appends(bench: Bench, logs: dict[int, Path], long: Path) -> list[Figure]:
    def at(path: Path) -> Callable[[], Awaitable[float]]:
        async def rate() -> float:
            copy = bench.copy_of(path)
            found = await _rate(bench, copy)
            bench.remove(copy)
            return found

        return rate

    contenders = {f"{size:,}": at(path) for size, path in logs.items()}
    most, least = f"{bench.events(EVENTS):,}", next(iter(contenders))
    contenders[most] = lambda: _rate(bench, long)  # it is too large to be copied each time, and hardly grows
    rates = await bench.in_turns(contenders)
    ratios = [one / other for one, other in zip(rates[most], rates[least], strict=True)]
    name = f"append at {most} events, of that at {least}"
    return [
        *(
            Figure(name=f"append to a log of {size}", unit="events/s", rounds=found, note=f"{PRODUCERS} producers")
            for size, found in rates.items()
        ),
        Figure(name=name, unit="ratio", rounds=ratios, floor=FLOOR),
    ]


async def _rate(bench: Bench, path: Path) -> float:
    async with EventLog.open(f"sqlite:///{path}") as log:
        before = await log.head()
        scripts = producers(PRODUCERS, bench.events(APPENDED), first=before)
        result = await appended(log, scripts)
        await assert_honest(log, before + len(result.acknowledgements))
    return result.rate


async def _projected(bench: Bench, events: int, source: Path) -> Figure:
    """Once: a million take half a minute."""
    path = bench.copy_of(source)
    _begin_again(path)
    async with EventLog.open(f"sqlite:///{path}") as log:
        head = await log.head()
        with Clock() as clock:
            await catch_up(log, TRADING)
    bench.remove(path)
    rates = [head / clock.seconds] * bench.rounds
    return Figure(name=f"project {events:,} events from nothing", unit="events/s", rounds=rates)


def _begin_again(file: Path) -> None:
    """Nothing is projected any more."""
    connection = sqlite3.connect(file)
    for table in reversed(TRADING.tables):
        connection.execute(f"DELETE FROM {table.name}")
    connection.execute("DELETE FROM projection_checkpoints")
    connection.commit()
    connection.close()
