"""Append batches and chunked reads on SQLite."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import sqlalchemy as sa

from byjy_events.backend import Committed, NotStorable, NotStored, Unclear
from byjy_events.database import create_sqlite_file, open_engine, sqlite_path
from byjy_events.leaf import leaf_hash
from byjy_events.plan import Known, Part, Plan, StreamKey, plan, repeatable_ids, streams_of
from byjy_events.query import COLUMNS, Query, select
from byjy_events.sqlite.lane import Lane
from byjy_events.sqlite.reader import Reader

T = TypeVar("T")

VERSIONS_KEPT = 100_000
"""Streams whose version is remembered between batches."""

POLL_SECONDS = 0.005
"""How soon after a commit another one is looked for, while somebody follows."""

IDLE_POLL_SECONDS = 0.025
"""How often commits are looked for while there are none."""

_INSERT = f"INSERT INTO events ({COLUMNS}) VALUES ({', '.join('?' * len(COLUMNS.split(',')))})"  # noqa: S608
_HEAD = "SELECT position, recorded_at FROM events ORDER BY position DESC LIMIT 1"
_VERSION = (
    "SELECT stream_version FROM events WHERE stream_id = ? AND stream_category = ? ORDER BY stream_version DESC LIMIT 1"
)
_KNOWN = "SELECT position, stream_version, recorded_at FROM events WHERE event_id = ?"

_REFUSED_DATA = (
    sqlite3.IntegrityError,
    sqlite3.DataError,
    sqlite3.InterfaceError,
    sqlite3.ProgrammingError,
    OverflowError,
    UnicodeEncodeError,
)
"""What the driver raises for a value that it or the table does not take."""


class SqliteBackend:
    """The log in one SQLite file: writes through the lane, reads through connections of their own."""

    announces = False  # other processes see the file change

    def __init__(self, url: sa.URL) -> None:
        self._path = sqlite_path(url)
        create_sqlite_file(self._path)
        self.engine = open_engine(url)
        self.lane = Lane(self._path)
        self._versions: dict[StreamKey, int] = {}
        self._head = 0  # of the log when the remembered versions were right
        self._reader = self.reader()

    async def start(self) -> None:
        await self.lane.run(lambda connection: None)

    async def close(self) -> None:
        await self._reader.close()
        await self.engine.dispose()
        await self.lane.close()

    async def reopen(self) -> None:
        await self.lane.reconnect()

    async def commit(self, appends: Sequence[Sequence[Part]]) -> Committed:
        return await self.lane.run(lambda connection: self._commit(connection, appends), urgent=True)

    async def known(self, event_ids: Sequence[bytes]) -> dict[bytes, Known]:
        return await self.lane.run(lambda connection: _known(connection, event_ids), urgent=True)

    async def transact(self, function: Callable[[sqlite3.Connection], T], *, durable: bool = True) -> T:
        """Run a function inside one transaction of the lane. What it raises rolls everything back.

        Args:
            durable: whether the disk is waited for. If not, a power failure may take the transaction with it,
                as a whole; a crash of the process does not.

        Raises:
            NotStorable, NotStored, Unclear: as for a commit of events.
        """

        def run(connection: sqlite3.Connection) -> T:
            if durable:
                return _transact(connection, function)
            connection.execute("PRAGMA synchronous = NORMAL")
            try:
                return _transact(connection, function)
            finally:
                connection.execute("PRAGMA synchronous = FULL")

        return await self.lane.run(run)

    def reader(self) -> Reader:
        """A reading connection of its own, opened at the first use. The caller closes it."""
        return Reader(self.engine)

    async def fetch(self, query: Query, limit: int) -> list[Sequence[Any]]:
        statement, parameters = select(query, limit, lambda number: "?", bytes)
        return await self._reader.fetch(statement, parameters)

    async def head(self) -> int:
        rows = await self._reader.fetch(_HEAD, ())
        return rows[0][0] if rows else 0

    async def announce(self, head: int) -> None:
        raise NotImplementedError

    async def watch(self, advanced: Callable[[int], None]) -> None:
        seen, pause = None, POLL_SECONDS
        while True:
            # Asking whether the file changed costs a look at shared memory; reading the head a short transaction.
            version = (await self._reader.fetch("PRAGMA data_version", ()))[0][0]
            if version != seen:
                seen, pause = version, POLL_SECONDS
                advanced(await self.head())
            await asyncio.sleep(pause)
            pause = min(pause * 1.25, IDLE_POLL_SECONDS)

    # --- what follows runs in the lane's thread ------------------------------------------------------

    def _commit(self, connection: sqlite3.Connection, appends: Sequence[Sequence[Part]]) -> Committed:
        def store(connection: sqlite3.Connection) -> tuple[Plan, int, int]:
            head, previous = connection.execute(_HEAD).fetchone() or (0, 0)
            recorded_at = max(time.time_ns(), previous)
            decision = plan(appends, self._current(connection, head, appends), _repeated(connection, appends))
            connection.executemany(_INSERT, _rows(decision, head + 1, recorded_at))
            return decision, head, recorded_at

        decision, head, recorded_at = _transact(connection, store)
        self._remember(decision, head)
        return Committed(decision.verdicts, decision.placed, head + 1, recorded_at)

    def _current(
        self, connection: sqlite3.Connection, head: int, appends: Sequence[Sequence[Part]]
    ) -> dict[StreamKey, int]:
        """The versions of the batch's streams. Remembered ones hold as long as nobody else appended since."""
        if head != self._head:
            self._versions.clear()
        remembered = self._versions
        versions = {}
        for stream in streams_of(appends):
            version = remembered.get(stream)
            if version is None:
                found = connection.execute(_VERSION, (stream[1], stream[0])).fetchone()
                version = found[0] if found else 0
            versions[stream] = version
        return versions

    def _remember(self, decision: Plan, head: int) -> None:
        if len(self._versions) > VERSIONS_KEPT:
            self._versions.clear()
        self._versions.update(decision.versions)
        self._head = head + len(decision.placed)


