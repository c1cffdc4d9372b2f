"""Rotating the key-encryption key: how long all data keys take to be wrapped anew."""

from __future__ import annotations

from benchmarks.bench import Bench, Clock
from benchmarks.figure import Figure, Floor
from byjy_events import new_event_id, user_stream
from byjy_events.sealing import KeyFile, Vault

FLOOR = Floor(5, at_most=True)
CREDENTIALS = 10_000
SECRETS = ("key", "secret")


async def measure(bench: Bench) -> list[Figure]:
    """Seconds for the secrets of 10,000 API keys, each with a data key of its own."""
    credentials = bench.events(CREDENTIALS)

    async def rotated() -> float:
        async with bench.new_log() as log:
            vault = Vault(log, KeyFile(bench.folder / "old.key"))
            fields = {f"{field} {number}": "x" * 64 for number in range(credentials) for field in SECRETS}
            await vault.seal_all(user_stream(new_event_id()), fields)
            with Clock() as clock:
                done = await vault.rotate(KeyFile(bench.folder / "new.key"))
            assert (done.rewrapped, done.remaining) == (credentials * len(SECRETS), 0)
            assert await vault.in_use() == {done.key_id: done.rewrapped}
        return clock.seconds

    rounds = await bench.repeated(rotated)
    note = f"{credentials:,} API keys, {credentials * len(SECRETS):,} data keys, SQLite"
    return [Figure(name="rotation of the key-encryption key", unit="s", rounds=rounds, floor=FLOOR, note=note)]
