"""A log that is restored to an earlier point and goes on from there gives a history up, or takes it back if that was a
mistake. Segments and backups of both lie in the same folder. Chains are the same for both databases: these are of
SQLite.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from byjy_events import EventLog
from byjy_events.backup import LATEST_POINT, Backups, Point, Restored, Segments, restore
from byjy_events.proof.auditing import audit
from tests.backups import event_ids, new_log, url
from tests.sealed import grow, seal
from tests.sealing import open_vault, stored_keys, user

SECRET = "a secret that nobody can mistake for anything else"


@pytest.fixture
def log_file(migrated_file: Path, tmp_path: Path) -> Path:
    path = tmp_path / "log.db"
    new_log(migrated_file, path)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "backups"


async def restored(folder: Path, to: Point = LATEST_POINT) -> Restored:
    """Restored to a file that no other restore of the test has."""
    number = len(list(folder.parent.glob("restored-*.db")))
    return await restore(folder, "latest", folder.parent / f"restored-{number}.db", to=to)


async def grown(path: Path, folder: Path, *counts: int) -> None:
    """So many events more each time, and written down, by a writer that starts."""
    async with EventLog.open(url(path)) as log:
        segments = Segments(log, folder)
        for count in counts:
            await grow(log, count)
            await segments.turn()


async def written(path: Path, folder: Path) -> int:
    async with EventLog.open(url(path), read_only=True) as log:
        return await Segments(log, folder).turn()


def segment_files(folder: Path) -> list[Path]:
    """In order of their numbers."""
    return sorted(folder.glob("segments-*.seg"))


async def backed_up(path: Path, folder: Path) -> str:
    return (await Backups(folder).create(url(path))).name


async def grown_and_backed_up(log_file: Path, folder: Path) -> tuple[str, str]:
    """A backup at 10, segments to 20, 30 and 40, and a backup there."""
    async with EventLog.open(url(log_file)) as log:
        await grow(log, 10)
    older = await backed_up(log_file, folder)
    await grown(log_file, folder, 10, 10, 10)
    return older, await backed_up(log_file, folder)


async def test_what_was_erased_after_going_back_is_erased_at_any_point(log_file: Path, folder: Path) -> None:
    """Although the newest backup is of the history that was given up, and ends further than the log does now."""
    async with open_vault(url(log_file)) as vault:
        await vault.seal(user(1), "name", SECRET)
    await grown_and_backed_up(log_file, folder)
    again = (await restored(folder, Point(25))).path
    await grown(again, folder, 1)
    async with open_vault(url(again)) as vault:
        assert await vault.erase(user(1)) == 1
    await grown(again, folder, 0, 1, 1)
    done = await restored(folder, Point(13))
    assert (done.head, done.erased, done.notes) == (13, 1, [])
    assert list((await stored_keys(url(done.path))).values()) == [None]


@pytest.mark.parametrize("catch_up", [1_000_000, 5])
async def test_a_mistaken_restore_is_undone(
    log_file: Path, folder: Path, catch_up: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database that was kept is put back and goes on: it counts again, and what came in between does not."""
    monkeypatch.setattr("byjy_events.backup.segments.CATCH_UP_EVENTS", catch_up)
    older, newer = await grown_and_backed_up(log_file, folder)
    await grown(log_file, folder, 5)
    again = (await restored(folder, Point(25))).path
    await grown(again, folder, 3)
    mistaken = await restored(folder)
    assert (mistaken.head, mistaken.backup.name, mistaken.problems) == (28, older, [])
    await grown(log_file, folder, 0, 5)
    done = await restored(folder)
    assert (done.backup.name, done.problems, done.notes) == (newer, [], [])
    assert event_ids(done.path) == event_ids(log_file)
    assert done.head == 50


@pytest.mark.parametrize("point", [40, 20, 17])
async def test_going_back_counts_as_soon_as_a_writer_saw_it(log_file: Path, folder: Path, point: int) -> None:
    """Although there is no event since, and at the end of a segment nothing else that were new; and once is enough."""
    await grown_and_backed_up(log_file, folder)
    await grown(log_file, folder, 10)
    again = (await restored(folder, Point(point))).path
    assert await written(again, folder) == 1
    assert await written(again, folder) == 0
    done = await restored(folder)
    assert (done.head, done.problems) == (point, [])


