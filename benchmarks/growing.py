"""Appending to a long log against appending to a short one: the cost of an append must not grow with the log."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

from benchmarks.appending import appended
from benchmarks.bench import Bench
from benchmarks.figure import Figure, Floor
from benchmarks.honesty import assert_honest
from benchmarks.large import EVENTS, filled, large
from benchmarks.workload import producers
from byjy_events import EventLog

SHORT_EVENTS = 10_000
PRODUCERS = 100
APPENDED = 20_000
FLOOR = Floor(0.9)


async def measure(bench: Bench) -> list[Figure]:
    """The rate at a million events, as a share of that at ten thousand in the same round."""
    long, source = await large(bench), await filled(bench, bench.events(SHORT_EVENTS))
    short = [source]

    async def at_short() -> float:
        path = bench.copy_of(short[0])
        rate = await _rate(bench, path)
        bench.remove(path)
        return rate

    contenders: dict[str, Callable[[], Awaitable[float]]] = {"long": lambda: _rate(bench, long), "short": at_short}
    rates = await bench.in_turns(contenders)
    bench.remove(source)
    ratios = [one / other for one, other in zip(rates["long"], rates["short"], strict=True)]
    sizes = f"{bench.events(EVENTS):,} events against {bench.events(SHORT_EVENTS):,}"
    note = f"{PRODUCERS} producers; {sorted(rates['short'])[len(ratios) // 2]:,.0f} events/s in the short log"
    return [Figure(name=f"append at {sizes}", unit="ratio", rounds=ratios, floor=FLOOR, note=note)]


async def _rate(bench: Bench, path: Path) -> float:
    async with EventLog.open(f"sqlite:///{path}") as log:
        before = await log.head()
        scripts = producers(PRODUCERS, bench.events(APPENDED), first=before)
        result = await appended(log, scripts)
        await assert_honest(log, before + len(result.acknowledgements))
    return result.rate
