"""Trying a migration of a SQLite file on a copy with the real rows, before it is done.

The copy and a fresh database, which shows what the schema has to look like, lie in a folder of their own that is
removed in the end. A killed process leaves it behind, and the next one removes it: one process at a time is at it.
"""

from __future__ import annotations

import contextlib
import glob
import hashlib
import os
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import portalocker
import sqlalchemy as sa
from portalocker import LockFlags

from byjy_events import migrating
from byjy_events.errors import ByjyError
from byjy_events.inventory import Inventory, Part, taken
from byjy_events.moving import Moved, is_up, move, told
from byjy_events.sqlite.kept_copy import copy, verify_file

WAIT_SECONDS = 0.1
"""Between two looks whether another process has ended."""

GROWTH = 2
"""A migration that makes tables anew needs so many times the file: the tables twice, and the WAL that tells of it."""


class SchemaIncomplete(ByjyError):
    """After the migration the database would lack what its schema has. It was tried on a copy only.

    Attributes:
        to: the revision that was to be reached.
        missing: what would be lacking, and is there now or new.
    """

    def __init__(self, to: str, missing: list[Part]) -> None:
        self.to = to
        self.missing = tuple(missing)
        super().__init__(f"after the migration to {to} these would be missing: {'; '.join(map(str, missing))}")


class Rehearsal(NamedTuple):
    """What a migration would do.

    Attributes:
        seconds: how long it took on the copy, counting included.
        lacking: what the database lacks already, before and after.
    """

    moved: Moved
    seconds: float
    lacking: tuple[Part, ...]


def needed_bytes(size: int, folder: Path, scratch: Path, *, backup: bool, migrates: bool = True) -> dict[Path, int]:
    """How much room a migration wants at the most, by folder: for the backup, the copy, and what the work adds.

    Args:
        size: of the database, in bytes.
        folder: where it lies.
        scratch: where it is rehearsed.
        migrates: whether it is done as well.
    """
    kept, done, rehearsed = size * backup, size * GROWTH * migrates, size * (1 + GROWTH)
    if folder.stat().st_dev == scratch.stat().st_dev:
        return {scratch: kept + max(done, rehearsed)}
    return {folder: kept + done, scratch: rehearsed}


@contextlib.contextmanager
def one_at_a_time(
    path: Path, scratch: Path | None = None, *, waiting: Callable[[], object] = lambda: None
) -> Iterator[None]:
    """Inside, no other process backs up or rehearses a migration of this file; what killed ones left is removed.

    Waits for the other process. Writers of the database go on.

    Args:
        waiting: called again and again meanwhile; what it raises ends the waiting.
    """
    file = os.open(path.with_name(f"{path.name}.migrating"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        while not _locked(file):
            waiting()
            time.sleep(WAIT_SECONDS)
        _sweep(path, {path.parent, scratch or path.parent})
        yield
    finally:
        os.close(file)


def _locked(file: int) -> bool:
    try:
        portalocker.lock(file, LockFlags.EXCLUSIVE | LockFlags.NON_BLOCKING)
    except portalocker.AlreadyLocked:
        return False
    return True


def _sweep(path: Path, folders: set[Path]) -> None:
    for folder in folders:
        for left in folder.glob(f"{glob.escape(_prefix(path))}*"):
            shutil.rmtree(left)
    for partial in path.parent.glob(f".{glob.escape(path.name)}.before-*.partial*"):
        partial.unlink()


def _prefix(path: Path) -> str:
    """Of one file only: several of one name may be rehearsed in the same folder."""
    which = hashlib.sha256(str(path).encode(errors="surrogateescape")).hexdigest()[:12]
    return f".{path.name}.rehearsal-{which}-"


def rehearse(
    path: Path,
    to: str,
    *,
    owners: Mapping[str, str],
    lose_data: bool = False,
    backup: Path | None = None,
    scratch: Path | None = None,
    going_on: Callable[[], object] = lambda: None,
) -> Rehearsal:
    """Migrate a copy of a SQLite file, and compare it with what it was and with what it has to be. Blocks.

    Args:
        backup: a copy of the file to begin with; else one is taken, while writers go on.
        scratch: where the work is done; else the file's folder.
        owners, lose_data, going_on: see :func:`byjy_events.moving.move`.

    Raises:
        MigrationFailed, BrokenReferences, WouldLoseData, LogChanged: as the migration itself would.
        SchemaIncomplete, CopyUnsound: see there.
    """
    try:
        moved, seconds, lacking, lost = _tried(path, to, owners, backup, scratch or path.parent, going_on)
    except (sa.exc.DBAPIError, sqlite3.Error, OSError) as error:  # such as a full disk
        raise migrating.MigrationFailed(to, migrating.cause_of(error), rehearsal=True) from error
    told(moved.before, moved.after, owners, lose_data=lose_data, parts=lost)
    return Rehearsal(moved, seconds, tuple(sorted(lacking)))


def _tried(
    path: Path,
    to: str,
    owners: Mapping[str, str],
    backup: Path | None,
    folder: Path,
    going_on: Callable[[], object],
) -> tuple[Moved, float, frozenset[Part], frozenset[Part]]:
    with tempfile.TemporaryDirectory(prefix=_prefix(path), dir=folder) as name:
        tried = Path(name) / "copy.db"
        if backup is not None:
            shutil.copyfile(backup, tried)
        else:
            copy(path, tried)
        began = time.monotonic()
        moved = _moved(tried, to, owners, going_on)
        seconds = time.monotonic() - began
        verify_file(tried)
        return moved, seconds, *_compared(moved, Path(name) / "fresh.db")


def _moved(tried: Path, to: str, owners: Mapping[str, str], going_on: Callable[[], object]) -> Moved:
    url = sa.URL.create("sqlite", database=str(tried))
    try:
        return move(url, to, owners=owners, lose_data=True, going_on=going_on)
    except migrating.MigrationFailed as error:
        raise migrating.MigrationFailed(error.revision, error.cause, rehearsal=True) from error


def _compared(moved: Moved, fresh: Path) -> tuple[frozenset[Part], frozenset[Part]]:
    """What the schema lacks before and after, and what of others would be lost.

    Raises:
        SchemaIncomplete: more would be lacking afterwards.
    """
    before, after = moved.before, moved.after
    assert before.revision is not None  # an empty database is not rehearsed
    assert after.revision is not None
    usual = _fresh(fresh, sorted({before.revision, after.revision}))
    kept, ours = {part for part in before.parts if part.table in after.tables}, usual[before.revision].parts
    lacking = ours - before.parts
    # On the way up nothing is taken from a table that stays: a fresh database would not tell, since the revision that
    # forgets a trigger forgets it there as well.
    wanted = usual[after.revision].parts | (kept & ours if is_up(before.revision, after.revision) else frozenset())
    missing = wanted - after.parts - lacking
    if missing:
        raise SchemaIncomplete(after.revision, sorted(missing))
    return lacking, frozenset(kept - ours - after.parts)


def _fresh(path: Path, revisions: list[str]) -> dict[str, Inventory]:
    """What a new database has at each of these revisions, in rising order."""
    url = sa.URL.create("sqlite", database=str(path))

    def reached(connection: sa.Connection, revision: str) -> Inventory:
        migrating.migrate(connection, "upgrade", revision)
        return taken(connection, values=False)

    return {
        revision: migrating.exclusively(url, lambda connection, to=revision: reached(connection, to))  # type: ignore[misc]
        for revision in revisions
    }
