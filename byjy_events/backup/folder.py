"""The backups of one log as they lie in a target.

::

    20240102T030405.000006Z.db.zst   the database, compressed
    20240102T030405.000006Z.json     its manifest, written last and deleted first
    *.part, .scratch-*               what is being made, or was left behind by a process that was killed
    .lock, .scheduler.lock           held by whoever works there, and by the one scheduler
    segments-*.seg, .segments.lock   what came since, see :mod:`byjy_events.backup.segment_folder`, and its one writer

Locks and scratch folders are in the workplace of the target, which for a folder is the folder itself.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager, suppress
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

from byjy_events.backup import manifest as manifests
from byjy_events.backup.compressed import Stopped
from byjy_events.backup.errors import BackupError, NoSuchBackup
from byjy_events.backup.manifest import DATA, MANIFEST, Manifest, is_name
from byjy_events.backup.manifest_reader import ManifestReader
from byjy_events.backup.target import PART, FileInfo, FolderLike, Readable, target_of
from byjy_events.backup.workplace import LOCK, SCHEDULER_LOCK

__all__ = ["LATEST", "LOCK", "SCHEDULER_LOCK", "Backup", "BackupFolder", "State"]

LATEST = "latest"
UNFINISHED = "it has no manifest: it was never finished"
LEFTOVER_SECONDS = 86_400
"""What is incomplete is deleted when it is older: somebody may be copying a backup there."""


class State(StrEnum):
    """How far a backup can be trusted.

    - VERIFIED: it was restored and looked at, and nothing was found.
    - UNVERIFIED: it was not looked at yet.
    - FAILED: something was found.
    - INCOMPLETE: no backup: data without a manifest, a manifest without data, or one that cannot be read.
    """

    VERIFIED = "VERIFIED"
    UNVERIFIED = "UNVERIFIED"
    FAILED = "FAILED"
    INCOMPLETE = "INCOMPLETE"


class Backup(NamedTuple):
    """A backup as it lies in its folder.

    Attributes:
        where: the compressed database: its path, or its URL without whatever gives access.
        manifest: None: there is none that can be read.
        problem: why it is incomplete; None: it is not.
    """

    name: str
    where: Path | str
    manifest: Manifest | None
    problem: str | None = None

    @property
    def state(self) -> State:
        """How far it can be trusted."""
        if self.manifest is None or self.problem is not None:
            return State.INCOMPLETE
        if self.manifest.problems:
            return State.FAILED
        return State.UNVERIFIED if self.manifest.check is None else State.VERIFIED

    @property
    def is_damaged(self) -> bool:
        """Whether it is incomplete and was not: its manifest cannot be read, or its data is missing."""
        return self.problem not in {None, UNFINISHED}

    @property
    def path(self) -> Path:
        """The compressed database in a folder of this machine.

        Raises:
            ValueError: it lies elsewhere.
        """
        if not isinstance(self.where, Path):
            raise ValueError(f"{self.where} is no file of this machine")
        return self.where

    @property
    def manifest_path(self) -> Path:
        """Its manifest there, as for :attr:`path`."""
        return self.path.with_name(self.name + MANIFEST)

    def known(self) -> Manifest:
        """Its manifest.

        Raises:
            NoSuchBackup: it is incomplete.
        """
        if self.manifest is None or self.problem is not None:
            folder = self.where.parent if isinstance(self.where, Path) else self.where.rpartition("/")[0]
            raise NoSuchBackup(folder, self.name, self.problem or "it has no manifest")
        return self.manifest


class BackupFolder:
    """The backups of one log. Its methods block, but for the lock.

    Raises:
        FolderUnusable: from every method: the target cannot be reached, read or written.
    """

    def __init__(self, folder: FolderLike) -> None:
        self.target = target_of(folder)
        self.workplace = self.target.workplace
        self._manifests = ManifestReader(self.target)

    @property
    def where(self) -> Path | str:
        """Its path, or its URL without whatever gives access."""
        return self.target.where

    @property
    def path(self) -> Path:
        """Its path on this machine.

        Raises:
            ValueError: it is elsewhere.
        """
        if not isinstance(self.where, Path):
            raise ValueError(f"{self.where} is no folder of this machine")
        return self.where

    def backups(self) -> list[Backup]:
        """All of them, the newest first; what is incomplete at the end."""
        files = self.target.files()
        known = self._manifests.read(files)
        found = [self._backup(name, files, known.get(name)) for name in sorted(_names(files), reverse=True)]
        return sorted(found, key=_age)

    def backup(self, name: str) -> Backup:
        """The one of this name, or with ``latest`` the newest that did not fail.

        Raises:
            NoSuchBackup: there is none.
        """
        for one in self.backups():
            if one.name == name or (name == LATEST and one.state in (State.VERIFIED, State.UNVERIFIED)):
                return one
        raise NoSuchBackup(self.where, name)

    def names(self) -> set[str]:
        """Of all backups, also incomplete ones."""
        return _names(self.target.files())

    def forgotten(self, now: int) -> list[Backup]:
        """Those of which one piece is missing and the other is old. How old has to be known.

        Data with a manifest that cannot be read is for a person.
        """
        files = self.target.files()
        return [
            self._backup(name, files, None) for name in sorted(_names(files)) if self._is_forgotten(name, files, now)
        ]

    def _is_forgotten(self, name: str, files: Mapping[str, FileInfo], now: int) -> bool:
        there = [files[name + end] for end in (DATA, MANIFEST) if name + end in files]
        missing = [name + end for end in (DATA, MANIFEST) if name + end not in files]
        return len(missing) == 1 and _is_old(there[0], now) and not self.target.has(missing[0])

    def locked(self, work: str = LOCK, patience_seconds: float = 600.0) -> AbstractAsyncContextManager[None]:
        """While nobody else on this machine works there; see :meth:`Workplace.locked`."""
        return self.workplace.locked(work, patience_seconds)

    def scratch(self) -> AbstractAsyncContextManager[Path]:
        """A folder on this machine for what is thrown away at the end. The lock has to be held."""
        return self.workplace.scratch()

    def data(self, backup: Backup) -> AbstractContextManager[Readable]:
        """The compressed database, to be read."""
        return self.target.open(backup.name + DATA)

    def publish(self, packed: Path, manifest: Manifest, stop: threading.Event) -> Backup:
        """Make a compressed file of the scratch folder and its manifest a backup, durably."""
        backup = Backup(manifest.name, self._where(manifest.name + DATA), manifest)
        try:
            self.target.put(packed, manifest.name + DATA, stop)
            self.target.write(manifest.name + MANIFEST, manifests.text_of(manifest))
        except (BackupError, Stopped):
            with suppress(BackupError):
                self.remove(backup)
            raise
        return backup

    def record(self, backup: Backup, manifest: Manifest) -> Backup:
        """Replace a manifest."""
        self.target.write(backup.name + MANIFEST, manifests.text_of(manifest))
        return backup._replace(manifest=manifest)

    def remove(self, backup: Backup) -> None:
        """Delete a backup, manifest first: what is left if that is cut short counts for nothing."""
        self.target.remove(backup.name + MANIFEST)
        self.target.remove(backup.name + DATA)

    def leftovers(self, now: int) -> list[str]:
        """What was half made when a process was killed. The lock has to be held.

        Where that lock does not keep everybody away, only what is old.
        """
        parts = {name: file for name, file in self.target.files().items() if _is_part(name)}
        nobodys = [name for name, file in parts.items() if self.target.is_exclusive or _is_old(file, now)]
        return sorted(nobodys + [path.name for path in self.workplace.leftovers()])

    def sweep(self, now: int) -> None:
        """Delete the leftovers. The lock has to be held."""
        for name in self.leftovers(now):
            if _is_part(name):
                self.target.remove(name)
        self.target.sweep(now - LEFTOVER_SECONDS * 10**9)
        self.workplace.sweep()

    def _backup(self, name: str, files: Mapping[str, FileInfo], manifest: Manifest | str | None) -> Backup:
        where = self._where(name + DATA)
        if manifest is None:
            return Backup(name, where, None, UNFINISHED)
        if isinstance(manifest, str):
            return Backup(name, where, None, manifest)
        return Backup(name, where, manifest, None if name + DATA in files else "its data is missing")

    def _where(self, name: str) -> Path | str:
        return self.where / name if isinstance(self.where, Path) else f"{self.where}/{name}"


def _names(files: Mapping[str, FileInfo]) -> set[str]:
    names = {file.removesuffix(suffix) for file in files for suffix in (DATA, MANIFEST) if file.endswith(suffix)}
    return set(filter(is_name, names))


def _age(backup: Backup) -> tuple[bool, int]:
    """To sort by: newest first, and what is incomplete at the end."""
    return backup.manifest is None, -backup.manifest.sequence if backup.manifest is not None else 0


def _is_old(file: FileInfo, now: int) -> bool:
    return file.modified_ns is not None and now - file.modified_ns > LEFTOVER_SECONDS * 10**9


def _is_part(name: str) -> bool:
    stem = name.removesuffix(PART)
    return stem != name and is_name(stem.removesuffix(DATA).removesuffix(MANIFEST))
