"""Append batches and chunked reads on SQLite."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import weakref
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import sqlalchemy as sa

from byjy_events.backend import Committed, Turn
from byjy_events.chunk import Chunk, chunk_of
from byjy_events.companion import Company, SqliteCompanion
from byjy_events.database import create_sqlite_file, open_engine, sqlite_path
from byjy_events.errors import LogUnavailable
from byjy_events.plan import Known
from byjy_events.query import Query, select
from byjy_events.sqlite.appender import Appender, stored_already
from byjy_events.sqlite.lane import ClosedLane, Lane
from byjy_events.sqlite.packed import NotPackable, packed, unpacked
from byjy_events.sqlite.reader import Reader
from byjy_events.sqlite.transaction import transact, transact_undurably

T = TypeVar("T")

POLL_SECONDS = 0.005
"""How soon after a commit another one is looked for, while somebody follows."""

IDLE_POLL_SECONDS = 0.025
"""How often commits are looked for while there are none."""

PACKED_FROM = 100
"""Chunks of so many events are read as one row; of fewer, packing would cost more than the rows."""

_HEAD = "SELECT position FROM events ORDER BY position DESC LIMIT 1"


class SqliteBackend:
    """The log in one SQLite file: writes through the lane, reads through connections of their own."""

    announces = False  # other processes see the file change
    queues_turns = True
    least_batch = 500  # its thread and the one that prepares take turns at the interpreter, more often for smaller ones

    def __init__(self, url: sa.URL, *, read_only: bool = False) -> None:
        self._path = sqlite_path(url)
        self._read_only = read_only
        if not read_only:
            create_sqlite_file(self._path)
        self.engine = open_engine(url)
        self._unpooled = open_engine(url, pooled=False)
        self.lane = ClosedLane() if read_only else Lane(self._path)
        self.company: Company[SqliteCompanion] = Company()
        self._appender = Appender(self.company)
        self._readers: weakref.WeakSet[Reader] = weakref.WeakSet()
        self._reader, self._second = self.reader(), self.reader()

    async def start(self) -> None:
        if not self._read_only:
            await self.lane.run(lambda connection: None)

    async def close(self) -> None:
        for reader in list(self._readers):
            await reader.end()
        await self.engine.dispose()
        await self.lane.close()

    async def reopen(self) -> None:
        await self.lane.reconnect()

    def commit(self, turn: Turn) -> asyncio.Future[Committed]:
        def commit(connection: sqlite3.Connection) -> Committed:
            with turn() as appends:
                return self._appender.store(connection, appends)

        return self.lane.run(commit, urgent=True)

    async def known(self, event_ids: Sequence[bytes]) -> dict[bytes, Known]:
        return await self.lane.run(lambda connection: stored_already(connection, event_ids), urgent=True)

    async def transact(self, function: Callable[[sqlite3.Connection], T], *, durable: bool = True) -> T:
        """Run a function inside one transaction of the lane. What it raises rolls everything back.

        Args:
            durable: whether the disk is waited for. If not, a power failure may take the transaction with it,
                as a whole; a crash of the process does not.

        Raises:
            NotStorable, NotStored, Unclear: as for a commit of events.
        """

        def run(connection: sqlite3.Connection) -> T:
            return transact(connection, function) if durable else transact_undurably(connection, function)

        return await self.lane.run(run)

    def reader(self) -> Reader:
        """A reading connection of its own, opened at the first use. The caller closes it, or the log does."""
        reader = Reader(self._unpooled)
        self._readers.add(reader)
        return reader

    async def fetch(self, query: Query, limit: int) -> Chunk:
        statement, parameters = chunk_select(query, limit)
        if limit >= PACKED_FROM:
            # Whatever is odd about the rows, e.g. a text that is none, comes to light when they are read one by one.
            with contextlib.suppress(LogUnavailable, NotPackable):
                return unpacked((await self._read(packed(statement), parameters))[0])
        return chunk_of(await self._read(statement, parameters))

    async def head(self) -> int:
        rows = await self._read(_HEAD, ())
        return rows[0][0] if rows else 0

    async def announce(self, head: int) -> None:
        raise NotImplementedError

    async def watch(self, advanced: Callable[[int], None]) -> None:
        seen, pause = None, POLL_SECONDS
        while True:
            with contextlib.suppress(LogUnavailable):  # whoever reads is told; the next look may succeed
                # Asking whether the file changed costs a look at shared memory; the head a short transaction.
                version = (await self._read("PRAGMA data_version", ()))[0][0]
                if version != seen:
                    advanced(await self.head())
                    seen, pause = version, POLL_SECONDS
            await asyncio.sleep(pause)
            pause = min(pause * 1.25, IDLE_POLL_SECONDS)

    async def _read(self, statement: str, parameters: Sequence[Any]) -> list[Sequence[Any]]:
        try:
            reader = self._second if self._reader.busy else self._reader  # two keep a core each busy
            return await reader.fetch(statement, parameters)
        except sqlite3.Error as error:
            raise LogUnavailable(str(error)) from error


def chunk_select(query: Query, limit: int) -> tuple[str, list[Any]]:
    """The statement for one chunk of the log, and its parameters."""
    return select(query, limit, lambda number: "?", bytes)
