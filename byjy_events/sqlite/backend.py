"""Append batches and chunked reads on SQLite."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import time
import weakref
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import sqlalchemy as sa
import structlog

from byjy_events.answer import handed_over
from byjy_events.backend import Committed, NotStorable, NotStored, Unclear
from byjy_events.chunk import Chunk, chunk_of
from byjy_events.companion import Company, SqliteCompanion, telling
from byjy_events.database import create_sqlite_file, open_engine, sqlite_path
from byjy_events.errors import LogUnavailable
from byjy_events.leaf import leaf_hash
from byjy_events.plan import Known, Part, Plan, StreamKey, plan, repeatable_ids
from byjy_events.query import COLUMNS, Query, select
from byjy_events.recorded import Recorded
from byjy_events.sqlite.lane import ClosedLane, Lane
from byjy_events.sqlite.packed import NotPackable, packed, unpacked
from byjy_events.sqlite.reader import Reader
from byjy_events.stream import NO_STREAM

T = TypeVar("T")

VERSIONS_KEPT = 100_000
"""Streams whose version is remembered between batches."""

POLL_SECONDS = 0.005
"""How soon after a commit another one is looked for, while somebody follows."""

IDLE_POLL_SECONDS = 0.025
"""How often commits are looked for while there are none."""

PACKED_FROM = 100
"""Chunks of so many events are read as one row; of fewer, packing would cost more than the rows."""

SLABS = (500, 100, 20, 5, 1)
"""Rows that one statement stores, as many as there are. The driver takes the interpreter lock back after each
statement: with a row each, a busy event loop would hold up every row of a batch; and a slab takes half the time of its
rows even when nobody is busy."""

_log = structlog.get_logger("byjy_events")

_WIDTH = len(COLUMNS.split(","))
_ROW = f"({', '.join('?' * _WIDTH)})"
_INSERTS = {rows: f"INSERT INTO events ({COLUMNS}) VALUES {', '.join([_ROW] * rows)}" for rows in SLABS}  # noqa: S608
_HEAD = "SELECT position, recorded_at FROM events ORDER BY position DESC LIMIT 1"
_VERSION = (
    "SELECT stream_version FROM events WHERE stream_id = ? AND stream_category = ? ORDER BY stream_version DESC LIMIT 1"
)
_KNOWN = (
    "SELECT position, stream_version, recorded_at, stream_category, stream_id, type, schema_version, payload"
    " FROM events WHERE event_id = ?"
)

REFUSED_DATA = (
    sqlite3.IntegrityError,
    sqlite3.DataError,
    sqlite3.InterfaceError,
    sqlite3.ProgrammingError,
    OverflowError,
    UnicodeEncodeError,
)
"""What the driver raises for a value that it or the table does not take."""


class _Doubtful(Exception):
    """Somebody would be refused on a belief."""


class SqliteBackend:
    """The log in one SQLite file: writes through the lane, reads through connections of their own."""

    announces = False  # other processes see the file change
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
        self._versions: dict[StreamKey, int] = {}
        self._head = 0  # of the log when the remembered versions were right
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
            return _transact(connection, function) if durable else _transact_undurably(connection, function)

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

    # --- what follows runs in the lane's thread ------------------------------------------------------

    def _commit(self, connection: sqlite3.Connection, appends: Sequence[Sequence[Part]]) -> Committed:
        try:
            # Looking up every id and every new stream costs as much as storing it, and hardly ever finds anything.
            # The unique indexes look anyway: only when they object, or the plan does, is everything looked up.
            return self._store(connection, appends, self.company.members, look_up=False)
        except (NotStorable, _Doubtful):
            return self._store(connection, appends, self.company.members, look_up=True)

    def _store(
        self,
        connection: sqlite3.Connection,
        appends: Sequence[Sequence[Part]],
        companions: Sequence[SqliteCompanion],
        *,
        look_up: bool,
    ) -> Committed:
        accompanied = False

        def store(connection: sqlite3.Connection) -> tuple[Plan, Committed]:
            nonlocal accompanied
            head, previous = connection.execute(_HEAD).fetchone() or (0, 0)
            recorded_at = max(time.time_ns(), previous)
            known = _known(connection, repeatable_ids(appends)) if look_up else {}
            decision = plan(appends, self._current(connection, head, appends, look_up), known)
            if not look_up and any(verdict.error for verdict in decision.verdicts):
                raise _Doubtful
            committed = Committed(decision.verdicts, decision.placed, head + 1, recorded_at)
            _insert(connection, decision, head + 1, recorded_at)
            if companions and decision.placed:
                accompanied = True
                committed.events = handed_over(committed)
                _accompany(companions, connection, committed.events)
            return decision, committed

        try:
            with telling(companions):
                decision, committed = _transact(connection, store)
        except NotStored:
            if not accompanied:
                raise
            # Some errors take the whole transaction with them, and some constraints are looked at in the end only.
            return self._store(connection, appends, (), look_up=look_up)
        self._remember(decision, committed.first_position - 1)
        return committed

    def _current(
        self, connection: sqlite3.Connection, head: int, appends: Sequence[Sequence[Part]], look_up: bool
    ) -> dict[StreamKey, int]:
        """The versions of the batch's streams. Remembered ones hold as long as nobody else appended since.

        What was believed to be new and then took no event is remembered as new, which it may not be. So a look-up
        trusts nothing that is remembered.
        """
        if head != self._head:
            self._versions.clear()
        versions: dict[StreamKey, int] = {}
        for parts in appends:
            for part in parts:
                if part.stream in versions:
                    continue
                version = None if look_up else self._versions.get(part.stream)
                if version is None:
                    believed_new = part.expected == NO_STREAM and not look_up
                    version = 0 if believed_new else _version(connection, part.stream)
                versions[part.stream] = version
        return versions

    def _remember(self, decision: Plan, head: int) -> None:
        if len(self._versions) > VERSIONS_KEPT:
            self._versions.clear()
        self._versions.update(decision.versions)
        self._head = head + len(decision.placed)


def chunk_select(query: Query, limit: int) -> tuple[str, list[Any]]:
    """The statement for one chunk of the log, and its parameters."""
    return select(query, limit, lambda number: "?", bytes)


def _accompany(
    companions: Sequence[SqliteCompanion], connection: sqlite3.Connection, events: Sequence[Recorded]
) -> None:
    for companion in companions:
        connection.execute("SAVEPOINT companion")
        try:
            companion.accompany(connection, events)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is no reason to lose events
            _log.warning("companion_failed", cause=f"{type(error).__name__}: {error}")
            connection.execute("ROLLBACK TO companion")
        connection.execute("RELEASE companion")


def _transact(connection: sqlite3.Connection, function: Callable[[sqlite3.Connection], T]) -> T:
    try:
        connection.execute("BEGIN IMMEDIATE")
        try:
            result = function(connection)
        except BaseException:
            _roll_back(connection)
            raise
    except REFUSED_DATA as error:
        raise NotStorable(str(error)) from error
    except sqlite3.Error as error:
        raise NotStored(str(error)) from error
    try:
        connection.execute("COMMIT")
    except sqlite3.IntegrityError as error:  # a deferred constraint of somebody's own table
        _roll_back(connection)
        raise NotStorable(str(error)) from error
    except sqlite3.Error as error:
        # After a failed fsync the row is hidden now, and there after a crash: only a new connection can tell.
        raise Unclear(str(error)) from error
    return result


def _transact_undurably(connection: sqlite3.Connection, function: Callable[[sqlite3.Connection], T]) -> T:
    try:
        connection.execute("PRAGMA synchronous = NORMAL")
        return _transact(connection, function)
    except sqlite3.Error as error:
        raise NotStored(str(error)) from error
    finally:
        try:
            connection.execute("PRAGMA synchronous = FULL")
        except sqlite3.Error as error:
            # It cannot be set inside a transaction, which a COMMIT that failed may leave open. Appends would not
            # wait for the disk on this connection: the lane has to throw it away.
            raise Unclear(str(error)) from error


def _roll_back(connection: sqlite3.Connection) -> None:
    if connection.in_transaction:  # SQLite rolls back by itself on some errors, a full disk for one
        with contextlib.suppress(sqlite3.Error):
            connection.execute("ROLLBACK")


def _version(connection: sqlite3.Connection, stream: StreamKey) -> int:
    found = connection.execute(_VERSION, (stream[1], stream[0])).fetchone()
    return found[0] if found else 0


def _known(connection: sqlite3.Connection, event_ids: Sequence[bytes]) -> dict[bytes, Known]:
    known = {}
    for event_id in event_ids:
        found = connection.execute(_KNOWN, (event_id,)).fetchone()
        if found:
            position, version, recorded_at, category, stream_id, *told = found
            known[event_id] = Known(position, version, recorded_at, (category, stream_id), *told)
    return known


def _insert(connection: sqlite3.Connection, decision: Plan, first_position: int, recorded_at: int) -> None:
    values = _values(decision, first_position, recorded_at)
    start = 0
    for rows, statement in _INSERTS.items():
        while (end := start + rows * _WIDTH) <= len(values):
            connection.execute(statement, values[start:end])
            start = end


def _values(decision: Plan, first_position: int, recorded_at: int) -> list[Any]:
    """The values of all rows, one after the other: a tuple for each row would be one more object."""
    values: list[Any] = []
    for position, placed in enumerate(decision.placed, first_position):
        (category, stream_id), version, draft = placed.stream, placed.stream_version, placed.draft
        values += (
            position, draft.event_id, category, stream_id, version, draft.type, draft.schema_version,
            draft.payload, draft.occurred_at, draft.received_at, recorded_at, draft.actor,
            draft.correlation_id, draft.causation_id, leaf_hash(draft.content_hash, position, version, recorded_at),
        )  # fmt: skip
    return values
