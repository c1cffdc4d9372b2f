"""Positions: netted holdings at average cost, one row for each pair, account and kind of money.

A fill on the same side re-weights the average price; one on the other side realises profit; one that
crosses zero does both, closing what there was and opening the rest at its own price.

A fee in the quote asset is realised at once. A fee in the base asset changes the held quantity and is
realised at the price of its fill, so that a position that was closed has realised exactly the money that
came in and went out.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

from msgspec.structs import replace

from byjy_events.numbers import CONTEXT, ZERO
from byjy_events.recorded import Recorded
from byjy_events.vocabulary.orders import OrderFilled, Side
from projections.amounts import settled
from projections.anomalies import anomaly
from projections.netting import Netted, netted
from projections.pairs import trading_pair_id
from projections.projection import Evolved, Key, Projection, on
from projections.rows import AnomalyRow, PositionRow
from projections.tables import AnomalyKind, positions


class Positions(Projection[PositionRow]):
    """``positions``: follows the fills alone, whatever is known of their orders."""

    name = "positions"
    version = 1
    table = positions
    row_type = PositionRow

    def keys(self, recorded: Recorded) -> Sequence[Key]:
        event: Any = recorded.event
        return ((trading_pair_id(event.pair), event.account, event.is_test),)

    @on(OrderFilled)
    def filled(
        self, row: PositionRow | None, event: OrderFilled, recorded: Recorded, key: Key
    ) -> PositionRow | Evolved[PositionRow]:
        before = row if row is not None else _flat(recorded, key)
        traded, cost = _traded_and_cost(event)
        after = netted(before.quantity, before.avg_price, traded, event.price)
        if after is None:
            changed = replace(before, updated_at=recorded.effective_at, last_position=recorded.position)
            return Evolved(changed, (_out_of_range(event, recorded, key[0]),))
        changed = _changed(before, after, cost, recorded)
        if changed.realized_pnl is None and before.realized_pnl is not None:
            return Evolved(changed, (_out_of_range(event, recorded, key[0]),))
        return changed


def _changed(row: PositionRow, after: Netted, cost: Decimal, recorded: Recorded) -> PositionRow:
    at = recorded.effective_at
    opened_at, closed_at = row.opened_at, row.closed_at
    if after.opened:
        opened_at, closed_at = at, None
    elif row.quantity and not after.quantity:
        closed_at = at
    return replace(
        row,
        quantity=after.quantity,
        avg_price=after.avg_price,
        realized_pnl=_realized(row.realized_pnl, after.realized, cost),
        fills=1 if after.opened else row.fills + 1,
        opened_at=opened_at,
        closed_at=closed_at,
        updated_at=at,
        last_position=recorded.position,
    )


def _realized(so_far: Decimal | None, gained: Decimal, cost: Decimal) -> Decimal | None:
    if so_far is None or not (gained or cost):
        return so_far
    return settled(CONTEXT.add(so_far, CONTEXT.subtract(gained, cost)))


def _traded_and_cost(event: OrderFilled) -> tuple[Decimal, Decimal]:
    """By how much the held quantity changes, and what the fee costs in the quote asset."""
    delta = event.quantity if event.side is Side.BUY else event.quantity.copy_negate()
    if not event.fee:
        return delta, ZERO
    if event.fee_asset == event.pair.quote_asset:
        return delta, event.fee
    if event.fee_asset == event.pair.base_asset:
        return CONTEXT.subtract(delta, event.fee), CONTEXT.multiply(event.fee, event.price)
    return delta, ZERO


def _flat(recorded: Recorded, key: Key) -> PositionRow:
    at = recorded.effective_at
    return PositionRow(
        trading_pair_id=key[0], account=key[1], is_test=key[2], created_at=at, updated_at=at, last_position=0
    )


def _out_of_range(event: OrderFilled, recorded: Recorded, pair: UUID) -> AnomalyRow:
    message = f"{event.quantity} at {event.price} with a fee of {event.fee} takes the position out of range"
    return anomaly(AnomalyKind.NUMBER_OUT_OF_RANGE, recorded, message, pair)
