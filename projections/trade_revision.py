"""Busts and corrections: a trade that never was, or was otherwise than first told.

Everything that counted the trade is folded anew as if it had never been, or had been so from the start: its order from
all of the order's trades; its position from where it was last flat before the trade, and with it the holdings that were
closed since; the execution of a strategy that it belongs to, from all of its trades; the fees of all three.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from byjy_events.event import Event
from byjy_events.identifiers import derived_id
from byjy_events.numbers import ZERO
from byjy_events.recorded import Recorded
from byjy_events.vocabulary.orders import OrderFilled, TradeBusted, TradeCorrected
from projections.anomalies import anomaly
from projections.choices import AnomalyKind, TradeStatus
from projections.execution_totals import totals_anew
from projections.fees import fees_anew
from projections.holdings import after_fill, fee_in
from projections.order_trades import fees_by_asset, with_trades
from projections.positions import flat
from projections.revision import Ask, Asking, Part, Revised, Revising
from projections.rows import (
    AnomalyRow,
    ExecutionFeeRow,
    OrderFeeRow,
    OrderRow,
    PositionCycleRow,
    PositionFeeRow,
    PositionRow,
    TradeRow,
)

PAGE_ROWS = 1_000
"""Trades of a position that are read and folded at once; for so long other tasks of the process have to wait."""


class TradeRevisions:
    """See :class:`projections.revision.Revision`."""

    handles: ClassVar[frozenset[type[Event]]] = frozenset({TradeBusted, TradeCorrected})

    def revise(self, recorded: Recorded) -> Revising:
        event: Any = recorded.event
        found = yield Ask(row_type=OrderRow, equal={"id": recorded.stream_id})
        trades = yield Ask(row_type=TradeRow, equal={"order_id": recorded.stream_id}, by=("position",))
        odd = [_unknown_order(recorded, event)] if not found or found[0].external else []
        trade = _meant(trades, event) if found else None
        if trade is None or trade.status is TradeStatus.BUSTED:
            return Revised([*odd, _not_revised(recorded, event, trade)])
        revised = _revised(trade, event, recorded.position)
        after = [revised if one is trade else one for one in trades]
        rows, gone = _of_order(found[0], trades, after, recorded)
        more_rows, more_gone = yield from _of_position(trade, revised, event, recorded)
        fee_rows, fee_gone = yield from _of_position_fees(trade, revised)
        sum_rows, sum_gone = yield from _of_execution(trade, revised, recorded)
        return Revised(
            [*odd, revised, *rows, *more_rows, *fee_rows, *sum_rows], [*gone, *more_gone, *fee_gone, *sum_gone]
        )


# --- the trade ------------------------------------------------------------------------------------


def _meant(trades: Sequence[TradeRow], event: TradeBusted | TradeCorrected) -> TradeRow | None:
    """The trade that goes by this execution id now, or was first told with it."""
    # The venue may have renamed the order since: a fill was told with the order's name of then.
    names = [one.exchange_order_id for one in trades if one.exchange_order_id is not None]
    named = [event, *(replace(event, exchange_order_id=name) for name in names)]
    first_told = {derived_id(OrderFilled.__name__, *each.identity_with(event.execution_id)) for each in named}
    called = [one for one in trades if one.execution_id == event.execution_id or one.id in first_told]
    # Of several the one that was told under this name of the order, that stands, that goes by this id still or always.
    called.sort(
        key=lambda one: (
            one.exchange_order_id != event.exchange_order_id,
            one.status is TradeStatus.BUSTED,
            one.execution_id != event.execution_id,
            one.id not in first_told,
        )
    )
    return called[0] if called else None


def _revised(trade: TradeRow, event: TradeBusted | TradeCorrected, position: int) -> TradeRow:
    if isinstance(event, TradeBusted):
        return replace(trade, status=TradeStatus.BUSTED, revised_position=position)
    fee = trade.fee if event.fee is None else event.fee
    asset = event.fee_asset or trade.fee_asset
    return replace(
        trade,
        status=TradeStatus.CORRECTED,
        revised_position=position,
        execution_id=event.corrected_execution_id or trade.execution_id,
        quantity=event.quantity,
        price=event.price,
        fee=fee,
        fee_asset=asset,
        fee_in=trade.fee_in if fee and trade.fee and asset == trade.fee_asset else fee_in(fee, asset, event.pair),
    )


# --- its order ------------------------------------------------------------------------------------


def _of_order(row: OrderRow, before: Sequence[TradeRow], after: Sequence[TradeRow], recorded: Recorded) -> Part:
    changed = with_trades(row, after, recorded.occurred_at)
    changed = replace(changed, updated_at=recorded.effective_at, last_position=recorded.position)
    rows: list[Struct] = [changed]
    if changed.filled_notional is None and row.filled_notional is not None:
        rows.append(_out_of_range(recorded, "order", row.trading_pair_id))
    if changed.quantity is not None and row.filled_quantity <= changed.quantity < changed.filled_quantity:
        message = f"{changed.filled_quantity} filled of an order for {changed.quantity}"
        rows.append(anomaly(AnomalyKind.OVERFILL, recorded, message, row.trading_pair_id))
    fees = fees_by_asset(after)
    rows += [OrderFeeRow(order_id=row.id, asset=asset, amount=amount) for asset, amount in fees.items()]
    return rows, [(OrderFeeRow, (row.id, asset)) for asset in fees_by_asset(before).keys() - fees.keys()]


# --- its position ---------------------------------------------------------------------------------


def _of_position(trade: TradeRow, revised: TradeRow, event: Any, recorded: Recorded) -> Asking:
    key = {"trading_pair_id": trade.trading_pair_id, "account": trade.account, "is_test": trade.is_test}
    positions = yield Ask(row_type=PositionRow, equal=key)
    flats = yield Ask(
        row_type=PositionCycleRow,
        equal={**key, "reversed": False},
        by=("closed_position",),
        before=trade.position,
        newest_first=True,
        limit=1,
    )
    flats = flats if positions else []  # somebody removed it: then from the beginning
    since = flats[0].closed_position if flats else 0
    stale = yield Ask(row_type=PositionCycleRow, equal=key, by=("closed_position",), after=since)
    row = _as_closed(positions[0], flats[0]) if flats else None
    cycles: list[Struct] = []
    while trades := (yield Ask(row_type=TradeRow, equal=key, by=("position",), after=since, limit=PAGE_ROWS)):
        for one in trades:
            fill = revised if one.id == revised.id else one
            if fill.status is not TradeStatus.BUSTED:
                before = row or flat(tuple(key.values()), fill.executed_at)
                row, cycle = after_fill(before, fill, fill.fee_in, fill.executed_at, fill.position)
                cycles += [] if cycle is None else [cycle]
        since = trades[-1].position
    gone: list[tuple[type[Struct], Any]] = [(PositionCycleRow, (*key.values(), one.closed_position)) for one in stale]
    if row is None:
        return [], [*gone, (PositionRow, tuple(key.values()))]
    if positions and row.realized_pnl is None and positions[0].realized_pnl is not None:
        cycles.append(_out_of_range(recorded, "position", trade.trading_pair_id))
    return [replace(row, updated_at=recorded.effective_at, last_position=recorded.position), *cycles], gone


def _as_closed(row: PositionRow, cycle: PositionCycleRow) -> PositionRow:
    """The position as the end of a holding left it."""
    return replace(
        row,
        quantity=ZERO,
        avg_price=None,
        realized_pnl=cycle.total_realized_pnl,
        fills=cycle.fills,
        opened_at=cycle.opened_at,
        closed_at=cycle.closed_at,
        opened_position=cycle.opened_position,
        peak_quantity=cycle.peak_quantity,
        cycle_realized_pnl=cycle.realized_pnl,
    )


def _of_position_fees(trade: TradeRow, revised: TradeRow) -> Asking:
    key = {"trading_pair_id": trade.trading_pair_id, "account": trade.account, "is_test": trade.is_test}
    return fees_anew(PositionFeeRow, key, [trade], [revised])


# --- its execution --------------------------------------------------------------------------------


def _of_execution(trade: TradeRow, revised: TradeRow, recorded: Recorded) -> Asking:
    execution = trade.strategy_execution_id
    if execution is None:
        return [], []
    rows, gone = yield from totals_anew(execution, [revised], recorded)
    key = {"strategy_execution_id": execution}
    more_rows, more_gone = yield from fees_anew(ExecutionFeeRow, key, [trade], [revised])
    return [*rows, *more_rows], [*gone, *more_gone]


# --- oddities -------------------------------------------------------------------------------------


def _unknown_order(recorded: Recorded, event: Any) -> AnomalyRow:
    message = f"{recorded.type} for an order that was never placed"
    return anomaly(AnomalyKind.UNKNOWN_ORDER, recorded, message, event.pair.id)


def _out_of_range(recorded: Recorded, what: str, pair: UUID) -> AnomalyRow:
    message = f"{recorded.type} takes the {what} out of range"
    return anomaly(AnomalyKind.NUMBER_OUT_OF_RANGE, recorded, message, pair)


def _not_revised(recorded: Recorded, event: Any, trade: TradeRow | None) -> AnomalyRow:
    if trade is None:
        message = f"{recorded.type} of execution {event.execution_id}, which was never told"
        return anomaly(AnomalyKind.UNKNOWN_TRADE, recorded, message, event.pair.id)
    message = f"{recorded.type} of execution {event.execution_id}, which was busted at {trade.revised_position} already"
    return anomaly(AnomalyKind.REVISED_AGAIN, recorded, message, trade.trading_pair_id)
