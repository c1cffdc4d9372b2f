"""Links: an order that the venue reported under its own id turns out to be one of ours; both become one row."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from typing import Any, ClassVar
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from byjy_events.event import Event
from byjy_events.numbers import ZERO
from byjy_events.recorded import Recorded
from byjy_events.vocabulary.orders import OrderLinked, OrderStatus
from projections.anomalies import anomaly
from projections.choices import AnomalyKind
from projections.execution_totals import totals_anew
from projections.fees import fees_anew
from projections.order_status import ENDED, status_of
from projections.order_trades import fees_by_asset, with_trades
from projections.pending import pending, with_pending
from projections.revision import Ask, Asking, Revised, Revising
from projections.rows import ExecutionFeeRow, OrderAliasRow, OrderFeeRow, OrderRow, TradeRow


class OrderLinks:
    """See :class:`projections.revision.Revision`. What the venue told of the other order is told of ours now."""

    handles: ClassVar[frozenset[type[Event]]] = frozenset({OrderLinked})

    def revise(self, recorded: Recorded) -> Revising:
        event: Any = recorded.event
        own = yield Ask(row_type=OrderRow, equal={"id": recorded.stream_id})
        other = yield Ask(row_type=OrderRow, equal={"id": event.external_order_id})
        conflict = _conflict(own, other, event)
        if conflict:
            pair = own[0].trading_pair_id if own else None
            return Revised([anomaly(AnomalyKind.LINK_CONFLICT, recorded, conflict, pair)])
        own_trades = yield Ask(row_type=TradeRow, equal={"order_id": own[0].id}, by=("position",))
        other_trades = yield Ask(row_type=TradeRow, equal={"order_id": other[0].id}, by=("position",))
        aliases = yield Ask(row_type=OrderAliasRow, equal={"order_id": other[0].id}, by=("claimed_at",))
        execution = own[0].strategy_execution_id
        moved = [replace(one, order_id=own[0].id, strategy_execution_id=execution) for one in other_trades]
        trades = sorted([*own_trades, *moved], key=attrgetter("position"))
        merged = _with_all_trades(_merged(own[0], other[0], recorded), own[0], other[0], trades)
        rows: list[Struct] = [merged, *moved, *(replace(one, order_id=own[0].id) for one in aliases)]
        fees = fees_by_asset(trades)
        rows += [OrderFeeRow(order_id=own[0].id, asset=asset, amount=amount) for asset, amount in fees.items()]
        if merged.quantity is not None and own[0].filled_quantity <= merged.quantity < merged.filled_quantity:
            message = f"{merged.filled_quantity} filled of an order for {merged.quantity}"
            rows.append(anomaly(AnomalyKind.OVERFILL, recorded, message, merged.trading_pair_id))
        gone: list[tuple[type[Struct], Any]] = [(OrderRow, other[0].id)]
        gone += [(OrderFeeRow, (other[0].id, asset)) for asset in fees_by_asset(other_trades)]
        gone += [(OrderFeeRow, (own[0].id, asset)) for asset in fees_by_asset(own_trades).keys() - fees.keys()]
        if execution is not None:
            more_rows, more_gone = yield from _of_execution(execution, moved, recorded)
            rows, gone = [*rows, *more_rows], [*gone, *more_gone]
        return Revised(rows, gone)


def _of_execution(execution: UUID, moved: list[TradeRow], recorded: Recorded) -> Asking:
    """From now on the other order's trades are the execution's too."""
    rows, gone = yield from totals_anew(execution, moved, recorded)
    key = {"strategy_execution_id": execution}
    more_rows, more_gone = yield from fees_anew(ExecutionFeeRow, key, [], moved)
    return [*rows, *more_rows], [*gone, *more_gone]


def _conflict(own: Sequence[OrderRow], other: Sequence[OrderRow], event: OrderLinked) -> str | None:
    """Why the two cannot be one; None: they can."""
    name = f"order {event.external_order_id}"
    if not own or own[0].external:
        return f"linked to {name}, but was never placed itself"
    if own[0].status is OrderStatus.REJECTED:
        return f"linked to {name}, but was rejected itself: {own[0].reject_reason}"
    if not other:
        return f"linked to {name}, which nobody told of"
    if not other[0].external:
        return f"linked to {name}, which the engine placed by itself"
    for what in ("trading_pair_id", "account", "is_test", "side"):
        one, another = getattr(own[0], what), getattr(other[0], what)
        if one != another and another is not None:
            return f"linked to {name}, which has another {what}: {another}, not {one}"
    return None


def _merged(own: OrderRow, other: OrderRow, recorded: Recorded) -> OrderRow:
    """What the venue told of either; of what it told of both, the later. The engine's terms where it told no others."""
    latest = own if own.accepted_at is not None and own.last_position > other.last_position else other
    first, second = (latest, other if latest is own else own)
    ended = own if own.status in ENDED else other
    cancels, amends = (
        max(getattr(own, name) + getattr(other, name), 0) for name in ("cancels_unanswered", "amends_unanswered")
    )
    merged = replace(
        own,
        status=ended.status if ended.status in ENDED else own.status,
        quantity=second.quantity if first.quantity is None else first.quantity,
        price=second.price if first.price is None else first.price,
        stop_price=second.stop_price if first.stop_price is None else first.stop_price,
        exchange_order_id=own.exchange_order_id or other.exchange_order_id,
        client_order_id=own.client_order_id or other.client_order_id,
        accepted_at=_earlier(own.accepted_at, other.accepted_at),
        pending_cancel=own.pending_cancel or other.pending_cancel,
        pending_replace=own.pending_replace or other.pending_replace,
        pending_amends=with_pending(pending(own) + [one for one in pending(other) if one not in pending(own)]),
        done_for_day=latest.done_for_day,
        cancels_unanswered=cancels,
        cancel_requested_at=own.cancel_requested_at if cancels or ended.status in ENDED else None,
        amends_unanswered=amends,
        amend_requested_at=own.amend_requested_at if amends or ended.status in ENDED else None,
        canceled_at=_earlier(own.canceled_at, other.canceled_at),
        reject_reason=own.reject_reason or other.reject_reason,
        updated_at=recorded.effective_at,
        last_position=recorded.position,
    )
    none_pending = {"pending_cancel": False, "pending_replace": False, "pending_amends": None}
    return replace(merged, **none_pending) if ended.status in ENDED else merged


def _with_all_trades(merged: OrderRow, own: OrderRow, other: OrderRow, trades: Sequence[TradeRow]) -> OrderRow:
    """A snapshot may tell more than the trades do; whichever order it was told of, it is about the one they are."""
    alone = replace(merged, filled_quantity=ZERO, traded_quantity=ZERO, restated_at=None)
    counting = replace(with_trades(alone, trades, None), restated_at=_later(own.restated_at, other.restated_at))
    most = max(own, other, key=attrgetter("filled_quantity"))
    if most.filled_quantity <= counting.filled_quantity:
        return counting
    told = replace(
        counting,
        filled_quantity=most.filled_quantity,
        filled_notional=most.filled_notional,
        avg_price=most.avg_price,
    )
    return replace(told, status=status_of(told))


def _earlier(one: int | None, other: int | None) -> int | None:
    told = [instant for instant in (one, other) if instant is not None]
    return min(told) if told else None


def _later(one: int | None, other: int | None) -> int | None:
    told = [instant for instant in (one, other) if instant is not None]
    return max(told) if told else None
