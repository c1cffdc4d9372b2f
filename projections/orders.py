"""Orders: one row each, folded from what the engine wanted and what the venue made of it.

What the engine wanted sets terms and ``*_requested_at``; only what the venue said moves the status. A fact
about an order that was never placed is an anomaly each time. It makes an ``external`` row only when it tells
of something that exists at the venue: an acceptance, a fill, a new name or a snapshot.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

from msgspec.structs import replace

from byjy_events.event import Event
from byjy_events.identifiers import uuid_of
from byjy_events.numbers import ZERO
from byjy_events.recorded import Recorded
from byjy_events.vocabulary import orders as events
from byjy_events.vocabulary.orders import OrderStatus
from projections.amounts import total
from projections.anomalies import anomaly
from projections.choices import AnomalyKind
from projections.execution_totals import concerns_of_fill, concerns_of_placing
from projections.order_fills import Changes, after_fill, oddities_of_fill
from projections.order_restatement import after_restatement
from projections.order_status import ENDED, status_of
from projections.pairs import trading_pair_id
from projections.pending import pending, with_pending
from projections.projection import Evolved, Key, Projection, on
from projections.rows import AnomalyRow, OrderRow
from projections.tables import orders
from projections.trades import trade_of

OrderAnswer = OrderRow | Evolved[OrderRow] | None


class Orders(Projection[OrderRow]):
    """``orders``: the key is the id of the order's stream."""

    name = "orders"
    version = 2
    table = orders
    row_type = OrderRow

    def keys(self, recorded: Recorded) -> Sequence[Key]:
        return (uuid_of(recorded.stream_id_bytes),)

    @on(events.OrderPlaced)
    def placed(self, row: OrderRow | None, event: events.OrderPlaced, recorded: Recorded, key: UUID) -> OrderAnswer:
        if row is None:
            own = _placed(event, recorded, key)
            return own if own.strategy_execution_id is None else Evolved(own, concerns=concerns_of_placing(event))
        if row.external:
            return _adopted(row, event, recorded)
        return Evolved(row, (anomaly(AnomalyKind.PLACED_AGAIN, recorded, "placed again; the first placing stands"),))

    @on(events.OrderSubmitted, events.OrderDenied, events.OrderCancelRequested, events.OrderAmendRequested)
    def wanted(self, row: OrderRow | None, event: Event, recorded: Recorded, key: UUID) -> OrderAnswer:
        if row is None:
            return Evolved(None, (_unknown(recorded, None),))
        changes = _INTENTS[type(event)](row, event, recorded.effective_at)
        return replace(row, **changes, updated_at=recorded.effective_at, last_position=recorded.position)

    @on(events.OrderFilled)
    def filled(self, row: OrderRow | None, event: events.OrderFilled, recorded: Recorded, key: UUID) -> OrderAnswer:
        known = row if row is not None else _external(event, recorded, key, event.side)
        at = recorded.effective_at
        changes = after_fill(known, event, at, recorded.occurred_at)
        if known.side is None:
            changes["side"] = event.side
        changed = _told(known, event, recorded.position, at, changes)
        odd = oddities_of_fill(known, changed, event, recorded)
        if known.external:
            odd = (_unknown(recorded, known.trading_pair_id), *odd)
        execution = known.strategy_execution_id
        if execution is not None:
            return Evolved(changed, (trade_of(event, recorded, execution), *odd), concerns_of_fill(event, execution))
        return Evolved(changed, odd) if odd else changed

    @on(events.OrderRejected)
    def rejected(self, row: OrderRow | None, event: events.OrderRejected, recorded: Recorded, key: UUID) -> OrderAnswer:
        if row is None or row.status in ENDED or not row.filled_quantity:
            return self.told(row, event, recorded, key)
        # FIX's answer to a client order id that was used before: the order goes on.
        message = f"rejected after {row.filled_quantity} was filled; the order goes on: {event.reason}"
        odd = anomaly(AnomalyKind.STATUS_CONFLICT, recorded, message, row.trading_pair_id)
        return Evolved(_told(row, event, recorded.position, recorded.effective_at, {}), (odd,))

    @on(
        events.OrderAccepted,
        events.OrderTriggered,
        events.OrderCancelPending,
        events.OrderCanceled,
        events.OrderExpired,
        events.OrderAmendPending,
        events.OrderAmended,
        events.OrderCancelRejected,
        events.OrderAmendRejected,
        events.OrderDoneForDay,
    )
    def told(self, row: OrderRow | None, event: events.OrderFact, recorded: Recorded, key: UUID) -> OrderAnswer:
        if row is None:
            if not tells_of_a_live_order(event):
                return Evolved(None, (_unknown(recorded, trading_pair_id(event.pair)),))
            row = _external(event, recorded, key)
        at = recorded.effective_at
        changes = _FACTS[type(event)](row, event, at)
        changed = _told(row, event, recorded.position, at, changes)
        odd = _oddities(row, event, recorded, changes)
        return Evolved(changed, odd) if odd else changed

    @on(events.OrderRestated)
    def restated(self, row: OrderRow | None, event: events.OrderRestated, recorded: Recorded, key: UUID) -> OrderAnswer:
        known = row if row is not None else _external(event, recorded, key, event.side)
        at = recorded.effective_at
        changes = after_restatement(known, event, at, recorded.occurred_at)
        # The venue's own word for the status stands, even where the quantities told would give another.
        changed = replace(_told(known, event, recorded.position, at, changes), status=event.status)
        return Evolved(changed, (_unknown(recorded, known.trading_pair_id),)) if known.external else changed


