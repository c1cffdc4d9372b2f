"""Which intent is legal for an order as it stands: pure functions over the order's row.

Facts are never refused, intents strictly. The row is folded from the order's stream by the same fold that makes the
table ``orders``, so an order has one state machine and not two.

The rules rest on one: an intent is recorded once, and whoever recorded it is the one who sends it. To send the same
thing again, because no answer came, needs no new intent: the first one stands until the venue has answered. So of two
processes that want the same, one is refused. They are stricter than FIX, where a second cancel request may be sent and
is answered with "already in Pending Cancel" (CxlRejReason 3), and agree with NautilusTrader, which submits an order
once and does not cancel what is pending cancel. Amendments may follow each other unanswered, as in both: each says
something new.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, TypeVar
from uuid import UUID

from byjy_events.event import Intent
from byjy_events.numbers import spelled
from byjy_events.recorded import Recorded
from byjy_events.vocabulary.orders import (
    PRICED,
    STOPPED,
    OrderAmendRequested,
    OrderCancelRequested,
    OrderDenied,
    OrderPlaced,
    OrderStatus,
    OrderSubmitted,
)
from byjy_events.vocabulary.pairs import PairStatus
from projections.errors import FilterViolated, IntentRefused
from projections.filters import violations
from projections.folding import FoldFailed
from projections.memory import folded_in_memory
from projections.pairs import trading_pair_id
from projections.projection import Key
from projections.rows import OrderRow, Row, TradingPairRow
from projections.trading import TRADING

OrderIntent = OrderPlaced | OrderSubmitted | OrderDenied | OrderCancelRequested | OrderAmendRequested

R = TypeVar("R", bound=Row)
I = TypeVar("I", bound=OrderIntent)  # noqa: E741


def decide(order_id: UUID, row: OrderRow | None, intent: I, pair: TradingPairRow | None) -> I:
    """The event to be stored for an intent.

    Args:
        row: the order; None: nothing is known of it.
        pair: the order's trading pair, for :class:`OrderPlaced` and :class:`OrderAmendRequested`; None: nothing is
            known of it, and anything goes.

    Raises:
        IntentRefused: the order, or its pair, is not in a state for that.
        FilterViolated: the first filter of the pair that a quantity or price violates. An order that the venue has
            already is placed whatever the filters say.
    """
    status, name = None if row is None else row.status, type(intent).__name__
    reason = _REASONS[type(intent)](row, intent, pair)
    if reason is not None:
        raise IntentRefused(order_id, status, name, reason)
    if pair is not None and isinstance(intent, (OrderPlaced, OrderAmendRequested)) and not _adopts(row, intent):
        for field, filter_name, limit, value, off_by in violations(pair, intent):
            raise FilterViolated(
                order_id, status, name, field=field, filter_name=filter_name, limit=limit, value=value, off_by=off_by
            )
    return intent


def folded_order(order_id: UUID, events: Sequence[Recorded]) -> OrderRow | None:
    """The row of an order, of its whole stream and those linked to it; None: its events tell of no order.

    Raises:
        UpgradeRequired: a newer program wrote one of the events.
    """
    return _folded(events, OrderRow).get(order_id)


def folded_pair(events: Sequence[Recorded]) -> TradingPairRow | None:
    """The row of the trading pair whose whole stream this is. Raises as :func:`folded_order` does."""
    return next(iter(_folded(events, TradingPairRow).values()), None)


def _folded(events: Sequence[Recorded], row_type: type[R]) -> Mapping[Key, R]:
    try:
        return folded_in_memory(TRADING, events).tables[TRADING.by_row_type[row_type]]
    except FoldFailed as failed:
        raise failed.cause from None


# --- why not --------------------------------------------------------------------------------------


def _adopts(row: OrderRow | None, intent: OrderIntent) -> bool:
    """Whether this places an order of which only the venue has told so far."""
    return row is not None and row.external and isinstance(intent, OrderPlaced)


def _place(row: OrderRow | None, intent: OrderPlaced, pair: TradingPairRow | None) -> str | None:
    if row is not None:
        return _other_than_told(row, intent) if row.external else "it was placed before"
    if pair is not None and not (pair.is_active and pair.status is PairStatus.TRADING):
        return f"{pair.symbol} at {pair.exchange} is {pair.status}"
    return None


def _other_than_told(row: OrderRow, intent: OrderPlaced) -> str | None:
    """What the venue told of the order and the engine says otherwise."""
    for name, told, placed in (
        ("pair", row.trading_pair_id, trading_pair_id(intent.pair)),
        ("account", row.account, intent.account),
        ("is_test", row.is_test, intent.is_test),
        ("side", row.side, intent.side),
    ):
        if told is not None and told != placed:
            return f"the venue told of it with another {name}: {told}, not {placed}"
    return None


def _submit(row: OrderRow | None, intent: OrderSubmitted, pair: object) -> str | None:
    return (
        _not_open(row)
        or _left(row)
        or _when(row is not None and row.cancel_requested_at is not None, "its cancel was requested; it can be denied")
    )


def _deny(row: OrderRow | None, intent: OrderDenied, pair: object) -> str | None:
    return _not_open(row) or _left(row)


def _cancel(row: OrderRow | None, intent: OrderCancelRequested, pair: object) -> str | None:
    return _not_open(row) or _being_cancelled(row)


def _amend(row: OrderRow | None, intent: OrderAmendRequested, pair: object) -> str | None:
    return _not_open(row) or _being_cancelled(row) or (None if row is None else _unfit(row, intent))


def _not_open(row: OrderRow | None) -> str | None:
    if row is None or row.external:
        return "it was never placed"
    return _when(not row.is_open, "it is closed")


def _left(row: OrderRow | None) -> str | None:
    """Whether the order is, or may be, at the venue."""
    if row is None:
        return None
    if row.submitted_at is not None:
        return "it was submitted"
    at_venue = row.status is not OrderStatus.PENDING_NEW or row.exchange_order_id is not None
    return _when(at_venue, "the venue has it")


def _being_cancelled(row: OrderRow | None) -> str | None:
    pending = row is not None and (row.status is OrderStatus.PENDING_CANCEL or row.cancel_requested_at is not None)
    return _when(pending, "its cancel was requested, and is not answered")


def _unfit(row: OrderRow, intent: OrderAmendRequested) -> str | None:
    """Why the values of an amendment are nothing for this order."""
    return (
        _price_unfit("price", intent.price, row, row.type in PRICED)
        or _price_unfit("stop_price", intent.stop_price, row, row.type in STOPPED)
        or _quantity_unfit(intent.quantity, row.filled_quantity)
        or _when(_changes_nothing(row, intent), "it has these values already")
    )


def _quantity_unfit(quantity: Decimal | None, filled: Decimal) -> str | None:
    if quantity is None or quantity > filled:
        return None
    return f"quantity {spelled(quantity)} is not more than the {spelled(filled)} that are filled"


def _price_unfit(name: str, value: Decimal | None, row: OrderRow, carried: bool) -> str | None:
    if value is None:
        return None
    if not carried:
        return f"a {row.type} order has no {name}"
    return _when(value <= 0, f"{name} {spelled(value)} is not more than zero")


def _changes_nothing(row: OrderRow, intent: OrderAmendRequested) -> bool:
    # Until an amendment is answered nobody knows what values the order has: the next one may take it back.
    if row.amend_requested_at is not None or row.status is OrderStatus.PENDING_REPLACE:
        return False
    names = ("quantity", "price", "stop_price")
    return all(getattr(intent, name) in (None, getattr(row, name)) for name in names)


def _when(condition: bool, reason: str) -> str | None:
    return reason if condition else None


_REASONS: dict[type[Intent], Callable[[OrderRow | None, Any, TradingPairRow | None], str | None]] = {
    OrderPlaced: _place,
    OrderSubmitted: _submit,
    OrderDenied: _deny,
    OrderCancelRequested: _cancel,
    OrderAmendRequested: _amend,
}
