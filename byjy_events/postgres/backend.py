"""Append batches and chunked reads on PostgreSQL.

A batch is planned against what this process remembers of the streams, and sent to ``append_events``: one
statement, one round trip, one transaction. The function checks the plan under the append lock. When the memory
was out of date it stores nothing and tells how things are; what is refused by the truth is refused for good, and
the rest is planned and sent again.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any

import asyncpg
import sqlalchemy as sa
import structlog
from asyncpg.pgproto.pgproto import UUID as DriverUuid
from sqlalchemy.ext.asyncio import AsyncEngine

from byjy_events.answer import handed_over
from byjy_events.backend import Committed, NotStorable, NotStored, Turn, Unclear
from byjy_events.chunk import Chunk, chunk_of
from byjy_events.companion import Company, PostgresCompanion, telling
from byjy_events.database import open_engine
from byjy_events.errors import LogClosed, LogUnavailable
from byjy_events.plan import Known, Part, Plan, StreamKey, Verdict, plan, repeatable_ids, streams_of
from byjy_events.query import Query, select

VERSIONS_KEPT = 100_000
"""Streams whose version is remembered between batches."""

CHANNEL = "byjy_events"
"""Where commits are announced, at most once for a batch."""

POLL_SECONDS = 1.0
"""How often the head is looked at although nothing was announced: announcements can be lost with a connection."""

COMPANION_SECONDS = 5.0
"""How long a companion may take for its part of a batch. It may have to wait for a lock, and everybody with it."""

COMMIT_SECONDS = 30.0
"""How long the server may take for a batch, its turn at the append lock included. A server or network that hangs breaks
no connection; without a limit nobody would ever be told."""

_PARAMETERS = ", ".join(f"${number}" for number in range(1, 16))
_APPEND = f"SELECT * FROM append_events({_PARAMETERS})"  # noqa: S608
_HEAD = "SELECT position FROM events ORDER BY position DESC LIMIT 1"
_PLANNED_ONCE = "SET plan_cache_mode = force_generic_plan"
"""Else the server plans its function's statements anew for each short batch, which takes longer than running them."""

_log = structlog.get_logger("byjy_events")

_POOL_FAILED = (sa.exc.DBAPIError, sa.exc.TimeoutError)

Connection = Any
"""An asyncpg connection, or a pool's proxy of one."""


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """What the driver raises inside, as what it means for the transaction.

    Raises:
        NotStorable, NotStored, Unclear: see there.
    """
    try:
        yield
    except (asyncpg.IntegrityConstraintViolationError, asyncpg.DataError, asyncpg.ProgramLimitExceededError) as error:
        raise NotStorable(str(error)) from error
    except (OSError, asyncpg.PostgresConnectionError, asyncpg.OperatorInterventionError, *_POOL_FAILED) as error:
        raise Unclear(str(error) or type(error).__name__) from error
    except asyncpg.PostgresError as error:
        raise NotStored(str(error)) from error
    except (asyncpg.InterfaceError, asyncpg.InternalClientError) as error:  # the client found the connection unusable
        raise Unclear(str(error)) from error


class KeptConnection:
    """One connection, kept for long, opened at the first use and again after :meth:`discard`."""

    def __init__(self, engine: AsyncEngine, settings: Sequence[str]) -> None:
        self._engine = engine
        self._settings = settings
        self._kept: Any = None

    async def connected(self) -> Connection:
        """The asyncpg connection, outside any transaction."""
        if self._kept is None:
            self._kept = await self._engine.raw_connection()
            for statement in self._settings:
                await self._kept.driver_connection.execute(statement)
        return self._kept.driver_connection

    def discard(self) -> None:
        """Throw the connection away, in whatever state it is. Safe to call twice."""
        kept, self._kept = self._kept, None
        if kept is not None:
            with contextlib.suppress(Exception):  # a broken connection may fail in any way
                kept.driver_connection.terminate()
            kept.invalidate()


@contextlib.contextmanager
def readable() -> Iterator[None]:
    """What the driver raises inside, as what it means for a reader.

    Raises:
        LogUnavailable: see there.
    """
    try:
        with translated():
            yield
    except (NotStored, Unclear) as error:
        raise LogUnavailable(str(error)) from error


