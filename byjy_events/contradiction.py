"""What is kept when a venue tells a fact again with other content."""

from __future__ import annotations

import hashlib
import time
from uuid import UUID

from byjy_events.draft import draft
from byjy_events.identifiers import derived_id
from byjy_events.plan import Draft, StreamKey
from byjy_events.recorded import Entry
from byjy_events.vocabulary.venue import FactConflicted

KEPT_BYTES = 200 * 1024
"""Bytes of each telling that a contradiction keeps, so that both fit one payload."""


def contradiction(stream: StreamKey, first_payload: bytes, first_position: int, second: Draft) -> Draft:
    """The event that keeps the second telling; the same contradiction told again of the same stream has the same id."""
    event = FactConflicted(
        fact_event_id=UUID(bytes=second.event_id),
        fact_type=second.type,
        fact_position=first_position,
        first=_kept(first_payload),
        second=_kept(second.payload),
    )
    told = hashlib.sha256(second.payload).hexdigest()
    # With the stream: a venue may tell the same contradiction of two orders, and an own event's id has one stream.
    event_id = derived_id("FactConflicted", second.event_id.hex(), told, stream[0], stream[1].hex())
    entry = Entry(event, occurred_at=second.occurred_at, received_at=second.received_at, event_id=event_id)
    return draft(entry, stream, second.actor, second.correlation_id, second.event_id, time.time_ns())


def _kept(payload: bytes) -> str:
    return payload[:KEPT_BYTES].decode("utf-8", "ignore")
