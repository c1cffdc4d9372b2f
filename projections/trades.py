"""Trades: one row for each execution that the venue told of, as it told it."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from byjy_events.recorded import Recorded
from byjy_events.vocabulary.orders import OrderFilled
from projections.holdings import fee_in
from projections.pairs import trading_pair_id
from projections.projection import Key, Projection, on
from projections.rows import TradeRow
from projections.tables import trades


def trade_of(event: OrderFilled, recorded: Recorded, execution: UUID | None) -> TradeRow:
    """The row of a fill, whose order carries the id of an execution of a strategy; None: none is known."""
    return TradeRow(
        id=recorded.event_id,
        order_id=recorded.stream_id,
        trading_pair_id=trading_pair_id(event.pair),
        account=event.account,
        is_test=event.is_test,
        execution_id=event.execution_id,
        exchange_order_id=event.exchange_order_id,
        side=event.side,
        quantity=event.quantity,
        price=event.price,
        fee=event.fee,
        fee_asset=event.fee_asset,
        liquidity=event.liquidity,
        executed_at=recorded.effective_at,
        position=recorded.position,
        fee_in=fee_in(event.fee, event.fee_asset, event.pair),
        strategy_execution_id=execution,
    )


class Trades(Projection[TradeRow]):
    """``trades``: the key is the event id of the fill, which the log holds once.

    The fold of ``orders``, which comes first, adds the trades of orders that carry the id of an execution.
    """

    name = "trades"
    version = 3
    table = trades
    row_type = TradeRow
    append_only = True

    def keys(self, recorded: Recorded) -> Sequence[Key]:
        return (recorded.event_id,)

    @on(OrderFilled)
    def filled(self, row: TradeRow | None, event: OrderFilled, recorded: Recorded, key: UUID) -> TradeRow:
        return trade_of(event, recorded, None)
