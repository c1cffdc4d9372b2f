"""A log of a million generated events with its tables: what must not become slower as a log grows. Made once a run."""

from __future__ import annotations

from pathlib import Path

from benchmarks.bench import Bench
from benchmarks.workload import fill
from byjy_events import EventLog
from projections import TRADING, catch_up

EVENTS = 1_000_000
_made: dict[Path, Path] = {}


async def large(bench: Bench) -> Path:
    """The closed SQLite file. Whoever appends to it leaves it a little longer for the next one."""
    if bench.folder not in _made:
        _made[bench.folder] = await filled(bench, bench.events(EVENTS))
    return _made[bench.folder]


async def filled(bench: Bench, events: int) -> Path:
    """A closed SQLite file with so many events, and their orders, trades and positions."""
    path = await bench.new_file()
    async with EventLog.open(f"sqlite:///{path}") as log:
        await fill(log, events)
        await catch_up(log, TRADING)
    return path
