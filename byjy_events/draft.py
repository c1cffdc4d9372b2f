"""From what a caller hands to ``append`` to what the writer stores: checked, encoded, identified, hashed."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import lru_cache
from uuid import UUID

from byjy_events.codec import encode
from byjy_events.errors import EventIdReused, InvalidAppend
from byjy_events.event import Event, Fact, storable
from byjy_events.identifiers import new_event_id_bytes
from byjy_events.leaf import content_hash
from byjy_events.plan import Draft, Part, StreamKey
from byjy_events.recorded import Entry, Write
from byjy_events.stream import ANY, Stream

EVENTS_LIMIT = 10_000
"""Events that one append may hold."""

_INT64 = 2**63


def drafted(
    writes: Sequence[Write], actor: str, correlation_id: UUID | None, causation_id: UUID | None
) -> Sequence[Part]:
    """The parts of one append.

    Raises:
        InvalidAppend: the call makes no sense as a whole.
        EventIdReused: two own events of it carry the same id.
        InvalidEvent: an event does not say what its type promises.
    """
    if not isinstance(actor, str) or not _is_actor(actor):
        raise InvalidAppend("actor", f"expected 1 to 255 characters without NUL, got {actor!r}")
    correlation = None if correlation_id is None else _uuid_bytes("correlation_id", correlation_id)
    causation = None if causation_id is None else _uuid_bytes("causation_id", causation_id)
    now = time.time_ns()
    if len(writes) == 1:
        (write,) = writes
        if type(write.events) is list and len(write.events) == 1:  # the usual case by far, and nothing can be twice
            stream = _stream_key(write)
            (event,) = write.events
            return (Part(stream, write.expected, (draft(event, stream, actor, correlation, causation, now),)),)
    _check_writes(writes)
    parts = []
    for write in writes:
        stream = _stream_key(write)
        drafts = [draft(event, stream, actor, correlation, causation, now) for event in write.events]
        parts.append(Part(stream, write.expected, drafts))
    _refuse_reuse([draft for part in parts for draft in part.drafts])
    return parts


def draft(
    item: Event | Entry, stream: StreamKey, actor: str, correlation: bytes | None, causation: bytes | None, now: int
) -> Draft:
    """One event, ready to be placed."""
    if isinstance(item, Event):
        event, given_id, occurred_at, received_at = item, None, None, now
    elif type(item) is Entry and isinstance(item.event, Event):
        event, given_id = item.event, item.event_id
        occurred_at = None if item.occurred_at is None else _instant("occurred_at", item.occurred_at)
        received_at = now if item.received_at is None else _instant("received_at", item.received_at)
    else:
        odd = item.event if type(item) is Entry else item
        raise InvalidAppend("events", f"expected events, got {type(odd).__name__}")
    payload, seen = encode(event)
    event_id, fresh = _identified(event, given_id)
    name, version = type(event).__name__, type(event).schema_version
    content = content_hash(
        event_id, stream[0], stream[1], name, version, payload, occurred_at, received_at, actor, correlation, causation
    )
    return Draft(
        event_id, name, version, payload, occurred_at, received_at, actor, correlation, causation, content, fresh, seen
    )


def _identified(event: Event, given: UUID | None) -> tuple[bytes, bool]:
    """The event id, and whether it was made just now."""
    if given is not None:
        return _uuid_bytes("event_id", given), False
    if isinstance(event, Fact):
        return event.fact_id_bytes(), False
    return new_event_id_bytes(), True


def _refuse_reuse(drafts: Sequence[Draft]) -> None:
    """An id that was given to two own events of one append; of facts, the plan makes a contradiction."""
    seen: set[bytes] = set()
    for one in drafts:
        if not one.fresh and not isinstance(one.event, Fact):
            if one.event_id in seen:
                raise EventIdReused(UUID(bytes=one.event_id), None)
            seen.add(one.event_id)


@lru_cache(maxsize=1024)
def _is_actor(text: str) -> bool:
    return 0 < len(text) <= 255 and storable(text)


@lru_cache(maxsize=1024)
def _is_category(text: str) -> bool:
    return 0 < len(text) <= 64 and text.isprintable()


def _check_writes(writes: Sequence[Write]) -> None:
    count = 0
    for write in writes:
        if not isinstance(write.events, (list, tuple)):
            raise InvalidAppend("events", f"expected a list of events, got {type(write.events).__name__}")
        count += len(write.events)
    if not 0 < count <= EVENTS_LIMIT:
        raise InvalidAppend("events", f"expected 1 to {EVENTS_LIMIT} events in one append, got {count}")
    if len(writes) > 1 and len({write.stream for write in writes}) != len(writes):
        raise InvalidAppend("stream", "the same stream is named twice")


def _stream_key(write: Write) -> StreamKey:
    if not isinstance(write.stream, Stream):
        raise InvalidAppend("stream", f"expected a Stream, got {write.stream!r}")
    category, stream_id = write.stream
    if not isinstance(category, str) or not _is_category(category):
        raise InvalidAppend("stream", f"expected a category of 1 to 64 printable characters, got {category!r}")
    if not isinstance(stream_id, UUID):
        raise InvalidAppend("stream", f"expected a UUID as the stream's id, got {stream_id!r}")
    expected = write.expected
    if expected is not ANY and (type(expected) is not int or expected < 0):
        raise InvalidAppend("expected", f"expected ANY, NO_STREAM or a version, got {expected!r}")
    return category, stream_id.bytes


def _uuid_bytes(argument: str, value: UUID) -> bytes:
    if not isinstance(value, UUID):
        raise InvalidAppend(argument, f"expected a UUID, got {value!r}")
    return value.bytes


def _instant(argument: str, value: int) -> int:
    if type(value) is not int or not -_INT64 <= value < _INT64:
        raise InvalidAppend(argument, f"expected nanoseconds since 1970 as an int of 64 bits, got {value!r}")
    return value
