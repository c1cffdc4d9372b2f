"""The event log: append, read, follow."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Iterable, Sequence
from types import TracebackType
from typing import Any, Self
from uuid import UUID

import msgspec
import sqlalchemy as sa
import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from byjy_events import collector
from byjy_events.answer import handed_over, receipt_of
from byjy_events.backend import Backend, Committed, NotStored
from byjy_events.chunk import Chunk, all_recorded, positions, refuse_altered, refuse_gap
from byjy_events.contradiction import contradiction
from byjy_events.database import display, is_sqlite, parse_url
from byjy_events.draft import drafted
from byjy_events.errors import LogClosed, LogUnavailable
from byjy_events.event import Event
from byjy_events.migrating import ensure_schema
from byjy_events.plan import Known, Part, Verdict
from byjy_events.query import Query, names_of, query_of
from byjy_events.recorded import Entry, Outcome, Receipt, Recorded, Write
from byjy_events.stream import ANY, Expected, Stream
from byjy_events.tail import Tail
from byjy_events.writer import Writer

CHUNK = 2_000
"""Events that one read fetches: long enough that its fixed costs vanish, short enough to hold no snapshot."""


_log = structlog.get_logger("byjy_events")


class EventLog:
    """An append-only log of events in one SQLite file or one PostgreSQL database.

    Guarantees: an append that returned is durable. An append is stored whole or not at all. Positions count from 1
    without gaps, in commit order, so whoever has seen position n has seen all before it. A fact that a venue
    tells twice is stored once. Events are never changed or removed; the database itself refuses it.

    One instance belongs to one event loop. Any number of tasks may use it, and any number of processes may open
    the same database::

        async with EventLog.open("sqlite:///trading.db") as log:
            receipt = await log.append(order_stream(order), [OrderPlaced(...)], expected=NO_STREAM)
    """

    def __init__(self, url: sa.URL, actor: str, *, read_only: bool = False) -> None:
        self._url = url
        self._actor = actor
        self._read_only = read_only
        self._backend: Backend | None = None
        self._writer: Writer | None = None
        self._tail = Tail()
        self._watcher: asyncio.Task[None] | None = None
        self._announcing: asyncio.Task[None] | None = None
        self._keeping: set[asyncio.Task[Receipt]] = set()
        self._closing: asyncio.Task[None] | None = None

    @classmethod
    def open(cls, url: str | sa.URL, *, actor: str = "engine", read_only: bool = False) -> EventLog:
        """A log to be entered with ``async with``, or with ``await log.start()`` and ``await log.close()``.

        A new, empty database gets the newest schema.

        Args:
            url: ``sqlite:///file.db`` or ``postgresql://user@host/name``.
            actor: who appends, where an append does not say.
            read_only: on SQLite nothing is written, neither lock files, and the file need not be writable: an append
                raises LogUnavailable. On PostgreSQL the rights of the role decide, and this changes nothing.

        Raises:
            InvalidDatabaseUrl: at once.
            SchemaMismatch: on entering, when the database is older or newer than this program.
            LogUnavailable: on entering, when the database cannot be reached or is not one.
        """
        return cls(parse_url(url), actor, read_only=read_only)

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def start(self) -> Self:
        """Open the database, once.

        Raises:
            LogClosed: it was closed; open another log.
        """
        if self._closing is not None:
            raise LogClosed
        if self._backend is not None:
            return self
        backend = _backend(self._url, read_only=self._read_only)
        try:
            await ensure_schema(backend.engine, display_url=self.url)
            await backend.start()
            self._tail.head = await backend.head()
        except (OSError, sa.exc.DBAPIError, NotStored) as error:
            await backend.close()
            raise LogUnavailable(str(getattr(error, "orig", error))) from error
        except BaseException:
            await asyncio.shield(backend.close())
            raise
        self._backend = backend
        self._writer = Writer(backend, self._publish, self._keep)
        return self

    async def close(self) -> None:
        """Commit what is queued, answer its callers, and close the database. Safe to call twice.

        Cancelling the caller does not stop it.
        """
        if self._closing is None:
            self._closing = asyncio.create_task(self._close(), name="byjy-close")
        await asyncio.shield(self._closing)

    async def _close(self) -> None:
        if self._backend is None or self._writer is None:
            return
        backend = self._backend
        try:
            await self._writer.drain()
            while self._keeping:  # which may append a contradiction
                await asyncio.gather(*self._keeping, return_exceptions=True)
            await self._writer.close()
        finally:
            self._backend = None
            self._tail.wake()
            for task in (self._watcher, self._announcing):
                if task is not None:
                    await _ended(task)
            await backend.close()

    @property
    def url(self) -> str:
        """The database's URL, without password."""
        return display(self._url)

    @property
    def engine(self) -> AsyncEngine:
        """The SQLAlchemy engine for queries; on SQLite its connections cannot write."""
        return self.backend.engine

    @property
    def backend(self) -> Backend:
        """The opened database, for projections.

        Raises:
            LogClosed: it is not open.
        """
        if self._backend is None:
            raise LogClosed
        return self._backend

    # --- append ---------------------------------------------------------------------------------------

    def append(
        self,
        stream: Stream,
        events: Sequence[Event | Entry],
        *,
        expected: Expected = ANY,
        actor: str | None = None,
        correlation_id: UUID | None = None,
        causation_id: UUID | None = None,
    ) -> Coroutine[Any, Any, Receipt]:
        """Append events to one stream, all or none, and return when they are durable.

        Event ids are looked at before ``expected``: if all are stored, the first receipts come back; if none is,
        the version decides; if some are, then with ``ANY`` the others are stored, and else it is a conflict.
        Cancelling the caller does not undo an append that was queued.

        Args:
            expected: :data:`ANY`, :data:`NO_STREAM`, or the exact version the stream is at.
            correlation_id: what this is part of, e.g. a signal.
            causation_id: the event that caused it.

        Raises:
            InvalidEvent, InvalidAppend, VersionConflict, EventIdReused, LogUnavailable, LogClosed: nothing stored.
            OutcomeUnknown: the database went away in mid-commit and did not come back; repeating is safe
                for facts, and for intents with an ``event_id`` of their own.
        """
        return self.append_all(
            (Write(stream, events, expected),), actor=actor, correlation_id=correlation_id, causation_id=causation_id
        )

    async def append_all(
        self,
        writes: Sequence[Write],
        *,
        actor: str | None = None,
        correlation_id: UUID | None = None,
        causation_id: UUID | None = None,
    ) -> Receipt:
        """Append to several streams atomically: all of it or none. See :meth:`append`."""
        if self._writer is None or self._backend is None or self._closing is not None:
            raise LogClosed
        parts = drafted(writes, self._actor if actor is None else actor, correlation_id, causation_id)
        verdict, committed, keeping = await self._writer.append(parts)
        if keeping is not None:
            return await asyncio.shield(keeping)
        return receipt_of(parts, verdict, committed)

    def _keep(self, parts: Sequence[Part], verdict: Verdict, committed: Committed) -> asyncio.Task[Receipt]:
        """Keep what contradicts stored facts, in a task of its own: cancelling the caller does not lose it."""
        task = asyncio.create_task(self._kept(parts, verdict, committed))
        self._keeping.add(task)
        task.add_done_callback(self._keeping.discard)
        return task

    async def _kept(self, parts: Sequence[Part], verdict: Verdict, committed: Committed) -> Receipt:
        assert self._writer is not None
        drafts = [(part.stream, draft) for part in parts for draft in part.drafts]
        events = list(receipt_of(parts, verdict, committed).events)
        for number in verdict.contradicted:
            (stream, second), place = drafts[number], verdict.places[number]
            first = place.payload if isinstance(place, Known) else place.draft.payload
            kept = [Part(stream, ANY, [contradiction(stream, first, events[number].position, second)])]
            kept_verdict, kept_in, _ = await self._writer.append(kept)
            position = receipt_of(kept, kept_verdict, kept_in).position
            events[number] = msgspec.structs.replace(
                events[number], outcome=Outcome.CONFLICTED, conflict_position=position
            )
        return Receipt(tuple(events))

    # --- read -----------------------------------------------------------------------------------------

    async def head(self) -> int:
        """The position of the last event; 0: the log is empty."""
        return await self.backend.head()

    async def read(
        self,
        *,
        after: int = 0,
        upto: int | None = None,
        stream: Stream | None = None,
        streams: Iterable[Stream] | None = None,
        categories: Iterable[str] | None = None,
        types: Iterable[type[Event] | str] | None = None,
        without_types: Iterable[type[Event] | str] = (),
        backward: bool = False,
        limit: int | None = None,
        checked: bool = False,
    ) -> AsyncIterator[Recorded]:
        """The events of the log in order of position, as of the moment each chunk of them is fetched.

        Ends when there is no more; :meth:`follow` goes on. No transaction is held between chunks.

        Args:
            after, upto: positions; the first is excluded, the second included.
            stream, streams, categories, types: only these.
            without_types: all but these.
            backward: from the end to the beginning.
            limit: at most so many events.
            checked: whether to check that each event is what its leaf hash says was appended.

        Raises:
            CorruptLog: a payload cannot be decoded, or an event is missing or altered.
        """
        wanted = query_of(after, upto, stream, streams, categories, types, without_types, backward, checked)
        left = limit
        async for chunk in self._chunks(wanted, CHUNK if limit is None else max(1, min(limit, CHUNK))):
            for recorded in chunk if left is None else chunk[:left]:
                yield recorded
            if left is not None and (left := left - len(chunk)) <= 0:
                return

    def read_chunks(
        self,
        *,
        after: int = 0,
        upto: int | None = None,
        without_types: Iterable[type[Event] | str] = (),
        size: int = CHUNK,
        checked: bool = False,
    ) -> AsyncGenerator[list[Recorded], None]:
        """Every event between two positions, in lists of at most ``size``: the fast way through a long log.

        While the caller works on a list, the next one is fetched. For ``checked``, and what is raised, see
        :meth:`read`.

        Args:
            without_types: leave these out. A gap in the log cannot be noticed then.
        """
        wanted = Query(after=after, upto=upto, without_types=names_of(without_types), checked=checked)
        return self._chunks_ahead(wanted, size)

    async def follow(
        self,
        *,
        after: int = 0,
        categories: Iterable[str] | None = None,
        types: Iterable[type[Event] | str] | None = None,
    ) -> AsyncIterator[Recorded]:
        """The events after a position, and from then on every new one as it becomes durable, from any process.

        Each is yielded once, in order of position. Ends when the log is closed.
        """
        wanted_categories = None if categories is None else frozenset(categories)
        wanted_types = None if types is None else frozenset(names_of(types))
        async for chunk in self.follow_chunks(after=after):
            for recorded in chunk:
                if wanted_categories is not None and recorded.category not in wanted_categories:
                    continue
                if wanted_types is not None and recorded.type not in wanted_types:
                    continue
                yield recorded

    async def follow_chunks(self, *, after: int = 0, size: int = CHUNK) -> AsyncGenerator[list[Recorded], None]:
        """Like :meth:`follow`, all events, in the batches in which they come."""
        if self._backend is None:
            raise LogClosed
        subscription = self._tail.subscribe()
        self._watch()
        position = after
        try:
            while self._backend is not None:
                subscription.rearm()
                chunk = subscription.take(position)
                if chunk is None and position < self._tail.head:
                    chunk = await self._chunk(Query(after=position), size)
                if chunk:
                    position = chunk[-1].position
                    yield chunk
                else:
                    await subscription.changed()
        except LogClosed:
            return
        finally:
            self._tail.unsubscribe(subscription)

    async def _chunks(self, query: Query, size: int) -> AsyncGenerator[list[Recorded], None]:
        while chunk := await self._chunk(query, size):
            yield chunk
            if len(chunk) < size:  # there was no more when it was fetched
                return
            query = query.beyond(chunk[-1].position)

    async def _chunks_ahead(self, query: Query, size: int) -> AsyncGenerator[list[Recorded], None]:
        fetching = asyncio.ensure_future(self.backend.fetch(query, size))
        try:
            while chunk := await fetching:
                beyond = query.beyond(positions(chunk)[-1])
                more = len(positions(chunk)) == size
                if more:
                    fetching = asyncio.ensure_future(self.backend.fetch(beyond, size))
                    await asyncio.sleep(0)  # a task begins when the loop turns, and the caller may not let it
                yield self._decoded(query, chunk)
                if not more:  # there was none when it was fetched
                    return
                query = beyond
        finally:
            fetching.cancel()
            await asyncio.gather(fetching, return_exceptions=True)

    async def _chunk(self, query: Query, size: int) -> list[Recorded]:
        return self._decoded(query, await self.backend.fetch(query, size))

    def _decoded(self, query: Query, chunk: Chunk) -> list[Recorded]:
        if query.unfiltered and not query.backward and chunk:
            refuse_gap(max(query.after, 0), chunk)
        if query.checked:
            refuse_altered(chunk)
        with collector.paused():
            return all_recorded(chunk)

    # --- after a commit -------------------------------------------------------------------------------

    def _publish(self, committed: Committed) -> None:
        if not committed.placed:
            return
        if self._tail.followed:
            self._tail.publish(handed_over(committed))
        else:
            self._tail.advance(committed.first_position + len(committed.placed) - 1)
        if self.backend.announces and self._announcing is None:
            self._announcing = asyncio.create_task(self._announce(), name="byjy-announce")

    async def _announce(self) -> None:
        """Tell other processes, beside the append path; what is committed meanwhile goes into the next message."""
        told = 0
        try:
            while told < self._tail.head and self._backend is not None:
                told = self._tail.head
                await self._backend.announce(told)
        except Exception as error:  # noqa: BLE001 - followers elsewhere look for themselves a second later
            _log.warning("announcement_failed", cause=str(error))
        finally:
            self._announcing = None

    def _watch(self) -> None:
        if self._watcher is None and self._backend is not None:
            self._watcher = asyncio.create_task(self.backend.watch(self._tail.advance), name="byjy-watch")


async def _ended(task: asyncio.Task[None]) -> None:
    """Cancel a task until it ends: a driver whose connection breaks meanwhile may swallow a cancellation."""
    while not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=0.5)
    await asyncio.gather(task, return_exceptions=True)


def _backend(url: sa.URL, *, read_only: bool) -> Backend:
    if is_sqlite(url):
        from byjy_events.sqlite.backend import SqliteBackend

        try:
            return SqliteBackend(url, read_only=read_only)
        except OSError as error:
            raise LogUnavailable(str(error)) from error
    from byjy_events.postgres.backend import PostgresBackend

    return PostgresBackend(url)
