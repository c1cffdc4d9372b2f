"""The events of a trace: those of one correlation, what follows from them without saying so, and causes elsewhere."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from typing import Any, TypeVar
from uuid import UUID

import sqlalchemy as sa
from msgspec import Struct, field

from byjy_events import EventLog, Recorded
from byjy_events.schema import events
from byjy_events.stream import ORDER, Stream
from byjy_events.vocabulary.orders import OrderLinked
from projections import TRAIL, GroupState
from projections.checkpoints import projection_checkpoints
from projections.places import events_at
from projections.statements import PAGE_LIMIT, Statement
from projections.trail import trail_of

T = TypeVar("T")

AT_ONCE = 200
"""Streams, or event ids, that one statement looks up."""

OUTSIDE = 1_000
"""Causes outside the correlation that are looked up at most."""


class Trace(Struct):
    """What belongs together.

    Attributes:
        correlation_id: None: the events have none.
        events: by position; also those of ``outside``.
        outside: positions of events of another correlation, or of none, that caused these or were caused by them.
        orders: every event of the orders among them, by stream, for their states.
        same: the streams of orders that turned out to be another one, and that one's.
        elsewhere: other correlations that events of these orders belong to, and how many.
        more: whether there are more events than were asked for.
        unprojected: events of the log that the trail lacked, and that were looked at one by one.
    """

    correlation_id: UUID | None
    events: dict[int, Recorded] = field(default_factory=dict)
    outside: set[int] = field(default_factory=set)
    orders: dict[Stream, list[Recorded]] = field(default_factory=dict)
    same: dict[Stream, Stream] = field(default_factory=dict)
    elsewhere: Counter[UUID] = field(default_factory=Counter)
    more: bool = False
    unprojected: int = 0


async def traced(log: EventLog, named: UUID, limit: int) -> Trace | None:
    """The trace that a correlation id, an event id or an order id names; None: the log knows nothing of it.

    Args:
        limit: of events that carry the correlation id, the first ones; 0: all.
    """
    found = await _of_correlation(log, named, limit)
    if not found.events:
        begun = await _first_of(log, named)
        if begun is None:
            return None
        if begun.correlation_id is not None:
            found = await _of_correlation(log, begun.correlation_id, limit)
        found.events[begun.position] = begun
        found.correlation_id = begun.correlation_id
    await _add_orders(log, found)
    await _add_causes(log, found)
    return found


# --- the correlation ------------------------------------------------------------------------------


async def _of_correlation(log: EventLog, correlation_id: UUID, limit: int) -> Trace:
    """From the trail, whose index knows it, and from the log as far as the trail is behind it."""
    trace = Trace(correlation_id)
    head = await log.head()
    projected = await _projected(log)
    wanted = limit + 1 if limit else None
    places = [one async for one in _from_trail(log, correlation_id, projected, wanted)]
    c = events.c
    if projected < head and (wanted is None or len(places) < wanted):
        beyond = sa.select(c.position).where(c.position > projected, c.correlation_id == correlation_id)
        places += [row[0] for row in await _fetched(log, beyond.order_by(c.position).limit(wanted))]
        trace.unprojected = head - projected
    trace.more = wanted is not None and len(places) >= wanted
    async for one in events_at(log, places[:limit] if limit else places):
        if one.correlation_id == correlation_id:  # the trail can be repaired, the log is true
            trace.events[one.position] = one
    return trace


async def _from_trail(log: EventLog, correlation_id: UUID, upto: int, wanted: int | None) -> AsyncIterator[int]:
    after, left = 0, wanted
    while left is None or left > 0:
        size = PAGE_LIMIT if left is None else min(left, PAGE_LIMIT)
        rows = [row[0] for row in await _fetched(log, trail_of(correlation_id, after, size))]
        for position in rows:
            if position <= upto:
                yield position
        if len(rows) < size:
            return
        after, left = rows[-1], None if left is None else left - len(rows)


async def _projected(log: EventLog) -> int:
    """Up to where the trail can be relied on."""
    c = projection_checkpoints.c
    rows = await _fetched(log, sa.select(c.position, c.version, c.status).where(c.group_name == TRAIL.name))
    usable = [row.position for row in rows if row.status != GroupState.REBUILDING and TRAIL.accepts(row.version)]
    return usable[0] if usable else 0


async def _first_of(log: EventLog, named: UUID) -> Recorded | None:
    """The event with this id; or the first of the order with this id, if one has a correlation the first that has."""
    async for one in _by_ids(log, [named]):
        return one
    whole = [one async for one in log.read(stream=Stream(ORDER, named), checked=True)]
    correlated = [one for one in whole if one.correlation_id_bytes is not None]
    return next(iter(correlated or whole), None)


# --- what follows ---------------------------------------------------------------------------------


async def _add_orders(log: EventLog, trace: Trace) -> None:
    """What happened to the orders of a trace: all that names no correlation of those that began in it, and whatever
    names one of its events as the cause.
    """
    begun = {one.stream for one in trace.events.values() if one.category == ORDER and one.stream_version == 1}
    wanted = {one.stream for one in trace.events.values() if one.category == ORDER}
    while wanted:
        await _read_orders(log, trace, wanted)
        linked = dict(_links(trace, wanted))
        trace.same.update({other: own for other, own in linked.items() if other not in trace.same and other != own})
        begun |= {other for other, own in linked.items() if own in begun}
        wanted = linked.keys() - trace.orders.keys()
    known = {one.event_id_bytes for one in trace.events.values()}
    for one in sorted((one for whole in trace.orders.values() for one in whole), key=lambda one: one.position):
        _consider(trace, one, known, begun)


def _consider(trace: Trace, one: Recorded, known: set[bytes], begun: set[Stream]) -> None:
    other = one.correlation_id is not None and one.correlation_id != trace.correlation_id
    follows = one.causation_id_bytes in known
    if one.position in trace.events:
        return
    if follows or (one.stream in begun and one.correlation_id is None):
        trace.events[one.position] = one
        known.add(one.event_id_bytes)
        if other:
            trace.outside.add(one.position)
    if other and one.correlation_id is not None:
        trace.elsewhere[one.correlation_id] += 1


async def _read_orders(log: EventLog, trace: Trace, streams: Iterable[Stream]) -> None:
    for some in _parts(sorted(streams)):
        trace.orders.update({stream: [] for stream in some})
        async for one in log.read(streams=some, checked=True):
            trace.orders[one.stream].append(one)


def _links(trace: Trace, streams: Iterable[Stream]) -> Iterator[tuple[Stream, Stream]]:
    """The streams of orders that turned out to be one of these, and that one's."""
    for stream in streams:
        for one in trace.orders[stream]:
            if isinstance(one.event, OrderLinked):
                yield Stream(ORDER, one.event.external_order_id), stream


