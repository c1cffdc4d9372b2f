"""Projecting a long log from nothing."""

from __future__ import annotations

from benchmarks.bench import Bench, Clock
from benchmarks.figure import Figure, Floor, busy
from benchmarks.honesty import assert_honest
from benchmarks.recording import recording
from byjy_events import EventLog
from projections import TRADING, catch_up

FLOOR = Floor(40_000)


async def measure(bench: Bench) -> list[Figure]:
    """Events a second, from an empty table to the head of the log."""
    source, what = await recording(bench)

    async def projected() -> tuple[float, float]:
        path = bench.copy_of(source)
        async with EventLog.open(f"sqlite:///{path}") as log:
            with Clock() as clock:
                events = await catch_up(log, TRADING)
            await assert_honest(log, events)
        bench.remove(path)
        return events / clock.seconds, clock.busy_seconds / events * 1e6

    rates, microseconds = zip(*await bench.repeated(projected), strict=True)
    note = f"{what}; {busy(microseconds)}"
    return [Figure(name="project from zero", unit="events/s", rounds=rates, floor=FLOOR, note=note)]
