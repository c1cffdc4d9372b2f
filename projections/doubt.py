"""Orders in doubt: what the engine wanted, and the venue never answered.

The engine records its intent before it calls the venue. So whatever a crash interrupts is in the log: an order that
may or may not have reached the venue, a cancel or an amendment that may or may not have been carried out. After a
restart, ask the venue about each of them and append what it says: an ``OrderRestated`` with the order as its snapshot
shows it, or the facts that were missed. Of an order that the venue never had, the status is REJECTED.

Rows follow the log. Before asking, let the projector catch up::

    await projector.wait_for(await log.head())
    for row in await Queries(log.engine).in_doubt():
        ...  # doubts_of(row) says what of it, and since when
"""

from __future__ import annotations

from enum import StrEnum

from byjy_events.vocabulary.orders import OrderStatus
from projections.order_status import ENDED
from projections.rows import OrderRow


class Doubt(StrEnum):
    """What the venue has not answered.

    Attributes:
        PLACED: the order; it was recorded, and nothing says whether it was sent.
        SUBMITTED: the order; it was about to be sent, or was.
        CANCEL: a request to cancel it.
        AMEND: a request to amend it.
    """

    PLACED = "PLACED"
    SUBMITTED = "SUBMITTED"
    CANCEL = "CANCEL"
    AMEND = "AMEND"


def doubts_of(row: OrderRow) -> dict[Doubt, int]:
    """What is in doubt of an order, and since when (nanoseconds UTC); empty: nothing is.

    An order has one of PLACED and SUBMITTED at most. Of a FILLED order an amendment may be in doubt, as it may have
    raised the quantity; a cancel is not, as there is nothing left to cancel.
    """
    doubts: dict[Doubt, int] = {}
    if row.status is OrderStatus.PENDING_NEW:
        doubts.update(_unacknowledged(row))
    if row.cancel_requested_at is not None and row.is_open:
        doubts[Doubt.CANCEL] = row.cancel_requested_at
    if row.amend_requested_at is not None and row.status not in ENDED:
        doubts[Doubt.AMEND] = row.amend_requested_at
    return doubts


def _unacknowledged(row: OrderRow) -> dict[Doubt, int]:
    if row.submitted_at is not None:
        return {Doubt.SUBMITTED: row.submitted_at}
    # An order that the venue has named has reached it, whatever the engine recorded.
    return {Doubt.PLACED if row.exchange_order_id is None else Doubt.SUBMITTED: row.created_at}
