"""What goes into the log and what comes out of it: entries, receipts and recorded events."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from uuid import UUID

import msgspec

from byjy_events.event import Event, UnknownEvent
from byjy_events.identifiers import uuid_of
from byjy_events.stream import ANY, Expected, Stream


class Entry(msgspec.Struct, frozen=True, gc=False):
    """An event with what is known about it besides its content.

    Attributes:
        event: what happened.
        occurred_at: the venue's clock, nanoseconds UTC; None: not told.
        received_at: the engine's clock, nanoseconds UTC; None: the moment of the append.
        event_id: None: derived from a fact, fresh for an intent. Give it to make an intent repeatable.
    """

    event: Event
    occurred_at: int | None = None
    received_at: int | None = None
    event_id: UUID | None = None


class Write(msgspec.Struct, frozen=True, gc=False):
    """One stream's part of an atomic append of several."""

    stream: Stream
    events: Sequence[Event | Entry]
    expected: Expected = ANY


class Outcome(StrEnum):
    """What became of one event of an append."""

    APPENDED = "APPENDED"
    DUPLICATE = "DUPLICATE"
    CONFLICTED = "CONFLICTED"


class Stored(msgspec.Struct, frozen=True, gc=False):
    """Where one event of an append lies.

    Attributes:
        position: its place in the one order of the log, from 1, without gaps.
        stream_version: its place in its stream, from 1, without gaps.
        recorded_at: the log's clock, nanoseconds UTC, never running backwards.
        outcome: APPENDED now; DUPLICATE: the same was there already, and this is where; CONFLICTED: a fact with
            the same id and other content was there already, this is where, and the new telling is kept as a
            ``FactConflicted`` at ``conflict_position``.
    """

    event_id_bytes: bytes
    position: int
    stream_version: int
    recorded_at: int
    outcome: Outcome = Outcome.APPENDED
    conflict_position: int | None = None

    @property
    def event_id(self) -> UUID:
        """The event's id, given, derived or fresh."""
        return uuid_of(self.event_id_bytes)


class Receipt(msgspec.Struct, frozen=True, gc=False):
    """The answer to an append: everything in it is durable.

    Attributes:
        events: one for each event of the call, in its order.
    """

    events: tuple[Stored, ...]

    @property
    def position(self) -> int:
        """The highest position of the call: wait for it, and all of it is projected."""
        return max(event.conflict_position or event.position for event in self.events)

    @property
    def duplicates(self) -> int:
        """How many of the events were in the log before."""
        return sum(event.outcome is not Outcome.APPENDED for event in self.events)


class Recorded(msgspec.Struct, frozen=True, gc=False):
    """One event as the log holds it. Ids are kept as bytes; the properties make UUIDs of them when asked.

    Attributes:
        position: place in the one order of the log, from 1, without gaps.
        category, stream_version: the stream's kind, and the place in the stream, from 1, without gaps.
        type, schema_version, payload: exactly as stored.
        occurred_at, received_at, recorded_at: the venue's, the engine's and the log's clock, nanoseconds UTC.
        actor: who caused it, e.g. ``strategy:mm-1``.
        leaf_hash: SHA-256 over content and place.
        event: the decoded event, brought up to the current schema version.
    """

    position: int
    event_id_bytes: bytes
    category: str
    stream_id_bytes: bytes
    stream_version: int
    type: str
    schema_version: int
    payload: bytes
    occurred_at: int | None
    received_at: int
    recorded_at: int
    actor: str
    correlation_id_bytes: bytes | None
    causation_id_bytes: bytes | None
    leaf_hash: bytes
    event: Event | UnknownEvent

    @property
    def event_id(self) -> UUID:
        """Unique over the whole log."""
        return uuid_of(self.event_id_bytes)

    @property
    def stream(self) -> Stream:
        """The stream that the event belongs to."""
        return Stream(self.category, uuid_of(self.stream_id_bytes))

    @property
    def stream_id(self) -> UUID:
        """The stream's id, e.g. the order id."""
        return uuid_of(self.stream_id_bytes)

    @property
    def correlation_id(self) -> UUID | None:
        """What this event is part of, e.g. a signal."""
        return None if self.correlation_id_bytes is None else uuid_of(self.correlation_id_bytes)

    @property
    def causation_id(self) -> UUID | None:
        """The event that caused this one."""
        return None if self.causation_id_bytes is None else uuid_of(self.causation_id_bytes)

    @property
    def effective_at(self) -> int:
        """The best clock for when it happened: the venue's, or the engine's where the venue told none."""
        return self.received_at if self.occurred_at is None else self.occurred_at
