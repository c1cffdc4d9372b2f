"""Fees: what orders, positions and executions cost in each asset. A sum that comes to nothing has no row."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from byjy_events.numbers import CONTEXT, ZERO
from byjy_events.recorded import Recorded
from byjy_events.vocabulary.orders import OrderFilled
from projections.amounts import settled, total
from projections.anomalies import anomaly
from projections.choices import AnomalyKind, TradeStatus
from projections.pairs import trading_pair_id
from projections.projection import Evolved, Key, Projection, on
from projections.revision import Ask, Asking
from projections.rows import AnomalyRow, ExecutionFeeRow, OrderFeeRow, PositionFeeRow, TradeRow
from projections.tables import order_fees, position_fees, strategy_execution_fees

F = TypeVar("F", OrderFeeRow, PositionFeeRow, ExecutionFeeRow)


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
        return _with_fee(row, event, recorded)


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
        return _with_fee(row, event, recorded)


class ExecutionFees(Projection[ExecutionFeeRow]):
    """``strategy_execution_fees``: in every asset, over all pairs and accounts that the execution traded on."""

    name = "strategy_execution_fees"
    version = 1
    table = strategy_execution_fees
    row_type = ExecutionFeeRow
    named_by_others = True

    @on(OrderFilled)
    def filled(
        self, row: ExecutionFeeRow | None, event: OrderFilled, recorded: Recorded, key: Key
    ) -> ExecutionFeeRow | Evolved[ExecutionFeeRow] | None:
        if row is None:
            return ExecutionFeeRow(strategy_execution_id=key[0], asset=key[1], amount=event.fee)
        return _with_fee(row, event, recorded)


def fees_anew(row_type: type[F], key: dict[str, Any], before: Iterable[TradeRow], after: Iterable[TradeRow]) -> Asking:
    """Fees are sums: what trades cost before is taken away, what they cost now is added. A busted one costs nothing.

    Args:
        key: of whose fees they are, without the asset.
    """
    found: Sequence[F] = yield Ask(row_type=row_type, equal=key)
    so_far = {row.asset: row.amount for row in found}
    sums = dict(so_far)
    _add(sums, before, CONTEXT.subtract)
    _add(sums, after, CONTEXT.add)
    changed = {asset: amount for asset, amount in sums.items() if amount != so_far.get(asset, ZERO)}
    rows: list[Struct] = [row_type(**key, asset=asset, amount=amount) for asset, amount in changed.items() if amount]
    return rows, [(row_type, (*key.values(), asset)) for asset, amount in changed.items() if not amount]


def _add(sums: dict[str, Decimal], trades: Iterable[TradeRow], add: Any) -> None:
    """A sum that leaves the range of money stays as it was."""
    for one in trades:
        if one.fee and one.fee_asset is not None and one.status is not TradeStatus.BUSTED:
            so_far = sums.get(one.fee_asset, ZERO)
            sums[one.fee_asset] = settled(add(so_far, one.fee)) or (ZERO if add(so_far, one.fee) == 0 else so_far)


def _with_fee(row: F, event: OrderFilled, recorded: Recorded) -> F | Evolved[F] | None:
    amount = total(row.amount, event.fee)
    if amount is None:
        return Evolved(row, (_out_of_range(row.amount, event, recorded),))
    return replace(row, amount=amount) if amount else None


def _out_of_range(amount: Decimal, event: OrderFilled, recorded: Recorded) -> AnomalyRow:
    message = f"fees of {amount} {event.fee_asset} and {event.fee} more are out of range; the sum stays"
    return anomaly(AnomalyKind.NUMBER_OUT_OF_RANGE, recorded, message, trading_pair_id(event.pair))
