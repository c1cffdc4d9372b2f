"""The folder of the backups of one log: what lies in it, and who may work there.

::

    20240102T030405.000006Z.db.zst   the database, compressed
    20240102T030405.000006Z.json     its manifest, written last
    *.part, .scratch-*               what is being made, or was left behind by a process that was killed
    .lock, .scheduler.lock           held by whoever works there, and by the one scheduler

The operating system releases the locks of a process that dies. Whatever is half made while nobody holds the lock is
nobody's.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

import portalocker
from portalocker import LockFlags

from byjy_events.backup import manifest as manifests
from byjy_events.backup.errors import BackupError, FolderBusy, FolderUnusable, NoSuchBackup
from byjy_events.backup.manifest import DATA, MANIFEST, PART, Manifest, is_name
from byjy_events.private_file import sync_folder

LATEST = "latest"
SCRATCH = ".scratch-"
LOCK, SCHEDULER_LOCK = ".lock", ".scheduler.lock"
LOOK_SECONDS = 0.1


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
        path: of the compressed database.
        manifest: None: there is none that can be read.
        problem: why it is incomplete; None: it is not.
    """

    name: str
    path: Path
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
    def manifest_path(self) -> Path:
        """Where its manifest lies, or would."""
        return self.path.with_name(self.name + MANIFEST)

    def known(self) -> Manifest:
        """Its manifest.

        Raises:
            NoSuchBackup: it is incomplete.
        """
        if self.manifest is None or self.problem is not None:
            raise NoSuchBackup(self.path.parent, self.name, self.problem or "it has no manifest")
        return self.manifest


class BackupFolder:
    """A folder with the backups of one log."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)

    def backups(self) -> list[Backup]:
        """All of them, the newest first; what is incomplete at the end.

        Raises:
            FolderUnusable: it cannot be read.
        """
        with self.usable():
            files = {entry.name for entry in os.scandir(self.path)}
        names = {file.removesuffix(suffix) for file in files for suffix in (DATA, MANIFEST) if file.endswith(suffix)}
        found = [self._backup(name, files) for name in sorted(filter(is_name, names), reverse=True)]
        return sorted(found, key=_age)

    def backup(self, name: str) -> Backup:
        """The one of this name, or with ``latest`` the newest that did not fail.

        Raises:
            NoSuchBackup: there is none.
            FolderUnusable: the folder cannot be read.
        """
        for one in self.backups():
            if one.name == name or (name == LATEST and one.state in (State.VERIFIED, State.UNVERIFIED)):
                return one
        raise NoSuchBackup(self.path, name)

    @contextlib.contextmanager
    def usable(self) -> Iterator[None]:
        """What the system says of the folder, in one error.

        Raises:
            FolderUnusable: in place of OSError.
        """
        try:
            yield
        except BackupError:
            raise
        except OSError as error:
            raise FolderUnusable(self.path, _said(error)) from error

    @contextlib.asynccontextmanager
    async def locked(self, work: str = LOCK, patience_seconds: float = 600.0) -> AsyncIterator[None]:
        """While nobody else works there. The folder is made if it is missing.

        Raises:
            FolderBusy: somebody else did so for as long as one was willing to wait.
            FolderUnusable: it cannot be written.
        """
        with self.usable():
            self.path.mkdir(mode=0o700, exist_ok=True)
            file = os.open(self.path / work, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            until = time.monotonic() + patience_seconds
            while not _taken(file):
                if time.monotonic() >= until:
                    raise FolderBusy(self.path, "makes backups" if work == SCHEDULER_LOCK else "is at work")
                await asyncio.sleep(LOOK_SECONDS)
            yield
        finally:
            os.close(file)

    @contextlib.contextmanager
    def scratch(self) -> Iterator[Path]:
        """A folder for what is thrown away at the end. The lock has to be held."""
        with self.usable():
            made = Path(tempfile.mkdtemp(prefix=SCRATCH, dir=self.path))  # of mode 0700
        try:
            yield made
        finally:
            shutil.rmtree(made, ignore_errors=True)

    def publish(self, part: Path, manifest: Manifest) -> Backup:
        """Make a compressed file and its manifest a backup, durably."""
        path = self.path / (manifest.name + DATA)
        part.replace(path)
        sync_folder(self.path)
        backup = Backup(manifest.name, path, manifest)
        manifests.write(backup.manifest_path, manifest)
        return backup

    def record(self, backup: Backup, manifest: Manifest) -> Backup:
        """Replace a manifest."""
        with self.usable():
            manifests.write(backup.manifest_path, manifest)
        return backup._replace(manifest=manifest)

    def remove(self, backup: Backup) -> None:
        """Delete a backup, manifest first: what is left if that is cut short counts for nothing."""
        with self.usable():
            backup.manifest_path.unlink(missing_ok=True)
            sync_folder(self.path)
            backup.path.unlink(missing_ok=True)

    def leftovers(self) -> list[Path]:
        """What was half made when a process was killed; certain while the lock is held."""
        with self.usable():
            return sorted(path for path in self.path.iterdir() if _is_leftover(path.name))

    def sweep(self) -> None:
        """Delete the leftovers. The lock has to be held."""
        for path in self.leftovers():
            with self.usable():
                shutil.rmtree(path) if path.is_dir() else path.unlink()

    def _backup(self, name: str, files: set[str]) -> Backup:
        path = self.path / (name + DATA)
        if name + MANIFEST not in files:
            return Backup(name, path, None, "it has no manifest: it was never finished")
        try:
            manifest = manifests.read(self.path / (name + MANIFEST))
        except (ValueError, OSError) as error:
            return Backup(name, path, None, _said(error) if isinstance(error, OSError) else str(error))
        return Backup(name, path, manifest, None if path.name in files else "its data is missing")


def _age(backup: Backup) -> tuple[bool, int]:
    """To sort by: newest first, and what is incomplete at the end."""
    return backup.manifest is None, -backup.manifest.sequence if backup.manifest is not None else 0


def _is_leftover(name: str) -> bool:
    stem = name.removesuffix(PART)
    return name.startswith(SCRATCH) or (stem != name and is_name(stem.removesuffix(DATA).removesuffix(MANIFEST)))


def _taken(file: int) -> bool:
    try:
        portalocker.lock(file, LockFlags.EXCLUSIVE | LockFlags.NON_BLOCKING)
    except portalocker.AlreadyLocked:
        return False
    except portalocker.LockException as error:
        raise OSError(str(error)) from error
    return True


def _said(error: OSError) -> str:
    return error.strerror or str(error)
