"""What a fill makes of a position: the holding after it, and the one that it closed."""

from __future__ import annotations

from decimal import Decimal

from msgspec.structs import replace

from byjy_events.numbers import CONTEXT, ZERO
from byjy_events.vocabulary.orders import OrderFilled, Side
from byjy_events.vocabulary.pairs import Pair
from projections.amounts import settled, total
from projections.choices import FeeIn, PositionSide
from projections.netting import Netted, netted
from projections.rows import PositionCycleRow, PositionRow, TradeRow

Fill = OrderFilled | TradeRow
"""A fill as it comes, or as it stands in ``trades`` after the venue corrected it."""


def after_fill(
    row: PositionRow, fill: Fill, fee_in: FeeIn | None, at: int, position: int
) -> tuple[PositionRow, PositionCycleRow | None]:
    """A position after a fill at an instant and a place in the log, and the holding that was closed by it.

    A fill that would take the held quantity out of range changes nothing of it.
    """
    traded, cost = _traded_and_cost(fill, fee_in)
    after = netted(row.quantity, row.avg_price, traded, fill.price)
    if after is None:
        return replace(row, updated_at=at, last_position=position), None
    if after.opened and row.quantity:
        return _reversed(row, after, traded, cost, at, position)
    gained = _profit(after.realized, cost)
    changed = replace(
        row,
        quantity=after.quantity,
        avg_price=after.avg_price,
        realized_pnl=_grown(row.realized_pnl, gained),
        fills=1 if after.opened else row.fills + 1,
        opened_at=at if after.opened else row.opened_at,
        closed_at=None if after.opened else row.closed_at,
        updated_at=at,
        last_position=position,
        opened_position=position if after.opened else row.opened_position,
        peak_quantity=_peak(ZERO if after.opened else row.peak_quantity, after.quantity),
        cycle_realized_pnl=_grown(ZERO if after.opened else row.cycle_realized_pnl, gained),
    )
    if after.quantity or not row.quantity:
        return changed, None
    changed = replace(changed, closed_at=at)
    return changed, _cycle(row, changed, at, position)


def _reversed(
    row: PositionRow, after: Netted, traded: Decimal, cost: Decimal, at: int, position: int
) -> tuple[PositionRow, PositionCycleRow]:
    """Through zero: the old holding bears the fee of what closed it, the new one the rest."""
    share = CONTEXT.divide(CONTEXT.multiply(cost, row.quantity.copy_abs()), traded.copy_abs())
    closing_cost = settled(share) or ZERO
    gained, paid = _profit(after.realized, closing_cost), _profit(ZERO, CONTEXT.subtract(cost, closing_cost))
    closed = replace(
        row,
        realized_pnl=_grown(row.realized_pnl, gained),
        fills=row.fills + 1,
        cycle_realized_pnl=_grown(row.cycle_realized_pnl, gained),
    )
    changed = replace(
        row,
        quantity=after.quantity,
        avg_price=after.avg_price,
        realized_pnl=_grown(closed.realized_pnl, paid),
        fills=1,
        opened_at=at,
        closed_at=None,
        updated_at=at,
        last_position=position,
        opened_position=position,
        peak_quantity=after.quantity.copy_abs(),
        cycle_realized_pnl=paid,
    )
    return changed, _cycle(row, closed, at, position, reversed_=True)


def _cycle(
    before: PositionRow, closed: PositionRow, at: int, position: int, *, reversed_: bool = False
) -> PositionCycleRow:
    return PositionCycleRow(
        trading_pair_id=before.trading_pair_id,
        account=before.account,
        is_test=before.is_test,
        closed_position=position,
        opened_position=before.opened_position or 0,
        side=PositionSide.LONG if before.quantity > 0 else PositionSide.SHORT,
        peak_quantity=before.peak_quantity,
        avg_price=before.avg_price,
        realized_pnl=closed.cycle_realized_pnl,
        total_realized_pnl=closed.realized_pnl,
        fills=closed.fills,
        reversed=reversed_,
        opened_at=before.opened_at or 0,
        closed_at=at,
    )


def fee_in(fee: Decimal, asset: str | None, pair: Pair) -> FeeIn | None:
    """Which asset of a pair a fee is paid in; None: in none of them, or nothing is paid."""
    if not fee:
        return None
    if asset == pair.quote_asset:
        return FeeIn.QUOTE
    return FeeIn.BASE if asset == pair.base_asset else None


def _traded_and_cost(fill: Fill, fee_in: FeeIn | None) -> tuple[Decimal, Decimal]:
    """By how much the held quantity changes, and what the fee costs in the quote asset."""
    delta = fill.quantity if fill.side is Side.BUY else fill.quantity.copy_negate()
    if fee_in is None:
        return delta, ZERO
    if fee_in is FeeIn.QUOTE:
        return delta, fill.fee
    return CONTEXT.subtract(delta, fill.fee), CONTEXT.multiply(fill.fee, fill.price)


def _profit(gained: Decimal, cost: Decimal) -> Decimal | None:
    """Rounded by itself, so that what holdings realised adds up to what the position did, to the last digit."""
    return settled(CONTEXT.subtract(gained, cost)) if gained or cost else ZERO


def _grown(so_far: Decimal | None, gained: Decimal | None) -> Decimal | None:
    if so_far is None or gained is None:
        return None
    return total(so_far, gained) if gained else so_far


def _peak(so_far: Decimal, quantity: Decimal) -> Decimal:
    return max(so_far, quantity.copy_abs())
