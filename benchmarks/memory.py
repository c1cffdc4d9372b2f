"""How much memory a rebuild and an export take, of a log four times as long as another: in processes of their own."""

from __future__ import annotations

import asyncio
import os
import resource
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

from benchmarks.bench import Bench
from benchmarks.figure import Figure, Floor
from benchmarks.workload import fill
from byjy_events import EventLog
from byjy_ops.exporting import Kind, export
from projections import TRADING, rebuild

EVENTS = 1_000_000
FLOOR = Floor(300, at_most=True)
ROOT = Path(__file__).resolve().parents[1]


async def measure(bench: Bench) -> list[Figure]:
    """The most that a process had in memory while it rebuilt every table from a million events, or exported them."""
    long, short = bench.events(EVENTS), bench.events(EVENTS // 4)
    peaks: dict[tuple[str, int], float] = {}
    for events in (long, short):
        path = await bench.new_file()
        async with EventLog.open(f"sqlite:///{path}") as log:
            await fill(log, events)
        for work in WORK:
            peaks[work, events] = await asyncio.to_thread(_peak_of, work, path)
        bench.remove(path)
    return [
        Figure(
            name=f"memory of {work}",
            unit="MB",
            rounds=[peaks[work, long]] * bench.rounds,
            floor=FLOOR,
            note=f"{long:,} events; {peaks[work, short]:.0f} MB with {short:,}",
        )
        for work in WORK
    ]


def _peak_of(work: str, path: Path) -> float:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.memory", work, str(path)],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return float(done.stdout)


async def _rebuilt(log: EventLog, _path: Path) -> None:
    await rebuild(log, TRADING)


async def _exported(log: EventLog, path: Path) -> None:
    await export(log, Kind.EVENTS, path.with_name(f"{path.name}.parquet"))


WORK: dict[str, Callable[[EventLog, Path], Awaitable[None]]] = {
    "a rebuild, every row missing": _rebuilt,
    "an export to Parquet": _exported,
}


async def _run(work: str, path: Path) -> None:
    async with EventLog.open(f"sqlite:///{path}") as log:
        await WORK[work](log, path)


def peak_bytes() -> int:
    """The most that this process had in memory.

    On Linux ``ru_maxrss`` will not do: a process begins with what the one had that started it.
    """
    status = Path("/proc/self/status")
    if status.exists():
        return int(status.read_text().partition("VmHWM:")[2].split()[0]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


if __name__ == "__main__":
    asyncio.run(_run(sys.argv[1], Path(sys.argv[2])))
    print(peak_bytes() / 1024 / 1024)
