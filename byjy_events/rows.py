"""Rows of the table of events, as the drivers give them, and what they have to be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from byjy_events import codec
from byjy_events.errors import CorruptLog
from byjy_events.event import EVENT_TYPES
from byjy_events.leaf import content_hash, leaf_hash
from byjy_events.recorded import Recorded


def recorded_from(row: Sequence[Any]) -> Recorded:
    """The event of a row in the order of :data:`byjy_events.query.COLUMNS`.

    Raises:
        CorruptLog: its payload is not what its type and version promise.
    """
    try:
        return Recorded(*row, codec.decode(row[5], row[6], row[7]))  # type: ignore[call-arg]
    except Exception as error:  # of the decoder, or whatever an upcaster raises
        raise CorruptLog(row[0], f"{row[5]} version {row[6]}: {error}") from error


def all_recorded(rows: Sequence[Sequence[Any]]) -> list[Recorded]:
    """The events of many rows. Raises as :func:`recorded_from`."""
    events = []
    try:
        for row in rows:
            known = EVENT_TYPES.get(row[5])
            if known is not None and row[6] == known.version:  # nearly always: two calls less for every event
                events.append(Recorded(*row, known.decode(row[7])))  # type: ignore[call-arg]
            else:
                events.append(recorded_from(row))
    except Exception:
        recorded_from(rows[len(events)])  # which says more about it
        raise
    return events


def refuse_altered(rows: Sequence[Sequence[Any]]) -> None:
    """Raise :class:`CorruptLog` unless every row is what its leaf hash says was appended at its place."""
    for (
        position, event_id, category, stream_id, version, type_name, schema_version, payload,
        occurred_at, received_at, recorded_at, actor, correlation_id, causation_id, leaf,
    ) in rows:  # fmt: skip
        content = content_hash(
            event_id, category, stream_id, type_name, schema_version, payload,
            occurred_at, received_at, actor, correlation_id, causation_id,
        )  # fmt: skip
        if leaf_hash(content, position, version, recorded_at) != leaf:
            raise CorruptLog(position, "altered; its leaf hash is of something else")


def refuse_gap(after: int, rows: Sequence[Sequence[Any]]) -> None:
    """Raise :class:`CorruptLog` unless the rows follow upon a position one by one."""
    if rows[-1][0] == after + len(rows):
        return
    for expected, row in enumerate(rows, after + 1):
        if row[0] != expected:
            raise CorruptLog(expected, f"missing; the next event is at {row[0]}")
