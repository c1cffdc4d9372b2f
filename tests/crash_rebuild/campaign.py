"""Kill rebuilds at any instant; whoever starts next finishes them, and then the tables are the log's.

python -m tests.crash_rebuild.campaign --kills 1000 --database sqlite
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import random
import time
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

from msgspec import Struct

from byjy_events.log import EventLog
from projections import TRADING, GroupState, Projector, RebuildRunning, beginning, catch_up, rebuild
from tests.crash_projector.campaign import Truth, databases
from tests.crash_rebuild.child import rebuilding_process
from tests.lifecycles import Step, lifecycles
from tests.replay import Tables, checkpoint, stored
from tests.story import tell
from tests.tampering import KINDS, TABLES, tamper, wipe

KILLS_PER_DATABASE = 40
"""Then a fresh one: every kill compares all rows."""

FIRST_ORDERS = 40
BUSY = 0.4
"""In so many rounds events flow and a projector competes; in the others nothing else changes a row."""

SLICED = 0.8
"""So many rebuilds merge in slices."""

COMPLETE = 0.1
"""So many are let run to their end."""

AT_WORK = 0.5
"""So many are killed once they have left their mark, the others at any instant of their course."""

LONGEST_MERGE_SECONDS = 0.08

PATIENCE_SECONDS = 0.05


class Report(Struct):
    """Where the kills of a campaign landed.

    Attributes:
        kills: so many.
        before: before the mark: rows and checkpoint were as before.
        marked: behind the mark, so that the next start had to finish it.
        midway: of these, when some rows were merged and some were not.
        after: when all was done.
    """

    kills: int = 0
    before: int = 0
    marked: int = 0
    midway: int = 0
    after: int = 0

    def __iadd__(self, other: Report) -> Report:
        for name in self.__struct_fields__:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        return self

    def __str__(self) -> str:
        return (
            f"{self.kills} kills: {self.before} before the mark, {self.marked} behind it ({self.midway} of them between"
            f" two slices), {self.after} when all was done"
        )


async def kill_again_and_again(url: str, kills: int, seed: int) -> Report:
    """Kill ``kills`` rebuilds of one database, and compare every row after each.

    Raises:
        AssertionError: names the kill and the table.
    """
    async with EventLog.open(url) as log:
        with _impatient():
            campaign = _Campaign(url, log, seed, kills)
            await campaign.begin()
            for number in range(kills):
                await campaign.kill(f"kill {number} of seed {seed}")
        return campaign.report


class _Campaign:
    """One database, and what is known about it."""

    def __init__(self, url: str, log: EventLog, seed: int, kills: int) -> None:
        self.report = Report()
        self._url = url
        self._log = log
        self._chance = random.Random(seed)
        self._truth = Truth()
        self._steps: Iterator[Step] = itertools.cycle(lifecycles(seed, orders=FIRST_ORDERS + 10 * kills))
        self._longest = 0.2

    async def begin(self) -> None:
        await self._tell(FIRST_ORDERS * 5)
        await catch_up(self._log, TRADING)

    async def kill(self, when: str) -> None:
        """One round: rows are spoiled, a rebuild is killed, what it left is looked at, and finished by somebody."""
        busy = self._chance.random() < BUSY
        await self._spoil()
        async with contextlib.AsyncExitStack() as others:
            if busy:
                await others.enter_async_context(Projector(self._log, TRADING))
                others.push_async_callback(self._flow())
            before, rows = await checkpoint(self._log), await stored(self._log)
            await self._rebuild_and_kill()
            after = await checkpoint(self._log)
            self._count(before.generation, after.generation, after.status)
            if not busy:
                await self._look(before.generation, rows, when)
        await self._finish()
        position = await self._truth.compare(self._log, when)
        assert position == await self._log.head(), when
        assert (await checkpoint(self._log)).status is GroupState.RUNNING, when

    async def _spoil(self) -> None:
        if self._chance.random() < 0.6:
            await wipe(self._url)
            return
        for table in self._chance.sample(TABLES, 3):
            await tamper(self._url, table, self._chance.choice(KINDS))

    def _flow(self) -> Callable[[], Coroutine[Any, Any, None]]:
        """Begin to append, and return what waits for the end of it."""
        flow = asyncio.create_task(self._tell(self._chance.randrange(10, 50)))

        async def ended() -> None:
            await flow

        return ended

    async def _rebuild_and_kill(self) -> None:
        at_once = 0 if self._chance.random() < SLICED else 1_000_000
        with rebuilding_process(self._url, at_once_rows=at_once) as child:
            began, kind = time.monotonic(), self._chance.random()
            if kind < COMPLETE:
                await asyncio.to_thread(child.recv)
                self._longest = time.monotonic() - began
            elif kind < COMPLETE + AT_WORK:
                while not (child.poll() or await self._marked()):  # noqa: ASYNC110
                    await asyncio.sleep(0.002)
                await asyncio.sleep(self._chance.random() * LONGEST_MERGE_SECONDS)
            else:
                await asyncio.sleep(self._chance.random() * self._longest)
        self.report.kills += 1

    def _count(self, before: int, after: int, status: GroupState) -> None:
        if status is GroupState.REBUILDING:
            self.report.marked += 1
        elif after == before:
            self.report.before += 1
        else:
            self.report.after += 1

    async def _look(self, generation: int, rows: Tables, when: str) -> None:
        """Nobody else changed anything: the rows are the old ones, or the log's, or on their way and marked."""
        found, now = await stored(self._log), await checkpoint(self._log)
        if now.status is GroupState.REBUILDING:
            self.report.midway += found != rows and not self._truth.equals(found)
        elif now.generation == generation:
            assert found == rows, f"{when}: rows changed and no mark"
        else:
            await self._truth.compare(self._log, when)

    async def _finish(self) -> None:
        """By a rebuild, which mends what is not marked too; what is marked, by whoever starts."""
        choice = self._chance.randrange(3) if await self._marked() else 2
        if choice == 0:
            await catch_up(self._log, TRADING)
        elif choice == 1:
            async with Projector(self._log, TRADING) as projector:
                await projector.wait_for(await self._log.head(), timeout_seconds=30)
        else:
            await self._rebuild()

    async def _rebuild(self) -> None:
        async with asyncio.timeout(30):
            while True:
                try:
                    await rebuild(self._log, TRADING)
                    return
                except RebuildRunning:  # PostgreSQL needs a moment to see that a client is dead
                    await asyncio.sleep(0.01)

    async def _marked(self) -> bool:
        return (await checkpoint(self._log)).status is GroupState.REBUILDING

    async def _tell(self, events: int) -> None:
        await tell(self._log, list(itertools.islice(self._steps, events)), 7)


@contextlib.contextmanager
def _impatient() -> Iterator[None]:
    """A mark with nobody behind it is not left standing for long."""
    usual = beginning.PATIENCE_SECONDS
    beginning.PATIENCE_SECONDS = PATIENCE_SECONDS
    try:
        yield
    finally:
        beginning.PATIENCE_SECONDS = usual


def main() -> None:
    """Run a campaign and print where its kills landed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--database", choices=["sqlite", "postgresql"], default="sqlite")
    parser.add_argument("--seed", type=int, default=random.randrange(2**32))
    given = parser.parse_args()
    left, seed, report = given.kills, given.seed, Report()
    with databases(given.database) as urls:
        while left > 0:
            report += asyncio.run(kill_again_and_again(next(urls), min(left, KILLS_PER_DATABASE), seed))
            left, seed = left - KILLS_PER_DATABASE, seed + 1
            print(f"{given.database}, {report}; every row is as the log says", flush=True)


if __name__ == "__main__":
    main()
