"""Between the hours: segments of what happened since a backup, and restoring with them, to the latest or to a point."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest

from byjy_events import EventLog
from byjy_events.backup import (
    LATEST_POINT,
    Backups,
    FolderBusy,
    FolderOfAnother,
    NoSuchBackup,
    NothingToBuildOn,
    Point,
    PointUnknown,
    Restored,
    Scheduler,
    Segments,
    restore,
)
from byjy_events.backup import segment_folder as folders
from byjy_events.backup.target import target_of
from byjy_events.backup.workplace import SEGMENTS_LOCK
from byjy_events.proof.auditing import audit
from byjy_events.sealing import Erased
from byjy_events.secret import Secret
from tests.backups import event_ids, new_log, told, url
from tests.sealed import grow, seal
from tests.sealing import local_key, open_vault, stored_keys, user
from tests.story import place, tell_lives

ONE_DATABASE = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
"""For what is the same with both: how files follow upon each other."""

SECRET = "a secret that nobody can mistake for anything else"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "backups"


async def written(database: str, folder: Path) -> int:
    """What is new is written down by a writer that starts; the answer is how many segments that took."""
    async with EventLog.open(database, read_only=True) as log:
        return await Segments(log, folder).turn()


async def restored(folder: Path, to: Point = LATEST_POINT, name: str = "latest") -> Restored:
    """Restored to a file that no other restore of the test has."""
    number = len(list(folder.parent.glob("restored-*.db")))
    return await restore(folder, name, folder.parent / f"restored-{number}.db", to=to)


async def ids(database: str) -> list[UUID]:
    async with EventLog.open(database) as log:
        return [one.event_id async for one in log.read()]


def segment_files(folder: Path) -> list[Path]:
    """In order of their numbers."""
    return sorted(folder.glob("segments-*.seg"))


async def test_what_came_since_the_backup_is_restored_with_it(database: str, folder: Path) -> None:
    """Event by event, with tree and checkpoints; where nothing is new nothing is written; the restored log goes on."""
    await told(database)
    await Backups(folder).create(database)
    async with EventLog.open(database) as log:
        segments = Segments(log, folder)
        await grow(log, 300)
        assert await segments.turn() == 1
        assert await segments.turn() == 0
        await seal(log)
        newest = await tell_lives(log, 2, 5)
        await seal(log)
        assert await segments.turn() == 1
    done = await restored(folder)
    assert (done.head, done.segments, done.problems, done.erased) == (newest, 2, [], 0)
    assert event_ids(done.path) == await ids(database)
    async with EventLog.open(url(done.path)) as log:
        found = await audit(log, ())
        assert (found.intact, found.checkpoints) == (True, 2)
        assert await place(log) == newest + 1


async def test_a_secret_is_revealed_and_what_was_erased_since_is_not(database: str, folder: Path) -> None:
    """Of one that was added since, and of one that was rotated since; also at a point before the erasure."""
    async with open_vault(database) as vault, EventLog.open(database) as log:
        old = await vault.seal(user(1), "old", SECRET)
        gone = await vault.seal(user(1), "gone", SECRET)
        before = await grow(log, 1)
        await Backups(folder).create(database)
        segments = Segments(log, folder)
        middle = await grow(log, 1)
        await segments.turn()
        new = await vault.seal(user(2), "new", SECRET)
        assert await segments.turn() == 1
        await vault.rotate(local_key(2))
        newest = await grow(log, 1)
        await segments.turn()
        assert await vault.erase(user(1), "gone") == 1
        assert await segments.turn() == 1
        expected = await stored_keys(database)
    latest = await restored(folder)
    assert latest.head == newest
    assert await stored_keys(url(latest.path)) == expected
    async with open_vault(url(latest.path), local_key(2)) as vault:
        assert await vault.reveal(user(1), "old", old) == await vault.reveal(user(2), "new", new) == Secret(SECRET)
        with pytest.raises(Erased):
            await vault.reveal(user(1), "gone", gone)
    for point in (before, middle):
        earlier = await restored(folder, Point(point))
        assert (earlier.head, earlier.erased) == (point, 1)
        async with open_vault(url(earlier.path)) as vault:
            assert await vault.reveal(user(1), "old", old) == Secret(SECRET)
            with pytest.raises(Erased):
                await vault.reveal(user(1), "gone", gone)


async def test_erasures_are_known_from_newer_backups_and_from_what_is_replaced(database: str, folder: Path) -> None:
    """Without any segment, an older backup by its name."""
    async with open_vault(database) as vault:
        await vault.seal_all(user(1), {"one": SECRET, "two": SECRET})
        old = await Backups(folder).create(database)
        await vault.erase(user(1), "one")
        await Backups(folder).create(database)
        done = await restored(folder, name=old.name)
        assert done.erased == 1
        async with open_vault(url(done.path)) as other:
            assert await other.erase(user(1), "two") == 1
        again = await restore(folder, old.name, done.path, replace=True)
    assert again.erased == 2
    assert list((await stored_keys(url(done.path))).values()) == [None, None]


@ONE_DATABASE
async def test_a_point_is_a_position_or_an_instant(database: str, folder: Path) -> None:
    """Of the newest backup that is not behind it; nothing of the tree is beyond it; what is not known is refused."""
    async with EventLog.open(database) as log:
        backups, segments = Backups(folder), Segments(log, folder)
        await tell_lives(log, 1, 2)
        old = await backups.create(database)
        for _ in range(3):
            await grow(log, 200)
            await seal(log)
            await segments.turn()
        new = await backups.create(database)
        last = await grow(log, 1)
        await segments.turn()
        recorded = {one.position: one.recorded_at async for one in log.read()}
    old_head, new_head = old.known().facts.head, new.known().facts.head
    for position in (old_head, old_head + 250, new_head - 1, new_head, last):
        at_once = max(one for one in recorded if recorded[one] == recorded[position])
        for point, end in ((Point(position), position), (Point(instant=recorded[position]), at_once)):
            done = await restored(folder, point)
            assert (done.head, done.recorded_at, done.problems) == (end, recorded[end], [])
            assert done.backup.name == (new if end >= new_head else old).name
            async with EventLog.open(url(done.path)) as log:
                found = await audit(log, ())
                assert (found.intact, found.events) == (True, end)
    with pytest.raises(PointUnknown) as raised:
        await restored(folder, Point(last + 1))
    assert (raised.value.position, raised.value.known) == (last + 1, last)
    with pytest.raises(NoSuchBackup):
        await restored(folder, Point(old_head - 1))
    with pytest.raises(NoSuchBackup, match=f"up to position {new_head}"):
        await restored(folder, Point(new_head - 1), new.name)
    assert (await restored(folder, Point(last), old.name)).head == last
    assert (await restored(folder, name=old.name)).head == old_head


async def test_a_writer_goes_on_where_the_last_one_ended(database: str, folder: Path) -> None:
    """Whatever happened meanwhile is in its first segment; two at once are refused."""
    await told(database)
    await Backups(folder).create(database)
    async with EventLog.open(database) as log:
        async with open_vault(database) as vault:
            await vault.seal(user(1), "first", SECRET)
            assert await written(database, folder) == 1
            await vault.seal(user(1), "second", SECRET)
            await vault.erase(user(1), "first")
        last = await grow(log, folders.LOOSE_FILES)
        assert await written(database, folder) == 1
        assert await written(database, folder) == 1  # all data keys once more: who knows what changed
        async with target_of(folder).workplace.locked(SEGMENTS_LOCK):
            with pytest.raises(FolderBusy):
                await Segments(log, folder).run()
    done = await restored(folder)
    assert (done.head, done.segments, done.problems) == (last, 3, [])
    assert await stored_keys(url(done.path)) == await stored_keys(database)


@ONE_DATABASE
async def test_a_log_that_was_restored_to_an_earlier_point_goes_on_from_there(database: str, folder: Path) -> None:
    """What it gave up counts no longer: neither segments nor backups; before that point both histories are one."""
    async with EventLog.open(database) as log:
        first = await grow(log, 10)
        base = await Backups(folder).create(database)
        segments = Segments(log, folder)
        for _ in range(3):
            await grow(log, 10)
            await segments.turn()
        given_up = await Backups(folder).create(database)
    again = await restored(folder, Point(first + 15))
    new = url(again.path)
    async with EventLog.open(new) as log:
        segments = Segments(log, folder)
        await grow(log, 2)
        await segments.turn()
        await grow(log, 8)
        await segments.turn()
        shorter = await restored(folder)
        assert event_ids(shorter.path) == [one.event_id async for one in log.read()]
        assert [given_up.name in note for note in shorter.notes] == [True]
        with pytest.raises(PointUnknown):
            await restored(folder, Point(first + 30))
        last = await grow(log, 20)
        await segments.turn()
        expected = [one.event_id async for one in log.read()]
    for position in (first + 12, first + 16, first + 30, last):
        done = await restored(folder, Point(position))
        assert (done.head, done.backup.name, done.problems) == (position, base.name, [])
        assert event_ids(done.path) == expected[:position]
    newer = await Backups(folder).create(new)
    done = await restored(folder)
    assert (done.backup.name, event_ids(done.path)) == (newer.name, expected)
    third = url((await restored(folder, Point(first + 5))).path)
    await told(third, 4, 1)
    newest = await Backups(folder).create(third)
    done = await restored(folder)
    assert (done.backup.name, event_ids(done.path), done.notes) == (newest.name, await ids(third), [])


@ONE_DATABASE
async def test_segments_belong_to_one_log_and_want_a_backup(
    database: str, folder: Path, migrated_file: Path, tmp_path: Path
) -> None:
    """Without one nothing is written; of another log nothing is."""
    await told(database)
    with pytest.raises(NothingToBuildOn):
        await written_into_new(database, folder)
    await Backups(folder).create(database)
    assert await written(database, folder) == 0
    await told(database, 2)
    assert await written(database, folder) == 1
    other = new_log(migrated_file, tmp_path / "other.db")
    await told(other, 3)
    with pytest.raises(FolderOfAnother):
        await written(other, folder)
    assert len(segment_files(folder)) == 1


async def written_into_new(database: str, folder: Path) -> int:
    folder.mkdir(mode=0o700)  # noqa: ASYNC240
    return await written(database, folder)


@ONE_DATABASE
async def test_many_segments_become_few_files_and_go_with_the_backups(
    database: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is lost on the way; what is before the oldest backup that is kept is deleted, and told before."""
    monkeypatch.setattr("byjy_events.backup.segments.LOOSE_FILES", 4)
    backups = Backups(folder)
    async with EventLog.open(database) as log:
        await grow(log, 1)
        await backups.create(database)
        segments = Segments(log, folder)
        for _ in range(9):
            last = await grow(log, 1)
            await segments.turn()
        assert [path.name.split("-")[1:3] for path in segment_files(folder)] == [
            ["0000000001", "0000000004"],
            ["0000000005", "0000000008"],
            ["0000000009", "0000000009"],
        ]
        done = await restored(folder)
        assert (done.head, done.segments, done.problems) == (last, 9, [])
        await backups.create(database)
        await grow(log, 1)
        await segments.turn()
    old = backups.list()[-1]
    backups.folder.remove(old)
    going = await backups.prune(dry_run=True)
    assert going.segments == [segment_files(folder)[0].name]
    assert await backups.prune() == going
    assert len(segment_files(folder)) == 3
    assert (await restored(folder)).head == last + 1


