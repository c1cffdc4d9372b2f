"""Restoring a backup of a million events, with the verification that belongs to it."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import zstandard

from benchmarks.bench import Bench, Clock
from benchmarks.figure import Figure, Floor
from benchmarks.million import million
from byjy_events.backup import Backup, Backups, State, restore

FLOOR = Floor(10, at_most=True)


async def measure(bench: Bench) -> list[Figure]:
    """Seconds of a restore, and of nothing but zstd and SQLite's quick_check of the same backup in the same minutes."""
    source, events = await million(bench)
    backups = Backups(bench.folder / "restored from")
    backup = await backups.create(f"sqlite:///{source}")
    assert (backup.state, backup.known().facts.head) == (State.VERIFIED, events)
    target = bench.folder / "restored.db"

    async def restored() -> Clock:
        with Clock() as clock:
            await restore(backups.folder.path, backup.name, target)
        bench.remove(target)
        return clock

    async def raw() -> Clock:
        with Clock() as clock:
            await asyncio.to_thread(_raw, backup, target)
        bench.remove(target)
        return clock

    rounds = await bench.in_turns({"restore": restored, "raw": raw})
    bench.remove(backups.folder.path)
    manifest = backup.known()
    sizes = f"{manifest.compressed.size / 1e6:,.0f} MB of {manifest.plain.size / 1e6:,.0f} MB"
    note = (
        f"{events:,} events with their tables, {sizes}; {_busy(rounds['restore'])};"
        f" zstd and quick_check alone {median(one.seconds for one in rounds['raw']):.1f} s, {_busy(rounds['raw'])}"
    )
    seconds = [one.seconds for one in rounds["restore"]]
    return [Figure(name="restore with verification", unit="s", rounds=seconds, floor=FLOOR, note=note)]


def _busy(rounds: Sequence[Clock]) -> str:
    """The processor time: steadier than the clock where others use the machine too."""
    return f"{median(one.busy_seconds for one in rounds):.1f} s busy"


def _raw(backup: Backup, target: Path) -> None:
    with backup.path.open("rb") as packed, target.open("wb") as plain:
        zstandard.ZstdDecompressor().copy_stream(packed, plain)
    with contextlib.closing(sqlite3.connect(target)) as connection:
        assert connection.execute("PRAGMA quick_check").fetchone() == ("ok",)
