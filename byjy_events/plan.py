"""What becomes of a batch of appends, decided as a pure function. Both databases use this one.

The writer commits many callers' appends in one transaction. This module decides, in the order in which they
came, which of them are stored, which are answered with an earlier receipt, and which are refused, so that one
caller's conflict never touches its neighbours.

The decision rests on a belief: the versions of the streams, and which event ids are stored already. On SQLite
the belief is read under the write lock, so it is the truth. On PostgreSQL it is a guess that the server
checks under its lock: where it is wrong the server stores nothing and tells the truth, and the batch
is planned again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from uuid import UUID

import msgspec

from byjy_events.errors import ByjyError, EventIdReused, VersionConflict
from byjy_events.event import Event, Fact
from byjy_events.retelling import same_event, same_fact
from byjy_events.stream import ANY, AnyVersion, Expected, Stream

StreamKey = tuple[str, bytes]
"""A stream as the writer handles it: category and the id's 16 bytes."""


class Draft(msgspec.Struct, frozen=True, gc=False):
    """One event on its way into the log: all that the client says of it."""

    event_id: bytes
    type: str
    schema_version: int
    payload: bytes
    occurred_at: int | None
    received_at: int
    actor: str
    correlation_id: bytes | None
    causation_id: bytes | None
    content_hash: bytes
    fresh: bool
    """The id was made for this append, so nobody can have stored it before."""
    event: Event
    """As every reader will see it."""


class Part(msgspec.Struct, frozen=True, gc=False):
    """One stream's share of an append."""

    stream: StreamKey
    expected: Expected
    drafts: Sequence[Draft]


class Known(msgspec.Struct, frozen=True, gc=False):
    """Where an event that is stored already lies, and what it says."""

    position: int
    stream_version: int
    recorded_at: int
    stream: StreamKey
    type: str
    schema_version: int
    payload: bytes


class Placed(msgspec.Struct, frozen=True, gc=False):
    """A draft with its place in the batch and in its stream."""

    offset: int
    stream: StreamKey
    stream_version: int
    draft: Draft


class Verdict(msgspec.Struct, gc=False):
    """What becomes of one append.

    Attributes:
        error: why it is refused; None: it is not.
        places: for each of its events, in order, where it is: a new place in this batch, or an earlier one.
        contradicted: the numbers of its events that tell a stored fact otherwise.
    """

    error: ByjyError | None = None
    places: Sequence[Placed | Known] = ()
    contradicted: Sequence[int] = ()


class Plan(msgspec.Struct):
    """The decision over a batch.

    Attributes:
        verdicts: one for each append, in order.
        placed: the events to store, in order; the first gets the next position of the log.
        versions: the version of every stream that was looked at, after the batch.
        relied_on: the streams whose believed version decided something, with that version.
    """

    verdicts: list[Verdict]
    placed: list[Placed]
    versions: dict[StreamKey, int]
    relied_on: dict[StreamKey, int]


def plan(appends: Sequence[Sequence[Part]], versions: Mapping[StreamKey, int], known: Mapping[bytes, Known]) -> Plan:
    """Decide a batch.

    Args:
        appends: for each append its parts, one for each stream.
        versions: the believed version of every stream that appears.
        known: the believed places of those event ids that are stored already.
    """
    current = dict(versions)
    staged: dict[bytes, Placed] = {}
    placed: list[Placed] = []
    relied_on: dict[StreamKey, int] = {}
    verdicts = []
    for parts in appends:
        if len(parts) == 1 == len(parts[0].drafts):
            (draft,) = parts[0].drafts
            if draft.fresh or not (draft.event_id in staged or draft.event_id in known):
                verdicts.append(_one_new(parts[0], draft, versions, current, staged, placed, relied_on))
                continue
        places = _places_before(parts, staged, known)
        if places is not None:
            error: ByjyError | None = _reused(parts, places)
            if error is not None:
                verdicts.append(Verdict(error))
                continue
            if None not in places:
                found = [place for place in places if place is not None]
                verdicts.append(Verdict(None, found, _contradicted(parts, found)))
                continue
        for part in parts:
            if part.expected is not ANY:
                relied_on[part.stream] = versions[part.stream]
        error = _conflict(parts, current, places)
        if error is not None:
            verdicts.append(Verdict(error))
            continue
        final = _stage(parts, current, staged, placed, known)
        verdicts.append(Verdict(None, final, _contradicted(parts, final)))
    return Plan(verdicts, placed, current, relied_on)


