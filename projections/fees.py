"""Fees: what orders and positions cost in each asset. A sum that comes to nothing has no row."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from msgspec.structs import replace

from byjy_events.recorded import Recorded
from byjy_events.vocabulary.orders import OrderFilled
from projections.amounts import total
from projections.anomalies import anomaly
from projections.pairs import trading_pair_id
from projections.projection import Evolved, Key, Projection, on
from projections.rows import AnomalyRow, OrderFeeRow, PositionFeeRow
from projections.tables import AnomalyKind, order_fees, position_fees


class OrderFees(Projection[OrderFeeRow]):
    """``order_fees``: one row for each order and asset; a fill without a fee makes none."""

    name = "order_fees"
    version = 2
    table = order_fees
    row_type = OrderFeeRow

    def keys(self, recorded: Recorded) -> Sequence[Key]:
        event: Any = recorded.event
        return ((recorded.stream_id, event.fee_asset),) if event.fee else ()

    @on(OrderFilled)
    def filled(
        self, row: OrderFeeRow | None, event: OrderFilled, recorded: Recorded, key: Key
    ) -> OrderFeeRow | Evolved[OrderFeeRow] | None:
        if row is None:
            return OrderFeeRow(order_id=key[0], asset=key[1], amount=event.fee)
        amount = total(row.amount, event.fee)
        if amount is None:
            return Evolved(row, (_out_of_range(row.amount, event, recorded),))
        return replace(row, amount=amount) if amount else None


class PositionFees(Projection[PositionFeeRow]):
    """``position_fees``: in every asset. What is paid in base and quote is in the position's profit besides."""

    name = "position_fees"
    version = 2
    table = position_fees
    row_type = PositionFeeRow

    def keys(self, recorded: Recorded) -> Sequence[Key]:
        event: Any = recorded.event
        if not event.fee:
            return ()
        return ((trading_pair_id(event.pair), event.account, event.is_test, event.fee_asset),)

    @on(OrderFilled)
    def filled(
        self, row: PositionFeeRow | None, event: OrderFilled, recorded: Recorded, key: Key
    ) -> PositionFeeRow | Evolved[PositionFeeRow] | None:
        if row is None:
            pair, account, is_test, asset = key
            return PositionFeeRow(trading_pair_id=pair, account=account, is_test=is_test, asset=asset, amount=event.fee)
        amount = total(row.amount, event.fee)
        if amount is None:
            return Evolved(row, (_out_of_range(row.amount, event, recorded),))
        return replace(row, amount=amount) if amount else None


def _out_of_range(amount: Decimal, event: OrderFilled, recorded: Recorded) -> AnomalyRow:
    message = f"fees of {amount} {event.fee_asset} and {event.fee} more are out of range; the sum stays"
    return anomaly(AnomalyKind.NUMBER_OUT_OF_RANGE, recorded, message, trading_pair_id(event.pair))
