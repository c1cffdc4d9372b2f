"""How much memory a rebuild takes, of a log four times as long as another: in processes of their own."""

from __future__ import annotations

import asyncio
import os
import resource
import subprocess
import sys
from pathlib import Path

from benchmarks.bench import Bench
from benchmarks.figure import Figure, Floor
from benchmarks.workload import fill
from byjy_events import EventLog
from projections import TRADING, rebuild

EVENTS = 1_000_000
FLOOR = Floor(300, at_most=True)


async def measure(bench: Bench) -> list[Figure]:
    """The most that a process had in memory while it rebuilt every table from a million events."""
    long, short = bench.events(EVENTS), bench.events(EVENTS // 4)
    most = {events: [await _peak_of(bench, events)] for events in (long, short)}
    note = f"{long:,} events, every row missing; {most[short][0]:.0f} MB with {short:,}"
    return [Figure(name="memory of a rebuild", unit="MB", rounds=most[long] * bench.rounds, floor=FLOOR, note=note)]


ROOT = Path(__file__).resolve().parents[1]


async def _peak_of(bench: Bench, events: int) -> float:
    path = await bench.new_file()
    async with EventLog.open(f"sqlite:///{path}") as log:
        await fill(log, events)
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "benchmarks.memory", f"sqlite:///{path}"],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    bench.remove(path)
    return float(done.stdout)


async def _rebuilt(url: str) -> None:
    async with EventLog.open(url) as log:
        await rebuild(log, TRADING)


if __name__ == "__main__":
    asyncio.run(_rebuilt(sys.argv[1]))
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(kilobytes / (1024 * 1024 if sys.platform == "darwin" else 1024))
