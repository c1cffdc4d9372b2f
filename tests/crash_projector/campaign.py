"""Kill projectors while events flow; after each kill the tables must be the log's, up to the stored checkpoint.

    python -m tests.crash_projector.campaign --kills 1000 --database sqlite
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import random
import tempfile
from collections.abc import Iterator
from pathlib import Path

import asyncpg
from msgspec import Struct

from byjy_events.log import EventLog
from projections import TRADING, catch_up, group_statuses
from tests.crash_projector.child import projecting
from tests.folding import Folded
from tests.lifecycles import Step, lifecycles
from tests.postgres import Server
from tests.replay import checkpoint, stored

KILLS_PER_DATABASE = 100
"""Then a fresh one: every kill compares all rows."""

LONGEST_LIFE_SECONDS = 0.05


class Report(Struct):
    """What a campaign met.

    Attributes:
        kills: so many.
        midway: kills that found the projector behind the log.
        position: where the projection stood in the end.
    """

    kills: int = 0
    midway: int = 0
    position: int = 0


async def kill_again_and_again(url: str, kills: int, seed: int) -> Report:
    """Kill ``kills`` projectors of one database, and compare every row after each.

    Raises:
        AssertionError: names the kill and the table.
    """
    chance = random.Random(seed)
    report = Report()
    truth = Truth()
    async with EventLog.open(url) as log:
        steps = _endless_lives(seed)
        for number in range(kills):
            with projecting(url):
                flow = asyncio.create_task(_tell(log, steps, chance.randrange(20, 120)))
                await asyncio.sleep(chance.random() * LONGEST_LIFE_SECONDS)
            if await group_statuses(log):
                position = await truth.compare(log, f"kill {number} of seed {seed}")
                report.midway += position < await log.head()
            await flow
            report.kills += 1
        head = report.position = await catch_up(log, TRADING)
        assert await truth.compare(log, f"the end of seed {seed}") == head == await log.head()
    return report


class Truth:
    """The log folded in memory, as far as the last checkpoint that was seen."""

    def __init__(self) -> None:
        self._folded = Folded()
        self._position = 0

    async def compare(self, log: EventLog, when: str) -> int:
        """Compare every row of every table at the stored checkpoint, which is returned."""
        position = (await checkpoint(log)).position
        assert position >= self._position, f"{when}: the checkpoint went back"
        async for recorded in log.read(after=self._position, upto=position):
            self._folded.fold(recorded)
        self._position = position
        found = await stored(log)
        for projection in TRADING.projections:
            expected = self._folded.rows[projection.name]
            assert found[projection.table.name] == expected, f"{when}: {projection.table.name} at {position}"
        return position


def _endless_lives(seed: int) -> Iterator[Step]:
    """Lives of ever new orders: each batch has numbers of its own, so that no fact comes twice."""
    for number in itertools.count():
        yield from lifecycles(seed * 1_000_000 + number, orders=50, first=1 + number * 50)


async def _tell(log: EventLog, steps: Iterator[Step], events: int) -> None:
    for some in itertools.batched(itertools.islice(steps, events), 7) if hasattr(itertools, "batched") else ():
        for stream, event in some:
            await log.append(stream, [event])
    for stream, event in itertools.islice(steps, events):
        await log.append(stream, [event])


def main() -> None:
    """Run a campaign and print what it met."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--database", choices=["sqlite", "postgresql"], default="sqlite")
    parser.add_argument("--seed", type=int, default=random.randrange(2**32))
    given = parser.parse_args()
    left, seed, kills, midway = given.kills, given.seed, 0, 0
    with _databases(given.database) as urls:
        while left > 0:
            report = asyncio.run(kill_again_and_again(next(urls), min(left, KILLS_PER_DATABASE), seed))
            kills, midway = kills + report.kills, midway + report.midway
            left, seed = left - KILLS_PER_DATABASE, seed + 1
            print(f"{kills} kills on {given.database}, {midway} of them midway: every row is as the log says", flush=True)


if __name__ == "__main__":
    main()
