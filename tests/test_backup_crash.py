"""Backups, restores and migrations are killed, or looked at as a kill would leave them, at some 200 points.

Files that are begun and empty, have no name yet or are not durable, copies that are half made, and before every SQL.

After each kill: no good backup is lost, nothing that is half written counts as one, both databases are whole, and doing
it again does it. ``make crash-backups`` kills at every point there is, and at any instant.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from datetime import timedelta

import pytest
import structlog

from byjy_events import migrating as migrations
from byjy_events.backup import Backups, restore
from byjy_events.schema import SCHEMA_REVISION
from tests.backup_child import images, killed, killed_after, migrating, points
from tests.backups import DAY, Clock
from tests.crash_backup.operations import OPERATIONS
from tests.crash_backup.place import OLDEST, Place, folder_in_memory
from tests.revised import fill, inventory, rows

MIGRATION_POINTS = 30
"""Of each direction."""

MIGRATIONS_KILLED = 3
SEED = 1
NAMES = ("os.rename", "os.link", "os.remove", "COMMIT")
"""Begin the points that matter most."""


@pytest.fixture(autouse=True)
def _logging_as_usual() -> Iterator[None]:
    """A command that ran in this process sends the library's log to a standard error that pytest closes afterwards."""
    structlog.reset_defaults()
    yield
    structlog.reset_defaults()


@pytest.fixture(scope="module")
def template() -> Iterator[Place]:
    with folder_in_memory() as folder:
        yield asyncio.run(Place.made(folder))


@pytest.fixture
def places(template: Place) -> Iterator[Iterator[Place]]:
    """Copies of it, each under another name."""
    with folder_in_memory() as folder:
        yield (template.copy(folder / str(number)) for number in range(1_000))


def chosen(done: list[str], count: int) -> list[int]:
    """So many points: the first and the last, as many as fit of those that matter most, and some of the others."""
    chance = random.Random(SEED)
    ends, everything = [1, len(done)], range(1, len(done) + 1)
    names = [point for point in everything if done[point - 1].startswith(NAMES) and point not in ends]
    others = [point for point in everything if point not in {*ends, *names}]
    ranked = [*ends, *chance.sample(names, len(names)), *chance.sample(others, len(others))]
    return sorted(ranked[:count])


def test_what_is_chosen_begins_with_what_matters() -> None:
    """The ends, then where a name comes or goes."""
    done = ["open a", "open b", "os.rename b", "os.fsync", "COMMIT", "open c", "open d"]
    assert chosen(done, 4) == [1, 3, 5, 7]
    assert {1, 3, 5, 7} < set(chosen(done, 5))
    assert chosen(done, 100) == [1, 2, 3, 4, 5, 6, 7]


@pytest.mark.parametrize("name", [name for name, one in OPERATIONS.items() if not one.migrates])
def test_what_is_done_to_backups_is_killed_at_every_point(name: str, places: Iterator[Place]) -> None:
    """What was there before is still there, and the same again does the rest; an engine goes on where it ended."""
    operation, first = OPERATIONS[name], next(places)
    done = points(operation.work(first), first.root)
    operation.done(first)
    for point in range(1, len(done) + 1):
        place = next(places)
        assert killed(operation.work(place), place.root, point)
        place.check(pruned=operation.prunes)
        asyncio.run(operation.work(place)())
        operation.done(place)
        if point % 5 == 0:
            asyncio.run(place.appended())


@pytest.mark.parametrize("name", [name for name, one in OPERATIONS.items() if one.migrates])
def test_a_migration_is_killed_between_its_statements(name: str, places: Iterator[Place]) -> None:
    """At each point the database is as it was or migrated, and every backup is whole.

    What a kill would leave at a point is what lies there at that moment. It is copied while the migration goes on,
    which takes a tenth of the time; and some are killed in earnest.
    """
    operation, first = OPERATIONS[name], next(places)
    done = points(operation.work(first), first.root)
    operation.done(first)
    whole, wanted = next(places), chosen(done, MIGRATION_POINTS)
    left = first.root.with_name("left")
    images(operation.work(whole), whole.root, wanted, left)
    for point in wanted:
        Place(left / str(point), whole).check()
    for point in chosen(done, MIGRATIONS_KILLED):
        place = next(places)
        assert killed(operation.work(place), place.root, point)
        place.check()
        asyncio.run(operation.work(place)())
        operation.done(place)


@pytest.mark.parametrize("backend", ["postgresql"], indirect=True)
def test_a_migration_of_postgresql_is_killed_at_any_instant(empty_database: str) -> None:
    """It is one transaction, and the server rolls it back: what was there is there, and the next one does it all."""
    asyncio.run(migrations.upgrade(empty_database, OLDEST))
    fill(empty_database)
    before, content = inventory(empty_database), rows(empty_database)
    for seconds in (0.05, 0.1, 0.2, 0.3):
        if killed_after(migrating(empty_database, "head"), seconds):
            found = inventory(empty_database)
            assert found.revision == SCHEMA_REVISION or (found, rows(empty_database)) == (before, content)
    asyncio.run(migrating(empty_database, "head")())
    after = inventory(empty_database)
    assert after.revision == SCHEMA_REVISION
    assert {name: after.tables[name].rows for name in before.tables} == dict.fromkeys(before.tables, 1)


async def test_what_a_killed_prune_left_is_deleted_when_it_is_a_day_old(places: Iterator[Place]) -> None:
    """Not before: somebody may be copying a backup into the folder, data first."""
    place = next(places)
    newest, *_, oldest = place.backups.list()
    oldest.manifest_path.unlink()
    (place.folder / f"{newest.name}.db.zst.part").touch()
    long = timedelta(days=10_000)
    assert oldest not in (await place.backups.prune(long)).backups
    later = Clock()
    later.now = oldest.path.stat().st_mtime_ns + DAY + 1
    backups = Backups(place.folder, clock=later)
    told_of = await backups.prune(long, dry_run=True)
    assert [one.name for one in told_of.backups] == [oldest.name]
    assert oldest.path.exists()
    assert [one.name for one in (await backups.prune(long)).backups] == [oldest.name]
    assert not oldest.path.exists()
    assert len(backups.list()) == len(place.good) - 1
    await restore(place.folder, "latest", place.root / "new.db")