# --- causes ---------------------------------------------------------------------------------------


async def _add_causes(log: EventLog, trace: Trace) -> None:
    """Causes that are not of the correlation, and theirs, as far up as they go."""
    known = {one.event_id_bytes for one in trace.events.values()}
    looked_for: set[bytes] = set()
    missing = _missing(trace.events.values(), known)
    while missing - looked_for and len(looked_for) < OUTSIDE:
        looked_for |= missing
        found = [one async for one in _by_ids(log, [UUID(bytes=one) for one in missing])]
        trace.events.update({one.position: one for one in found})
        trace.outside.update(one.position for one in found if one.correlation_id != trace.correlation_id)
        known |= {one.event_id_bytes for one in found}
        missing = _missing(found, known)


def _missing(found: Iterable[Recorded], known: set[bytes]) -> set[bytes]:
    return {one.causation_id_bytes for one in found if one.causation_id_bytes is not None} - known


async def _by_ids(log: EventLog, ids: Sequence[UUID]) -> AsyncIterator[Recorded]:
    places: list[int] = []
    for some in _parts(ids):
        c = events.c
        places += [row[0] for row in await _fetched(log, sa.select(c.position).where(c.event_id.in_(some)))]
    async for one in events_at(log, places):
        yield one


def _parts(whole: Sequence[T]) -> Iterator[Sequence[T]]:
    return (whole[start : start + AT_ONCE] for start in range(0, len(whole), AT_ONCE))


async def _fetched(log: EventLog, statement: Statement) -> Sequence[sa.Row[Any]]:
    async with log.engine.connect() as connection:
        return (await connection.execute(statement)).all()
