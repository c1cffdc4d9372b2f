"""Segments that are missing, torn, altered, in another's place or of another log: each is named, and restored is what
was before. Chains are the same for both databases, so these are of SQLite.
"""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import structlog

from byjy_events import EventLog
from byjy_events.backup import BackupDamaged, Backups, Point, Scheduler, Segments, restore
from byjy_events.backup.folder_target import FolderTarget
from byjy_events.backup.segment import Damaged, segments_of
from byjy_events.backup.segment_folder import listed, put_together
from byjy_events.backup.segment_report import checked, reach
from byjy_events.backup.threads import in_thread
from tests.backups import DAY, HOUR, Clock, change, event_ids, new_log, told, url
from tests.sealed import grow

COUNT = 6
PER_SEGMENT = 3


@pytest.fixture(scope="module")
def template(migrated_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database, a backup of it, six segments behind that of three events each; and the same of another log."""
    folder = tmp_path_factory.mktemp("segments")

    async def fill(path: Path, backups: Path) -> None:
        await told(new_log(migrated_file, path))
        await Backups(backups).create(url(path))
        async with EventLog.open(url(path)) as log:
            segments = Segments(log, backups)
            for _ in range(COUNT):
                await grow(log, PER_SEGMENT)
                assert await segments.turn() == 1

    asyncio.run(fill(folder / "log.db", folder / "backups"))
    asyncio.run(fill(folder / "other.db", folder / "others"))
    return folder


@pytest.fixture
def place(template: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return shutil.copytree(template, tmp_path / "place")


def files(place: Path, folder: str = "backups") -> list[Path]:
    return sorted((place / folder).glob("segments-*.seg"))


def base(place: Path) -> int:
    """The position that the backup ends with."""
    return Backups(place / "backups").list()[0].known().facts.head


def missing(place: Path) -> None:
    files(place)[3].unlink()


def empty(place: Path) -> None:
    files(place)[3].write_bytes(b"")


def torn(place: Path) -> None:
    path = files(place)[3]
    path.write_bytes(path.read_bytes()[:-7])


def torn_in_its_head(place: Path) -> None:
    path = files(place)[3]
    path.write_bytes(path.read_bytes()[:20])


def flipped(place: Path) -> None:
    path = files(place)[3]
    data = bytearray(path.read_bytes())
    data[-20] ^= 1
    path.write_bytes(data)


def longer(place: Path) -> None:
    path = files(place)[3]
    path.write_bytes(path.read_bytes() + b"\0")


def something_else(place: Path) -> None:
    files(place)[3].write_bytes(b"what is no segment" * 10)


def reordered(place: Path) -> None:
    one, two = files(place)[3:5]
    first, second = one.read_bytes(), two.read_bytes()
    one.write_bytes(second)
    two.write_bytes(first)


def foreign(place: Path) -> None:
    files(place)[3].unlink()
    other = files(place, "others")[3]
    shutil.copyfile(other, place / "backups" / other.name)


DAMAGES: dict[Callable[[Path], None], str] = {
    missing: "segment 4: missing",
    empty: "segment 4: empty",
    torn: "segment 4: torn",
    torn_in_its_head: "segment 4: torn",
    flipped: "segment 4: altered",
    something_else: "segment 4: no segment",
    reordered: "segment 4: it is segment 5",
    foreign: "segment 4: it is of another log",
}


@pytest.mark.parametrize(("damage", "name"), DAMAGES.items(), ids=[damage.__name__ for damage in DAMAGES])
async def test_what_is_before_a_damaged_segment_is_restored(
    place: Path, damage: Callable[[Path], None], name: str
) -> None:
    """It is named, by restoring and by looking; a point before it is reached as if nothing were."""
    damage(place)
    whole = base(place) + 3 * PER_SEGMENT
    done = await restore(place / "backups", "latest", place / "new.db")
    assert done.head == whole
    assert done.problems[0].startswith(name)
    assert event_ids(done.path) == event_ids(place / "log.db")[:whole]
    found = await in_thread(lambda stop: checked(Backups(place / "backups").folder, 0, stop))
    assert found is not None
    assert any(one.startswith(name) for one in found.problems)
    earlier = await restore(place / "backups", "latest", place / "earlier.db", to=Point(whole))
    assert (earlier.head, earlier.problems) == (whole, [])
    beyond = await restore(place / "backups", "latest", place / "beyond.db", to=Point(whole + 1))
    assert (beyond.head, bool(beyond.problems)) == (whole, True)


async def test_what_is_whole_is_restored_although_more_is_in_its_file(place: Path) -> None:
    """It is told by looking."""
    longer(place)
    done = await restore(place / "backups", "latest", place / "new.db")
    assert (event_ids(done.path), done.problems) == (event_ids(place / "log.db"), [])
    found = await in_thread(lambda stop: checked(Backups(place / "backups").folder, 0, stop))
    assert found is not None
    assert [one.split(" (")[0] for one in found.problems] == ["segment 4: more than it should hold"]


async def test_a_writer_makes_up_for_what_is_damaged(place: Path) -> None:
    """It goes on from the last whole one; looking still tells what is damaged, restoring needs it no longer."""
    flipped(place)
    files(place)[5].unlink()
    async with EventLog.open(url(place / "log.db")) as log:
        await Segments(log, place / "backups").turn()
        assert await Segments(log, place / "backups").turn() == 0
        last = await grow(log, 1)
        assert await Segments(log, place / "backups").turn() == 1
    done = await restore(place / "backups", "latest", place / "new.db")
    assert (done.head, done.problems) == (last, [])
    assert event_ids(done.path) == event_ids(place / "log.db")


async def test_what_was_damaged_before_a_backup_does_not_matter_to_it(place: Path) -> None:
    """The segments behind it go on from one that cannot be read: what was in that is in the backup."""
    log_file, folder, whole = place / "log.db", place / "backups", base(place) + COUNT * PER_SEGMENT
    async with EventLog.open(url(log_file)) as log:
        segments = Segments(log, folder)
        await grow(log, 1)
        await segments.turn()
        newest = files(place)[-1]
        newest.write_bytes(newest.read_bytes()[:-7])
        made = await Backups(folder).create(url(log_file))
        done = await restore(folder, "latest", place / "alone.db")
        assert (event_ids(done.path), done.problems) == (event_ids(log_file), [])
        for _ in range(2):
            await grow(log, PER_SEGMENT)
            await segments.turn()
    done = await restore(folder, "latest", place / "new.db")
    assert (event_ids(done.path), done.backup.name, done.problems) == (event_ids(log_file), made.name, [])
    made.path.unlink()
    done = await restore(folder, "latest", place / "older.db")
    assert done.head == whole
    assert [one.split(" (")[0].partition(": ")[2] for one in done.problems] == [
        "its data is missing",
        "torn: it ends too early",
        "it does not follow upon any that counts",
    ]


async def test_a_name_proves_nothing(place: Path) -> None:
    """A file that should hold what others hold, and does not, neither hides them nor are they deleted for it."""
    good = files(place)
    (place / "backups" / "segments-0000000001-0000000009-0-31.seg").write_bytes(b"nothing")
    done = await restore(place / "backups", "latest", place / "new.db", to=Point(base(place) + COUNT * PER_SEGMENT))
    assert (event_ids(done.path), done.problems) == (event_ids(place / "log.db"), [])
    async with EventLog.open(url(place / "log.db")) as log:
        await grow(log, 1)
        await Segments(log, place / "backups").turn()
    assert set(good) < set(files(place))
    done = await restore(place / "backups", "latest", place / "newer.db")
    assert (event_ids(done.path), done.problems) == (event_ids(place / "log.db"), [])
    found = await in_thread(lambda stop: checked(Backups(place / "backups").folder, 0, stop))
    assert found is not None
    assert [one.split(" (")[0] for one in found.problems] == ["segments 7 to 9: torn: it ends too early"]


class Meanwhile(FolderTarget):
    """A folder whose segments are put together by their writer after some of them were read."""

    def __init__(self, path: Path, after: int) -> None:
        super().__init__(path)
        self._left = after

    def read(self, name: str) -> bytes:
        self._left -= name.endswith(".seg")
        if self._left == -1:
            put_together(FolderTarget(self.where), listed(self))
        return super().read(name)


@pytest.mark.parametrize("after", [0, COUNT + 1])
async def test_segments_may_be_put_together_while_they_are_read(place: Path, after: int) -> None:
    """By restoring and by looking: nothing is missing, and nothing is told."""
    kept = shutil.copytree(place / "backups", place / "kept")
    done = await restore(Meanwhile(place / "backups", after), "latest", place / "new.db")
    assert (event_ids(done.path), done.problems, done.notes) == (event_ids(place / "log.db"), [], [])
    folder = Backups(Meanwhile(kept, after)).folder
    found = await in_thread(lambda stop: checked(folder, 0, stop))
    assert found is not None
    assert (found.problems, [len(files(place, one)) for one in ("backups", "kept")]) == ([], [1, 1])


def test_a_body_that_is_too_long_is_not_decompressed(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However few bytes it is compressed to."""
    (one,), _ = segments_of(files(place)[0].read_bytes())
    assert one.body().events
    monkeypatch.setattr("byjy_events.backup.segment.LONGEST_BYTES", 100)
    with pytest.raises(Damaged, match="too long"):
        one.body()


async def test_the_backup_before_takes_the_place_of_a_damaged_one(place: Path) -> None:
    """The segments since lead from it to the same events; it is told all the same."""
    backups = Backups(place / "backups")
    made = await backups.create(url(place / "log.db"))
    made.path.write_bytes(made.path.read_bytes()[:-100])
    done = await restore(place / "backups", "latest", place / "new.db")
    assert event_ids(done.path) == event_ids(place / "log.db")
    assert done.backup.name != made.name
    assert [made.name in one for one in done.problems] == [True]
    with pytest.raises(BackupDamaged):
        await restore(place / "backups", made.name, place / "named.db")


async def test_a_scheduler_tells_once_a_day_what_is_damaged(place: Path) -> None:
    """And goes on."""
    torn(place)
    with structlog.testing.capture_logs() as logged:
        clock = Clock()
        clock.now = time.time_ns() + DAY
        assert await Scheduler(url(place / "log.db"), place / "backups", clock=clock).turn() is not None
        clock.now += HOUR
        assert await Scheduler(url(place / "log.db"), place / "backups", clock=clock).turn() is not None
    (told_of,) = [one["problems"] for one in logged if one["event"] == "segments_damaged"]
    assert told_of[0].startswith("segment 4: torn")


async def test_an_event_that_was_altered_is_not_written_down(place: Path) -> None:
    """And nothing behind it: what is kept is what was appended."""
    async with EventLog.open(url(place / "log.db")) as log:
        await grow(log, 1)
    change(place / "log.db", "UPDATE events SET actor = 'nobody' WHERE position = (SELECT max(position) FROM events)")
    async with EventLog.open(url(place / "log.db")) as log:
        with pytest.raises(Exception, match="altered"):
            await Segments(log, place / "backups").turn()
    assert len(files(place)) == COUNT


async def test_names_tell_how_far_segments_reach(place: Path) -> None:
    """What lies between two of them is missing; the newest one says when it was written."""
    found = await in_thread(lambda _: reach(Backups(place / "backups").folder))
    assert found is not None
    assert found.last is not None
    assert (found.last.upto, found.problems) == (base(place) + COUNT * PER_SEGMENT, [])
    missing(place)
    torn(place)
    files(place)[-1].write_bytes(b"")
    found = await in_thread(lambda _: reach(Backups(place / "backups").folder))
    assert found is not None
    assert (found.last, [one.split(" (")[0] for one in found.problems]) == (
        None,
        ["segment 4: missing", "segment 6: empty"],
    )