def tells_of_a_live_order(event: events.OrderFact) -> bool:
    """Whether an event about an unknown order proves that the venue has it, so that it gets a row."""
    if isinstance(event, events.OrderAmended):
        return event.new_exchange_order_id is not None or event.new_client_order_id is not None
    return isinstance(event, (events.OrderAccepted, events.OrderFilled, events.OrderRestated))


# --- rows from nothing ----------------------------------------------------------------------------


def _placed(event: events.OrderPlaced, recorded: Recorded, key: UUID) -> OrderRow:
    at = recorded.effective_at
    return OrderRow(
        id=key,
        client_order_id=event.client_order_id,
        trading_pair_id=trading_pair_id(event.pair),
        account=event.account,
        side=event.side,
        type=event.type,
        status=OrderStatus.PENDING_NEW,
        quantity=event.quantity,
        price=event.price,
        stop_price=event.stop_price,
        exchange=event.pair.exchange,
        time_in_force=event.time_in_force,
        is_test=event.is_test,
        strategy_id=event.strategy_id,
        strategy_execution_id=event.strategy_execution_id,
        created_at=at,
        updated_at=at,
        last_position=recorded.position,
    )


def _external(event: events.OrderFact, recorded: Recorded, key: UUID, side: events.Side | None = None) -> OrderRow:
    at = recorded.effective_at
    return OrderRow(
        id=key,
        exchange_order_id=event.exchange_order_id,
        client_order_id=event.client_order_id,
        trading_pair_id=trading_pair_id(event.pair),
        account=event.account,
        side=side,
        status=OrderStatus.PENDING_NEW,
        exchange=event.pair.exchange,
        is_test=event.is_test,
        external=True,
        created_at=at,
        updated_at=at,
        last_position=recorded.position,
    )


def _adopted(row: OrderRow, event: events.OrderPlaced, recorded: Recorded) -> OrderAnswer:
    """The engine placed it after all: its terms are the engine's, where the venue told no others."""
    own = _placed(event, recorded, row.id)
    changed = replace(
        row,
        client_order_id=event.client_order_id or row.client_order_id,
        trading_pair_id=own.trading_pair_id,
        account=own.account,
        side=own.side,
        type=own.type,
        quantity=own.quantity if row.quantity is None else row.quantity,
        price=own.price if row.price is None else row.price,
        stop_price=own.stop_price if row.stop_price is None else row.stop_price,
        exchange=own.exchange,
        time_in_force=own.time_in_force,
        is_test=own.is_test,
        external=False,
        cancels_unanswered=max(row.cancels_unanswered, 0),
        amends_unanswered=max(row.amends_unanswered, 0),
        strategy_id=own.strategy_id,
        strategy_execution_id=own.strategy_execution_id,
        updated_at=own.updated_at,
        last_position=own.last_position,
    )
    changed = replace(changed, status=status_of(changed))
    quantity, concerns = changed.quantity or ZERO, concerns_of_placing(event)
    if changed.filled_quantity <= quantity:
        return Evolved(changed, concerns=concerns)
    message = f"{changed.filled_quantity} was filled of {quantity} before the order was placed"
    return Evolved(changed, (anomaly(AnomalyKind.OVERFILL, recorded, message, row.trading_pair_id),), concerns)


