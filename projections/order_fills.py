"""What a fill makes of an order: quantity, average price and commission, and whether it was odd."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from byjy_events.numbers import CONTEXT, ZERO
from byjy_events.recorded import Recorded
from byjy_events.vocabulary.orders import OrderFilled
from projections.amounts import notional, ratio, settled, total
from projections.anomalies import anomaly
from projections.choices import AnomalyKind
from projections.order_status import ENDED
from projections.rows import AnomalyRow, OrderRow, TradeRow

Changes = dict[str, Any]
"""Columns of a row and their new values."""


def after_fill(row: OrderRow, event: OrderFilled | TradeRow, at: int, told_at: int | None = None) -> Changes:
    """What a fill changes, as it comes or as it stands in ``trades``.

    A sum that leaves the range of money stays as it was, or becomes None where it may.

    Args:
        told_at: by the venue's clock; None: it told none.
    """
    worth = notional(event.quantity, event.price)
    traded, traded_for = total(row.traded_quantity, event.quantity), _grown(row.traded_notional, worth)
    if traded is None:
        traded = row.traded_quantity
    filled, spent = traded, traded_for
    if row.filled_quantity != row.traded_quantity:  # a snapshot told more, or less
        filled, spent = _beside_snapshot(row, event, worth, told_at)
    changes: Changes = {
        "filled_quantity": filled,
        "filled_notional": spent,
        "avg_price": None if spent is None else ratio(spent, filled),
        "traded_quantity": traded,
        "traded_notional": traded_for,
        "executed_at": at,
        "done_for_day": False,
    }
    if row.accepted_at is None:  # whatever was filled, the venue has
        changes["accepted_at"] = at
    if event.fee and event.fee_asset is not None:  # a correction may tell a fee and not its asset
        changes["commission"], changes["commission_asset"] = _commission(row, event)
    return changes


def oddities_of_fill(
    before: OrderRow, after: OrderRow, event: OrderFilled, recorded: Recorded
) -> tuple[AnomalyRow, ...]:
    """The anomalies of a fill, but for that of its order being unknown."""
    odd: tuple[AnomalyRow, ...] = ()
    pair = before.trading_pair_id
    if before.status in ENDED:
        message = f"{event.quantity} filled after the order was {before.status}"
        odd += (anomaly(AnomalyKind.LATE_FILL, recorded, message, pair),)
    if after.quantity is not None and after.filled_quantity > after.quantity:
        message = f"{after.filled_quantity} filled of an order for {after.quantity}"
        odd += (anomaly(AnomalyKind.OVERFILL, recorded, message, pair),)
    if _left_the_range(before, after, event):
        message = f"{event.quantity} at {event.price} takes the order's sums out of range"
        odd += (anomaly(AnomalyKind.NUMBER_OUT_OF_RANGE, recorded, message, pair),)
    return odd


def _beside_snapshot(
    row: OrderRow, event: OrderFilled | TradeRow, worth: Decimal | None, told_at: int | None
) -> tuple[Decimal, Decimal | None]:
    """What is filled, and what it was worth, when a snapshot of the venue told of more or less than the trades.

    A fill from before the snapshot, by the venue's clock, was in it, told or not: it uses up what the snapshot told
    beyond the trades. Where the venue told no clock, a fill counts on top, as in FIX.
    """
    beyond = CONTEXT.subtract(row.filled_quantity, row.traded_quantity)
    used = ZERO
    if beyond > 0 < event.quantity and is_in_snapshot(told_at, row.restated_at):
        used = min(beyond, event.quantity)
    filled = total(row.filled_quantity, CONTEXT.subtract(event.quantity, used))
    if filled is None:
        filled = row.filled_quantity
    if used == beyond:  # the trades tell everything again
        return filled, _grown(row.traded_notional, worth)
    if not used or row.filled_notional is None or row.traded_notional is None or worth is None:
        return filled, None if used else _grown(row.filled_notional, worth)
    known = CONTEXT.subtract(row.filled_notional, row.traded_notional)
    share = CONTEXT.divide(CONTEXT.multiply(known, used), beyond)
    return filled, settled(CONTEXT.subtract(CONTEXT.add(row.filled_notional, worth), share))


def is_in_snapshot(told_at: int | None, restated_at: int | None) -> bool:
    """Whether something happened before a snapshot was taken, because the venue's own clock says so."""
    return told_at is not None and restated_at is not None and told_at <= restated_at


def _grown(sum_so_far: Decimal | None, amount: Decimal | None) -> Decimal | None:
    return None if sum_so_far is None or amount is None else total(sum_so_far, amount)


def _commission(row: OrderRow, event: OrderFilled | TradeRow) -> tuple[Decimal | None, str | None]:
    """One asset: its sum. A second asset, or a sum out of range: None, for good."""
    if row.commission is None or row.commission_asset not in (None, event.fee_asset):
        return None, None
    amount = total(row.commission, event.fee)
    return (None, None) if amount is None else (amount, event.fee_asset)


def _left_the_range(before: OrderRow, after: OrderRow, event: OrderFilled) -> bool:
    if after.filled_notional is None:
        lost = before.filled_notional is not None
    else:
        lost = after.avg_price is None and after.filled_quantity != ZERO
    stuck = bool(event.quantity) and after.traded_quantity == before.traded_quantity
    same_asset = event.fee_asset is not None and before.commission_asset in (None, event.fee_asset)
    return lost or stuck or (same_asset and before.commission is not None and after.commission is None)
