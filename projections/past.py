"""The past: the tables of a group as they were at a position of the log, asked the same questions as the live ones.

Nothing is folded before the first question, and then no more than the question is about: for one order its own stream,
for one pair the streams that name it, else everything. What was folded once answers all further questions.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, TypeVar
from uuid import UUID

import msgspec
import sqlalchemy as sa

from byjy_events.errors import ByjyError, LogUnavailable
from byjy_events.identifiers import pair_id
from byjy_events.log import EventLog
from byjy_events.recorded import Recorded
from byjy_events.schema import events
from byjy_events.stream import ORDER, Stream
from byjy_events.vocabulary.orders import OrderLinked
from projections.projection import Group
from projections.queries import EVERYTHING, Queries, Scope, rows_of
from projections.replay import Progress, Replay, replay_of
from projections.rows import Row
from projections.runner import available
from projections.scratch import create_indexes, tables_in
from projections.statements import Statement
from projections.tables import trading_pairs
from projections.trading import TRADING

R = TypeVar("R", bound=Row)

STREAMS_IN_MEMORY = 500
"""Streams that are looked up one by one; of more, the log is read through."""

DERIVED_VERSION = 5
"""Of the UUIDs that are derived from what a venue calls something."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_PAIRS = next(one for one in TRADING.projections if one.table is trading_pairs)


class InvalidMoment(ByjyError, ValueError):
    """Not a moment of the log.

    Attributes:
        when: what was given.
        reason: what is wrong with it.
    """

    def __init__(self, when: object, reason: str) -> None:
        self.when = when
        self.reason = reason
        super().__init__(f"as of {when!r}: {reason}")


class Instant(msgspec.Struct, frozen=True):
    """A moment to the nanosecond, which a datetime cannot hold.

    Attributes:
        nanoseconds: since 1970-01-01T00:00:00Z.
    """

    nanoseconds: int


class Clock(StrEnum):
    """Which clock an instant is read from.

    Attributes:
        RECORDED: the log's. It never runs backwards, so an instant cuts the log in two: what was known by then.
        VENUE: the venue's, or the engine's where the venue told none. It follows no order, so an instant picks events
            wherever they lie: what had happened by then, as it was told up to now, folded in the order of the log.
    """

    RECORDED = "RECORDED"
    VENUE = "VENUE"


class Past:
    """The tables as they were. Not for two tasks at once.

    Attributes:
        position: no event behind it is looked at.
        queries: the same as of the live tables.
    """

    def __init__(
        self, log: EventLog, group: Group, position: int, happened_by: int | None, progress: Progress | None
    ) -> None:
        self.group = group
        self.position = position
        self.queries: Queries = PastQueries(self)
        self._log = log
        self._happened_by = happened_by
        self._progress = progress
        self._replays: dict[Scope, Replay] = {}
        self._open = AsyncExitStack()

    async def fetch(self, statement: sa.Select[Any], scope: Scope = EVERYTHING) -> Sequence[sa.Row[Any]]:
        """The rows of any SELECT over the group's tables, as they were.

        Raises:
            ReplayFailed, CorruptLog: an event cannot be folded, or is not what was appended.
            LogUnavailable: the database failed, or its temporary space is full.
        """
        with available():
            replay = await self._replay(scope)
            return await replay.scratch.run(lambda connection: connection.execute(statement).all())

    async def close(self) -> None:
        """Throw what was folded away."""
        await self._open.aclose()

    async def _replay(self, scope: Scope) -> Replay:
        wanted = EVERYTHING if self.group is not TRADING or EVERYTHING in self._replays else scope
        if wanted not in self._replays:
            async with AsyncExitStack() as opening:
                replay = await opening.enter_async_context(replay_of(self._log, self.group))
                await self._fill(replay, wanted)
                self._open.push_async_exit(opening.pop_all())
            self._replays[wanted] = replay
        return self._replays[wanted]

    async def _fill(self, replay: Replay, scope: Scope) -> None:
        chunks = await self._chunks(replay, scope)
        async with contextlib.aclosing(chunks):
            await replay.fold(self._happened(chunks), self.position, progress=self._progress)
        await replay.scratch.run(lambda connection: create_indexes(connection, self.group.tables))

    async def _chunks(self, replay: Replay, scope: Scope) -> AsyncGenerator[Sequence[Recorded], None]:
        """The events that a question is about, in the order of the log."""
        streams = await self._streams(replay, scope)
        if streams is None:
            return self._log.read_chunks(upto=self.position, checked=True)
        return self._among(streams) if len(streams) > STREAMS_IN_MEMORY else self._of(streams)

    async def _among(self, streams: set[Stream]) -> AsyncGenerator[Sequence[Recorded], None]:
        async with contextlib.aclosing(self._log.read_chunks(upto=self.position, checked=True)) as chunks:
            async for chunk in chunks:
                yield [recorded for recorded in chunk if recorded.stream in streams]

    async def _of(self, streams: set[Stream]) -> AsyncGenerator[Sequence[Recorded], None]:
        found = [recorded async for recorded in self._log.read(streams=streams, upto=self.position, checked=True)]
        yield found

    async def _happened(self, chunks: AsyncIterator[Sequence[Recorded]]) -> AsyncIterator[Sequence[Recorded]]:
        by = self._happened_by
        async for chunk in chunks:
            if happened := [recorded for recorded in chunk if by is None or recorded.effective_at <= by]:
                yield happened

    async def _streams(self, replay: Replay, scope: Scope) -> set[Stream] | None:
        """The streams that a question is about; None: all of them."""
        if scope.order is not None:
            return await self._streams_of_order(scope.order)
        if scope.pair is None:
            return None
        pair = scope.pair
        return await replay.scratch.run(
            lambda one: _streams_of_pair(one, replay.scratch.live_schema, pair, self.position)
        )

    async def _streams_of_order(self, order: UUID) -> set[Stream]:
        """The order's own, and those of orders that turned out to be the same one."""
        own = Stream(ORDER, order)
        # Only an order that was reported under a derived id can have turned out to be another; links are few.
        wanted = None if order.version == DERIVED_VERSION else own
        links = [one async for one in self._log.read(stream=wanted, types=[OrderLinked], upto=self.position)]
        linked = {(one.stream, Stream(ORDER, _external_id(one))) for one in links}
        owners = {one for one, other in linked if other == own} | {own}
        return owners | {other for one, other in linked if one in owners}


