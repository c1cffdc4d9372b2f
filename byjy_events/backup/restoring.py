"""Putting a backup, with the segments behind it, in the place of a database, or where there is none.

It is put together beside the target, verified there and made durable, and only then renamed. A database that is there
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
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import portalocker
from portalocker import LockFlags

from byjy_events.backup.assembly import KEYS, assembled
from byjy_events.backup.checking import TablesCheck
from byjy_events.backup.erasures import Erased, erased_in
from byjy_events.backup.errors import FolderUnusable, SpaceShort, TargetExists, TargetInUse
from byjy_events.backup.folder import Backup, BackupFolder
from byjy_events.backup.manifest import name_of
from byjy_events.backup.point import LATEST_POINT, Point
from byjy_events.backup.snapshot import in_turn, source
from byjy_events.backup.target import PART, FolderLike
from byjy_events.backup.threads import in_thread
from byjy_events.private_file import sync_folder

COMPANIONS = ("-wal", "-shm")
KEPT = ".before-"
IN_USE = "another process has it open"


class Restored(NamedTuple):
    """What was restored.

    Attributes:
        kept: where the database lies that was there before; None: there was none.
        notes: what could not be looked at, and why.
        problems: what is damaged, so that this is less than was asked for or was made of an older backup; empty:
            nothing is.
        head: the position of the last event.
        recorded_at: its time by the clock of the log, nanoseconds UTC; 0: there is none.
        segments: how many were taken over, at least in part.
        erased: data keys that were erased since, and so here as well.
    """

    backup: Backup
    path: Path
    kept: Path | None
    seconds: float
    notes: list[str]
    problems: list[str]
    head: int
    recorded_at: int
    segments: int
    erased: int


async def restore(
    folder: FolderLike,
    name: str,
    into: str | os.PathLike[str],
    *,
    to: Point = LATEST_POINT,
    replace: bool = False,
    force: bool = False,
    thorough: bool = False,
    tables: TablesCheck | None = None,
    erased: Mapping[bytes, int] | None = None,
) -> Restored:
    """Restore a backup and the segments behind it to a file of mode 0600. Nothing is deleted but what this wrote.

    Until the very end the target is what it was; killed at any point, it is the old database or the new one. Data keys
    that any segment, a newer backup or the target itself knows to be erased are erased before it takes its name. Where
    a segment is missing or damaged, what is before it is restored, and the result has ``problems``.

    Args:
        folder: of the backups; nothing is written there.
        name: of a backup, or ``latest``: the newest good one at the point or before it. With a name and without a
            point, what was backed up is restored, and no segment.
        to: the last event that is wanted.
        replace: whether a database that is there may be replaced. It is kept beside.
        force: even though a process has it open. That process goes on with the old one. It has to end before anybody
            opens the new one: when it closes its WAL, it deletes the one of that name.
        thorough, tables: as for :meth:`Backups.verify`.
        erased: ids of more data keys that are known to be erased, and when they were.

    Raises:
        NoSuchBackup, PointUnknown, FolderUnusable: there is nothing to restore.
        TargetExists, TargetInUse, SpaceShort: nothing was done.
        BackupDamaged: what was restored is not what was backed up; it was thrown away.
    """
    began = time.monotonic()
    backups = await in_thread(lambda _: BackupFolder(folder))
    backup = await in_thread(lambda _: backups.backup(name))
    plain = backup.known().plain.size
    target = _resolved(into)
    try:
        await in_thread(lambda _: _refuse(target, replace=replace, force=force))
        free = shutil.disk_usage(target.parent).free
        if free < plain:
            raise SpaceShort(target.parent, plain, free)
        with _part(target) as part:
            known, unread = await in_thread(lambda _: _erased_in(target))
            known |= erased or {}
            done = await assembled(backups, name, to, part, erased=known, thorough=thorough, tables=tables)
            kept = await in_thread(lambda _: _put(part, target, replace=replace, force=force))
    except OSError as error:
        raise FolderUnusable(target.parent, error.strerror or str(error)) from error
    seconds = time.monotonic() - began
    return Restored(
        done.backup, target, kept, seconds, unread + done.notes, done.problems, done.head, done.recorded_at,
        done.segments, done.erased,
    )  # fmt: skip


def _erased_in(target: Path) -> tuple[Erased, list[str]]:
    """What the database that is replaced knows to be erased: nobody knows more. Keys of another log are not ours.

    The rest of the answer is why it could not be asked.
    """
    if not target.is_file():
        return {}, []
    try:
        with source(target) as connection:
            return erased_in(connection), []
    except sqlite3.Error as error:
        return {}, [f"{target} was not asked what was erased: {error}"]


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
        part.with_name(part.name + KEYS).unlink(missing_ok=True)
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
