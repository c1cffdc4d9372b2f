"""What a durable batch is to those who wait for it: receipts for its callers, events for its followers."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import repeat

from byjy_events.backend import Committed
from byjy_events.leaf import leaf_hash
from byjy_events.plan import Draft, Known, Part, Placed, Verdict
from byjy_events.recorded import Outcome, Receipt, Recorded, Stored


def receipt_of(parts: Sequence[Part], verdict: Verdict, committed: Committed) -> Receipt:
    """One caller's receipt. Raises what the plan found against the append."""
    if verdict.error is not None:
        raise verdict.error
    if len(parts) == 1 == len(verdict.places):
        return Receipt((_stored(committed, parts[0].drafts[0], verdict.places[0]),))
    drafts = [draft for part in parts for draft in part.drafts]
    return Receipt(tuple(map(_stored, repeat(committed), drafts, verdict.places)))


def _stored(committed: Committed, draft: Draft, place: Placed | Known) -> Stored:
    if isinstance(place, Known):
        # A fresh id can be known only because the commit went through whose outcome had been unclear.
        outcome = Outcome.APPENDED if draft.fresh else Outcome.DUPLICATE
        return Stored(draft.event_id, place.position, place.stream_version, place.recorded_at, outcome)
    # The same id twice in one batch: the later one found the earlier one's place.
    outcome = Outcome.APPENDED if draft.fresh or place.draft is draft else Outcome.DUPLICATE
    position = committed.first_position + place.offset
    return Stored(draft.event_id, position, place.stream_version, committed.recorded_at, outcome)


def handed_over(committed: Committed) -> list[Recorded]:
    """What a reader of the database would get, without reading it."""
    if committed.events is not None:
        return committed.events
    recorded_at = committed.recorded_at
    events = []
    for position, placed in enumerate(committed.placed, committed.first_position):
        (category, stream_id), version, draft = placed.stream, placed.stream_version, placed.draft
        events.append(
            Recorded(
                position, draft.event_id, category, stream_id, version, draft.type, draft.schema_version,
                draft.payload, draft.occurred_at, draft.received_at, recorded_at, draft.actor,
                draft.correlation_id, draft.causation_id,
                leaf_hash(draft.content_hash, position, version, recorded_at), draft.event,
            )
        )  # fmt: skip
    return events