class PostgresBackend:
    """The log in a PostgreSQL database: one connection appends, the pool reads."""

    announces = True
    queues_turns = False  # its answer is heard in the thread that prepares, so there is no pause to fill
    least_batch = 50  # the server works by itself meanwhile

    def __init__(self, url: sa.URL) -> None:
        self.engine = open_engine(url)
        self._unpooled = open_engine(url, pooled=False)
        self._writer = self.kept_connection(_PLANNED_ONCE)
        self.company: Company[PostgresCompanion] = Company()
        self._versions: dict[StreamKey, int] = {}
        self._closed = False

    async def start(self) -> None:
        await self._writer.connected()

    async def close(self) -> None:
        self._closed = True
        self._writer.discard()
        await self.engine.dispose()

    async def reopen(self) -> None:
        self._writer.discard()
        self._versions.clear()
        await self._writer.connected()

    def kept_connection(self, *settings: str) -> KeptConnection:
        """A connection for one user and a long time.

        Args:
            settings: statements that every fresh connection begins with.
        """
        return KeptConnection(self._unpooled, settings)

    def commit(self, turn: Turn) -> asyncio.Future[Committed]:
        return asyncio.ensure_future(self._in_turn(turn))

    async def _in_turn(self, turn: Turn) -> Committed:
        with turn() as appends:
            return await self._stored(appends)

    async def _stored(self, appends: Sequence[Sequence[Part]]) -> Committed:
        companions = self.company.members
        if not companions:
            return await self._commit(appends)
        try:
            return await self._commit(appends, companions)
        except NotStored:  # perhaps because of a companion: some constraints are looked at in the end only
            return await self._commit(appends)

    async def _commit(
        self, appends: Sequence[Sequence[Part]], companions: Sequence[PostgresCompanion] = ()
    ) -> Committed:
        known: dict[bytes, Known] = {}
        refused: dict[int, Verdict] = {}
        versions = {stream: self._versions.get(stream, 0) for stream in streams_of(appends)}
        while True:
            numbers = [number for number in range(len(appends)) if number not in refused]
            left = [appends[number] for number in numbers]
            decision = plan(left, versions, known)
            async with self._transaction(companions if decision.placed else ()):
                answer = await self._append(decision, [i for i in repeatable_ids(left) if i not in known])
                truth = versions | dict(zip(decision.versions, answer["stream_versions"], strict=True))
                found = _known(answer)
                known |= found
                # The same decision with the true versions: belief does not matter where any version will do.
                decided = decision if truth == versions and not found else plan(left, truth, known)
                if answer["stored"] or not decided.placed:
                    verdicts = refused | dict(zip(numbers, decided.verdicts, strict=True))
                    committed = Committed(
                        [verdicts[number] for number in range(len(appends))],
                        decided.placed,
                        answer["first_position"],
                        answer["recorded_at"],
                    )
                    if companions and decision.placed:
                        await self._accompany(companions, committed)
                    self._remember(decided)
                    return committed
            # What the truth refuses is refused for good, so the loop ends. What only a neighbour of the batch stands
            # in the way of is not: by the next turn that neighbour may be refused itself.
            for number, verdict in zip(numbers, decided.verdicts, strict=True):
                if verdict.error and (alone := plan([appends[number]], truth, known).verdicts[0]).error:
                    refused[number] = alone
            versions = truth

    async def known(self, event_ids: Sequence[bytes]) -> dict[bytes, Known]:
        return _known(await self._append(plan([], {}, {}), event_ids))

    async def fetch(self, query: Query, limit: int) -> Chunk:
        with readable():
            async with self.connection() as connection:
                return await fetched(connection, query, limit)

    async def head(self) -> int:
        with readable():
            async with self.connection() as connection:
                return await connection.fetchval(_HEAD) or 0

    async def announce(self, head: int) -> None:
        async with self.connection() as connection:
            await connection.execute("SELECT pg_notify($1, $2)", CHANNEL, str(head))

    async def watch(self, advanced: Callable[[int], None]) -> None:
        while True:
            # If this task ended, nobody would hear of anything any more.
            with contextlib.suppress(LogUnavailable), readable():
                async with self.connection() as connection:
                    await self._listen(connection, advanced)
            await asyncio.sleep(POLL_SECONDS)

    @contextlib.asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """An asyncpg connection of the pool, outside any transaction.

        Raises:
            LogClosed: the log was closed.
        """
        if self._closed:
            raise LogClosed
        async with self.engine.connect() as pooled:
            raw = await pooled.get_raw_connection()
            try:
                yield raw.driver_connection
            finally:
                if self._closed:  # its pool was disposed of meanwhile, and would keep it open for ever
                    await pooled.invalidate()

    async def _listen(self, connection: Connection, advanced: Callable[[int], None]) -> None:
        def heard(_connection: object, _pid: int, _channel: str, payload: object) -> None:
            advanced(int(str(payload)))

        await connection.add_listener(CHANNEL, heard)
        try:
            while True:
                advanced(await connection.fetchval(_HEAD) or 0)
                await asyncio.sleep(POLL_SECONDS)
        finally:
            # What fails here must not take the place of the cancellation that may be under way.
            with contextlib.suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                if not connection.is_closed():
                    await connection.remove_listener(CHANNEL, heard)

    async def _append(self, decision: Plan, unknown_ids: Sequence[bytes]) -> asyncpg.Record:
        """Call the function. Its answer is the truth as of its lock."""
        arguments = _arguments(decision, unknown_ids)
        with translated():
            connection = await self._writer.connected()
            answer: asyncpg.Record = await connection.fetchrow(_APPEND, *arguments, timeout=COMMIT_SECONDS)
            return answer

    @contextlib.asynccontextmanager
    async def _transaction(self, companions: Sequence[PostgresCompanion]) -> AsyncIterator[None]:
        """Around the call of the function, which alone is a transaction in itself."""
        if not companions:
            yield
            return
        with telling(companions), translated():
            async with asyncio.timeout(COMMIT_SECONDS):
                connection = await self._writer.connected()
                try:
                    await connection.execute("BEGIN")
                    yield
                    await connection.execute("COMMIT")
                except NotStored:
                    await connection.execute("ROLLBACK")
                    raise
                except asyncpg.IntegrityConstraintViolationError:  # a deferred constraint of somebody's own table
                    raise
                except BaseException:
                    self._writer.discard()  # in whatever state it is: nothing more is sent on it
                    raise

    async def _accompany(self, companions: Sequence[PostgresCompanion], committed: Committed) -> None:
        committed.events = handed_over(committed)
        connection = await self._writer.connected()
        for companion in companions:
            await connection.execute("SAVEPOINT companion")
            try:
                async with asyncio.timeout(COMPANION_SECONDS):
                    await companion.accompany(connection, committed.events)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is no reason to lose events
                _log.warning("companion_failed", cause=f"{type(error).__name__}: {error}")
                await connection.execute("ROLLBACK TO SAVEPOINT companion")

    def _remember(self, decided: Plan) -> None:
        if len(self._versions) > VERSIONS_KEPT:
            self._versions.clear()
        self._versions.update(decided.versions)