def _transact(connection: sqlite3.Connection, function: Callable[[sqlite3.Connection], T]) -> T:
    try:
        connection.execute("BEGIN IMMEDIATE")
        try:
            result = function(connection)
        except BaseException:
            _roll_back(connection)
            raise
    except _REFUSED_DATA as error:
        raise NotStorable(str(error)) from error
    except sqlite3.Error as error:
        raise NotStored(str(error)) from error
    try:
        connection.execute("COMMIT")
    except sqlite3.Error as error:
        # After a failed fsync the row is hidden now, and there after a crash: only a new connection can tell.
        raise Unclear(str(error)) from error
    return result


def _roll_back(connection: sqlite3.Connection) -> None:
    if connection.in_transaction:  # SQLite rolls back by itself on some errors, a full disk for one
        with contextlib.suppress(sqlite3.Error):
            connection.execute("ROLLBACK")


def _repeated(connection: sqlite3.Connection, appends: Sequence[Sequence[Part]]) -> dict[bytes, Known]:
    return _known(connection, repeatable_ids(appends))


def _known(connection: sqlite3.Connection, event_ids: Sequence[bytes]) -> dict[bytes, Known]:
    known = {}
    for event_id in event_ids:
        found = connection.execute(_KNOWN, (event_id,)).fetchone()
        if found:
            known[event_id] = Known(*found)
    return known


def _rows(decision: Plan, first_position: int, recorded_at: int) -> list[tuple[Any, ...]]:
    rows = []
    for position, (_, (category, stream_id), version, draft) in enumerate(decision.placed, first_position):
        leaf = leaf_hash(draft.content_hash, position, version, recorded_at)
        rows.append(
            (
                position, draft.event_id, category, stream_id, version, draft.type, draft.schema_version,
                draft.payload, draft.occurred_at, draft.received_at, recorded_at, draft.actor,
                draft.correlation_id, draft.causation_id, leaf,
            )
        )  # fmt: skip
    return rows
