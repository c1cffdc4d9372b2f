"""Reading a long log, decoded and typed."""

from __future__ import annotations

from benchmarks.bench import Bench, Clock
from benchmarks.figure import Figure, Floor
from benchmarks.recording import recording
from byjy_events import EventLog

FLOORS = {"in chunks": Floor(400_000)}


async def measure(bench: Bench) -> list[Figure]:
    """Events a second, one by one and in chunks."""
    source, what = await recording(bench)
    async with EventLog.open(f"sqlite:///{source}") as log:
        head = await log.head()

        async def one_by_one() -> float:
            with Clock() as clock:
                count = sum([1 async for _ in log.read()])
            assert count == head
            return count / clock.seconds

        async def in_chunks() -> float:
            with Clock() as clock:
                count = sum([len(chunk) async for chunk in log.read_chunks()])
            assert count == head
            return count / clock.seconds

        rounds = await bench.in_turns({"one by one": one_by_one, "in chunks": in_chunks})
    return [
        Figure(name=f"read typed events, {how}", unit="events/s", rounds=rates, floor=FLOORS.get(how), note=what)
        for how, rates in rounds.items()
    ]
