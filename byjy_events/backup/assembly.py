"""A database put together of a backup and the segments behind it, up to a point, in a file that has no name yet.

Of several backups the newest is taken that did not fail and is at the point or before it; if it turns out to be
damaged, or to belong to a history that was given up by restoring to an earlier point, the one before. What was erased
is erased whatever the point: it is looked up in the newest backup, in all segments behind it, and in those that are
taken over.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import msgspec

from byjy_events.backup import segment_folder
from byjy_events.backup.checking import TablesCheck, audit_problems, database_problems, unpack
from byjy_events.backup.compressed import Stopped
from byjy_events.backup.erasures import Erased, erased_in, erased_since
from byjy_events.backup.errors import BackupDamaged, FolderUnusable, NoSuchBackup, PointUnknown
from byjy_events.backup.folder import LATEST, Backup, BackupFolder, State
from byjy_events.backup.manifest import Facts, Manifest
from byjy_events.backup.point import Point
from byjy_events.backup.segment_applying import AnotherHistory, Applied, Applying, opened
from byjy_events.backup.segment_folder import Segments
from byjy_events.backup.segment_path import Path as SegmentPath
from byjy_events.backup.segment_path import followed
from byjy_events.backup.snapshot import facts, unchanging
from byjy_events.backup.threads import in_thread

KEYS = ".keys"
"""Ends the name of the newest backup while it is asked what was erased, beside the scratch file."""

LOOKS = 5
"""So often at the most it is begun anew since segments were put together meanwhile."""

_OF_THE_MACHINE = {
    sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_READONLY,
}  # fmt: skip
_BESIDE = ("key_store", "merkle_nodes", "system_logs", "tree_checkpoints")


class Assembled(NamedTuple):
    """What was put together.

    Attributes:
        head: the position of the last event.
        recorded_at: its time by the clock of the log; 0: there is none.
        segments: how many were taken over, at least in part.
        erased: data keys that were erased since, and so here as well.
        problems: what is damaged and kept it from going further, or from being made of a newer backup.
        notes: what else there is to know.
    """

    backup: Backup
    head: int
    recorded_at: int
    segments: int
    erased: int
    problems: list[str]
    notes: list[str]


class _Beyond(Exception):
    """The backup goes further than the point."""


async def assembled(
    folder: BackupFolder,
    name: str,
    point: Point,
    part: Path,
    *,
    erased: Mapping[bytes, int],
    thorough: bool,
    tables: TablesCheck | None,
) -> Assembled:
    """Make a database in a scratch file, and look at it. The file may be there, and is overwritten.

    Args:
        name: of a backup, or ``latest``. With a name and no point, what was backed up, without any segment.
        erased: data keys that are known to be erased from elsewhere, and when they were.

    Raises:
        NoSuchBackup, PointUnknown, BackupDamaged: there is nothing that can be restored.
        FolderUnusable, OSError, ByjyError: the file is good for nothing. A disk that is full is no damaged backup.
    """
    backups = await in_thread(lambda _: folder.backups())
    work = _Assembly(folder, backups, name, point, part, erased)
    given_up: list[str] = []
    notes: list[str] = []
    first: BackupDamaged | None = None
    for backup in work.candidates():
        try:
            done, expected = await in_thread(lambda stop, backup=backup: work.made(backup, thorough, stop))  # type: ignore[misc]
            if thorough:
                problems, unseen = await audit_problems(part, expected, tables)
                work.refuse(backup, problems)
                done.notes.extend(unseen)
            return done._replace(problems=given_up + done.problems, notes=notes + done.notes)
        except BackupDamaged as error:
            given_up.append(str(error))
            first = first or error
        except _Beyond:
            continue
        except AnotherHistory:
            notes.append(f"{backup.name}: the log was restored to an earlier point since, and went on from there")
    if first is not None:
        raise first
    raise NoSuchBackup(folder.where, name, notes[0] if notes else "there is none that is at that point or before")


class _Assembly:
    """One that is under way; all of it blocks."""

    def __init__(
        self,
        folder: BackupFolder,
        backups: list[Backup],
        name: str,
        point: Point,
        part: Path,
        erased: Mapping[bytes, int],
    ) -> None:
        self._folder = folder
        self._target = folder.target
        self._backups = [one for one in backups if one.state is not State.INCOMPLETE]
        self._damaged = [one for one in backups if one.is_damaged]
        self._name, self._point, self._part = name, point, part
        self._erased = erased

    def candidates(self) -> list[Backup]:
        """The backups to try, the newest first.

        Raises:
            NoSuchBackup: there is none, or it goes further than the point.
        """
        if self._name != LATEST:
            one = self._folder.backup(self._name)
            if not self._may_be_before(one):
                raise NoSuchBackup(self._folder.where, one.name, f"it goes up to position {one.known().facts.head}")
            return [one]
        good = [one for one in self._backups if one.state is not State.FAILED]
        if not good:
            raise NoSuchBackup(self._folder.where, self._name)
        return [one for one in good if self._may_be_before(one)]

    def made(self, backup: Backup, thorough: bool, stop: threading.Event) -> tuple[Assembled, Facts]:
        """The database of one backup, and what is to be expected of it.

        Where files are gone afterwards that were there, their writer has put them together: it is made again.
        """
        try:
            for _ in range(LOOKS):
                listed = segment_folder.listed(self._target)
                done, expected = self._made(backup, listed, thorough, stop)
                if not (done.problems or done.notes) or not segment_folder.has_changed(self._target, listed):
                    break
            return done, expected
        except sqlite3.DatabaseError as error:
            if stop.is_set():
                raise Stopped from None
            if _is_of_the_machine(error):
                raise FolderUnusable(self._part.parent, str(error)) from error
            raise BackupDamaged(backup.name, [f"it cannot be read: {error}"]) from error

    def _made(self, backup: Backup, listed: Segments, thorough: bool, stop: threading.Event) -> tuple[Assembled, Facts]:
        self._unpacked(backup, self._part, stop)
        manifest = backup.known()
        with opened(self._part) as connection:
            applying = Applying(connection, self._target, manifest, stop)
            if self._point.instant is not None and applying.recorded_at > self._point.instant:
                raise _Beyond
            applied, path, files = self._applied(applying, listed, manifest)
            problems = _problems(applied, path, max(applying.number, manifest.segment))
            lost = [f"{one.name}: {one.problem}" for one in self._damaged if _is_newer(one, backup)]
            problems = problems if applied.reached else lost + problems + self._untold(backup, applying.head, path)
            if not applied.reached and not problems and self._point.position is not None:
                raise PointUnknown(self._folder.where, self._point.position, applying.head)
            known, notes = erased_since(
                backup, self._backups, lambda one: self._erased_in(one, stop), self._target, listed, files
            )
            notes = self._failed(backup) + (lost if applied.reached else []) + notes
            erased = applying.erase({**path.erased, **known, **self._erased})
            done = Assembled(backup, applying.head, applying.recorded_at, applied.segments, erased, problems, notes)
        expected = self._expected(manifest.facts, applying, applied.segments)
        self.refuse(backup, database_problems(self._part, expected, thorough=thorough, stop=stop))
        return done, expected

    def refuse(self, backup: Backup, problems: list[str]) -> None:
        """
        Raises:
            BackupDamaged: there are problems.
        """
        if problems:
            raise BackupDamaged(backup.name, problems)

    def _may_be_before(self, backup: Backup) -> bool:
        manifest = backup.known()
        if self._point.position is not None:
            return manifest.facts.head <= self._point.position
        return self._point.instant is None or _recorded_at(manifest) <= self._point.instant

    def _untold(self, base: Backup, head: int, path: SegmentPath) -> list[str]:
        """Events in a backup behind an instant that no segment tells of, so that they may be of before it."""
        if self._point.instant is None:
            return []
        told = path.links[-1].head.number if path.links else 0
        known = [one.known() for one in self._backups if _is_newer(one, base)]
        behind = [one for one in known if one.facts.head > head and one.segment >= told]
        return [
            f"positions {head + 1} to {one.facts.head} are in no segment, only in {one.name}" for one in behind[-1:]
        ]

    def _failed(self, base: Backup) -> list[str]:
        """What is newer, and known to be damaged."""
        failed = [one for one in self._backups if one.state is State.FAILED and _is_newer(one, base)]
        return [f"{one.name} is passed over, it failed: {one.known().problems[0]}" for one in failed]

    def _unpacked(self, backup: Backup, file: Path, stop: threading.Event) -> None:
        try:
            with self._folder.data(backup) as packed:
                problems = unpack(packed, backup.known(), file, stop)
        except FolderUnusable as error:
            if not self._target.is_exclusive:
                raise  # a network that fails damages no backup
            problems = [f"it cannot be read: {error.reason}"]
        self.refuse(backup, problems)

    def _applied(self, applying: Applying, listed: Segments, base: Manifest) -> tuple[Applied, SegmentPath, set[str]]:
        """Segments up to the point; the answer tells of which files, too."""
        if self._name != LATEST and self._point.is_latest:
            return Applied(0, True, None), SegmentPath([], [], {}), set()
        head, log_id = base.facts.head, None if base.facts.log_id is None else bytes.fromhex(base.facts.log_id)
        for bound in self._bounds():
            files = listed.since(head, base.segment, bound)
            path = followed(self._target, files, log_id, head, base.segment)
            applied = applying.apply(path.links, self._point)
            if applied.reached or applied.problem is not None:
                break
        return applied, path, {one.name for one in files}

    def _bounds(self) -> Iterator[int | None]:
        """How far it has to be read, at first; reading on to the end takes over what is behind that."""
        if self._point.position is not None:
            yield self._point.position
        elif self._point.instant is not None:
            later = [one.known() for one in self._backups if _recorded_at(one.known()) > self._point.instant]
            yield from (one.facts.head for one in later[-1:])
            yield None
        else:
            yield None

    def _erased_in(self, backup: Backup, stop: threading.Event) -> Erased:
        file = self._part.with_name(self._part.name + KEYS)
        try:
            self._unpacked(backup, file, stop)
            with unchanging(file) as connection:
                return erased_in(connection)
        finally:
            file.unlink(missing_ok=True)

    def _expected(self, base: Facts, applying: Applying, segments: int) -> Facts:
        """What the manifest says, and what was added to that."""
        if not segments:
            return base
        with unchanging(self._part) as connection:
            found = facts(connection)
        added = applying.head - applying.base
        beside = {name: found.rows[name] for name in _BESIDE if name in found.rows}
        return msgspec.structs.replace(
            base,
            log_id=base.log_id if base.head else found.log_id,
            head=base.head + added,
            head_leaf=applying.leaf.hex() if applying.leaf is not None and added else base.head_leaf,
            checkpoint=found.checkpoint,
            head_recorded_at=applying.recorded_at if added else base.head_recorded_at,
            rows=base.rows | beside | {"events": base.rows.get("events", 0) + added},
        )


def _recorded_at(manifest: Manifest) -> int:
    """Of the last event in a backup; if it does not say, it was recorded before the backup was made."""
    known = manifest.facts.head_recorded_at
    return (manifest.created_at if manifest.facts.head else 0) if known is None else known


def _is_newer(damaged: Backup, backup: Backup) -> bool:
    """As far as is known of one that cannot be used."""
    if damaged.manifest is None:
        return damaged.name > backup.name
    return damaged.manifest.sequence > backup.known().sequence


def _is_of_the_machine(error: sqlite3.DatabaseError) -> bool:
    """Whether it is no fault of the file, such as a full disk."""
    return (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF in _OF_THE_MACHINE


def _problems(applied: Applied, path: SegmentPath, last: int) -> list[str]:
    """What kept it from going further: behind the last segment that was taken over, or is older than the backup."""
    if applied.reached:
        return []
    behind = [str(one) for one in path.damages if one.last > last]
    return behind + ([] if applied.problem is None else [applied.problem])
