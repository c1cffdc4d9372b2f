"""Restoring: the target is the old database or the new one, never something in between, and nothing is lost."""

from __future__ import annotations

import asyncio
import os
import shutil
from pathlib import Path

import pytest

from byjy_events import EventLog
from byjy_events.backup import Backups, FolderUnusable, Segments, TargetExists, TargetInUse, restore
from tests.backup_child import confined, restoring
from tests.backups import files, head, new_log, told, url
from tests.sealed import grow
from tests.story import place


@pytest.fixture
def log_file(migrated_file: Path, tmp_path: Path) -> Path:
    """A database with a few events, of which there is a backup, and with more since."""
    path = tmp_path / "log.db"

    async def fill() -> None:
        await told(new_log(migrated_file, path))
        await Backups(tmp_path / "backups").create(url(path))
        await told(url(path), 2)

    asyncio.run(fill())
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "backups"


async def test_a_database_is_replaced_only_when_told_and_kept_beside(log_file: Path, folder: Path) -> None:
    """The new one goes on from where the backup ended; the old one is there under the name that is told."""
    newer = head(log_file)
    with pytest.raises(TargetExists):
        await restore(folder, "latest", log_file)
    assert head(log_file) == newer
    done = await restore(folder, "latest", log_file, replace=True)
    assert done.kept is not None
    assert head(done.kept) == newer
    assert head(log_file) == done.backup.known().facts.head < newer
    async with EventLog.open(url(log_file)) as log:
        assert await place(log) == done.backup.known().facts.head + 1


async def test_a_database_that_is_open_is_not_replaced(log_file: Path, folder: Path) -> None:
    """Whether its log is open to write or only to read; with force it is, and whoever has it open keeps the old one."""
    newer = head(log_file)
    async with EventLog.open(url(log_file), read_only=True):
        with pytest.raises(TargetInUse):
            await restore(folder, "latest", log_file, replace=True)
    async with EventLog.open(url(log_file)) as log:
        with pytest.raises(TargetInUse):
            await restore(folder, "latest", log_file, replace=True)
        position = await place(log)
        assert position == newer + 1
        done = await restore(folder, "latest", log_file, replace=True, force=True)
        assert head(log_file) == done.backup.known().facts.head
        assert await log.head() == position
        assert done.kept is not None
        alone = shutil.copyfile(done.kept, log_file.with_name("alone.db"))
        assert head(alone) == position  # without what is left of its WAL
    assert head(done.kept) == position
    assert head(log_file) == done.backup.known().facts.head


async def test_what_a_crash_left_in_the_wal_stays_with_the_old_database(log_file: Path, folder: Path) -> None:
    """It is not played into the new one."""
    crashed = log_file.with_name("crashed.db")
    async with EventLog.open(url(log_file)) as log:
        position = await place(log)
        for suffix in ("", "-wal"):
            shutil.copyfile(f"{log_file}{suffix}", f"{crashed}{suffix}")
    assert Path(f"{crashed}-wal").stat().st_size  # noqa: ASYNC240
    done = await restore(folder, "latest", crashed, replace=True)
    assert done.kept is not None
    assert head(done.kept) == position
    assert head(crashed) == done.backup.known().facts.head


async def test_a_wal_without_its_database_is_moved_aside(log_file: Path, folder: Path) -> None:
    """Somebody deleted the database and forgot the WAL."""
    lost = log_file.with_name("lost.db")
    async with EventLog.open(url(log_file)) as log:
        await place(log)
        shutil.copyfile(f"{log_file}-wal", f"{lost}-wal")
    done = await restore(folder, "latest", lost)
    assert done.kept is None
    assert head(lost) == done.backup.known().facts.head
    (kept,) = lost.parent.glob("lost.db.before-*-wal")
    assert kept.stat().st_size


async def test_a_damaged_database_is_replaced_and_kept_as_it_was(log_file: Path, folder: Path) -> None:
    """It is why one restores."""
    data = b"damaged " * 10_000
    log_file.write_bytes(data)  # noqa: ASYNC240
    done = await restore(folder, "latest", log_file, replace=True)
    assert done.kept is not None
    assert done.kept.read_bytes() == data
    assert head(log_file) == done.backup.known().facts.head
    assert done.notes == [f"{log_file} was not asked what was erased: file is not a database"]


