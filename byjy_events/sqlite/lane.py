"""The write lane: one connection and one thread, held for the life of the log.

Every write of this process runs here as a whole function, one thread hop each, under the turnstile: append batches
first, but no two of them while a projector's transaction waits. A connection of its own for each kind of writer would
have them wait for each other in SQLite's busy handler, which is slow and unfair; in one lane they wait in a queue.

SQLite checkpoints by itself at the end of a commit of such a connection, under the turnstile as well; no other one
does. The WAL is not truncated then but written over: a commit into a file that grows waits for the file system too.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import structlog

from byjy_events.backend import NotStored, Unclear
from byjy_events.database import SQLITE_PRAGMAS
from byjy_events.errors import LogClosed
from byjy_events.sqlite.turnstile import Turnstile

T = TypeVar("T")

CHECKPOINT_PAGES = 1_000
"""A WAL of so many pages is checkpointed; a reader that keeps it from being begun anew lets it grow past this."""

KEPT_BYTES = 64 * 1024 * 1024
"""What is left of a WAL that had to grow, once it is begun anew."""

EMPTYING_SECONDS = 0.5
"""How often it is tried to empty a WAL that could not be emptied when it should have been."""

FULL_SECONDS = 60.0
"""How long a WAL that is written to is left as it is. Another process may have erased something and ended before a
reader let it empty the WAL, and what lies far behind may not be written over for long."""

WARN_BYTES = 256 * 1024 * 1024
"""A WAL of this size means that a reader has been holding a snapshot for a long time."""

_log = structlog.get_logger("byjy_events")


class Lane:
    """Runs functions over the one write connection, one at a time, appends before everything else, by turns."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._wal = f"{path}-wal"
        self._jobs: deque[Callable[[], None]] = deque()
        self._urgent: deque[Callable[[], None]] = deque()
        self._ready = threading.Condition()
        self._closing = False
        self._warned = False
        self._empty_after = time.monotonic() + FULL_SECONDS
        self._was_urgent = False
        self._connection: sqlite3.Connection | None = None
        self._turnstile = Turnstile(path)
        # A daemon: a program that forgets to close its log still ends. What was acknowledged is durable anyway.
        self._thread = threading.Thread(target=self._serve, name=f"byjy-lane-{path.name}", daemon=True)
        self._thread.start()

    def run(self, function: Callable[[sqlite3.Connection], T], *, urgent: bool = False) -> asyncio.Future[T]:
        """Run a function with the connection, inside the turnstile. It does its own BEGIN and COMMIT.

        Cancelling the returned future does not stop the function once it is queued.

        Raises:
            LogClosed: the lane was closed.
            NotStored: the function was not run: it did not get its turn, or no connection.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()

        def turn() -> None:
            try:
                result = function(self._connected())
            except BaseException as error:  # noqa: BLE001 - it belongs to the caller, not to this thread
                if isinstance(error, Unclear) or (self._connection is not None and self._connection.in_transaction):
                    # What is not there may show on it; and in a transaction that is still open an append, which is
                    # one statement, would be acknowledged and not committed.
                    self._disconnect()
                _deliver(loop, future, None, error)
            else:
                _deliver(loop, future, result, None)
                self._look_after_wal()  # whose callers need not wait for it

        def job() -> None:
            try:
                with self._turnstile:
                    turn()
            except Exception as error:  # noqa: BLE001 - were this thread to end, everybody would wait for ever
                _log.warning("lock_files_failed", cause=str(error))
                _deliver(loop, future, None, NotStored(f"lock files: {error}"))

        self._submit(job, urgent)
        return future

    def reconnect(self) -> asyncio.Future[None]:
        """Throw the connection away, ahead of everything that waits; the next job opens another."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()

        def job() -> None:
            self._disconnect()
            _deliver(loop, future, None, None)

        self._submit(job, urgent=True)
        return future

    def empty_wal(self) -> asyncio.Future[bool]:
        """Checkpoint now, so that nothing is left in the WAL that was overwritten in the file.

        The result is False while a reader or the database stands in the way.
        """
        return self.run(self._empty_wal)

    async def close(self) -> None:
        """Finish what is queued, then close. Safe to call twice."""
        with self._ready:
            self._closing = True
            self._ready.notify()
        await asyncio.to_thread(self._thread.join)

    def _submit(self, job: Callable[[], None], urgent: bool) -> None:
        with self._ready:
            if self._closing:
                raise LogClosed
            (self._urgent if urgent else self._jobs).append(job)
            self._ready.notify()

    def _serve(self) -> None:
        while (job := self._next()) is not None:
            job()
        try:
            with self._turnstile:  # the last connection to a file checkpoints it when it closes
                self._disconnect()
        finally:
            self._turnstile.close()

    def _next(self) -> Callable[[], None] | None:
        with self._ready:
            while not self._urgent and not self._jobs:
                if self._closing:
                    return None
                self._ready.wait()
            # An append that waits already while another is stored must not keep everybody else out for ever.
            self._was_urgent = bool(self._urgent) and not (self._was_urgent and self._jobs)
            return self._urgent.popleft() if self._was_urgent else self._jobs.popleft()

    def _connected(self) -> sqlite3.Connection:
        if self._connection is None:
            try:
                self._connection = connect(self._path)
            except sqlite3.Error as error:
                raise NotStored(str(error)) from error
        return self._connection

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(sqlite3.Error):
                connection.close()

    def _empty_wal(self, connection: sqlite3.Connection) -> bool:
        with contextlib.suppress(sqlite3.Error):
            _truncate(connection)
        emptied = _size(self._wal) == 0
        self._empty_after = time.monotonic() + (FULL_SECONDS if emptied else EMPTYING_SECONDS)
        return emptied

    def _look_after_wal(self) -> None:
        if self._connection is not None and time.monotonic() >= self._empty_after:
            self._empty_wal(self._connection)
        if not self._warned and _size(self._wal) >= WARN_BYTES:
            self._warned = True
            _log.warning("wal_held_by_reader", wal=self._wal, bytes=_size(self._wal))