async def test_erasures_and_rotations_that_leave_no_time_are_noticed(
    database: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a count; of two rotations that leave the counts as they were, by going through all keys."""
    async with open_vault(database) as vault, EventLog.open(database, read_only=True) as log:
        for number in range(1, 3):
            await vault.seal(user(number), "name", SECRET)
        await Backups(folder).create(database)
        segments = Segments(log, folder)
        assert await segments.turn() == 1
        await vault.rotate(local_key(2))
        assert await segments.turn() == 1
        await vault.erase(user(1))
        assert await segments.turn() == 1
        assert await segments.turn() == 0
        monkeypatch.setattr("byjy_events.backup.segment_source.THOROUGH_SECONDS", 0.0)
        await vault.rotate(local_key(3))
        await vault.rotate(local_key(2))
        assert await segments.turn() == 0  # the same keys wrap it, so what is known of it opens it
        await vault.rotate(local_key(3))
        assert await segments.turn() == 1
    done = await restored(folder)
    assert await stored_keys(url(done.path)) == await stored_keys(database)


async def test_a_scheduler_writes_segments_between_its_backups(
    database: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They begin with its first backup, and end with it; somebody else who writes them there is left alone."""
    monkeypatch.setattr("byjy_events.backup.scheduler.SEGMENTS_LOOK_SECONDS", 0.01)
    await told(database)
    scheduling = asyncio.create_task(Scheduler(database, folder, segments_every=timedelta(milliseconds=10)).run())
    async with EventLog.open(database) as log:
        while not (segment_files(folder) and Backups(folder).list()):
            assert not scheduling.done()
            await place(log)
            await asyncio.sleep(0.01)
        with pytest.raises(FolderBusy):
            await Segments(log, folder).run()
        assert not scheduling.done()
        scheduling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await scheduling
        await Segments(log, folder).turn()
        newest = await log.head()
    done = await restored(folder)
    assert (done.head, done.problems) == (newest, [])
