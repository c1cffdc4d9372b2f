"""``byjy migrate`` that is told to end: it does, and the database is as it was, or it was too late and says so."""

from __future__ import annotations

import asyncio
import fcntl
import signal
import subprocess
import threading
from pathlib import Path

import pytest

from byjy_events.database import is_sqlite, parse_url
from byjy_events.schema import SCHEMA_REVISION
from byjy_ops import migration
from byjy_ops.migration import Wanted
from tests.cli import SECONDS, command, environment
from tests.revised import EXTRA, backups, inventory, left, path_of, rows, with_revision

REHEARSED, DONE = 1, 3
"""The times that a revision is applied on SQLite: to a copy, to a fresh database, to the database. Else it is once."""


def waiting(folder: Path, time: int) -> str:
    """The statements of a revision that waits to be allowed to go on, the n-th time that it is applied."""
    return "\n".join(
        (
            "import time",
            f"folder = Path({str(folder)!r})",
            "(folder / str(len(list(folder.iterdir())) + 1)).touch()",
            "op.create_table('half', sa.Column('id', sa.Integer))",
            f"while (folder / '{time}').exists() and not (folder / 'go').exists(): time.sleep(0.005)",
        )
    )


@pytest.mark.parametrize("time", [REHEARSED, DONE])
async def test_ctrl_c_ends_a_migration_before_the_commit(
    older: str, time: int, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """During the rehearsal or the migration itself: nothing is changed, then or later, and no backup is left."""
    folder, sqlite = tmp_path_factory.mktemp("reached"), is_sqlite(parse_url(older))
    wanted = Wanted(EXTRA, rehearse=not sqlite and time == REHEARSED)
    time = time if sqlite else 1
    with_revision(tmp_path, monkeypatch, waiting(folder, time))
    before, content = await asyncio.to_thread(inventory, older), await asyncio.to_thread(rows, older)
    migrating = asyncio.ensure_future(migration.migrate(older, wanted))
    while not (folder / str(time)).exists():
        assert not migrating.done(), migrating.exception()
        await asyncio.sleep(0.005)
    migrating.cancel()
    await asyncio.sleep(0.01)
    assert not migrating.done()  # else it would go on behind the back of whoever ended it
    (folder / "go").touch()
    with pytest.raises(asyncio.CancelledError):
        await migrating
    assert await asyncio.to_thread(inventory, older) == before
    assert await asyncio.to_thread(rows, older) == content
    if sqlite:
        assert (backups(older), left(older)) == ([], set())
    await migration.migrate(older, Wanted(EXTRA))  # nothing stands in the way of the next attempt


async def test_who_ends_a_migration_too_late_is_told_that_it_is_done() -> None:
    """After the commit there is nothing to end."""
    go, migrating = await ended_once()
    go.set()
    assert await migrating == "done"


async def test_who_presses_ctrl_c_twice_does_not_wait() -> None:
    """For an engine that hangs in the middle of a write, for example. Nothing is half done: it is as good as a kill."""
    go, migrating = await ended_once()
    migrating.cancel()
    with pytest.raises(asyncio.CancelledError):
        await migrating
    go.set()


async def ended_once() -> tuple[threading.Event, asyncio.Future[str]]:
    """What is done meanwhile, and goes on when it is told to."""
    begun, go = threading.Event(), threading.Event()

    def committed(going_on: migration.GoingOn) -> str:
        going_on()
        begun.set()
        go.wait(SECONDS)
        return "done"

    migrating = asyncio.ensure_future(migration._in_thread(committed))
    await asyncio.to_thread(begun.wait, SECONDS)
    migrating.cancel()
    await asyncio.sleep(0)
    assert not migrating.done()
    return go, migrating


def test_a_migration_does_not_end_because_nobody_reads_what_it_says(older_file: str) -> None:
    """As with ``byjy migrate | head -1``."""
    process = subprocess.Popen(
        command("--database", older_file, "migrate"), env=environment(None), stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    process.stdout.close()
    assert process.wait(SECONDS) == 0
    assert inventory(older_file).revision == SCHEMA_REVISION


def test_ctrl_c_ends_the_waiting_for_another_process(older_file: str) -> None:
    """Which is told. The exit status is that of Ctrl-C."""
    before = inventory(older_file)
    with Path(f"{path_of(older_file)}.migrating").open("wb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        process = subprocess.Popen(
            command("--database", older_file, "migrate"), env=environment(None), stderr=subprocess.PIPE, text=True
        )
        assert process.stderr is not None
        assert process.stderr.readline() == "byjy: another process migrates this database: waiting for it\n"
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=SECONDS)
        assert process.returncode == 130
        assert "the database is as it was" in said
    assert (inventory(older_file), backups(older_file)) == (before, [])