# --- changes by one event -------------------------------------------------------------------------


def _told(row: OrderRow, event: events.OrderFact, position: int, at: int, changes: Changes) -> OrderRow:
    """A fact folded in: its changes, the ids it brings, and the status that follows."""
    if row.exchange_order_id is None and event.exchange_order_id is not None:
        changes.setdefault("exchange_order_id", event.exchange_order_id)
    if row.client_order_id is None and event.client_order_id is not None:
        changes.setdefault("client_order_id", event.client_order_id)
    changed = replace(row, **changes, updated_at=at, last_position=position)
    status = status_of(changed)
    return changed if status is changed.status else replace(changed, status=status)


def _submitted(row: OrderRow, event: events.OrderSubmitted, at: int) -> Changes:
    return {"submitted_at": at, "client_order_id": event.client_order_id or row.client_order_id}


def _denied(row: OrderRow, event: events.OrderDenied, at: int) -> Changes:
    if row.status is not OrderStatus.PENDING_NEW:
        return {}  # the venue has it: only the venue can end it
    return _ended(row, OrderStatus.REJECTED, reject_reason=f"denied by the engine: {event.reason}")


def _accepted(row: OrderRow, event: events.OrderFact, at: int) -> Changes:
    return {"accepted_at": at if row.accepted_at is None else row.accepted_at, "done_for_day": False}


def _rejected(row: OrderRow, event: events.OrderRejected, at: int) -> Changes:
    return _ended(row, OrderStatus.REJECTED, reject_reason=event.reason)


def _canceled(row: OrderRow, event: events.OrderCanceled, at: int) -> Changes:
    return _ended(row, OrderStatus.CANCELED, canceled_at=at)


def _expired(row: OrderRow, event: events.OrderExpired, at: int) -> Changes:
    return _ended(row, OrderStatus.EXPIRED)


def _ended(row: OrderRow, status: OrderStatus, **changes: Any) -> Changes:
    """The first end stands; a second one changes nothing."""
    if row.status in ENDED:
        return {}
    changes["status"] = status
    if row.pending_cancel or row.pending_replace or row.done_for_day:  # few orders end while something is pending
        changes.update(pending_cancel=False, pending_replace=False, pending_amends=None, done_for_day=False)
    return changes


def _amended(row: OrderRow, event: events.OrderAmended, at: int) -> Changes:
    changes = _accepted(row, event, at)
    if not _unsolicited(row, event):
        changes.update(_without_pending(row, event), **_amend_answered(row))
    if event.quantity is not None:
        changes["quantity"] = event.quantity
    elif event.reduced_by is not None and row.quantity is not None:
        reduced = total(row.quantity, event.reduced_by.copy_negate())
        changes["quantity"] = row.quantity if reduced is None else reduced
    for name, value in (
        ("price", event.price),
        ("stop_price", event.stop_price),
        ("exchange_order_id", event.new_exchange_order_id),
        ("client_order_id", event.new_client_order_id),
    ):
        if value is not None:
            changes[name] = value
    return changes


def _amend_pending(row: OrderRow, event: events.OrderAmendPending, at: int) -> Changes:
    if row.status in ENDED:
        return {}
    names = pending(row)
    name = event.client_order_id or ""
    return _with_pending(names if name in names else [*names, name])


def _unsolicited(row: OrderRow, event: events.OrderAmended) -> bool:
    """The venue makes an order smaller by itself, e.g. to prevent a trade with oneself: no request of ours is answered.

    Who asked gets new terms; who did not is told by how much they changed.
    """
    asked = event.quantity is not None or event.new_client_order_id is not None
    return event.reduced_by is not None and not asked and (event.client_order_id or "") not in pending(row)


def _without_pending(row: OrderRow, event: events.OrderFact) -> Changes:
    """The answer to an amendment: the one it names, or, where it names none of them, the oldest.

    A rejection that names a request which is not pending was of that one: those that are pending stay so.
    """
    names = pending(row)
    name = event.client_order_id or ""
    if name in names:
        names.remove(name)
    elif isinstance(event, events.OrderAmended) or name in ("", row.client_order_id):
        del names[:1]
    return _with_pending(names)


def _with_pending(names: list[str]) -> Changes:
    return {"pending_replace": bool(names), "pending_amends": with_pending(names)}


