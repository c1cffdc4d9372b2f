"""The status of an order, from what the venue said of it (FIX 39, Order State Changes).

The order of precedence is FIX's: an end stays an end; a pending request outranks fills; the rest follows
from the quantities. Requests of ours change nothing until the venue answers.
"""

from __future__ import annotations

from byjy_events.vocabulary.orders import OrderStatus
from projections.rows import OrderRow

ENDED = (OrderStatus.CANCELED, OrderStatus.REJECTED, OrderStatus.EXPIRED)
"""Statuses that no later fill or acceptance takes back. FILLED is not one: an amendment may re-open it."""


def status_of(row: OrderRow) -> OrderStatus:
    """The status that follows from a row's other columns, unless its status is an end already."""
    if row.status in ENDED:
        return row.status
    if row.pending_cancel:
        return OrderStatus.PENDING_CANCEL
    if row.pending_replace:
        return OrderStatus.PENDING_REPLACE
    if row.done_for_day:
        return OrderStatus.DONE_FOR_DAY
    return _by_quantity(row)


def _by_quantity(row: OrderRow) -> OrderStatus:
    if row.filled_quantity > 0:
        full = row.quantity is not None and row.filled_quantity >= row.quantity
        return OrderStatus.FILLED if full else OrderStatus.PARTIALLY_FILLED
    return OrderStatus.PENDING_NEW if row.accepted_at is None else OrderStatus.NEW