async def fetched(connection: Connection, query: Query, limit: int) -> Chunk:
    """One chunk of the log, see :meth:`byjy_events.backend.Backend.fetch`."""
    statement, parameters = select(query, limit, lambda number: f"${number}", DriverUuid)
    return chunk_of([_plain(row) for row in await connection.fetch(statement, *parameters)])


def _arguments(decision: Plan, unknown_ids: Sequence[bytes]) -> tuple[Any, ...]:
    streams = list(decision.versions)
    index = {stream: number for number, stream in enumerate(streams, 1)}
    drafts = [placed.draft for placed in decision.placed]
    return (
        [category for category, _ in streams],
        [DriverUuid(stream_id) for _, stream_id in streams],
        [decision.relied_on.get(stream) for stream in streams],
        [DriverUuid(event_id) for event_id in unknown_ids],
        [index[placed.stream] for placed in decision.placed],
        [DriverUuid(draft.event_id) for draft in drafts],
        [draft.type for draft in drafts],
        [draft.schema_version for draft in drafts],
        [draft.payload for draft in drafts],
        [draft.occurred_at for draft in drafts],
        [draft.received_at for draft in drafts],
        [draft.actor for draft in drafts],
        [draft.correlation_id and DriverUuid(draft.correlation_id) for draft in drafts],
        [draft.causation_id and DriverUuid(draft.causation_id) for draft in drafts],
        [draft.content_hash for draft in drafts],
    )


def _known(answer: asyncpg.Record) -> dict[bytes, Known]:
    parts = "ids positions versions recorded_ats categories stream_ids types schema_versions payloads"
    found = zip(*(answer[f"known_{part}"] for part in parts.split()), strict=True)
    return {
        event_id.bytes: Known(position, version, recorded_at, (category, stream_id.bytes), *told)
        for event_id, position, version, recorded_at, category, stream_id, *told in found
    }


def _plain(row: asyncpg.Record) -> tuple[Any, ...]:
    position, event_id, category, stream_id, *middle, correlation_id, causation_id, leaf = row
    return (
        position, event_id.bytes, category, stream_id.bytes, *middle,
        correlation_id and correlation_id.bytes, causation_id and causation_id.bytes, leaf,
    )  # fmt: skip
