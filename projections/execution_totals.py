"""Totals of executions: what the orders that carry an execution's id, and their trades, came to.

Only the placing of an order tells the id; a fill names its order alone. So it is the fold of ``orders`` that names the
rows of this one (``Evolved.concerns``), and hands its trades the id. What an execution holds and made is netted as
positions are, from its own trades alone. A fill that came before its order was placed belongs to no execution.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from byjy_events.numbers import ZERO
from byjy_events.recorded import Recorded
from byjy_events.vocabulary.orders import OrderFilled, OrderPlaced
from projections.amounts import notional, total
from projections.anomalies import anomaly
from projections.choices import AnomalyKind, FeeIn, TradeStatus
from projections.holdings import Fill, after_fill, fee_in
from projections.pairs import trading_pair_id
from projections.projection import Evolved, Key, Projection, on
from projections.revision import Ask, Asking, Part
from projections.rows import ExecutionFeeRow, ExecutionTotalsRow, PositionRow, TradeRow
from projections.tables import strategy_execution_totals

PAGE_ROWS = 1_000
"""Trades of an execution that are read and folded at once; for so long other tasks of the process have to wait."""

Concerns = tuple[tuple[type[Struct], Key], ...]


class ExecutionTotals(Projection[ExecutionTotalsRow]):
    """``strategy_execution_totals``: one row for each execution, pair, account and kind of money."""

    name = "strategy_execution_totals"
    version = 1
    table = strategy_execution_totals
    row_type = ExecutionTotalsRow
    named_by_others = True

    @on(OrderPlaced)
    def placed(
        self, row: ExecutionTotalsRow | None, event: OrderPlaced, recorded: Recorded, key: Key
    ) -> ExecutionTotalsRow:
        at = recorded.effective_at
        before = row if row is not None else _nothing_yet(key, at)
        return replace(before, orders=before.orders + 1, updated_at=at, last_position=recorded.position)

    @on(OrderFilled)
    def filled(
        self, row: ExecutionTotalsRow | None, event: OrderFilled, recorded: Recorded, key: Key
    ) -> ExecutionTotalsRow | Evolved[ExecutionTotalsRow]:
        at = recorded.effective_at
        before = row if row is not None else _nothing_yet(key, at)
        paid_in = fee_in(event.fee, event.fee_asset, event.pair)
        changed, in_range = _after_fill(before, event, paid_in, at, recorded.position)
        if in_range:
            return changed
        message = f"{event.quantity} at {event.price} takes the totals of execution {key[0]} out of range"
        return Evolved(changed, (anomaly(AnomalyKind.NUMBER_OUT_OF_RANGE, recorded, message, key[1]),))


def concerns_of_placing(event: OrderPlaced) -> Concerns:
    """The totals that an order counts in; empty: it belongs to no execution."""
    execution = event.strategy_execution_id
    return () if execution is None else ((ExecutionTotalsRow, _key(execution, event)),)


def concerns_of_fill(event: OrderFilled, execution: UUID) -> Concerns:
    """The rows that a fill of an execution's order counts in."""
    totals: Concerns = ((ExecutionTotalsRow, _key(execution, event)),)
    return (*totals, (ExecutionFeeRow, (execution, event.fee_asset))) if event.fee else totals


def totals_anew(execution: UUID, changed: list[TradeRow], recorded: Recorded) -> Asking:
    """An execution's totals from all of its trades, as if some had been told as they are now.

    Args:
        changed: trades that belong to the execution now, whether or not their stored rows do.
    """
    rows: list[Struct] = []
    gone: list[tuple[type[Struct], Key]] = []
    by_key: dict[Key, list[TradeRow]] = {}
    for trade in changed:
        by_key.setdefault((execution, trade.trading_pair_id, trade.account, trade.is_test), []).append(trade)
    for key, trades in by_key.items():
        more, less = yield from _row_anew(key, trades, recorded)
        rows += more
        gone += less
    return rows, gone


def _row_anew(key: Key, changed: list[TradeRow], recorded: Recorded) -> Asking:
    named = dict(zip(ExecutionTotalsRow.__struct_fields__, key, strict=False))
    found = yield Ask(row_type=ExecutionTotalsRow, equal=named)
    waiting = {one.position: one for one in changed}
    row = _emptied(found[0]) if found else _nothing_yet(key, min(one.executed_at for one in changed))
    since = 0
    while page := (yield Ask(row_type=TradeRow, equal=named, by=("position",), after=since, limit=PAGE_ROWS)):
        since = page[-1].position
        now = {place: waiting.pop(place) for place in list(waiting) if place <= since}
        row = _with_trades(row, {**{one.position: one for one in page}, **now})
    row = _with_trades(row, waiting)
    return _part(replace(row, updated_at=recorded.effective_at, last_position=recorded.position), key)


def _part(row: ExecutionTotalsRow, key: Key) -> Part:
    return ([row], []) if row.orders or row.fills else ([], [(ExecutionTotalsRow, key)])


def _with_trades(row: ExecutionTotalsRow, trades: dict[int, TradeRow]) -> ExecutionTotalsRow:
    for position, trade in sorted(trades.items()):
        if trade.status is not TradeStatus.BUSTED:
            row, _ = _after_fill(row, trade, trade.fee_in, trade.executed_at, position)
    return row


def _after_fill(
    row: ExecutionTotalsRow, fill: Fill, paid_in: FeeIn | None, at: int, position: int
) -> tuple[ExecutionTotalsRow, bool]:
    """The totals with a fill, and whether every number of them could still be told."""
    held = _held(row)
    after, _ = after_fill(held, fill, paid_in, at, position)
    worth = notional(fill.quantity, fill.price)
    changed = replace(
        row,
        fills=row.fills + 1,
        volume=None if row.volume is None or worth is None else total(row.volume, worth),
        quantity=after.quantity,
        avg_price=after.avg_price,
        realized_pnl=after.realized_pnl,
        updated_at=at,
        last_position=position,
    )
    stuck = after.fills == held.fills and after.opened_position == held.opened_position
    lost = (changed.volume, changed.realized_pnl).count(None) > (row.volume, row.realized_pnl).count(None)
    return changed, not (stuck or lost)


def _held(row: ExecutionTotalsRow) -> PositionRow:
    """What an execution holds, as a position of its own."""
    return PositionRow(
        trading_pair_id=row.trading_pair_id,
        account=row.account,
        is_test=row.is_test,
        quantity=row.quantity,
        avg_price=row.avg_price,
        realized_pnl=row.realized_pnl,
        created_at=row.created_at,
        updated_at=row.updated_at,
        last_position=row.last_position,
    )


def _nothing_yet(key: Key, at: int) -> ExecutionTotalsRow:
    execution, pair, account, is_test = key
    return ExecutionTotalsRow(
        strategy_execution_id=execution,
        trading_pair_id=pair,
        account=account,
        is_test=is_test,
        created_at=at,
        updated_at=at,
        last_position=0,
    )


def _emptied(row: ExecutionTotalsRow) -> ExecutionTotalsRow:
    """Before its first fill; its orders stay."""
    return replace(row, fills=0, volume=ZERO, quantity=ZERO, avg_price=None, realized_pnl=ZERO)


def _key(execution: UUID, event: Any) -> Key:
    return execution, trading_pair_id(event.pair), event.account, event.is_test
