"""Backups of a SQLite database in a folder: making, verifying, deleting.

A backup is made of a snapshot, in a thread, while the engine goes on: copied, compressed, made durable, renamed, and
only then given its manifest. Then it is verified, which means restored: decompressed into a scratch file and looked at.
What was found is written into the manifest. At whatever point a process is killed, there is a backup or there is none,
and what it left behind is deleted by the next one that works there.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple, TypeVar

import sqlalchemy as sa
import structlog

from byjy_events.backup import snapshot
from byjy_events.backup.checking import Found, TablesCheck, audit_problems, database_problems, is_auditable, unpack
from byjy_events.backup.compressed import compress
from byjy_events.backup.errors import BackupFailed, FolderOfAnother, NotSqlite, SpaceShort
from byjy_events.backup.folder import LATEST, Backup, BackupFolder, State
from byjy_events.backup.manifest import DATA, FORMAT, PART, Check, Facts, Manifest, name_of
from byjy_events.backup.retention import expired
from byjy_events.database import display, is_sqlite, parse_url, sqlite_path

KEEP = timedelta(days=30)
LEFTOVER_SECONDS = 86_400
"""What is incomplete is deleted when it is older: somebody may be copying a backup into the folder."""

T = TypeVar("T")

_log = structlog.get_logger("byjy_events")


class Pruned(NamedTuple):
    """What was deleted, or would be.

    Attributes:
        backups: that are older than they have to be kept, and incomplete ones; oldest first.
        leftovers: what killed processes left behind.
    """

    backups: list[Backup]
    leftovers: list[Path]


class Backups:
    """The backups in a folder.

    Args:
        clock: nanoseconds UTC.
    """

    def __init__(self, folder: str | os.PathLike[str], *, clock: Callable[[], int] = time.time_ns) -> None:
        self.folder = BackupFolder(folder)
        self._clock = clock

    def list(self) -> list[Backup]:
        """All backups, the newest first; what is incomplete at the end.

        Raises:
            FolderUnusable: the folder cannot be read.
        """
        return self.folder.backups()

    async def create(
        self,
        database: str | sa.URL,
        *,
        thorough: bool = False,
        tables: TablesCheck | None = None,
        every: timedelta | None = None,
    ) -> Backup:
        """Back a database up, and verify the backup. Every event that was acknowledged before is in it.

        Engines go on meanwhile; none of them waits for it. Memory does not grow with the database.

        Args:
            thorough, tables: as for :meth:`verify`.
            every: how soon the next one is promised, for whoever looks at the age of this one.

        Returns:
            The backup; its state is FAILED if it does not restore.

        Raises:
            NotSqlite, SpaceShort, FolderOfAnother: nothing was begun.
            BackupFailed, FolderUnusable, FolderBusy: nothing was added to the folder.
        """
        path = database_path(database)
        async with self.folder.locked():
            self.folder.sweep()
            made = await in_thread(lambda stop: self._made(path, every, stop))
            return await self._verified(made, thorough, tables)

    async def verify(self, name: str = LATEST, *, thorough: bool = False, tables: TablesCheck | None = None) -> Backup:
        """Restore a backup into a scratch file, look at it, and write into its manifest what was found.

        Looked at are both SHA-256, SQLite's quick_check, references, row counts, the head, that no position is missing,
        and the leaf hashes of the last 10,000 events.

        Args:
            thorough: SQLite's integrity_check, and an audit of the whole log.
            tables: looks at more when it is thorough; it gets the restored log, open to be read.

        Raises:
            NoSuchBackup: there is none, or it is incomplete.
            FolderUnusable, FolderBusy, SpaceShort, ByjyError: it was not looked at.
        """
        async with self.folder.locked():
            return await self._verified(self.folder.backup(name), thorough, tables)

    async def prune(self, keep: timedelta = KEEP, *, dry_run: bool = False) -> Pruned:
        """Delete what is older than it has to be kept; see :mod:`byjy_events.backup.retention` for what stays.

        Raises:
            FolderUnusable, FolderBusy: nothing more was deleted.
        """
        async with self.folder.locked():
            backups = self.folder.backups()
            going = expired(backups, self._clock(), keep)
            going += [one for one in backups if one.state is State.INCOMPLETE and self._is_forgotten(one)]
            leftovers = self.folder.leftovers()
            if not dry_run:
                for one in going:
                    self.folder.remove(one)
                self.folder.sweep()
        return Pruned(going, leftovers)

    # --- what follows runs under the lock of the folder ----------------------------------------------

    def _made(self, path: Path, every: timedelta | None, stop: threading.Event) -> Backup:
        began = time.monotonic()
        try:
            self._refuse_short(2 * _size(path))
            with self.folder.scratch() as scratch:
                copy = scratch / "copy.db"
                snapshot.take(path, copy, stop)
                with snapshot.unchanging(copy) as connection:
                    facts = snapshot.facts(connection)
                newest = self._newest(facts)
                created_at = self._unused_moment()
                part = self.folder.path / (name_of(created_at) + DATA + PART)
                try:
                    plain, compressed = compress(copy, part, stop)
                    seconds = time.monotonic() - began
                    return self.folder.publish(
                        part,
                        Manifest(
                            FORMAT,
                            newest + 1,
                            created_at,
                            facts,
                            compressed,
                            plain,
                            _program(),
                            round(seconds, 3),
                            every.total_seconds() if every is not None else None,
                        ),
                    )
                finally:
                    part.unlink(missing_ok=True)
        except snapshot.NoLogInside:
            raise BackupFailed(path, "there is no log in it") from None
        except (sqlite3.Error, OSError) as error:
            raise BackupFailed(path, str(error)) from error

    def _newest(self, facts: Facts) -> int:
        """The sequence number of the newest backup; 0: there is none.

        Raises:
            FolderOfAnother: it is of another log.
        """
        newest = next((one for one in self.folder.backups() if one.manifest is not None), None)
        if newest is None or newest.manifest is None:
            return 0
        known = newest.manifest.facts.log_id
        if known is not None and facts.log_id != known:
            raise FolderOfAnother(self.folder.path, newest.name)
        return newest.manifest.sequence

    def _unused_moment(self) -> int:
        taken = {one.name for one in self.folder.backups()}
        moment = self._clock() // 1_000 * 1_000
        while name_of(moment) in taken:
            moment += 1_000
        return moment

    def _refuse_short(self, needed: int) -> None:
        free = shutil.disk_usage(self.folder.path).free
        if free < needed:
            raise SpaceShort(self.folder.path, needed, free)

    async def _verified(self, backup: Backup, thorough: bool, tables: TablesCheck | None) -> Backup:
        manifest = backup.known()
        began = time.monotonic()
        with self.folder.usable():
            self._refuse_short(manifest.plain.size)
        with self.folder.scratch() as scratch, self.folder.usable():
            problems, notes = await looked_at(backup, scratch / "restored.db", thorough=thorough, tables=tables)
        seconds = round(time.monotonic() - began, 3)
        audited = thorough and is_auditable(manifest.facts)
        check = Check(self._clock(), audited, seconds, tuple(problems), tuple(notes))
        if problems:
            _log.error("backup_verification_failed", backup=str(backup.path), problems=problems)
        return self.folder.record(backup, manifest.checked(check))

    def _is_forgotten(self, backup: Backup) -> bool:
        """One piece is missing, and the other is old. Data with a manifest that cannot be read is for a person."""
        pieces = [path for path in (backup.path, backup.manifest_path) if path.exists()]
        if len(pieces) != 1:
            return False
        return self._clock() - pieces[0].stat().st_mtime_ns > LEFTOVER_SECONDS * 10**9


async def looked_at(backup: Backup, target: Path, *, thorough: bool, tables: TablesCheck | None) -> Found:
    """Restore a backup into a file, and look for what is wrong with it. The file stays.

    Raises:
        OSError: the backup cannot be read, or the file written.
        ByjyError: it could not be looked at.
    """
    manifest = backup.known()

    def restored(stop: threading.Event) -> list[str]:
        problems = unpack(backup.path, manifest, target, stop)
        return problems or database_problems(target, manifest.facts, thorough=thorough, stop=stop)

    problems = await in_thread(restored)
    if problems or not thorough:
        return problems, []
    return await audit_problems(target, manifest.facts, tables)


async def in_thread(work: Callable[[threading.Event], T]) -> T:
    """Run something in a thread. When the caller is cancelled it is asked to stop, and waited for."""
    stop = threading.Event()
    task = asyncio.ensure_future(asyncio.to_thread(work, stop))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        stop.set()
        await asyncio.wait([task])
        if not task.cancelled():
            task.exception()  # which nobody wants to know any more
        raise


def database_path(database: str | sa.URL) -> Path:
    """The file of a SQLite database that is there.

    Raises:
        NotSqlite, BackupFailed, InvalidDatabaseUrl: see there.
    """
    url = parse_url(database)
    if not is_sqlite(url):
        raise NotSqlite(display(url))
    path = sqlite_path(url)
    if not path.is_file():
        raise BackupFailed(path, "it does not exist")
    return path


def _size(database: Path) -> int:
    wal = database.with_name(database.name + "-wal")
    return database.stat().st_size + (wal.stat().st_size if wal.exists() else 0)


def _program() -> str:
    try:
        return f"byjy-events {version('byjy-events')}"
    except PackageNotFoundError:  # run from a working copy that nobody installed
        return "byjy-events"