def test_a_disk_that_is_full_is_no_damaged_backup(log_file: Path, folder: Path) -> None:
    """What the segments need does not fit: nothing older takes its place, and the target is as it was."""

    async def fill() -> None:
        await Backups(folder).create(url(log_file))
        async with EventLog.open(url(log_file)) as log:
            await grow(log, 2_000)
            await Segments(log, folder).turn()

    asyncio.run(fill())
    before, room = head(log_file), Backups(folder).list()[0].known().plain.size + 100_000
    assert f"FolderUnusable: {log_file.parent}: disk I/O error" in confined(restoring(folder, "latest", log_file), room)
    assert head(log_file) == before
    assert not list(log_file.parent.glob("log.db.*before*"))


@pytest.mark.parametrize("damage", ["manifest", "data"])
async def test_a_newer_backup_that_is_lost_is_told(log_file: Path, folder: Path, damage: str) -> None:
    """It might go further than what is restored in its place; one that was never finished cannot."""
    newest = await Backups(folder).create(url(log_file))
    if damage == "manifest":
        newest.manifest_path.write_bytes(b"{")
    else:
        newest.path.unlink()
    done = await restore(folder, "latest", log_file.with_name("new.db"))
    assert [one.startswith(newest.name) for one in done.problems] == [True]
    named = await restore(folder, done.backup.name, log_file.with_name("named.db"))
    assert (named.problems, [one.startswith(newest.name) for one in named.notes]) == ([], [True])
    newest.manifest_path.unlink()
    assert (await restore(folder, "latest", log_file.with_name("newer.db"))).problems == []


async def test_a_backup_that_failed_is_passed_over_and_told(log_file: Path, folder: Path) -> None:
    """There is an older one."""
    newest = await Backups(folder).create(url(log_file))
    newest.path.write_bytes(newest.path.read_bytes()[:-1])
    await Backups(folder).verify(newest.name)
    done = await restore(folder, "latest", log_file.with_name("new.db"))
    assert done.problems == []
    assert done.notes[0].startswith(f"{newest.name} is passed over, it failed: the compressed file has")


async def test_a_damaged_backup_leaves_the_target_as_it_was(log_file: Path, folder: Path) -> None:
    """And nothing beside it."""
    newer, before = head(log_file), files(log_file.parent)
    (backup,) = Backups(folder).list()
    backup.path.write_bytes(backup.path.read_bytes()[:-1000])
    with pytest.raises(Exception, match="cannot be trusted"):
        await restore(folder, backup.name, log_file, replace=True)
    assert head(log_file) == newer
    assert files(log_file.parent) == before | {"log.db.gate", "log.db.lock"}


async def test_nothing_is_written_into_the_folder_of_the_backups(log_file: Path, folder: Path, tmp_path: Path) -> None:
    """It may be read-only, as the one that is left after a disaster should be."""
    folder.chmod(0o500)  # noqa: ASYNC240
    before = {entry.name: entry.stat().st_mtime_ns for entry in os.scandir(folder)}
    touched = folder.stat().st_mtime_ns  # noqa: ASYNC240
    await restore(folder, "latest", tmp_path / "new.db", thorough=True)
    assert {entry.name: entry.stat().st_mtime_ns for entry in os.scandir(folder)} == before
    assert folder.stat().st_mtime_ns == touched  # noqa: ASYNC240
    assert head(tmp_path / "new.db") < head(log_file)
    folder.chmod(0o700)  # noqa: ASYNC240


async def test_a_target_in_a_folder_that_is_missing_is_named(folder: Path, log_file: Path) -> None:
    """Nothing is created."""
    with pytest.raises(FolderUnusable) as raised:
        await restore(folder, "latest", log_file.parent / "missing" / "log.db")
    assert raised.value.folder == log_file.parent / "missing"
