"""Append with the projection in the same transaction, against append alone."""

from __future__ import annotations

from benchmarks import appending
from benchmarks.bench import Bench
from benchmarks.figure import Figure, milliseconds
from benchmarks.honesty import assert_honest
from benchmarks.workload import producers
from byjy_events import EventLog
from projections import TRADING, Projector, catch_up

EVENTS = {1: 300, 100: 5_000, 1_000: 10_000}
"""Events of a round by number of producers."""


async def measure(bench: Bench) -> list[Figure]:
    """Which part of the rate without it is left, and what it is with a projector beside the appends instead."""
    return [figure for count, usual in EVENTS.items() for figure in await _of(bench, count, bench.events(usual))]


async def _of(bench: Bench, count: int, events: int) -> list[Figure]:
    async def alone() -> appending.Round:
        async with bench.new_log() as log:
            return await _appended(log, count, events)

    async def beside() -> appending.Round:
        async with bench.new_log() as log, Projector(log, TRADING):
            return await _appended(log, count, events)

    async def inline() -> appending.Round:
        async with bench.new_log() as log, Projector(log, TRADING, inline=True):
            result = await _appended(log, count, events)
            assert await catch_up(log, TRADING) == len(result.acknowledgements)
            return result

    rounds = await bench.in_turns({"alone": alone, "beside": beside, "inline": inline})
    return [_figure(count, kind, rounds[kind], rounds["alone"]) for kind in ("inline", "beside")]


async def _appended(log: EventLog, count: int, events: int) -> appending.Round:
    result = await appending.appended(log, producers(count, events))
    await assert_honest(log, len(result.acknowledgements))
    return result


def _figure(count: int, kind: str, rounds: list[appending.Round], alone: list[appending.Round]) -> Figure:
    p50, p50_alone = (milliseconds([one.acknowledgements for one in some], 50) for some in (rounds, alone))
    return Figure(
        name=f"append, {count:,} producer{'s' if count > 1 else ''}, projected {kind}",
        unit="of alone",
        rounds=[ours.rate / theirs.rate for ours, theirs in zip(rounds, alone, strict=True)],
        note=f"acknowledged p50 {p50:.2f} ms, alone {p50_alone:.2f} ms",
    )
