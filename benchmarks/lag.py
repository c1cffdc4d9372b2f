"""Live projection at a steady rate: from the acknowledgement until the row is visible."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Sequence

from msgspec import Struct, field

from benchmarks.bench import Bench, Clock
from benchmarks.figure import Figure, Floor, milliseconds, percentile
from benchmarks.honesty import assert_honest
from benchmarks.workload import Step, producers
from byjy_events import EventLog
from projections import TRADING, Projector

FLOORS = {1_000: Floor(5.0, at_most=True), 5_000: Floor(10.0, at_most=True)}
"""What the 99th percentile may be, in milliseconds, by events a second."""

SECONDS = 5
TICK_SECONDS = 0.005
PRODUCERS = 200
LOOKED_UP_EVERY = 50
WAIT_SECONDS = 30.0


class Round(Struct):
    """Of one round, in seconds: one of each for every append."""

    acknowledgements: list[float] = field(default_factory=list)
    lags: list[float] = field(default_factory=list)


async def measure(bench: Bench) -> list[Figure]:
    """The 99th percentile of the lag on SQLite."""
    figures = []
    for rate, floor in FLOORS.items():

        async def followed(rate: int = rate) -> Round:
            async with bench.new_log() as log:
                return await live(log, rate, bench.events(rate * SECONDS))

        figures.append(figure("SQLite", rate, await bench.repeated(followed), floor))
    return figures


def figure(database: str, rate: int, rounds: Sequence[Round], floor: Floor | None) -> Figure:
    """The lag's 99th percentile, with the rest in the note."""
    p50 = milliseconds([one.lags for one in rounds], 50)
    acknowledgements = [one.acknowledgements for one in rounds]
    ack50, ack99 = milliseconds(acknowledgements, 50), milliseconds(acknowledgements, 99)
    return Figure(
        name=f"lag p99 at {rate:,} events/s, {database}",
        unit="ms",
        rounds=[percentile(one.lags, 99) * 1000 for one in rounds],
        floor=floor,
        note=f"p50 {p50:.2f} ms; acknowledged p50 {ack50:.2f} ms, p99 {ack99:.2f} ms",
    )


async def live(log: EventLog, rate: int, events: int) -> Round:
    """Append so many a second, whatever the answers do, and wait for every event to be projected.

    Every fiftieth order is looked up in its table then.
    """
    result = Round()
    steps = _in_turns(producers(min(PRODUCERS, events), events))
    async with Projector(log, TRADING) as projector:
        with Clock():
            await _all(log, projector, steps, rate, result)
    await assert_honest(log, len(steps))
    return result


async def _all(log: EventLog, projector: Projector, steps: Sequence[Step], rate: int, result: Round) -> None:
    started = time.perf_counter()
    async with asyncio.TaskGroup() as tasks:
        for number, step in enumerate(steps):
            due = started + number / rate
            if (early := due - time.perf_counter()) > TICK_SECONDS:
                await asyncio.sleep(early)
            tasks.create_task(_one(log, projector, step, result, look_up=number % LOOKED_UP_EVERY == 0))


async def _one(log: EventLog, projector: Projector, step: Step, result: Round, *, look_up: bool) -> None:
    called = time.perf_counter()
    receipt = await log.append(step.stream, [step.event])
    acknowledged = time.perf_counter()
    await projector.wait_for(receipt.position, timeout_seconds=WAIT_SECONDS)
    result.lags.append(time.perf_counter() - acknowledged)
    result.acknowledgements.append(acknowledged - called)
    if look_up:
        row = await projector.queries.order(step.stream.id)
        assert row is not None and row.last_position >= receipt.position, f"position {receipt.position} has no row"  # noqa: PT018


def _in_turns(scripts: Sequence[Sequence[Step]]) -> list[Step]:
    rounds = itertools.zip_longest(*scripts)
    return [step for one in rounds for step in one if step is not None]
