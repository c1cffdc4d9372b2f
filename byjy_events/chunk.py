"""A chunk of the table of events, and what it has to be.

It is kept column by column: events are made of columns in one call, and no row in between has to exist.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from byjy_events import codec
from byjy_events.errors import CorruptLog
from byjy_events.event import EVENT_TYPES
from byjy_events.leaf import content_hash, leaf_hash
from byjy_events.recorded import Recorded

Chunk = Sequence[Sequence[Any]]
"""The columns of :data:`byjy_events.query.COLUMNS`, ids as 16 bytes; empty: there are no rows."""


def chunk_of(rows: Sequence[Sequence[Any]]) -> Chunk:
    """Rows of the table as a chunk."""
    return list(zip(*rows, strict=True))


def positions(chunk: Chunk) -> Sequence[int]:
    """The positions of its events."""
    return chunk[0]


def all_recorded(chunk: Chunk) -> list[Recorded]:
    """The events of a chunk.

    Raises:
        CorruptLog: a payload is not what its type and version promise.
    """
    if not chunk:
        return []
    events: list[Any] = []
    try:
        for name, version, payload in zip(chunk[5], chunk[6], chunk[7], strict=True):
            known = EVENT_TYPES.get(name)
            if known is not None and version == known.version:  # nearly always: a call less for every event
                events.append(known.decode(payload))
            else:
                events.append(codec.decode(name, version, payload))
    except Exception as error:  # of the decoder, or whatever an upcaster raises
        at = len(events)
        raise CorruptLog(chunk[0][at], f"{chunk[5][at]} version {chunk[6][at]}: {error}") from error
    return list(map(Recorded, *chunk, events))


def refuse_altered(chunk: Chunk) -> None:
    """Raise :class:`CorruptLog` unless every event is what its leaf hash says was appended at its place."""
    for (
        position, event_id, category, stream_id, version, type_name, schema_version, payload,
        occurred_at, received_at, recorded_at, actor, correlation_id, causation_id, leaf,
    ) in zip(*chunk, strict=True):  # fmt: skip
        content = content_hash(
            event_id, category, stream_id, type_name, schema_version, payload,
            occurred_at, received_at, actor, correlation_id, causation_id,
        )  # fmt: skip
        if leaf_hash(content, position, version, recorded_at) != leaf:
            raise CorruptLog(position, "altered; its leaf hash is of something else")


def refuse_gap(after: int, chunk: Chunk) -> None:
    """Raise :class:`CorruptLog` unless the events follow upon a position one by one."""
    found = positions(chunk)
    if found[-1] == after + len(found):
        return
    for expected, position in enumerate(found, after + 1):
        if position != expected:
            raise CorruptLog(expected, f"missing; the next event is at {position}")
