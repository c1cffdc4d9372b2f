"""A long log to project and to read: real order flow where there is some, else generated lifecycles."""

from __future__ import annotations

from pathlib import Path

from benchmarks.bench import Bench
from benchmarks.workload import fill, lobster_files
from byjy_events import EventLog
from byjy_ops.lobster.file import MessageFile
from byjy_ops.lobster.importer import import_file

ACCOUNT = "lobster"
GENERATED_EVENTS = 150_000


async def imported(log: EventLog) -> None:
    """Import every LOBSTER file there is."""
    for path in lobster_files():
        await import_file(log, MessageFile(path), account=ACCOUNT)


async def recording(bench: Bench) -> tuple[Path, str]:
    """A closed SQLite file that holds a log, nothing projected, and what it is, in a few words. Made once a run."""
    if bench.recording is None:
        bench.recording = await _recorded(bench)
    return bench.recording


async def _recorded(bench: Bench) -> tuple[Path, str]:
    path = await bench.new_file()
    real = bool(lobster_files()) and bench.scale >= 1
    async with EventLog.open(f"sqlite:///{path}") as log:
        if real:
            await imported(log)
        else:
            await fill(log, bench.events(GENERATED_EVENTS))
        events = await log.head()
    return path, f"{events:,} events {'of LOBSTER' if real else 'generated'}"
