"""The campaign: everything that is done to backups and schemas is killed, runs out of disk, or finds damage.

``python -m tests.crash_backup.campaign --kills 2000`` kills each of them before the things it does to files, before the
statements of SQL that change something, and at instants that are left to chance, of one log after the other; and does
it on a disk that is full, and with backups that were damaged. After each: no good backup is lost, nothing that is half
written counts as one, both databases are whole, and the same again does it.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import io
import itertools
import math
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import structlog

from byjy_events import ByjyError
from byjy_events.backup import State, restore
from tests.backup_child import killed, killed_after, points, squeezed
from tests.crash_backup.damage import damaged
from tests.crash_backup.disk import filled, small_disk
from tests.crash_backup.operations import OPERATIONS, Operation
from tests.crash_backup.place import Place, head

AT_ANY_INSTANT = 0.3
"""So many of the kills are at no point that is known."""

MIGRATIONS = 0.2
"""So many of the kills are of migrations, which take longest."""

KILLS_OF_A_LOG = 200
"""Then a new one."""

NOTHING_TOLD = ("OSError: ", "OperationalError: ", "DatabaseError: ")
"""What a system or SQLite says of a full disk: without what it was about."""

DISK_BYTES = 24 << 20
STEPS = 25
"""Amounts of free space, from none to more than is needed."""


class Campaign:
    """Kills, in a folder; each place is removed when it held.

    Attributes:
        counts: what was done, by kind.
    """

    def __init__(self, root: Path, seed: int) -> None:
        self.counts: Counter[str] = Counter()
        self._root, self._seed = root, seed
        self._chance = random.Random(seed)
        self._numbers = itertools.count()

    async def place(self, number: int) -> Place:
        """A new log with its backups."""
        folder = self._root / f"template-{number}"
        folder.mkdir()
        return await Place.made(folder, self._seed + number)

    def kill(self, template: Place, kills: int) -> None:
        """Kill so many times, or some more, every operation about as often."""
        for name, operation in OPERATIONS.items():
            first = self._copy(template)
            began = time.monotonic()
            done = points(operation.work(first), first.root)
            seconds = time.monotonic() - began
            operation.done(first)
            self._remove(first)
            for point in self._points(operation, len(done), kills):
                what = f"{name} of seed {self._seed}, " + (
                    f"point {point}: {done[point - 1]}" if point else "any instant"
                )
                with self._said(what):
                    self._kill(template, operation, point, seconds)

    def fill(self, template: Place, root: Path) -> None:
        """On a full disk."""
        for (name, operation), step in itertools.product(OPERATIONS.items(), range(STEPS)):
            place = template.copy(root / "place")
            free = int(self._needed(place) * (step + self._chance.random()) / STEPS)
            with self._said(f"{name} with {free} bytes free"):
                with filled(root, free):
                    said = squeezed(operation.work(place))
                place.check(pruned=operation.prunes)
                assert not said.startswith(NOTHING_TOLD), said
                self.counts["ran out of disk" if said else "fitted on the disk"] += 1
                again(operation, place)
            self._remove(place)

    async def damage(self, template: Place, count: int) -> None:
        """Damage the newest backup, or its manifest."""
        for _ in range(count):
            place = self._copy(template)
            newest = next(iter(place.good))
            how = damaged(place.folder / (newest + self._chance.choice((".db.zst", ".db.zst", ".json"))), self._chance)
            await held_against_damage(place, newest, f"{how}, seed {self._seed}")
            self.counts["damaged"] += 1
            self._remove(place)

    def _points(self, operation: Operation, there_are: int, kills: int) -> list[int]:
        """Numbers of points, 0 for any instant."""
        of_it = [one for one in OPERATIONS.values() if one.migrates == operation.migrates]
        share = MIGRATIONS if operation.migrates else 1 - MIGRATIONS
        count = math.ceil(kills * share / len(of_it))
        known = min(math.ceil(count * (1 - AT_ANY_INSTANT)), there_are)
        return [*self._chance.sample(range(1, there_are + 1), known), *[0] * (count - known)]

    def _kill(self, template: Place, operation: Operation, point: int, seconds: float) -> None:
        place = self._copy(template)
        if point:
            assert killed(operation.work(place), place.root, point)
            self.counts["killed at a point"] += 1
        else:
            while not killed_after(operation.work(place), self._chance.random() * seconds):
                self.counts["too late to be killed"] += 1
                self._remove(place)
                place = self._copy(template)
            self.counts["killed at any instant"] += 1
        place.check(pruned=operation.prunes)
        again(operation, place)
        self._remove(place)

    def _needed(self, place: Place) -> int:
        return 5 * place.older.stat().st_size

    def _copy(self, template: Place) -> Place:
        return template.copy(self._root / str(next(self._numbers)))

    def _remove(self, place: Place) -> None:
        shutil.rmtree(place.root)

    @contextlib.contextmanager
    def _said(self, what: str) -> Iterator[None]:
        try:
            yield
        except BaseException as error:
            error.add_note(f"{what}, seed {self._seed}")
            raise


def again(operation: Operation, place: Place) -> None:
    """Do it in this process, and hold what it made against what it has to make."""
    nowhere = io.StringIO()
    with contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
        asyncio.run(operation.work(place)())
    operation.done(place)


async def held_against_damage(place: Place, newest: str, how: str) -> bool:
    """A damaged backup is not restored, unless what it restores to is what was backed up; and the others are there.

    Returns:
        Whether it was restored.

    Raises:
        AssertionError: it was, and is another, or it counts as verified.
    """
    target = place.root / "new.db"
    try:
        await restore(place.folder, newest, target)
    except ByjyError:
        assert not target.exists(), how
        assert not place.leftovers(), how
    else:
        assert place.sha256(newest) == place.good[newest], how
    found = {one.name: one.state for one in place.backups.list()}
    if found[newest] is not State.INCOMPLETE:
        state = (await place.backups.verify(newest)).state
        assert (state is State.VERIFIED) == target.exists(), how
    latest = (await restore(place.folder, "latest", place.root / "latest.db")).backup.name
    assert latest == newest if target.exists() else next(name for name in place.good if name != newest), how
    assert head(place.root / "latest.db") == place.restored_head, how
    place.check(damaged=newest)
    return target.exists()


def _dropped(*_: Any) -> NoReturn:
    """What the program logs of each fault."""
    raise structlog.DropEvent


def main() -> int:
    """Run the campaign from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=2000)
    parser.add_argument("--damages", type=int, default=500)
    parser.add_argument("--seed", type=int, default=random.randrange(2**32))
    given = parser.parse_args()
    structlog.configure(processors=[_dropped])
    with tempfile.TemporaryDirectory() as folder:
        campaign = Campaign(Path(folder), given.seed)
        template = asyncio.run(campaign.place(0))
        asyncio.run(campaign.damage(template, given.damages))
        disk = Path(folder) / "disk"
        disk.mkdir()
        with small_disk(disk, DISK_BYTES) as mounted:
            if mounted:
                campaign.fill(template, disk)
            else:
                print("no disk was filled: only root can mount a small one")
        left, number = given.kills, 0
        while left > 0:
            number += 1
            campaign.kill(asyncio.run(campaign.place(number)), min(left, KILLS_OF_A_LOG))
            left -= KILLS_OF_A_LOG
            print(f"seed {given.seed}: {dict(campaign.counts)}; nothing lost", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
