"""Backing a PostgreSQL log up: in full, and from the backup before on, while an engine goes on appending.

The full one is made in a process of its own, as it is to be: in the engine's, the garbage collector looks at all that
the engine has whenever some ten thousand events were copied, and the engine waits for that.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from statistics import median
from typing import NamedTuple

from benchmarks.backing_up import LONGEST_WAIT_FLOOR, appending_during
from benchmarks.bench import Bench
from benchmarks.figure import Figure
from benchmarks.postgresql import new_log
from benchmarks.recording import recording
from byjy_events import EventLog
from byjy_events.backup import Backup, Backups, State
from byjy_events.copying import copy_log
from tests.postgres import Server


class Round(NamedTuple):
    """One backup of each kind.

    Attributes:
        full, onward: events of the log per second until it was made, without its verification.
        longest: wait of an append while the full one was made and verified, milliseconds.
    """

    full: float
    onward: float
    longest: float


async def measure(bench: Bench) -> list[Figure]:
    """Events a second of a backup in full and of one from the one before on, and the longest wait of an append."""
    source, what = await recording(bench)
    server = Server()
    await asyncio.to_thread(server.__enter__)
    try:
        async with EventLog.open(f"sqlite:///{source}", read_only=True) as recorded, new_log(server) as log:
            await copy_log(recorded, log)
            rounds = await bench.repeated(lambda: _round(bench, server, log))
    finally:
        await asyncio.to_thread(server.__exit__, None, None, None)
    note = f"{what}; a million events: {1e6 / median(one.full for one in rounds):.0f} s"
    onward = f"{what}; a million events: {1e6 / median(one.onward for one in rounds):.0f} s"
    return [
        Figure(name="backup, PostgreSQL, full", unit="events/s", rounds=[one.full for one in rounds], note=note),
        Figure(name="backup, PostgreSQL, next", unit="events/s", rounds=[one.onward for one in rounds], note=onward),
        Figure(
            name="longest append meanwhile",
            unit="ms",
            rounds=[one.longest for one in rounds],
            floor=LONGEST_WAIT_FLOOR,
            note="PostgreSQL, while the full one is made and verified by another process",
        ),
    ]


async def _round(bench: Bench, server: Server, log: EventLog) -> Round:
    folder = bench.folder / "backups"
    database = server.url(str(log.engine.url.database))
    work = asyncio.create_task(_elsewhere(folder, database))
    waits = await appending_during(log, work)
    full = (await work).known()
    onward = await _rate(folder, database)
    assert full.check is not None
    assert not full.problems
    bench.remove(folder)
    return Round(full.facts.head / full.seconds, onward, max(waits) * 1000)


async def _elsewhere(folder: Path, database: str) -> Backup:
    command = ("-m", "byjy_ops", "--database", database, "backup", "create", "--folder", str(folder))
    process = await asyncio.create_subprocess_exec(sys.executable, *command, stdout=asyncio.subprocess.DEVNULL)
    assert await process.wait() == 0
    (made,) = Backups(folder).list()
    return made


async def _rate(folder: Path, database: str) -> float:
    made = await Backups(folder).create(database)
    assert made.state is State.VERIFIED
    return made.known().facts.head / made.known().seconds
