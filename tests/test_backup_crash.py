"""Processes that back up, restore and prune are killed at one thing after the other that they do to files.

After each kill: no good backup is lost, nothing that is half written counts as one, the database is whole, and doing it
again does it.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from byjy_events import EventLog
from byjy_events.backup import Backup, Backups, State, restore
from tests.backup_child import creating, killed, points, pruning, restoring
from tests.backups import DAY, Clock, files, head, new_log, told, url
from tests.story import place

KILLS = 4
"""At other points than those that matter most."""

KEEP = timedelta(days=2)


@pytest.fixture(scope="module")
def template(migrated_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a database whose WAL is full, and backups of nine days, all of them verified."""
    folder = tmp_path_factory.mktemp("template")

    async def fill() -> None:
        path, clock = folder / "filling.db", Clock()
        backups = Backups(folder / "backups", clock=clock)
        await told(new_log(migrated_file, path))
        for _ in range(9):
            await backups.create(url(path))
            clock.now += DAY
        async with EventLog.open(url(path)) as log:
            await place(log)
            for suffix in ("", "-wal"):  # as a crash would leave it
                shutil.copyfile(f"{path}{suffix}", f"{folder / 'log.db'}{suffix}")
        path.unlink()

    asyncio.run(fill())
    return folder


@pytest.fixture
def places(template: Path, tmp_path: Path) -> Iterator[Path]:
    """Copies of it, each under another name."""
    return (shutil.copytree(template, tmp_path / str(number)) for number in range(100))


def spread(done: list[str]) -> list[int]:
    """Each point at which a name comes or goes, and some of the others, with the first and the last."""
    names = [point for point, event in enumerate(done, 1) if event in ("os.rename", "os.link", "os.remove")]
    assert names
    return sorted({*names, *range(1, len(done), len(done) // KILLS), len(done)})


async def proven(backups: Backups) -> list[Backup]:
    """All that count as backups; each of them is one."""
    complete = [one for one in backups.list() if one.state is not State.INCOMPLETE]
    for one in complete[:1]:
        assert (await backups.verify(one.name)).state is State.VERIFIED, one.name
    manifests = {path.stem for path in backups.folder.path.glob("*.json")}
    assert manifests == {one.name for one in complete}  # they are written last, and deleted first
    return complete


def test_a_killed_backup_is_one_or_none(places: Iterator[Path]) -> None:
    """Whatever was there before is still there."""
    first = next(places)
    done = points(creating(url(first / "log.db"), first / "backups"), first)
    for point in spread(done):
        place = next(places)
        backups = Backups(place / "backups")
        before = {one.name for one in backups.list()}
        assert killed(creating(url(place / "log.db"), place / "backups"), place, point)
        found = {one.name for one in asyncio.run(proven(backups))}
        assert found >= before
        assert len(found - before) <= 1
        size = head(place / "log.db")
        assert asyncio.run(backups.create(url(place / "log.db"))).known().facts.head == size
        assert not [name for name in files(place / "backups") if name.startswith(".") or name.endswith(".part")]


def test_a_killed_restore_leaves_the_old_database_or_the_new_one(places: Iterator[Path]) -> None:
    """Whole, with what was in its WAL; when it is the new one, the old one is beside it."""
    first = next(places)
    name = Backups(first / "backups").list()[0].name
    new = Backups(first / "backups").list()[0].known().facts.head
    old = new + 1
    done = points(restoring(first / "backups", name, first / "log.db"), first)
    assert head(first / "log.db") == new
    found = set()
    for point in spread(done):
        place = next(places)
        assert killed(restoring(place / "backups", name, place / "log.db"), place, point)
        found.add(head(place / "log.db"))
        kept = [path for path in place.glob("log.db.before-*") if not path.name.endswith(("-wal", "-shm"))]
        if head(place / "log.db") == new:
            assert [head(path) for path in kept] == [old]
        assert not killed(restoring(place / "backups", name, place / "log.db"), place, 10_000)
        assert head(place / "log.db") == new
        assert not (place / "log.db.part").exists()
    assert found <= {old, new}
    assert old in found


def test_a_killed_prune_deletes_nothing_else(places: Iterator[Path]) -> None:
    """What is left are backups; the next prune ends it, and what it cut short counts for nothing."""
    first = next(places)
    done = points(pruning(first / "backups", KEEP), first)
    left = [one.name for one in Backups(first / "backups").list()]
    assert len(left) == 2
    for point in spread(done):
        place = next(places)
        backups = Backups(place / "backups")
        assert killed(pruning(place / "backups", KEEP), place, point)
        assert {one.name for one in asyncio.run(proven(backups))} >= set(left)
        asyncio.run(backups.prune(KEEP))
        assert [one.name for one in backups.list() if one.state is State.VERIFIED] == left


async def test_what_a_killed_prune_left_is_deleted_when_it_is_a_day_old(places: Iterator[Path]) -> None:
    """Not before: somebody may be copying a backup into the folder, data first."""
    place = next(places)
    backups = Backups(place / "backups")
    newest, *_, oldest = backups.list()
    oldest.manifest_path.unlink()
    (place / "backups" / f"{newest.name}.db.zst.part").touch()
    long = timedelta(days=10_000)
    assert oldest not in (await backups.prune(long)).backups
    later = Clock()
    later.now = oldest.path.stat().st_mtime_ns + DAY + 1
    backups = Backups(place / "backups", clock=later)
    told_of = await backups.prune(long, dry_run=True)
    assert [one.name for one in told_of.backups] == [oldest.name]
    assert oldest.path.exists()
    assert [one.name for one in (await backups.prune(long)).backups] == [oldest.name]
    assert not oldest.path.exists()
    assert len(backups.list()) == 8
    await restore(place / "backups", "latest", place / "new.db")
