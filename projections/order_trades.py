"""What an order's trades add up to, when they are looked at anew."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal

from msgspec.structs import replace

from byjy_events.numbers import CONTEXT, ZERO
from projections.amounts import notional, ratio, settled, total
from projections.order_fills import after_fill
from projections.order_status import status_of
from projections.rows import OrderRow, TradeRow
from projections.tables import TradeStatus


def with_trades(row: OrderRow, before: Sequence[TradeRow], after: Sequence[TradeRow]) -> OrderRow:
    """An order as if its trades had been other ones, in the order of the log, from the start.

    What a snapshot of the venue told beyond the trades stays: the difference is kept.
    """
    filled, spent = _beyond(row, before)
    changed = replace(
        row,
        filled_quantity=filled,
        filled_notional=spent,
        avg_price=None if spent is None else ratio(spent, filled),
        commission=ZERO,
        commission_asset=None,
        executed_at=None,
    )
    for trade in counted(after):
        changed = replace(changed, **after_fill(changed, trade, trade.executed_at))
    changed = replace(changed, done_for_day=row.done_for_day)
    return replace(changed, status=status_of(changed))


def fees_by_asset(trades: Iterable[TradeRow]) -> dict[str, Decimal]:
    """What trades cost in each asset, but for what comes to nothing."""
    fees: dict[str, Decimal] = {}
    for trade in counted(trades):
        if trade.fee and trade.fee_asset is not None:
            so_far = fees.get(trade.fee_asset, ZERO)
            amount = total(so_far, trade.fee)
            fees[trade.fee_asset] = so_far if amount is None else amount
    return {asset: amount for asset, amount in fees.items() if amount}


def counted(trades: Iterable[TradeRow]) -> Iterator[TradeRow]:
    """Those that were not busted."""
    return (one for one in trades if one.status is not TradeStatus.BUSTED)


def _beyond(row: OrderRow, trades: Sequence[TradeRow]) -> tuple[Decimal, Decimal | None]:
    """Quantity and notional that the order has and its trades have not."""
    quantity, spent = row.filled_quantity, row.filled_notional
    for trade in counted(trades):
        quantity = CONTEXT.subtract(quantity, trade.quantity)
        worth = notional(trade.quantity, trade.price)
        spent = None if spent is None or worth is None else CONTEXT.subtract(spent, worth)
    quantity = settled(quantity) or ZERO
    if quantity <= 0:  # a snapshot may tell of less as well
        return ZERO, ZERO
    return quantity, None if spent is None else settled(spent)
