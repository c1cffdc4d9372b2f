"""What an order's trades add up to, when they are looked at anew."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal

from msgspec.structs import replace

from byjy_events.numbers import CONTEXT, ZERO
from projections.amounts import ratio, settled, total
from projections.choices import TradeStatus
from projections.order_fills import after_fill, is_in_snapshot
from projections.order_status import status_of
from projections.rows import OrderRow, TradeRow


def with_trades(row: OrderRow, trades: Iterable[TradeRow], told_at: int | None) -> OrderRow:
    """An order as if these had been its trades, in the order of the log, from the start.

    Where a snapshot of the venue told of more or less than the trades, see :func:`_beside_snapshot`.

    Args:
        told_at: when the trades turned out to be other ones, by the venue's clock; None: it told none.
    """
    traded = _traded(row, trades)
    filled, spent = traded.filled_quantity, traded.filled_notional
    if row.filled_quantity != row.traded_quantity:
        filled, spent = _beside_snapshot(row, traded, told_at)
    changed = replace(
        traded,
        filled_quantity=filled,
        filled_notional=spent,
        avg_price=None if spent is None else ratio(spent, filled),
        restated_at=row.restated_at,
        done_for_day=row.done_for_day,
    )
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


def _traded(row: OrderRow, trades: Iterable[TradeRow]) -> OrderRow:
    """The order with the sums of its trades alone."""
    changed = replace(
        row,
        filled_quantity=ZERO,
        filled_notional=ZERO,
        avg_price=None,
        traded_quantity=ZERO,
        traded_notional=ZERO,
        restated_at=None,
        commission=ZERO,
        commission_asset=None,
        executed_at=None,
    )
    for trade in counted(trades):
        changed = replace(changed, **after_fill(changed, trade, trade.executed_at))
    return changed


def _beside_snapshot(row: OrderRow, traded: OrderRow, told_at: int | None) -> tuple[Decimal, Decimal | None]:
    """What is filled when the trades change and a snapshot told of more or less than they did.

    The snapshot stands, and what changed later changes it. What the snapshot told less than the trades, e.g. because it
    knew of a bust already, is made up by busts, unless the venue's clock says that they came later.
    """
    more = CONTEXT.subtract(traded.traded_quantity, row.traded_quantity)
    beyond = CONTEXT.subtract(row.filled_quantity, row.traded_quantity)
    if is_in_snapshot(told_at, row.restated_at):
        return row.filled_quantity, row.filled_notional
    if beyond < 0 > more and None in (told_at, row.restated_at):
        more = CONTEXT.add(more, min(beyond.copy_negate(), more.copy_negate()))
    filled = settled(CONTEXT.add(row.filled_quantity, more)) or ZERO
    if filled <= 0:
        return ZERO, ZERO
    if filled == traded.traded_quantity:
        return filled, traded.traded_notional
    if row.filled_notional is None or row.traded_notional is None or traded.traded_notional is None:
        return filled, None
    paid = CONTEXT.subtract(traded.traded_notional, row.traded_notional)
    return filled, settled(CONTEXT.add(row.filled_notional, paid))