def _cancel_answered(row: OrderRow) -> Changes:
    left = _left(row, row.cancels_unanswered)
    return {"cancels_unanswered": left, "cancel_requested_at": row.cancel_requested_at if left > 0 else None}


def _amend_answered(row: OrderRow) -> Changes:
    left = _left(row, row.amends_unanswered)
    return {"amends_unanswered": left, "amend_requested_at": row.amend_requested_at if left > 0 else None}


def _left(row: OrderRow, unanswered: int) -> int:
    """Below zero: answers to requests that a link to one of our orders may bring."""
    return unanswered - 1 if row.external else max(unanswered - 1, 0)


_INTENTS: dict[type[Event], Callable[..., Changes]] = {
    events.OrderSubmitted: _submitted,
    events.OrderDenied: _denied,
    events.OrderCancelRequested: lambda row, event, at: {
        "cancel_requested_at": row.cancel_requested_at if row.cancels_unanswered else at,
        "cancels_unanswered": row.cancels_unanswered + 1,
    },
    events.OrderAmendRequested: lambda row, event, at: {
        "amend_requested_at": row.amend_requested_at if row.amends_unanswered else at,
        "amends_unanswered": row.amends_unanswered + 1,
    },
}

_FACTS: dict[type[Event], Callable[..., Changes]] = {
    events.OrderAccepted: _accepted,
    events.OrderRejected: _rejected,
    events.OrderTriggered: _accepted,
    events.OrderCancelPending: lambda row, event, at: {"pending_cancel": row.status not in ENDED},
    events.OrderCanceled: _canceled,
    events.OrderExpired: _expired,
    events.OrderAmendPending: _amend_pending,
    events.OrderAmended: _amended,
    events.OrderCancelRejected: lambda row, event, at: {"pending_cancel": False, **_cancel_answered(row)},
    events.OrderAmendRejected: lambda row, event, at: {**_without_pending(row, event), **_amend_answered(row)},
    events.OrderDoneForDay: lambda row, event, at: {"done_for_day": row.status not in ENDED},
}


_STATUS_TOLD: dict[type[Event], OrderStatus] = {
    events.OrderAccepted: OrderStatus.NEW,
    events.OrderRejected: OrderStatus.REJECTED,
    events.OrderCanceled: OrderStatus.CANCELED,
    events.OrderExpired: OrderStatus.EXPIRED,
}
"""What a fact says an order is."""


# --- oddities -------------------------------------------------------------------------------------


def _oddities(row: OrderRow, event: events.OrderFact, recorded: Recorded, changes: Changes) -> tuple[AnomalyRow, ...]:
    odd: tuple[AnomalyRow, ...] = ()
    if row.external:
        odd += (_unknown(recorded, row.trading_pair_id),)
    if row.status in ENDED and _rules_out(row.status, _STATUS_TOLD.get(type(event))):
        message = f"{recorded.type}, though the order was {row.status}, which it stays"
        odd += (anomaly(AnomalyKind.STATUS_CONFLICT, recorded, message, row.trading_pair_id),)
    if "quantity" in changes:
        odd += _oddities_of_amendment(row, changes["quantity"], recorded)
    return odd


def _oddities_of_amendment(row: OrderRow, quantity: Decimal | None, recorded: Recorded) -> tuple[AnomalyRow, ...]:
    odd: tuple[AnomalyRow, ...] = ()
    if quantity is not None and quantity < row.filled_quantity:
        message = f"amended to {quantity}, of which {row.filled_quantity} is filled"
        odd += (anomaly(AnomalyKind.OVERFILL, recorded, message, row.trading_pair_id),)
    if quantity is row.quantity:  # out of range: it was left as it is
        message = f"a quantity of {row.quantity} cannot be reduced that far; it stays"
        odd += (anomaly(AnomalyKind.NUMBER_OUT_OF_RANGE, recorded, message, row.trading_pair_id),)
    return odd


def _rules_out(end: OrderStatus, told: OrderStatus | None) -> bool:
    """An acceptance that comes after a cancellation was only late; after a rejection it cannot be."""
    return told is not None and told is not end and (told in ENDED or end is OrderStatus.REJECTED)


def _unknown(recorded: Recorded, pair: UUID | None) -> AnomalyRow:
    message = f"{recorded.type} for an order that was never placed"
    return anomaly(AnomalyKind.UNKNOWN_ORDER, recorded, message, pair)