def _one_new(
    part: Part,
    draft: Draft,
    versions: Mapping[StreamKey, int],
    current: dict[StreamKey, int],
    staged: dict[bytes, Placed],
    placed: list[Placed],
    relied_on: dict[StreamKey, int],
) -> Verdict:
    """What nearly every append is: one event that is nowhere yet. It needs no list of places."""
    stream, expected = part.stream, part.expected
    version = current[stream]
    if expected is not ANY:
        relied_on[stream] = versions[stream]
        if version != expected:
            return Verdict(_conflict((part,), current, None))
    current[stream] = version = version + 1
    place = Placed(len(placed), stream, version, draft)
    placed.append(place)
    if not draft.fresh:
        staged[draft.event_id] = place
    return Verdict(None, (place,))  # a tuple of one costs the garbage collector nothing


def streams_of(appends: Iterable[Sequence[Part]]) -> dict[StreamKey, None]:
    """Every stream that a batch touches, once, in order of appearance."""
    return {part.stream: None for parts in appends for part in parts}


def repeatable_ids(appends: Iterable[Sequence[Part]]) -> list[bytes]:
    """The event ids of a batch that somebody may have stored before, each once."""
    ids = {draft.event_id: None for parts in appends for part in parts for draft in part.drafts if not draft.fresh}
    return list(ids)


def _places_before(
    parts: Sequence[Part], staged: Mapping[bytes, Placed], known: Mapping[bytes, Known]
) -> list[Placed | Known | None] | None:
    """Where each event lies already; None in place of the list: nowhere, which is the usual case."""
    for part in parts:
        for draft in part.drafts:
            if not draft.fresh and (draft.event_id in staged or draft.event_id in known):
                drafts = [draft for part in parts for draft in part.drafts]
                return [known.get(draft.event_id) or staged.get(draft.event_id) for draft in drafts]
    return None


def _reused(parts: Sequence[Part], places: list[Placed | Known | None]) -> EventIdReused | None:
    """An own event whose id is taken by another one."""
    for (stream, draft), place in zip(_with_streams(parts), places, strict=True):
        if place is None or isinstance(draft.event, Fact):
            continue
        if place.stream != stream or not same_event(draft.event, draft.payload, *_told(place)):
            position = place.position if isinstance(place, Known) else None
            return EventIdReused(UUID(bytes=draft.event_id), position)
    return None


def _contradicted(parts: Sequence[Part], places: list[Placed | Known]) -> list[int]:
    """The numbers of the facts that found an earlier telling at their place, which says something else."""
    return [
        number
        for number, ((_, draft), place) in enumerate(zip(_with_streams(parts), places, strict=True))
        if isinstance(draft.event, Fact)
        and not (isinstance(place, Placed) and place.draft is draft)
        and not same_fact(draft.event, draft.payload, *_told(place))
    ]


def _told(place: Placed | Known) -> tuple[str, int, bytes]:
    first = place if isinstance(place, Known) else place.draft
    return first.type, first.schema_version, first.payload


def _with_streams(parts: Sequence[Part]) -> list[tuple[StreamKey, Draft]]:
    return [(part.stream, draft) for part in parts for draft in part.drafts]


def _conflict(
    parts: Sequence[Part], current: Mapping[StreamKey, int], places: list[Placed | Known | None] | None
) -> VersionConflict | None:
    for part in parts:
        if isinstance(part.expected, AnyVersion):
            continue
        actual = current[part.stream]
        if actual != part.expected or places is not None:
            category, stream_id = part.stream
            stream = Stream(category, UUID(bytes=stream_id))
            return VersionConflict(stream, part.expected, actual, _known_ids(parts, places))
    return None


def _known_ids(parts: Sequence[Part], places: list[Placed | Known | None] | None) -> list[UUID]:
    drafts = [draft for part in parts for draft in part.drafts]
    return [UUID(bytes=draft.event_id) for draft, place in zip(drafts, places or (), strict=False) if place]


def _stage(
    parts: Sequence[Part],
    current: dict[StreamKey, int],
    staged: dict[bytes, Placed],
    placed: list[Placed],
    known: Mapping[bytes, Known],
) -> list[Placed | Known]:
    places: list[Placed | Known] = []
    for part in parts:
        stream = part.stream
        version = current[stream]
        for draft in part.drafts:
            place = None if draft.fresh else known.get(draft.event_id) or staged.get(draft.event_id)
            if place is None:
                version += 1
                place = Placed(len(placed), stream, version, draft)
                placed.append(place)
                if not draft.fresh:
                    staged[draft.event_id] = place
            places.append(place)
        current[stream] = version
    return places
