"""Auditing a log: every event's hash, the whole tree, and a signature, with checkpoints stored now and then."""

from __future__ import annotations

from benchmarks.bench import Bench, Clock
from benchmarks.figure import Figure, Floor
from benchmarks.recording import recording
from byjy_events import EventLog
from byjy_events.proof import Sealer, Signer, SigningKeys, audit

FLOOR = Floor(250_000)


async def measure(bench: Bench) -> list[Figure]:
    """Events per second of one process, progress and all."""
    keys = SigningKeys(Signer.new("example.com/benchmark"))
    source, what = await recording(bench)
    path = bench.copy_of(source)
    async with EventLog.open(f"sqlite:///{path}") as log:
        events = await log.head()
        await Sealer(log, keys).seal_once()

        async def audited() -> float:
            with Clock() as clock:
                found = await audit(log, keys.verifiers)
            assert (found.intact, found.events, found.sealed) == (True, events, events)
            return events / clock.seconds

        rounds = await bench.repeated(audited)
    bench.remove(path)
    return [Figure(name="audit", unit="events/s", rounds=rounds, floor=FLOOR, note=what)]