@pytest.mark.parametrize("point", [20, 17])
async def test_a_backup_counts_that_was_made_after_going_back(log_file: Path, folder: Path, point: int) -> None:
    """Although the segments of what was given up would go on from where it ends."""
    await grown_and_backed_up(log_file, folder)
    again = (await restored(folder, Point(point))).path
    newest = await backed_up(again, folder)
    done = await restored(folder)
    assert (done.head, done.backup.name, done.segments) == (point, newest, 0)
    await grown(again, folder, 4)
    done = await restored(folder)
    assert (event_ids(done.path), done.backup.name) == (event_ids(again), newest)


async def test_going_back_between_backups_counts_without_any_segment(log_file: Path, folder: Path) -> None:
    """The first one says so."""
    async with EventLog.open(url(log_file)) as log:
        await grow(log, 10)
        older = await backed_up(log_file, folder)
        await grow(log, 10)
        await backed_up(log_file, folder)
    again = (await restored(folder, Point(10))).path
    assert (await written(again, folder), await written(again, folder)) == (1, 0)
    done = await restored(folder)
    assert (done.head, done.backup.name) == (10, older)


async def test_what_was_given_up_may_be_damaged(log_file: Path, folder: Path) -> None:
    """What came after it goes on from before it."""
    older, _ = await grown_and_backed_up(log_file, folder)
    await grown(log_file, folder, 5)
    again = (await restored(folder, Point(25))).path
    await grown(again, folder, 3)
    given_up = segment_files(folder)[3]
    given_up.write_bytes(given_up.read_bytes()[:-1])
    done = await restored(folder)
    assert (event_ids(done.path), done.backup.name, done.problems) == (event_ids(again), older, [])


@pytest.mark.parametrize("damaged", [False, True], ids=["", "from an older backup"])
async def test_a_tree_over_events_that_were_given_up_is_not_restored(
    log_file: Path, folder: Path, damaged: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the log went back between the segments of one look, or, from an older backup, in one of them."""
    monkeypatch.setattr("byjy_events.backup.segments.CHUNK_EVENTS", 300)
    async with EventLog.open(url(log_file)) as log:
        await grow(log, 10)
        await backed_up(log_file, folder)
        await grow(log, 800)
        await seal(log)
    assert await written(log_file, folder) == 3
    whole = await restored(folder)
    async with EventLog.open(url(whole.path)) as log:
        found = await audit(log, ())
    assert (found.intact, found.checkpoints) == (True, 1)
    again = (await restored(folder, Point(700 if damaged else 400))).path
    if damaged:
        monkeypatch.setattr("byjy_events.backup.segments.CATCH_UP_EVENTS", 5)
        newest = await backed_up(again, folder)
    async with EventLog.open(url(again)) as log:
        await grow(log, 500)
        await seal(log)
    await written(again, folder)
    if damaged:
        (folder / f"{newest}.db.zst").unlink()
    done = await restored(folder)
    assert event_ids(done.path) == event_ids(again)
    async with EventLog.open(url(done.path)) as log:
        found = await audit(log, ())
    assert (found.findings, found.checkpoints) == ((), 1)


async def test_an_instant_between_two_backups_without_segments_is_not_known(log_file: Path, folder: Path) -> None:
    """What was recorded by then is in the later one, and cannot be told apart there. What is given up is not missed."""
    async with EventLog.open(url(log_file)) as log:
        await grow(log, 10)
        older = await backed_up(log_file, folder)
        await grow(log, 5)
        instant = [one.recorded_at async for one in log.read()][-1]
        await grow(log, 5)
    newer = await backed_up(log_file, folder)
    done = await restored(folder, Point(instant=instant))
    assert (done.head, done.backup.name) == (10, older)
    assert done.problems == [f"positions 11 to 20 are in no segment, only in {newer}"]
    again = (await restored(folder, Point(10))).path
    await written(again, folder)
    done = await restored(folder, Point(instant=instant))
    assert (done.head, done.problems) == (10, [])


async def test_numbers_go_on_although_all_segments_were_deleted(log_file: Path, folder: Path) -> None:
    """The backup knows the last one: those that come later are younger than it."""
    await grown_and_backed_up(log_file, folder)
    for path in segment_files(folder):
        path.unlink()
    await grown(log_file, folder, 5)
    assert [path.name.split("-")[1] for path in segment_files(folder)] == ["0000000004"]
    assert event_ids((await restored(folder)).path) == event_ids(log_file)
