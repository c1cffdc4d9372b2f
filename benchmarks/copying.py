"""Moving a log to another database: copied, its tables replayed, both ends verified, as ``byjy copy`` does it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from benchmarks.bench import Bench, Clock
from benchmarks.figure import Figure
from benchmarks.postgresql import new_log
from benchmarks.recording import recording
from byjy_events import EventLog
from byjy_events.copying import copy_log
from byjy_events.proof import Sealer, Signer, SigningKeys
from byjy_events.proof.auditing import audit
from projections import catch_up, verify
from projections.registry import OWN_GROUPS
from tests.postgres import Server

ROUNDS = 2
"""A round is long enough to need no other before it."""

Target = Callable[[], AbstractAsyncContextManager[EventLog]]


async def measure(bench: Bench) -> list[Figure]:
    """Events a second of the copy alone; in the note what the rest takes, and all of it for a million events."""
    recorded, what = await recording(bench)
    source = bench.copy_of(recorded)
    async with EventLog.open(f"sqlite:///{source}") as log:
        await Sealer(log, SigningKeys(Signer.new("example.com/bench"))).seal_once()
    server = Server()
    await asyncio.to_thread(server.__enter__)
    try:
        return [
            await _figure(bench, source, what, "SQLite to PostgreSQL", lambda: new_log(server)),
            await _figure(bench, source, what, "SQLite to SQLite", bench.new_log),
        ]
    finally:
        await asyncio.to_thread(server.__exit__, None, None, None)
        bench.remove(source)


async def _figure(bench: Bench, source: Path, what: str, way: str, target: Target) -> Figure:
    rounds, notes = [], []
    for _ in range(min(bench.rounds, ROUNDS)):
        async with EventLog.open(f"sqlite:///{source}", read_only=True) as one, target() as other:
            with Clock() as copying:
                events = (await copy_log(one, other)).size
            with Clock() as replaying:
                for group in OWN_GROUPS:
                    await catch_up(other, group)
            with Clock() as verifying:
                await _verified(one, other, events)
        rounds.append(events / copying.seconds)
        parts = {"replay": replaying.seconds, "verification": verifying.seconds}
        whole = (copying.seconds + sum(parts.values())) / events * 1e6
        listed = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in parts.items())
        notes.append(f"{what}; copy {copying.seconds:.1f} s, {listed}; a million events: {whole:.0f} s")
    return Figure(name=f"copy, {way}", unit="events/s", rounds=rounds, note=notes[-1])


async def _verified(source: EventLog, target: EventLog, events: int) -> None:
    for log in (source, target):
        found = await audit(log, ())
        assert (found.intact, found.events) == (True, events)
    for group in OWN_GROUPS:
        assert not (await verify(target, group)).differences
