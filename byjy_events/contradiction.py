"""When the same event id comes a second time: a repetition, or a contradiction?"""

from __future__ import annotations

import hashlib
import time
from uuid import UUID

from byjy_events.draft import draft
from byjy_events.errors import EventIdReused
from byjy_events.event import Fact
from byjy_events.identifiers import derived_id
from byjy_events.plan import Draft, StreamKey
from byjy_events.recorded import Entry, Recorded
from byjy_events.vocabulary.venue import FactConflicted

KEPT_BYTES = 200 * 1024
"""Bytes of each telling that a contradiction keeps, so that both fit one payload."""


def contradicts(recorded: Recorded, stream: StreamKey, second: Draft) -> bool:
    """Whether a fact is told otherwise than it was stored. Clocks, actor and correlation do not count.

    Raises:
        EventIdReused: it is no fact, and not the same event on the same stream.
    """
    if recorded.type == second.type and recorded.payload == second.payload and isinstance(second.event, Fact):
        return False
    if isinstance(second.event, Fact):
        return not (isinstance(recorded.event, Fact) and second.event.agrees_with(recorded.event))
    same_stream = (recorded.category, recorded.stream_id_bytes) == stream
    if not same_stream or recorded.event != second.event:
        raise EventIdReused(recorded.event_id, recorded.position)
    return False


def contradiction(stream: StreamKey, recorded: Recorded, second: Draft) -> Draft:
    """The event that keeps the second telling; the same contradiction told again has the same id."""
    event = FactConflicted(
        fact_event_id=recorded.event_id,
        fact_type=second.type,
        fact_position=recorded.position,
        first=_kept(recorded.payload),
        second=_kept(second.payload),
    )
    told = hashlib.sha256(second.payload).hexdigest()
    event_id: UUID = derived_id("FactConflicted", recorded.event_id.hex, told)
    entry = Entry(event, occurred_at=second.occurred_at, received_at=second.received_at, event_id=event_id)
    return draft(entry, stream, second.actor, second.correlation_id, recorded.event_id_bytes, time.time_ns())


def _kept(payload: bytes) -> str:
    return payload[:KEPT_BYTES].decode("utf-8", "ignore")
