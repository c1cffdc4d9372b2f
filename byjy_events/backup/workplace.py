"""A folder of this machine where backups are made: for one process at a time, which leaves nothing behind.

The operating system releases the locks of a process that dies. Whatever is half made while nobody holds the lock is
nobody's. The event loop waits for neither locks nor deletions: the folder may be on a disk that hangs, and what is
thrown away there may be long.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import stat
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from hashlib import sha256
from pathlib import Path

import portalocker
from portalocker import LockFlags

from byjy_events.backup.errors import BackupError, FolderBusy, FolderUnusable
from byjy_events.backup.manifest import private
from byjy_events.backup.threads import in_thread

SCRATCH = ".scratch-"
LOCK, SCHEDULER_LOCK, SEGMENTS_LOCK = ".lock", ".scheduler.lock", ".segments.lock"
_DOING = {SCHEDULER_LOCK: "makes backups", SEGMENTS_LOCK: "writes segments"}
LOOK_SECONDS = 0.1


class Workplace:
    """A folder for scratch files and locks.

    Args:
        path: of the folder. It is made when it is first needed, in a folder that has to be there.
        where: what is worked at, for errors.
    """

    def __init__(self, path: Path, where: Path | str) -> None:
        self.path = path
        self.where = where

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
            raise FolderUnusable(self.path, said(error)) from error

    @contextlib.asynccontextmanager
    async def locked(self, work: str = LOCK, patience_seconds: float = 600.0) -> AsyncIterator[None]:
        """While nobody else on this machine does this kind of work there.

        Raises:
            FolderBusy: somebody else did so for as long as one was willing to wait.
            FolderUnusable: it cannot be written.
        """
        until = time.monotonic() + patience_seconds
        with contextlib.ExitStack() as held:  # which knows of the lock before whoever is cancelled meanwhile
            while not await in_thread(lambda _: self._taken(work, held)):
                if time.monotonic() >= until:
                    raise FolderBusy(self.where, _DOING.get(work, "is at work"))
                await asyncio.sleep(LOOK_SECONDS)
            yield

    def make(self) -> None:
        """Make sure the folder is there.

        Raises:
            OSError: it cannot be.
        """
        self.path.mkdir(mode=0o700, exist_ok=True)

    @contextlib.asynccontextmanager
    async def scratch(self) -> AsyncIterator[Path]:
        """A folder for what is thrown away at the end. The lock has to be held."""
        with self.usable():
            made = Path(tempfile.mkdtemp(prefix=SCRATCH, dir=self.path))  # of mode 0700
        try:
            yield made
        finally:
            await in_thread(lambda _: shutil.rmtree(made, ignore_errors=True))  # a gigabyte takes a quarter of a second

    def leftovers(self) -> list[Path]:
        """What was half made when a process was killed; certain while the lock is held."""
        with self.usable():
            return sorted(self.path.glob(f"{SCRATCH}*"))

    def sweep(self) -> None:
        """Delete the leftovers. The lock has to be held."""
        for path in self.leftovers():
            with self.usable():
                shutil.rmtree(path) if path.is_dir() else path.unlink()

    def free_bytes(self) -> int:
        """Free space."""
        with self.usable():
            return shutil.disk_usage(self.path).free

    def _taken(self, work: str, held: contextlib.ExitStack) -> bool:
        """Whether nobody else has the lock; then it is held until the file is closed."""
        with self.usable():
            self.make()
            file = open(self.path / work, "ab", buffering=0, opener=private)  # noqa: SIM115 - it stays open
        try:
            portalocker.lock(file, LockFlags.EXCLUSIVE | LockFlags.NON_BLOCKING)
        except portalocker.LockException as error:
            file.close()
            if isinstance(error, portalocker.AlreadyLocked):
                return False
            raise FolderUnusable(self.path, str(error)) from error
        held.callback(file.close)
        return True


class TemporaryWorkplace(Workplace):
    """One for a target that is elsewhere, in the folder for temporary files. All who name the target alike share it."""

    def __init__(self, where: str) -> None:
        owner = os.getuid() if hasattr(os, "getuid") else "user"
        name = f"byjy-backups-{owner}-{sha256(where.encode()).hexdigest()[:16]}"
        super().__init__(Path(tempfile.gettempdir()) / name, where)

    def make(self) -> None:
        super().make()
        found = self.path.lstat()
        if not stat.S_ISDIR(found.st_mode) or (hasattr(os, "getuid") and found.st_uid != os.getuid()):
            raise PermissionError("it belongs to somebody else")
        for lock in self.path.glob("*.lock"):
            os.utime(lock)  # else what tidies such folders up deletes one that is held for long


def said(error: OSError) -> str:
    """What the system says, without the path."""
    return error.strerror or str(error)
