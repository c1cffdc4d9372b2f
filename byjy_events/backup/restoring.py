"""Putting a backup in the place of a database, or where there is none.

It is decompressed beside the target, verified there and made durable, and only then renamed. A database that is there
gets a second name before, and keeps it. The order of things makes that safe at every point:

1. the WAL of the old database is emptied into it, so that its file alone is the whole of it;
2. the file gets a second name, ``trading.db.before-…``;
3. ``-wal`` and ``-shm`` move along: a WAL beside a file it does not belong to would be played into it;
4. the new file takes the name, atomically.

A WAL that cannot be emptied belongs to a database that is damaged, or that somebody still reads under ``force``: it
moves along as it is, and between the last two steps the old database is whole under its second name only.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import portalocker
from portalocker import LockFlags

from byjy_events.backup.backups import in_thread, looked_at
from byjy_events.backup.checking import TablesCheck
from byjy_events.backup.errors import BackupDamaged, FolderUnusable, SpaceShort, TargetExists, TargetInUse
from byjy_events.backup.folder import Backup, BackupFolder
from byjy_events.backup.manifest import PART, name_of
from byjy_events.backup.snapshot import in_turn, source
from byjy_events.private_file import sync_folder

COMPANIONS = ("-wal", "-shm")
KEPT = ".before-"
IN_USE = "another process has it open"


class Restored(NamedTuple):
    """What was restored.

    Attributes:
        kept: where the database lies that was there before; None: there was none.
        notes: what could not be looked at, and why.
    """

    backup: Backup
    path: Path
    kept: Path | None
    seconds: float
    notes: list[str]


async def restore(
    folder: str | os.PathLike[str],
    name: str,
    to: str | os.PathLike[str],
    *,
    replace: bool = False,
    force: bool = False,
    thorough: bool = False,
    tables: TablesCheck | None = None,
) -> Restored:
    """Restore a backup to a file of mode 0600. Nothing is ever deleted but what this wrote itself.

    Until the very end the target is what it was; killed at any point, it is the old database or the new one.

    Args:
        folder: of the backups; nothing is written there.
        name: of a backup, or ``latest``.
        replace: whether a database that is there may be replaced. It is kept beside.
        force: even though a process has it open. That process goes on with the old one. It has to end before anybody
            opens the new one: when it closes its WAL, it deletes the one of that name.
        thorough, tables: as for :meth:`Backups.verify`.

    Raises:
        NoSuchBackup, FolderUnusable: there is nothing to restore.
        TargetExists, TargetInUse, SpaceShort: nothing was done.
        BackupDamaged: what was restored is not what was backed up; it was thrown away.
    """
    began = time.monotonic()
    backup = BackupFolder(folder).backup(name)
    plain = backup.known().plain.size
    target = _resolved(to)
    try:
        await in_thread(lambda _: _refuse(target, replace=replace, force=force))
        free = shutil.disk_usage(target.parent).free
        if free < plain:
            raise SpaceShort(target.parent, plain, free)
        with _part(target) as part:
            problems, notes = await looked_at(backup, part, thorough=thorough, tables=tables)
            if problems:
                raise BackupDamaged(backup.name, problems)
            kept = await in_thread(lambda _: _put(part, target, replace=replace, force=force))
    except OSError as error:
        raise FolderUnusable(target.parent, error.strerror or str(error)) from error
    return Restored(backup, target, kept, time.monotonic() - began, notes)


def _resolved(path: str | os.PathLike[str]) -> Path:
    """With links resolved, as whoever opens the database does it: a link stays a link to the file that is replaced."""
    return Path(os.path.realpath(path))


@contextlib.contextmanager
def _part(target: Path) -> Iterator[Path]:
    """The file to restore into, for one process at a time; what a killed one left there is overwritten."""
    part = target.with_name(target.name + PART)
    file = os.open(part, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            portalocker.lock(file, LockFlags.EXCLUSIVE | LockFlags.NON_BLOCKING)
        except portalocker.LockException:
            raise TargetInUse(target, "another process is restoring it") from None
        _remove_companions(part)
        try:
            yield part
        finally:
            part.unlink(missing_ok=True)
            _remove_companions(part)
    finally:
        os.close(file)


def _put(part: Path, target: Path, *, replace: bool, force: bool) -> Path | None:
    _remove_companions(part)  # of whoever looked at it; nothing was written
    file = os.open(part, os.O_RDWR)
    try:
        os.fchmod(file, 0o600)
        os.fsync(file)
    finally:
        os.close(file)
    _refuse(target, replace=replace, force=force)  # again: it took a while
    with in_turn(target):
        kept = _kept(target)
        part.replace(target)
        sync_folder(target.parent)
    return kept


def _refuse(target: Path, *, replace: bool, force: bool) -> None:
    if not target.exists():
        return
    if not replace:
        raise TargetExists(target)
    if _is_open_elsewhere(target) and not force:
        raise TargetInUse(target, IN_USE)


def _is_open_elsewhere(database: Path) -> bool:
    """Whoever closes a database last empties its WAL and deletes it. If it is still there, somebody else has it open.

    A file that is no database cannot be open as one.
    """
    try:
        with source(database) as connection:
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
            (mode,) = connection.execute("PRAGMA journal_mode").fetchone()
    except sqlite3.DatabaseError as error:
        return "locked" in str(error)
    return mode == "wal" and database.with_name(database.name + "-wal").exists()


def _kept(target: Path) -> Path | None:
    """Give the database that is there a second name, with its WAL."""
    if target.exists():
        _empty_wal(target)
    stem = f"{target.name}{KEPT}{name_of(time.time_ns())}"
    kept = target.with_name(stem) if target.exists() else None
    if kept is not None:
        os.link(target, kept)
        sync_folder(target.parent)
    for suffix in COMPANIONS:
        with contextlib.suppress(FileNotFoundError):
            target.with_name(target.name + suffix).rename(target.with_name(stem + suffix))
    sync_folder(target.parent)
    return kept


def _empty_wal(database: Path) -> None:
    with contextlib.suppress(sqlite3.Error), contextlib.closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA busy_timeout = 1000")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _remove_companions(path: Path) -> None:
    for suffix in COMPANIONS:
        path.with_name(path.name + suffix).unlink(missing_ok=True)
