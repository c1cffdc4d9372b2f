"""A process that migrates is killed at any moment: the database is as it was or migrated, and every backup is whole."""

from __future__ import annotations

import asyncio
import multiprocessing
import multiprocessing.connection
import shutil
import time
from pathlib import Path

from byjy_events import migrating
from byjy_events.schema import SCHEMA_REVISION
from byjy_events.sqlite.kept_copy import verify_file
from byjy_ops.migration import Wanted, migrate
from tests.revised import fill, inventory, rows

KILLS = 5
FOUND = "0001"

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["__main__", __name__])


def test_a_migration_that_is_killed_leaves_nothing_half_done(tmp_path: Path) -> None:
    """At moments spread over the whole of it."""
    asyncio.run(migrating.upgrade(f"sqlite:///{tmp_path / 'made.db'}", FOUND))
    fill(f"sqlite:///{tmp_path / 'made.db'}")
    folder = tmp_path / "one"
    url = f"sqlite:///{folder / 'log.db'}"
    before, content = inventory(f"sqlite:///{tmp_path / 'made.db'}"), rows(f"sqlite:///{tmp_path / 'made.db'}")
    seconds, reached = 0.0, set()
    for number in range(KILLS + 1):
        folder.mkdir()
        shutil.copyfile(tmp_path / "made.db", folder / "log.db")
        took = migrated(url, None if number == 0 else seconds * number / KILLS)
        seconds = seconds or took  # the first one was not killed
        after = inventory(url)
        reached.add(after.revision)
        if after.revision == FOUND:
            assert (after, rows(url)) == (before, content)
        else:
            assert {name: after.tables[name].rows for name in before.tables} == dict.fromkeys(before.tables, 1)
        for backup in folder.glob("log.db.before-*"):
            found = verify_file(backup, unchanging=True)
            assert (found.revision, found.head, found.rows) == (FOUND, before.head, before.rows)
        shutil.rmtree(folder)
    assert reached == {FOUND, SCHEMA_REVISION}


def migrated(url: str, kill_after_seconds: float | None) -> float:
    """Seconds that it took."""
    here, there = _context.Pipe(duplex=False)
    process = _context.Process(target=_main, args=(url, there), daemon=True)
    process.start()
    there.close()
    here.recv()  # it begins
    began = time.monotonic()
    process.join(kill_after_seconds)
    process.kill()
    process.join()
    took = time.monotonic() - began
    process.close()
    here.close()
    return took


def _main(url: str, told: multiprocessing.connection.Connection) -> None:
    told.send(None)
    asyncio.run(migrate(url, Wanted()))
