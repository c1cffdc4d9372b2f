"""A fair queue for writers of one SQLite file, across processes.

SQLite has no queue: whoever finds the file locked sleeps and tries again, and a busy writer that commits and
starts anew at once wins every time (one of two made 1 commit in 3 seconds, the other 19,429). Here a writer waits
for the gate, then for the lock, and lets go of the gate once it has the lock. So at most one writer waits for the
lock, all others wait for the gate, and whoever comes back goes behind them.

Every checkpoint runs under the same lock, which also keeps clear of the WAL-reset bug of SQLite before 3.51.3.

The operating system releases the locks of a process that dies.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import TracebackType

if sys.platform == "win32":
    from portalocker import LockFlags, lock, unlock

    def _acquire(file: int) -> None:
        lock(file, LockFlags.EXCLUSIVE)

    _release = unlock
else:  # portalocker does the same, behind checks that show at four calls for each transaction
    import fcntl

    def _acquire(file: int) -> None:
        fcntl.flock(file, fcntl.LOCK_EX)

    def _release(file: int) -> None:
        fcntl.flock(file, fcntl.LOCK_UN)


class Turnstile:
    """A context manager: inside, no other process or lane writes to the file. Not reentrant, one thread only."""

    def __init__(self, database: Path) -> None:
        self._gate = _open(database.with_name(database.name + ".gate"))
        self._lock = _open(database.with_name(database.name + ".lock"))

    def __enter__(self) -> None:
        _acquire(self._gate)
        try:
            _acquire(self._lock)
        finally:
            _release(self._gate)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _release(self._lock)

    def close(self) -> None:
        """Let go of the files; they stay on disk, since removing them would split the queue in two."""
        os.close(self._gate)
        os.close(self._lock)


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