class ClosedLane(Lane):
    """The lane of a log that is only read: no connection, no thread and no lock files, and every job is refused."""

    def __init__(self) -> None:
        pass

    def run(self, function: Callable[[sqlite3.Connection], T], *, urgent: bool = False) -> asyncio.Future[T]:
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        future.set_exception(NotStored("the log was opened to be read only"))
        return future

    def reconnect(self) -> asyncio.Future[None]:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        future.set_result(None)
        return future

    async def close(self) -> None:
        pass


def connect(path: Path) -> sqlite3.Connection:
    """A connection that writes, under the turnstile: durable at every commit, foreign keys on, transactions by hand."""
    connection = sqlite3.connect(path, isolation_level=None, cached_statements=512)
    try:
        for pragma in SQLITE_PRAGMAS:
            connection.execute(pragma)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA cache_size = -65536")
        connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
        connection.execute(f"PRAGMA journal_size_limit = {KEPT_BYTES}")
    except BaseException:
        connection.close()
        raise
    return connection


def _truncate(connection: sqlite3.Connection) -> None:
    """Empty the WAL. Readers are not waited for."""
    (patience,) = connection.execute("PRAGMA busy_timeout").fetchone()
    connection.execute("PRAGMA busy_timeout = 0")
    try:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    finally:
        connection.execute(f"PRAGMA busy_timeout = {patience}")


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        return 0


def _deliver(
    loop: asyncio.AbstractEventLoop, future: asyncio.Future[Any], result: Any, error: BaseException | None
) -> None:
    def settle() -> None:
        if future.done():  # the caller was cancelled; the work was done all the same
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)

    with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
        loop.call_soon_threadsafe(settle)
