"""Opening a log of a million events, until the first append is acknowledged: what an engine waits for at its start."""

from __future__ import annotations

import time
from random import Random

from benchmarks.bench import Bench
from benchmarks.figure import Figure, Floor
from benchmarks.large import large
from benchmarks.workload import lifecycle
from byjy_events import EventLog

FLOOR = Floor(500, at_most=True)


async def measure(bench: Bench) -> list[Figure]:
    """Milliseconds from opening to the first acknowledgement, the file in the system's cache."""
    path = await large(bench)
    numbers = iter(range(2 * 10**9, 3 * 10**9))

    async def opened() -> float:
        step = lifecycle(Random(), next(numbers))[0]
        called = time.perf_counter()
        async with EventLog.open(f"sqlite:///{path}") as log:
            receipt = await log.append(step.stream, [step.event], expected=step.expected)
            seconds = time.perf_counter() - called
            head = receipt.position
        assert head > bench.events(1_000_000)
        return seconds * 1000

    rounds = await bench.repeated(opened)
    note = f"{bench.events(1_000_000):,} events"
    return [Figure(name="open, first append acknowledged", unit="ms", rounds=rounds, floor=FLOOR, note=note)]