class PastQueries(Queries):
    """The questions of :class:`projections.queries.Queries` to a past."""

    def __init__(self, past: Past) -> None:
        self._past = past

    async def _all(self, row_type: type[R], statement: Statement, scope: Scope = EVERYTHING) -> list[R]:
        return rows_of(row_type, await self._past.fetch(statement, scope))


@contextlib.asynccontextmanager
async def projections_as_of(
    log: EventLog,
    when: int | datetime | Instant,
    *,
    group: Group = TRADING,
    clock: Clock = Clock.RECORDED,
    progress: Progress | None = None,
) -> AsyncIterator[Past]:
    """The tables of a group as they were, asked the same questions as the live ones.

    ::

        async with projections_as_of(log, datetime(2026, 11, 1, tzinfo=UTC)) as past:
            rows = await past.queries.open_orders(pair)

    Args:
        when: a position of the log, or an instant: everything recorded up to and including it.
        clock: of an instant; see there what the venue's means.
        progress: called with the position reached and the one aimed at, while events are folded.

    Raises:
        InvalidMoment: a position that the log has not reached, or an instant without a time zone.
    """
    position, happened_by = await _moment(log, when, clock)
    past = Past(log, group, position, happened_by, progress)
    try:
        yield past
    finally:
        await past.close()


async def position_at(log: EventLog, nanoseconds: int) -> int:
    """The last position that was recorded at an instant or before; 0: none was.

    Raises:
        LogUnavailable: the database failed.
    """
    before, after = 0, await log.head() + 1  # recorded_at never runs backwards, so halving finds it
    try:
        async with log.engine.connect() as connection:
            while after - before > 1:
                middle = (before + after) // 2
                found = sa.select(events.c.recorded_at).where(events.c.position == middle)
                recorded_at = await connection.scalar(found)
                was_by_then = recorded_at is not None and recorded_at <= nanoseconds
                before, after = (middle, after) if was_by_then else (before, middle)
    except (OSError, sa.exc.DBAPIError) as error:
        raise LogUnavailable(str(error)) from error
    return before


async def _moment(log: EventLog, when: int | datetime | Instant, clock: Clock) -> tuple[int, int | None]:
    """The last position to look at, and by when an event has to have happened."""
    head = await log.head()
    if isinstance(when, int) and not isinstance(when, bool):
        if not 0 <= when <= head:
            raise InvalidMoment(when, f"the log goes from 0 to {head}")
        if clock is not Clock.RECORDED:
            raise InvalidMoment(when, "a position is of the log: the venue's clock takes an instant")
        return when, None
    nanoseconds = when.nanoseconds if isinstance(when, Instant) else _nanoseconds(when)
    return (head, nanoseconds) if clock is Clock.VENUE else (await position_at(log, nanoseconds), None)


def _nanoseconds(when: Any) -> int:
    if not isinstance(when, datetime) or when.tzinfo is None:
        raise InvalidMoment(when, "expected a position, or an instant with its time zone")
    return (when - _EPOCH) // timedelta(microseconds=1) * 1000


def _external_id(linked: Recorded) -> UUID:
    assert isinstance(linked.event, OrderLinked)
    return linked.event.external_order_id


def _streams_of_pair(connection: sa.Connection, live_schema: str, pair: UUID, upto: int) -> set[Stream] | None:
    """Every stream with an event that spells the pair's symbol; what is read in vain of others changes no answer.

    The live table is asked for the symbol alone, which has to give the pair's id; else all streams are read.
    """
    live = tables_in(TRADING, live_schema)[_PAIRS].c
    row = connection.execute(sa.select(live.exchange, live.symbol).where(live.id == pair)).first()
    if row is None or pair_id(row.exchange, row.symbol) != pair:
        return None
    c = events.c
    symbol = sa.literal(msgspec.json.encode(row.symbol), sa.LargeBinary)
    if connection.dialect.name == "sqlite":
        place: sa.ColumnElement[int] = sa.func.instr(c.payload, symbol)
    else:
        place = sa.func.position(symbol.op("IN")(c.payload))
    found = sa.select(c.stream_category, c.stream_id).distinct().where(c.position <= upto, place > 0)
    return {Stream(category, stream_id) for category, stream_id in connection.execute(found)}
