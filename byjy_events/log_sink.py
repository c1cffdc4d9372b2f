"""What a program logs, on its way into ``system_logs``.

Three parties meet here. Any thread may log, at any time: it makes the entry, secrets removed, and puts it into a
bounded queue under a lock that nobody holds for longer than that; it never waits for anything, and gets no error. One
task in the event loop of the log takes batches from the queue and stores them, and tries again while the database
refuses. Who closes waits for that task, for a limited time.

Whatever is logged while the sink itself is at work, in the same thread or task (an object's ``__repr__`` that logs, a
warning of the driver), passes it by: else a database that fails would keep itself busy with the news of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from contextvars import ContextVar
from types import TracebackType
from typing import Any, Self

import structlog

from byjy_events.backend import NotStorable
from byjy_events.errors import LogClosed
from byjy_events.log import EventLog
from byjy_events.log_entry import Batch, LogEntry, entry_of, own_entry
from byjy_events.log_store import LogStore, store_of
from byjy_events.log_table import LogLevel
from byjy_events.redaction import Redactor

CAPACITY = 10_000
"""Entries that wait at most."""

CAPACITY_BYTES = 32 * 1024 * 1024
"""Bytes of them together, about."""

BATCH = 100
"""Entries that are stored together: on SQLite the next append waits for no more than these."""

GATHER_SECONDS = 0.05
"""How long the first entry of a batch waits for others."""

CLOSE_SECONDS = 5.0
"""How long closing waits for the database."""

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.05, 2.0
"""Between two attempts at a database that refuses; each pause is twice the last."""

_inside: ContextVar[bool] = ContextVar("inside_system_log_sink", default=False)
_log = structlog.get_logger("byjy_events")


class SystemLogSink:
    """A structlog processor that stores every entry in the table ``system_logs``.

    ::

        async with EventLog.open(url) as log, SystemLogSink(log) as sink:
            structlog.configure(processors=[merge_contextvars, sink, ConsoleRenderer()])

    It hands on what it is given, unchanged. It neither blocks nor raises, may be called from any thread, and before it
    is started and after it is closed too: entries of before are stored when it is started, those of after are dropped.

    Guarantees: entries of one thread are stored in the order in which they were logged; each once; without secrets, as
    far as :class:`Redactor` finds them. While the database fails, entries wait; beyond the capacity the newest are
    dropped and counted, and an entry ``log_entries_dropped`` says so as soon as there is room. An entry is not waited
    for: a process that is killed loses those of the last moment.

    Attributes:
        dropped: entries that were not stored and will not be.
        last_error: why the last attempt failed; None: it did not.
    """

    def __init__(
        self,
        log: EventLog,
        *,
        level: LogLevel = LogLevel.DEBUG,
        redactor: Redactor | None = None,
        capacity: int = CAPACITY,
        capacity_bytes: int = CAPACITY_BYTES,
    ) -> None:
        self._log = log
        self._levels = frozenset(level.and_above)
        self._redactor = Redactor() if redactor is None else redactor
        self._capacity = capacity
        self._capacity_bytes = capacity_bytes
        self._lock = threading.Lock()
        self._queue: deque[LogEntry] = deque()
        self._held = 0  # entries that wait or are being stored
        self._held_bytes = 0
        self._accepted = self._settled = 0
        self._taken = (0, 0)  # entries and bytes of the batch under way
        self._said = 0  # drops that a row tells of
        self._saying = 0  # drops that the batch under way tells of
        self._unfit = False  # whether the last attempt failed because of an entry
        self._rung = False
        self._ended = False
        self._closing = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._bell = asyncio.Event()
        self._progress = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._store: LogStore | None = None
        self.dropped = 0
        self.last_error: str | None = None

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    # --- any thread -----------------------------------------------------------------------------------

    def __call__(self, logger: Any, method: str, entry: Any) -> Any:
        """Take note of an entry, and hand it on."""
        if not _inside.get():
            token = _inside.set(True)
            try:
                made = entry_of(self._redactor, method, entry, logger)
                if made.level in self._levels:
                    self._offer(made)
            except Exception:  # noqa: BLE001 - a program does not fail because it could not log
                self._drop(1)
            finally:
                _inside.reset(token)
        return entry

    def _offer(self, entry: LogEntry) -> None:
        size = entry.size
        with self._lock:
            full = self._held >= self._capacity or self._held_bytes + size > self._capacity_bytes
            if full or self._ended:
                self.dropped += 1
                return
            self._queue.append(entry)
            self._held += 1
            self._held_bytes += size
            self._accepted += 1
            loop, self._rung, rung = self._loop, True, self._rung
        if loop is not None and not rung:
            self._ring(loop)

    def _ring(self, loop: asyncio.AbstractEventLoop) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed, and the sink was not
            loop.call_soon_threadsafe(self._bell.set)

    def _drop(self, count: int) -> None:
        with self._lock:
            self.dropped += count

    # --- the event loop -------------------------------------------------------------------------------

    async def start(self) -> Self:
        """Begin to store, in the event loop of the log."""
        if self._task is None and not self._ended:
            self._task = asyncio.create_task(self._run(), name="byjy-system-logs")
            with self._lock:
                self._loop = asyncio.get_running_loop()
            self._bell.set()  # for what was logged before
        return self

    async def flush(self, *, timeout_seconds: float = CLOSE_SECONDS) -> bool:
        """Wait until everything that was logged before the call is stored; False: it is not, in this time."""
        goal = self._accepted
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_seconds):
                while self._settled < goal and self._task is not None and not self._task.done():
                    await self._progress.wait()
        return self._settled >= goal

    async def close(self, *, timeout_seconds: float = CLOSE_SECONDS) -> None:
        """Store what waits, for as long as this, and end. What is left then is dropped. Safe to call twice."""
        self._closing = True
        self._bell.set()
        try:
            if self._task is not None:
                await asyncio.wait([self._task], timeout=timeout_seconds)
        finally:
            await self._end()

    async def _end(self) -> None:
        with self._lock:
            already, self._ended, self._loop = self._ended, True, None
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._store is not None:
            await self._store.close()
        if already:
            return
        with self._lock:
            self.dropped += self._held
            self._held = self._held_bytes = 0
            self._queue.clear()
        if self.dropped > self._said:
            token = _inside.set(True)
            _log.warning("log_entries_lost", count=self.dropped - self._said, cause=self.last_error)
            _inside.reset(token)

    async def _run(self) -> None:
        _inside.set(True)
        while True:
            await self._bell.wait()
            self._bell.clear()
            if not self._closing:
                await asyncio.sleep(GATHER_SECONDS)
            while (batch := self._next_batch()) is not None:
                await self._persist(batch)
                self._settle()
            if self._closing:
                return

    def _next_batch(self) -> Batch | None:
        with self._lock:
            self._rung = False
            entries = [self._queue.popleft() for _ in range(min(BATCH, len(self._queue)))]
            self._taken = (len(entries), sum(entry.size for entry in entries))
            self._saying = self.dropped - self._said
        if self._saying:
            entries.append(own_entry("log_entries_dropped", count=self._saying))
        return Batch(entries) if entries else None

    async def _persist(self, batch: Batch) -> None:
        """Try until the batch is stored. An entry that the table does not take is dropped, its neighbours are not.

        Raises:
            LogClosed: it never will be.
        """
        pause = FIRST_PAUSE_SECONDS
        while not await self._attempt(batch):
            if len(batch.entries) > 1 and self._unfit:
                for entry in batch.entries:
                    await self._persist(Batch([entry]))
                return
            if self._unfit:
                self._drop(1)
                return
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    async def _attempt(self, batch: Batch) -> bool:
        self._unfit = False
        try:
            if self._store is None:
                self._store = store_of(self._log.backend)
            await self._store.write(batch)
        except Exception as error:
            if isinstance(error, LogClosed) and self._closing:
                raise
            self._unfit = isinstance(error, NotStorable)
            if self.last_error is None:  # once for each time that it breaks
                _log.warning("system_logs_failed", cause=f"{type(error).__name__}: {error}")
            self.last_error = f"{type(error).__name__}: {error}"
            return False
        self.last_error = None
        return True

    def _settle(self) -> None:
        """A batch is done with, one way or the other."""
        with self._lock:
            count, size = self._taken
            self._held -= count
            self._held_bytes -= size
            self._settled += count
            self._said += self._saying
        self._progress.set()  # wakes those who wait, and only those
        self._progress.clear()
