"""When SQLite runs out of room during a replay: clear words, nothing changed or marked, nothing left behind."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from msgspec.structs import replace

from byjy_events import EventLog, LogUnavailable
from projections import (
    TRADING,
    GroupState,
    GroupStatus,
    TemporarySpaceShort,
    catch_up,
    projections_as_of,
    rebuild,
    rebuilding,
    space,
    sqlite_scratch,
    verify,
)
from projections.tables import orders
from tests.leftovers import left_behind
from tests.replay import assert_rows_are_the_log, checkpoint, stored
from tests.story import place, tell_lives
from tests.tampering import tamper, wipe

pytestmark = pytest.mark.parametrize("backend", ["sqlite"])
PRAGMAS = sqlite_scratch.PRAGMAS


@pytest.fixture(autouse=True)
def nothing_is_left_behind(tmp_path: Path) -> Iterator[None]:
    """No file and no thread."""
    yield
    assert left_behind(tmp_path) == []


def limit(monkeypatch: pytest.MonkeyPatch, schema: str, pages: int) -> None:
    """The file of a schema may not grow beyond so many pages, as on a disk that is full then."""
    monkeypatch.setattr(sqlite_scratch, "PRAGMAS", (*PRAGMAS, f"{schema}.max_page_count = {pages}"))


def plain(status: GroupStatus) -> GroupStatus:
    return replace(status, generation=0, updated_at=0)


async def test_temporary_space_that_is_full_leaves_everything_as_it_was(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However far it suffices: rebuild, verify and the past say so, and all works once there is room."""
    async with EventLog.open(database) as log:
        await tell_lives(log, seed=31, orders=300)
        await catch_up(log, TRADING)
        await tamper(database, "orders", "DIFFERENT")
        before, rows = await checkpoint(log), await stored(log)
        refused = 0
        for pages in (10, 25, 35, 45, 55, 65, 100, 200):
            limit(monkeypatch, "temp", pages)
            try:
                await verify(log, TRADING)
            except LogUnavailable as error:
                assert "full" in str(error)  # noqa: PT017
                refused += 1
            else:
                break
            with pytest.raises(LogUnavailable, match="full"):
                await rebuild(log, TRADING)
            assert plain(await checkpoint(log)) == plain(before)
            assert await stored(log) == rows
        assert refused > 2
        limit(monkeypatch, "temp", 30)
        async with projections_as_of(log, await log.head()) as past:
            for _ in range(2):
                with pytest.raises(LogUnavailable, match="full"):
                    await past.fetch(sa.select(orders.c.id))
            monkeypatch.setattr(sqlite_scratch, "PRAGMAS", PRAGMAS)
            assert len(await past.fetch(sa.select(orders.c.id))) == 300
        assert (await rebuild(log, TRADING)).differences == 1
        assert await assert_rows_are_the_log(log) == await log.head()


@pytest.mark.parametrize("at_once", [100_000, 0])
async def test_a_disk_that_is_full_during_the_merge_is_finished_later(
    database: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, at_once: int
) -> None:
    """In one transaction nothing was changed; in slices the mark stands. With room again the next start finishes it."""
    monkeypatch.setattr(rebuilding, "AT_ONCE_ROWS", at_once)
    monkeypatch.setattr(rebuilding, "FIRST_SLICE_ROWS", 5)
    monkeypatch.setattr("projections.beginning.PATIENCE_SECONDS", 0.05)
    async with EventLog.open(database) as log:
        await tell_lives(log, seed=32, orders=200)
        await catch_up(log, TRADING)
        await wipe(database)
    vandal = sqlite3.connect(tmp_path / "log.db")
    vandal.execute("VACUUM")
    (pages,) = vandal.execute("PRAGMA page_count").fetchone()
    vandal.close()
    async with EventLog.open(database) as log:
        limit(monkeypatch, "main", pages + 3)
        with pytest.raises(LogUnavailable, match="full"):
            await rebuild(log, TRADING)
        left = await checkpoint(log)
        if at_once:
            assert left.status is GroupState.RUNNING
            assert not any((await stored(log)).values())
        else:
            assert left.status is GroupState.REBUILDING
        await place(log)
        monkeypatch.setattr(sqlite_scratch, "PRAGMAS", PRAGMAS)
        if at_once:
            await rebuild(log, TRADING)
        assert await catch_up(log, TRADING) == await log.head()
        assert (await checkpoint(log)).status is GroupState.RUNNING
        await assert_rows_are_the_log(log)


async def test_clearly_too_little_room_is_refused_before_anything_begins(
    database: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The error names the folder and the bytes; one order's past takes no room to speak of, and is not refused."""
    monkeypatch.setattr(space, "LEAST_SHARE", 1e12)
    monkeypatch.setenv("SQLITE_TMPDIR", str(tmp_path))
    async with EventLog.open(database) as log:
        await tell_lives(log, seed=33, orders=3)
        await catch_up(log, TRADING)
        before = await checkpoint(log)
        for attempt in (rebuild, verify):
            with pytest.raises(TemporarySpaceShort) as caught:
                await attempt(log, TRADING)
            assert caught.value.folder == tmp_path
            assert 0 < caught.value.free_bytes < caught.value.wanted_bytes
        assert await checkpoint(log) == before
        async with projections_as_of(log, await log.head()) as past:
            assert len(await past.fetch(sa.select(orders.c.id))) == 3


def test_the_folder_is_the_one_that_sqlite_takes(backend: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The first that is named and can be written."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setenv("SQLITE_TMPDIR", str(tmp_path / "missing"))
    assert space.temporary_folder() == tmp_path
    monkeypatch.setenv("SQLITE_TMPDIR", "/")
    assert space.temporary_folder() in (Path("/"), tmp_path)
