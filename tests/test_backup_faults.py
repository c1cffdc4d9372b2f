"""Backups that were damaged, disks that are full, folders that cannot be written, wrong keys, clocks that jump.

Whatever it is: no good backup is lost, nothing half written counts as one, and both databases are whole. Small disks
that are full at every stage, and damage in masses, are for ``make crash-backups``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from random import Random

import pytest
import structlog

from byjy_events import ByjyError, EventLog
from byjy_events.backup import Backups, Scheduler, State, restore
from byjy_events.sealing import KeyFile, Vault
from tests.backup_child import Work, confined, creating, migrating, powerless, pruning, restoring, verifying
from tests.backups import HOUR, Clock, url
from tests.crash_backup.campaign import held_against_damage
from tests.crash_backup.damage import damaged
from tests.crash_backup.operations import OPERATIONS
from tests.crash_backup.place import KEEP, Place, folder_in_memory, head
from tests.sealing import user

DAMAGES = 40
SEED = 1
KINDS = (
    "BackupFailed: ",
    "CopyUnsound: ",
    "DatabaseFailed: ",
    "FolderUnusable: ",
    "LogUnavailable: ",
    "MigrationFailed: ",
)
"""What is said when a disk is full: never only what the system or SQLite says, without what it was about."""

FULL_AT_BYTES = (0, 5_000, 50_000, 300_000, 700_000)
FULL_AT_BYTES_MIGRATING = (300_000, 1_000_000)
"""Sizes that no file may exceed: the database has some 800,000 bytes."""


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


async def test_damage_anywhere_is_found(places: Iterator[Place]) -> None:
    """Bits, cuts, holes, zeros and noise at random bytes: it is not restored, unless it makes no difference."""
    chance = Random(SEED)
    harmless = 0
    for _ in range(DAMAGES):
        place = next(places)
        newest = next(iter(place.good))
        how = damaged(place.folder / (newest + chance.choice((".db.zst", ".db.zst", ".json"))), chance)
        harmless += await held_against_damage(place, newest, how)
    assert harmless < DAMAGES / 10  # such as another number of seconds that it took


@pytest.mark.parametrize("name", [name for name in OPERATIONS if name != "prune"])
def test_a_disk_that_is_full_at_some_stage_harms_nothing(name: str, places: Iterator[Place]) -> None:
    """The error says so; as soon as there is room, the same again does it. Pruning needs no room."""
    operation = OPERATIONS[name]
    refused = 0
    for file_bytes in FULL_AT_BYTES_MIGRATING if operation.migrates else FULL_AT_BYTES:
        place = next(places)
        said = confined(operation.work(place), file_bytes)
        refused += bool(said)
        assert not said or said.startswith(KINDS), said
        place.check(pruned=operation.prunes)
        asyncio.run(operation.work(place)())
        operation.done(place)
    assert refused


def test_a_folder_that_cannot_be_written_is_read(places: Iterator[Place]) -> None:
    """Nothing is made, marked or deleted there, and the error names the folder; restoring needs no right to write."""
    place = next(places)
    newest, *_ = place.good
    before = {path.name: path.read_bytes() for path in place.folder.iterdir()}
    place.folder.chmod(0o500)
    refused: list[Work] = [
        creating(url(place.database), place.folder),
        verifying(place.folder, newest),
        pruning(place.folder, KEEP),
        creating(url(place.database), place.folder / "below"),
    ]
    for work in refused:
        assert f"FolderUnusable: {place.folder}" in powerless(work)
    assert powerless(restoring(place.folder, "latest", place.root / "new.db")) == ""
    assert {path.name: path.read_bytes() for path in place.folder.iterdir()} == before
    place.folder.chmod(0o700)
    OPERATIONS["restore"].done(place)


def test_a_target_or_a_database_that_cannot_be_written_stays(places: Iterator[Place]) -> None:
    """A restore into a folder that is read-only, and a migration there."""
    place = next(places)
    place.root.chmod(0o500)
    assert "FolderUnusable" in powerless(restoring(place.folder, "latest", place.root / "new.db"))
    assert "FolderUnusable" in powerless(restoring(place.folder, "latest", place.database))
    assert powerless(migrating(url(place.older), "head")) != ""
    place.root.chmod(0o700)
    place.check()


async def test_another_key_opens_nothing_and_takes_nothing(places: Iterator[Place]) -> None:
    """What was restored is whole, and its own key opens it still; a key that is missing is not made anew."""
    place = next(places)
    right, wrong, somebody = place.root / "right", place.root / "wrong", user(1)
    async with EventLog.open(url(place.database)) as log:
        value = await Vault(log, KeyFile(right)).seal(somebody, "email", "somebody@example.org")
    made = await place.backups.create(url(place.database), thorough=True)
    assert made.state is State.VERIFIED  # which wants no key
    await restore(place.folder, made.name, place.root / "new.db")
    KeyFile(wrong)
    async with EventLog.open(url(place.root / "new.db")) as log:
        for key_file in (wrong, place.root / "missing"):
            with pytest.raises(ByjyError) as refused:
                await Vault(log, KeyFile(key_file, create=False)).reveal(somebody, "email", value)
            assert "somebody@" not in str(refused.value)
        revealed = await Vault(log, KeyFile(right, create=False)).reveal(somebody, "email", value)
    assert revealed.reveal() == "somebody@example.org"


async def test_whatever_a_clock_does_the_newest_good_backup_stays(places: Iterator[Place]) -> None:
    """Back and forth between two turns of a scheduler: each makes what is due, and the latest is what was made last."""
    place, chance, clock = next(places), Random(SEED), Clock("2024-03-06T12:00:00+00:00")
    scheduler = Scheduler(url(place.database), place.folder, keep=timedelta(hours=5), clock=clock)
    made = 0
    for _ in range(20):
        clock.now += chance.choice((HOUR, HOUR, -HOUR // 2, -30 * HOUR, 900 * HOUR, -9_000 * HOUR))
        backup = await scheduler.turn()
        if backup is not None:
            made += 1
            newest = Backups(place.folder).list()[0]
            assert (newest.name, newest.state) == (backup.name, State.VERIFIED)
    assert made > 5
    assert head(place.database) == place.head
    await restore(place.folder, "latest", place.root / "new.db")
    assert head(place.root / "new.db") >= place.head
