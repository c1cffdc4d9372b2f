"""What a venue's snapshot of an order, found by reconciliation, makes of its row: the venue is believed."""

from __future__ import annotations

from decimal import Decimal

from byjy_events.numbers import ZERO
from byjy_events.vocabulary.orders import OrderRestated, OrderStatus
from projections.amounts import notional, ratio
from projections.order_fills import Changes
from projections.rows import OrderRow

_NOT_ACCEPTED = frozenset({OrderStatus.PENDING_NEW, OrderStatus.REJECTED})


def after_restatement(row: OrderRow, event: OrderRestated, at: int, told_at: int | None) -> Changes:
    """What a snapshot changes; what it does not tell stays, but for sums that no longer fit together."""
    changes: Changes = {
        "pending_cancel": event.status is OrderStatus.PENDING_CANCEL,
        "pending_replace": event.status is OrderStatus.PENDING_REPLACE,
        "pending_amends": row.pending_amends if event.status is OrderStatus.PENDING_REPLACE else None,
        "done_for_day": event.status is OrderStatus.DONE_FOR_DAY,
        "canceled_at": _canceled_at(row, event, at),
        "restated_at": told_at,
        **_answered(event),
        **_sums(row, event),
    }
    for name in ("side", "type", "quantity", "price", "stop_price"):
        value = getattr(event, name)
        if value is not None:
            changes[name] = value
    if row.accepted_at is None and event.status not in _NOT_ACCEPTED:
        changes["accepted_at"] = at
    if event.status is OrderStatus.REJECTED:
        changes["reject_reason"] = event.reason
    return changes


def _answered(event: OrderRestated) -> Changes:
    """A snapshot answers every request of ours, but for those that it shows as pending."""
    changes: Changes = {}
    if event.status is not OrderStatus.PENDING_CANCEL:
        changes.update(cancels_unanswered=0, cancel_requested_at=None)
    if event.status is not OrderStatus.PENDING_REPLACE:
        changes.update(amends_unanswered=0, amend_requested_at=None)
    return changes


def _canceled_at(row: OrderRow, event: OrderRestated, at: int) -> int | None:
    if event.status is not OrderStatus.CANCELED:
        return None
    return at if row.canceled_at is None else row.canceled_at


def _sums(row: OrderRow, event: OrderRestated) -> Changes:
    filled = _filled(row, event)
    if filled == row.filled_quantity and event.avg_price in (None, row.avg_price):
        return {}  # nothing new: what was multiplied out of a rounded average would be less than what is known
    if filled == row.traded_quantity and event.avg_price is None:
        spent = row.traded_notional
        average = None if spent is None else ratio(spent, filled)
    else:
        spent, average = _notional_and_average(filled, event.avg_price)
    return {"filled_quantity": filled, "filled_notional": spent, "avg_price": average}


def _filled(row: OrderRow, event: OrderRestated) -> Decimal:
    """As told; and where it is not told, all of the quantity of an order that is FILLED."""
    if event.filled_quantity is not None:
        return event.filled_quantity
    quantity = row.quantity if event.quantity is None else event.quantity
    return row.filled_quantity if event.status is not OrderStatus.FILLED or quantity is None else quantity


def _notional_and_average(filled: Decimal, average: Decimal | None) -> tuple[Decimal | None, Decimal | None]:
    if not filled:
        return ZERO, None
    if average is None:
        return None, None
    return notional(filled, average), average
