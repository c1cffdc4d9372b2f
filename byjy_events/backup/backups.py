"""Backups of a database in a folder: making, verifying, deleting.

A backup is made while the engine goes on: a copy as of one moment, compressed, made durable, renamed, and only then
given its manifest. Then it is verified, which means restored: decompressed into a scratch file and looked at.
What was found is written into the manifest. At whatever point a process is killed, there is a backup or there is none,
and what it left behind is deleted by the next one that works there.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

import sqlalchemy as sa
import structlog

from byjy_events.backup import base, segment_folder, segment_report, snapshot
from byjy_events.backup.checking import Found, TablesCheck, audit_problems, database_problems, is_auditable, unpack
from byjy_events.backup.compressed import Stopped, compress
from byjy_events.backup.errors import BackupFailed, FolderOfAnother, SpaceShort
from byjy_events.backup.folder import LATEST, Backup, BackupFolder, State
from byjy_events.backup.manifest import FORMAT, Check, Facts, Manifest, name_of
from byjy_events.backup.origin import Origin, failing, origin_of
from byjy_events.backup.retention import expired
from byjy_events.backup.target import FolderLike
from byjy_events.backup.threads import in_thread

KEEP = timedelta(days=30)
_log = structlog.get_logger("byjy_events")


class Pruned(NamedTuple):
    """What was deleted, or would be.

    Attributes:
        backups: that are older than they have to be kept, and incomplete ones; oldest first.
        leftovers: files that killed processes left behind.
        segments: files with segments that no backup that stays needs.
    """

    backups: list[Backup]
    leftovers: list[str]
    segments: list[str]


class Backups:
    """The backups in a folder.

    Args:
        folder: one of this machine, or a URL for fsspec, such as ``s3://bucket/prefix``.
        clock: nanoseconds UTC.

    Raises:
        FolderUnusable: nothing that is installed works with such a URL.
    """

    def __init__(self, folder: FolderLike, *, clock: Callable[[], int] = time.time_ns) -> None:
        self.folder = BackupFolder(folder)
        self._clock = clock

    def list(self) -> list[Backup]:
        """All backups, the newest first; what is incomplete at the end. Blocks, so a coroutine calls it in a thread.

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
            SchemaMismatch, SpaceShort: nothing was begun.
            BackupFailed, FolderOfAnother, FolderUnusable, FolderBusy: nothing was added to the folder.
        """
        origin = origin_of(database)
        size = await origin.size()
        async with self.folder.locked():
            await in_thread(lambda _: self.folder.sweep(self._clock()))
            made = await self._made(origin, size, every, thorough)
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
            backup = await in_thread(lambda _: self.folder.backup(name))
            return await self._verified(backup, thorough, tables)

    async def prune(self, keep: timedelta = KEEP, *, dry_run: bool = False) -> Pruned:
        """Delete what is older than it has to be kept; see :mod:`byjy_events.backup.retention` for what stays.

        Raises:
            FolderUnusable, FolderBusy: nothing more was deleted.
        """
        async with self.folder.locked():
            return await in_thread(lambda stop: self._pruned(keep, dry_run, stop))

    # --- what follows runs under the lock of the folder ----------------------------------------------

    async def _made(self, origin: Origin, size: int, every: timedelta | None, thorough: bool) -> Backup:
        began = time.monotonic()
        self._refuse_short(2 * size)
        async with self.folder.scratch() as scratch:
            created_at = await in_thread(lambda _: self._unused_moment())
            segment = await in_thread(lambda _: segment_folder.listed(self.folder.target).last)  # before it is copied
            copy = scratch / "copy.db"
            if origin.goes_on and not thorough:
                with failing(origin.name):
                    await in_thread(lambda stop: base.lay(self.folder, copy, stop))
            await origin.copy(copy)
            return await in_thread(lambda stop: self._packed(origin, copy, created_at, segment, began, every, stop))

    def _packed(
        self,
        origin: Origin,
        copy: Path,
        created_at: int,
        segment: int,
        began: float,
        every: timedelta | None,
        stop: threading.Event,
    ) -> Backup:
        try:
            with snapshot.unchanging(copy) as connection:
                facts = snapshot.facts(connection)
            newest = self._newest(facts)
            packed = copy.with_name("packed")
            plain, compressed = compress(copy, packed, stop)
            copy.unlink()
            manifest = Manifest(
                FORMAT,
                newest + 1,
                created_at,
                facts,
                compressed,
                plain,
                _program(),
                round(time.monotonic() - began, 3),
                every.total_seconds() if every is not None else None,
                origin=origin.kind,
                segment=segment,
            )
            return self.folder.publish(packed, manifest, stop)
        except (sqlite3.Error, OSError) as error:
            raise BackupFailed(origin.name, str(error)) from error

    def _newest(self, facts: Facts) -> int:
        """The sequence number of the newest backup; 0: there is none.

        Raises:
            FolderOfAnother: it is of another log.
        """
        backups = [one for one in self.folder.backups() if one.manifest is not None]
        good = next((one for one in backups if one.state is not State.FAILED), None)
        known = good.manifest.facts.log_id if good is not None and good.manifest is not None else None
        if good is not None and known is not None and facts.log_id != known:
            raise FolderOfAnother(self.folder.where, good.name)
        return max((one.manifest.sequence for one in backups if one.manifest is not None), default=0)

    def _unused_moment(self) -> int:
        taken = self.folder.names()
        moment = self._clock() // 1_000 * 1_000
        while name_of(moment) in taken:
            moment += 1_000
        return moment

    def _refuse_short(self, needed: int) -> None:
        free = self.folder.workplace.free_bytes()
        if free < needed:
            raise SpaceShort(self.folder.workplace.path, needed, free)

    async def _verified(self, backup: Backup, thorough: bool, tables: TablesCheck | None) -> Backup:
        manifest = backup.known()
        began = time.monotonic()
        self._refuse_short(manifest.plain.size)
        async with self.folder.scratch() as scratch:
            target = scratch / "restored.db"
            with self.folder.workplace.usable():
                problems, notes = await looked_at(self.folder, backup, target, thorough=thorough, tables=tables)
        seconds = round(time.monotonic() - began, 3)
        audited = thorough and is_auditable(manifest.facts)
        check = Check(self._clock(), audited, seconds, tuple(problems), tuple(notes))
        if problems:
            _log.error("backup_verification_failed", backup=str(backup.where), problems=problems)
        return await in_thread(lambda _: self.folder.record(backup, manifest.checked(check)))

    def _pruned(self, keep: timedelta, dry_run: bool, stop: threading.Event) -> Pruned:
        now = self._clock()
        going = expired(self.folder.backups(), now, keep) + self.folder.forgotten(now)
        leftovers = self.folder.leftovers(now)
        segments = segment_report.unneeded(self.folder, going)
        if not dry_run:
            for one in going:
                if stop.is_set():
                    raise Stopped
                self.folder.remove(one)
            for name in segments:
                self.folder.target.remove(name)
            self.folder.sweep(now)
        return Pruned(going, leftovers, segments)


async def looked_at(
    folder: BackupFolder, backup: Backup, target: Path, *, thorough: bool, tables: TablesCheck | None
) -> Found:
    """Restore a backup into a file, and look for what is wrong with it. The file stays.

    Raises:
        OSError: the file cannot be written.
        FolderUnusable: the backup cannot be read.
        ByjyError: it could not be looked at.
    """
    manifest = backup.known()

    def restored(stop: threading.Event) -> list[str]:
        with folder.data(backup) as packed:
            problems = unpack(packed, manifest, target, stop)
        return problems or database_problems(target, manifest.facts, thorough=thorough, stop=stop)

    problems = await in_thread(restored)
    if problems or not thorough:
        return problems, []
    return await audit_problems(target, manifest.facts, tables)


def _program() -> str:
    try:
        return f"byjy-events {version('byjy-events')}"
    except PackageNotFoundError:  # run from a working copy that nobody installed
        return "byjy-events"
