"""Which part of the log to read, and the one SELECT for it. The two databases differ in the placeholder only."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec

from byjy_events.event import Event
from byjy_events.stream import Stream

COLUMNS = (
    "position, event_id, stream_category, stream_id, stream_version, type, schema_version, payload, "
    "occurred_at, received_at, recorded_at, actor, correlation_id, causation_id, leaf_hash"
)
"""The columns of ``events`` in the order of :class:`byjy_events.recorded.Recorded`, which adds the decoded event."""


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """A part of the log.

    Attributes:
        after, upto: positions; the first is excluded, the second included. None: no bound.
        streams, categories, types: only these; None: all.
        without_types: all but these.
        backward: from the highest position down.
        checked: every event's leaf hash is checked.
    """

    after: int = 0
    upto: int | None = None
    streams: tuple[Stream, ...] | None = None
    categories: tuple[str, ...] | None = None
    types: tuple[str, ...] | None = None
    without_types: tuple[str, ...] = ()
    backward: bool = False
    checked: bool = False

    @property
    def unfiltered(self) -> bool:
        """Every event between the bounds is wanted."""
        return not self.without_types and all(one is None for one in (self.streams, self.categories, self.types))

    def beyond(self, position: int) -> Query:
        """What is left of the query once everything up to a position was read."""
        if self.backward:
            return msgspec.structs.replace(self, upto=position - 1)
        return msgspec.structs.replace(self, after=position)


def query_of(
    after: int,
    upto: int | None,
    stream: Stream | None,
    streams: Iterable[Stream] | None,
    categories: Iterable[str] | None,
    types: Iterable[type[Event] | str] | None,
    without_types: Iterable[type[Event] | str],
    backward: bool,
    checked: bool,
) -> Query:
    """What the arguments of :meth:`byjy_events.log.EventLog.read` ask for."""
    if stream is not None:
        streams = [stream, *(streams or ())]
    return Query(
        after=after,
        upto=upto,
        streams=None if streams is None else tuple(streams),
        categories=None if categories is None else tuple(categories),
        types=None if types is None else names_of(types),
        without_types=names_of(without_types),
        backward=backward,
        checked=checked,
    )


def names_of(types: Iterable[type[Event] | str]) -> tuple[str, ...]:
    """Event types by name, whether classes or names were given."""
    return tuple(item if isinstance(item, str) else item.__name__ for item in types)


def select(
    query: Query, limit: int, placeholder: Callable[[int], str], uuid: Callable[[bytes], Any]
) -> tuple[str, list[Any]]:
    """The statement for one chunk of a query, and its parameters.

    Args:
        placeholder: the driver's name for the n-th parameter, from 1.
        uuid: what the driver takes for a UUID of these 16 bytes.
    """
    parameters: list[Any] = []

    def bound(value: Any) -> str:
        parameters.append(value)
        return placeholder(len(parameters))

    def among(column: str, values: Sequence[Any]) -> str:
        return f"{column} IN ({', '.join(bound(value) for value in values)})" if values else "1 = 0"

    def in_category(category: str, ids: Sequence[bytes]) -> str:
        return f"stream_category = {bound(category)} AND {among('stream_id', list(map(uuid, ids)))}"

    where = [f"position > {bound(query.after)}"]
    if query.upto is not None:
        where.append(f"position <= {bound(query.upto)}")
    if query.streams is not None:
        where.append(f"({' OR '.join(in_category(*ids) for ids in _by_category(query.streams)) or '1 = 0'})")
    if query.categories is not None:
        where.append(among("stream_category", query.categories))
    if query.types is not None:
        where.append(among("type", query.types))
    if query.without_types:
        where.append(f"NOT {among('type', query.without_types)}")
    order = _order(query)
    direction = " DESC" if query.backward else ""
    condition = " AND ".join(where)
    statement = f"SELECT {COLUMNS} FROM events WHERE {condition} ORDER BY {order}{direction} LIMIT {bound(limit)}"  # noqa: S608
    return statement, parameters


def _order(query: Query) -> str:
    """In one stream versions rise with positions, and an index has them in order: a short read of a long one ends soon.

    The sum keeps the planner from walking the whole log in order of position to find a few streams.
    """
    if query.streams is None:
        return "position"
    return "stream_version" if len(query.streams) == 1 else "position + 0"


def _by_category(streams: Sequence[Stream]) -> Iterable[tuple[str, list[bytes]]]:
    """A term for each stream would be deeper than SQLite can nest from a thousand streams on."""
    ids: dict[str, list[bytes]] = {}
    for stream in streams:
        ids.setdefault(stream.category, []).append(stream.id.bytes)
    return ids.items()
