"""A disk that is lost takes seconds along, not an hour; and a writer may be killed at whatever it does."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

import asyncpg
import pytest

from byjy_events import EventLog
from byjy_events.backup import Backups, Segments, restore, restore_database
from byjy_events.backup import segment_folder as folders
from byjy_events.backup.segment_report import checked, reach
from byjy_events.backup.threads import in_thread
from byjy_events.database import is_sqlite, parse_url, sqlite_path
from byjy_events.secret import Secret
from tests.backup_child import images, killed, points
from tests.backups import event_ids, new_log, told, url
from tests.sealed import grow
from tests.sealing import open_vault, user
from tests.segment_child import CHUNK_EVENTS, LOOSE_FILES, engine, writing

SECRET = "a secret that nobody can mistake for anything else"
PATIENCE_SECONDS = 60
GO_ON_EVERY = 4
"""Behind so many kills the next writer begins."""


async def lost(database: str) -> None:
    """The disk is gone with all that is on it."""
    if is_sqlite(parse_url(database)):
        for path in sqlite_path(parse_url(database)).parent.glob("log.db*"):
            path.unlink()
        return
    connection = await asyncpg.connect(database)
    await connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    await connection.close()


async def covered(folder: Path, position: int) -> None:
    """Wait until a segment goes as far."""
    backups = Backups(folder)
    until = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < until:
        found = await in_thread(lambda _: reach(backups.folder))
        if found is not None and found.last is not None and found.last.upto >= position:
            return
        await asyncio.sleep(0.01)
    pytest.fail(f"no segment goes up to {position}")


async def test_a_secret_that_was_added_just_before_the_loss_is_revealed(
    database: str, empty_database: str, tmp_path: Path
) -> None:
    """The engine is killed and its database lost; what is restored holds every event up to the newest segment."""
    folder = tmp_path / "backups"
    await told(database)
    await Backups(folder).create(database)
    with engine(database, folder, user(1), SECRET) as sealed:
        await covered(folder, sealed.position)
    await lost(database)
    if is_sqlite(parse_url(empty_database)):
        done = await restore(folder, "latest", sqlite_path(parse_url(empty_database)))
    else:
        done = (await restore_database(folder, "latest", empty_database)).file
    assert done.head >= sealed.position
    assert done.problems == []
    async with open_vault(empty_database) as vault, EventLog.open(empty_database) as log:
        assert await vault.reveal(user(1), "secret", sealed.value) == Secret(SECRET)
        assert await log.head() == done.head


def test_a_writer_is_killed_at_everything_it_does_to_files(migrated_file: Path, tmp_path: Path) -> None:
    """What a kill leaves is a chain without a fault; the next writer goes on from there until all is in it."""
    place = tmp_path / "place"

    async def fill() -> None:
        place.mkdir()
        await told(new_log(migrated_file, place / "log.db"))
        await Backups(place / "backups").create(url(place / "log.db"))
        async with EventLog.open(url(place / "log.db")) as log:
            for _ in range(LOOSE_FILES - 1):
                await grow(log, 1)
                await Segments(log, place / "backups").turn()
            await grow(log, CHUNK_EVENTS + 1)

    asyncio.run(fill())
    expected = event_ids(place / "log.db")
    trial = shutil.copytree(place, tmp_path / "trial")
    done = points(writing(url(trial / "log.db"), trial / "backups"), trial / "backups")
    assert [what.split()[0] for what in done if "segments-" in what].count("os.rename") == 3
    trial = shutil.copytree(place, tmp_path / "again")
    everything = range(1, len(done) + 1)
    images(writing(url(trial / "log.db"), trial / "backups"), trial / "backups", everything, tmp_path / "images")
    for point in everything:
        folder = tmp_path / "images" / str(point)
        asyncio.run(_is_whole(folder, expected, tmp_path / "new.db"))
        if point % GO_ON_EVERY == 0:
            asyncio.run(_goes_on(place, folder, expected, tmp_path / "new.db"))
    assert killed(writing(url(place / "log.db"), place / "backups"), place / "backups", len(done) // 2)
    asyncio.run(_goes_on(place, place / "backups", expected, tmp_path / "new.db"))


async def _is_whole(folder: Path, expected: Sequence[object], new: Path) -> None:
    before = await restore(folder, "latest", new, replace=True)
    assert before.problems == []
    assert event_ids(new) == list(expected[: before.head])
    for path in new.parent.glob("new.db.before-*"):
        path.unlink()


async def _goes_on(place: Path, folder: Path, expected: Sequence[object], new: Path) -> None:
    async with EventLog.open(url(place / "log.db"), read_only=True) as log:
        await Segments(log, folder).turn()
    after = await restore(folder, "latest", new, replace=True)
    assert (event_ids(new), after.problems) == (expected, [])
    found = await in_thread(lambda stop: checked(Backups(folder).folder, 0, stop))
    assert found is not None
    assert found.problems == []
    listed = folders.listed(Backups(folder).folder.target)
    assert (listed.parts, [one for one in listed.files if one.covered]) == ([], [])
    for path in new.parent.glob("new.db.before-*"):
        path.unlink()
