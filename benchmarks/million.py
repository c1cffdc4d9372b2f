"""A million events of order flow in a database as an engine leaves it: every table projected, the tree sealed."""

from __future__ import annotations

from pathlib import Path

from benchmarks.bench import Bench
from benchmarks.large import large
from byjy_events import EventLog
from byjy_events.proof import Sealer, Signer, SigningKeys
from projections import catch_up
from projections.registry import OWN_GROUPS


async def million(bench: Bench) -> tuple[Path, int]:
    """A closed SQLite file, and how many events are in it. Made once a run."""
    if bench.million is None:
        bench.million = await _made(bench)
    return bench.million


async def _made(bench: Bench) -> tuple[Path, int]:
    path = bench.copy_of(await large(bench))
    async with EventLog.open(f"sqlite:///{path}") as log:
        for group in OWN_GROUPS:
            await catch_up(log, group)
        await Sealer(log, SigningKeys(Signer.new("example.com/benchmark"))).seal_once()
        return path, await log.head()
