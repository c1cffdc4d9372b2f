"""Anomalies: what was odd about an event, as a row that says so in a sentence.

A venue may say anything, twice and out of order. It is folded as far as it makes sense, and what does not
make sense lands here. Other projections of the group add rows through ``Evolved.also``; this one makes those
of events that concern no other row.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from byjy_events.recorded import Recorded
from byjy_events.stream import ORDER
from byjy_events.vocabulary.venue import FactConflicted, VenueMessageUnusable
from projections.choices import AnomalyKind
from projections.projection import Key, Projection, on
from projections.rows import AnomalyRow
from projections.tables import anomalies

_KINDS = {
    FactConflicted: AnomalyKind.FACT_CONFLICTED,
    VenueMessageUnusable: AnomalyKind.MESSAGE_UNUSABLE,
}


def anomaly(kind: AnomalyKind, recorded: Recorded, message: str, trading_pair_id: UUID | None = None) -> AnomalyRow:
    """The row for something odd about an event; it names the order when the event lies in an order's stream."""
    return AnomalyRow(
        position=recorded.position,
        kind=kind,
        order_id=recorded.stream_id if recorded.category == ORDER else None,
        trading_pair_id=trading_pair_id,
        message=message,
        recorded_at=recorded.recorded_at,
    )


class Anomalies(Projection[AnomalyRow]):
    """``anomalies``: at most one row for each kind and event."""

    name = "anomalies"
    version = 1
    table = anomalies
    row_type = AnomalyRow
    append_only = True

    def keys(self, recorded: Recorded) -> Sequence[Key]:
        return ((recorded.position, _KINDS[type(recorded.event)]),)  # type: ignore[index]

    @on(FactConflicted)
    def conflicted(self, row: AnomalyRow | None, event: FactConflicted, recorded: Recorded, key: Key) -> AnomalyRow:
        message = f"{event.fact_type} of position {event.fact_position} was told again with other content"
        return anomaly(AnomalyKind.FACT_CONFLICTED, recorded, f"{message}; the first telling stands")

    @on(VenueMessageUnusable)
    def unusable(self, row: AnomalyRow | None, event: VenueMessageUnusable, recorded: Recorded, key: Key) -> AnomalyRow:
        message = f"a message of {event.raw_length} bytes from {event.exchange} could not be used: {event.error}"
        return anomaly(AnomalyKind.MESSAGE_UNUSABLE, recorded, message)
