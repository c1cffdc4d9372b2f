"""Importing real order flow, projection included."""

from __future__ import annotations

from benchmarks.bench import Bench, Clock
from benchmarks.figure import Figure, Floor
from benchmarks.honesty import assert_honest
from benchmarks.recording import imported
from benchmarks.workload import lobster_files
from projections import TRADING, catch_up

FLOOR = Floor(30.0, at_most=True)
ROUNDS = 3
"""A round is long enough to need no other before it."""


async def measure(bench: Bench) -> list[Figure]:
    """Seconds for all LOBSTER files there are; no figure where there are none."""
    files = lobster_files()
    if not files or bench.scale < 1:
        return []

    async def once() -> tuple[float, float]:
        async with bench.new_log() as log:
            with Clock() as importing:
                await imported(log)
            with Clock() as projecting:
                events = await catch_up(log, TRADING)
            await assert_honest(log, events)
        return importing.seconds, projecting.seconds

    rounds = [await once() for _ in range(min(bench.rounds, ROUNDS))]
    importing, projecting = (sorted(seconds)[len(seconds) // 2] for seconds in zip(*rounds, strict=True))
    return [
        Figure(
            name=f"import {len(files)} LOBSTER files and project",
            unit="s",
            rounds=[sum(seconds) for seconds in rounds],
            floor=FLOOR,
            note=f"import {importing:.1f} s, projection {projecting:.1f} s",
        )
    ]
