"""Kill projectors while events flow; after each kill the tables must be the log's, up to the stored checkpoint.

python -m tests.crash_projector.campaign --kills 1000 --database sqlite
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import random
import tempfile
from collections.abc import Iterator

import asyncpg
from msgspec import Struct

from byjy_events.log import EventLog
from projections import TRADING, catch_up, group_statuses
from tests.crash_projector.child import projecting
from tests.folding import Folded
from tests.lifecycles import lifecycles
from tests.postgres import Server
from tests.replay import Tables, checkpoint, stored
from tests.story import tell

KILLS_PER_DATABASE = 100
"""Then a fresh one: every kill compares all rows."""

AT_WORK = 0.8
"""So many are killed after their first step, the others while they begin."""

LIVE = 0.6
"""So many follow live, the others catch up, which folds ahead of what is stored."""

LONGEST_LIFE_SECONDS = 0.03


class Report(Struct):
    """What a campaign met.

    Attributes:
        kills: so many.
        midway: kills that found the projector on its way: it had moved, and was not at the head.
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
        steps = itertools.cycle(lifecycles(seed, orders=10 * kills))
        for number in range(kills):
            with projecting(url, live=chance.random() < LIVE):
                flow = asyncio.create_task(tell(log, list(itertools.islice(steps, chance.randrange(40, 160))), 7))
                if chance.random() < AT_WORK:
                    await _moved(log, truth.position)
                await asyncio.sleep(chance.random() * LONGEST_LIFE_SECONDS)
            if await group_statuses(log):
                before, position = truth.position, await truth.compare(log, f"kill {number} of seed {seed}")
                report.midway += before < position < await log.head()
            await flow
            report.kills += 1
        head = report.position = await catch_up(log, TRADING)
        assert await truth.compare(log, f"the end of seed {seed}") == head == await log.head()
    return report


async def _moved(log: EventLog, beyond: int) -> None:
    async with asyncio.timeout(20):
        while (await checkpoint(log)).position <= beyond:  # noqa: ASYNC110
            await asyncio.sleep(0.002)


class Truth:
    """The log folded in memory, as far as the last checkpoint that was seen."""

    def __init__(self) -> None:
        self._folded = Folded()
        self.position = 0

    def equals(self, found: Tables) -> bool:
        """Whether these rows are as of the last checkpoint that was seen."""
        return all(found[one.table.name] == self._folded.rows[one.name] for one in TRADING.projections)

    async def compare(self, log: EventLog, when: str) -> int:
        """Compare every row of every table at the stored checkpoint, which is returned."""
        position = (await checkpoint(log)).position
        assert position >= self.position, f"{when}: the checkpoint went back"
        async for recorded in log.read(after=self.position, upto=position):
            self._folded.fold(recorded)
        self.position = position
        found = await stored(log)
        for projection in TRADING.projections:
            expected = self._folded.rows[projection.name]
            assert found[projection.table.name] == expected, f"{when}: {projection.table.name} at {position}"
        return position


@contextlib.contextmanager
def databases(kind: str) -> Iterator[Iterator[str]]:
    """URLs of ever new databases."""
    with contextlib.ExitStack() as open_ones:
        if kind == "sqlite":
            folder = open_ones.enter_context(tempfile.TemporaryDirectory())
            yield (f"sqlite:///{folder}/{number}.db" for number in itertools.count())
        else:
            server = open_ones.enter_context(Server())
            yield (_created(server, f"campaign_{number}") for number in itertools.count())


def _created(server: Server, name: str) -> str:
    async def create() -> None:
        connection = await asyncpg.connect(server.url("postgres"))
        await connection.execute(f"CREATE DATABASE {name}")
        await connection.close()

    asyncio.run(create())
    return server.url(name)


def main() -> None:
    """Run a campaign and print what it met."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--database", choices=["sqlite", "postgresql"], default="sqlite")
    parser.add_argument("--seed", type=int, default=random.randrange(2**32))
    given = parser.parse_args()
    left, seed, kills, midway = given.kills, given.seed, 0, 0
    with databases(given.database) as urls:
        while left > 0:
            report = asyncio.run(kill_again_and_again(next(urls), min(left, KILLS_PER_DATABASE), seed))
            kills, midway = kills + report.kills, midway + report.midway
            left, seed = left - KILLS_PER_DATABASE, seed + 1
            print(
                f"{kills} kills on {given.database}, {midway} of them midway: every row is as the log says", flush=True
            )


if __name__ == "__main__":
    main()
