"""Deciders: which intent is legal in which state of an order, and what a refusal says."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from byjy_events.errors import UpgradeRequired
from byjy_events.event import Event, UnknownEvent
from byjy_events.stream import pair_stream
from byjy_events.vocabulary import orders as events
from byjy_events.vocabulary.orders import OrderStatus, OrderType, Side
from byjy_events.vocabulary.pairs import PairDelisted, PairListed, PairStatus, PairStatusChanged
from projections import FilterViolated, IntentRefused
from projections.deciding import OrderIntent, decide, folded_order, folded_pair
from projections.rows import OrderRow, TradingPairRow
from tests.folding import log_of
from tests.lifecycles import BTC, ETH, Subject

GUIDE = Path(__file__).resolve().parents[1] / "docs" / "guide" / "orders.md"

ORDER = Subject(number=1)
ID = ORDER.stream.id
PLACED = ORDER.placed(Decimal(10), Decimal(100))
SUBMITTED = events.OrderSubmitted()
ACCEPTED = ORDER.fact(events.OrderAccepted)
PART = ORDER.filled("1", Decimal(4), Decimal(100))
REST = ORDER.filled("2", Decimal(6), Decimal(100))
CANCEL = events.OrderCancelRequested()
AMEND = events.OrderAmendRequested(quantity=Decimal(12))
CANCELED = ORDER.fact(events.OrderCanceled)

INTENTS: dict[str, OrderIntent] = {
    "place": PLACED,  # type: ignore[dict-item]
    "submit": SUBMITTED,
    "deny": events.OrderDenied(reason="limit"),
    "cancel": CANCEL,
    "amend": events.OrderAmendRequested(quantity=Decimal(11)),
}

Case = tuple[list[Event], OrderStatus | None, str]


def numbered(kind: type[events.OrderFact], name: str = "1", **fields: Any) -> Event:
    return ORDER.fact(kind, update_id=name, **fields)


STATES: dict[str, Case] = {
    "not known": ([], None, "place"),
    "told by the venue only": ([ACCEPTED, PART], OrderStatus.PARTIALLY_FILLED, "place"),
    "placed": ([PLACED], OrderStatus.PENDING_NEW, "submit deny cancel amend"),
    "placed, cancel requested": ([PLACED, CANCEL], OrderStatus.PENDING_NEW, "deny"),
    "submitted": ([PLACED, SUBMITTED], OrderStatus.PENDING_NEW, "cancel amend"),
    "submitted, cancel requested": ([PLACED, SUBMITTED, CANCEL], OrderStatus.PENDING_NEW, ""),
    "accepted": ([PLACED, SUBMITTED, ACCEPTED], OrderStatus.NEW, "cancel amend"),
    "cancel requested": ([PLACED, SUBMITTED, ACCEPTED, CANCEL], OrderStatus.NEW, ""),
    "amend requested": ([PLACED, SUBMITTED, ACCEPTED, AMEND], OrderStatus.NEW, "cancel amend"),
    "partly filled": ([PLACED, SUBMITTED, ACCEPTED, PART], OrderStatus.PARTIALLY_FILLED, "cancel amend"),
    "filled": ([PLACED, SUBMITTED, ACCEPTED, PART, REST], OrderStatus.FILLED, ""),
    "cancel pending": (
        [PLACED, SUBMITTED, ACCEPTED, numbered(events.OrderCancelPending)],
        OrderStatus.PENDING_CANCEL,
        "",
    ),
    "amend pending": (
        [PLACED, SUBMITTED, ACCEPTED, AMEND, numbered(events.OrderAmendPending)],
        OrderStatus.PENDING_REPLACE,
        "cancel amend",
    ),
    "done for day": (
        [PLACED, SUBMITTED, ACCEPTED, numbered(events.OrderDoneForDay)],
        OrderStatus.DONE_FOR_DAY,
        "cancel amend",
    ),
    "canceled": ([PLACED, SUBMITTED, ACCEPTED, CANCELED], OrderStatus.CANCELED, ""),
    "rejected": ([PLACED, SUBMITTED, ORDER.fact(events.OrderRejected)], OrderStatus.REJECTED, ""),
    "denied": ([PLACED, events.OrderDenied(reason="limit")], OrderStatus.REJECTED, ""),
    "expired": ([PLACED, SUBMITTED, ACCEPTED, ORDER.fact(events.OrderExpired)], OrderStatus.EXPIRED, ""),
}
"""What was recorded of an order, the status that this makes, and the intents that are legal then."""


def order(*history: Event) -> OrderRow | None:
    """The order after these events, folded as the tables fold them."""
    return folded_order(ORDER.stream.id, log_of((ORDER.stream, event) for event in history))


def pair(*history: Event) -> TradingPairRow | None:
    return folded_pair(log_of((pair_stream(BTC.exchange, BTC.symbol), event) for event in history))


def refusal(row: OrderRow | None, intent: Any, listed: TradingPairRow | None = None) -> str:
    """Why an intent is refused; empty: it is not."""
    try:
        assert decide(ID, row, intent, listed) is intent
    except IntentRefused as error:
        return error.reason
    return ""


@pytest.mark.parametrize("name", INTENTS)
@pytest.mark.parametrize("state", STATES)
def test_an_intent_is_legal_or_refused(state: str, name: str) -> None:
    """Every state with every intent; a refusal carries the order, its status and what was tried."""
    history, status, legal = STATES[state]
    row, intent = order(*history), INTENTS[name]
    assert status is (None if row is None else row.status)
    if name in legal.split():
        assert decide(ID, row, intent, None) is intent
        return
    with pytest.raises(IntentRefused) as refused:
        decide(ID, row, intent, None)
    assert refused.value.order_id == ID
    assert refused.value.status is status
    assert refused.value.intent == type(intent).__name__
    assert str(refused.value).startswith(f"order {ID}")
    assert str(refused.value).endswith(f"refuses {type(intent).__name__}: {refused.value.reason}")


def test_every_status_is_in_the_table() -> None:
    """A status that is added to the vocabulary has to be thought of here."""
    assert {status for _, status, _ in STATES.values()} == {None, *OrderStatus}


def test_the_guide_shows_the_same_table() -> None:
    """Row by row: state, status, and a yes for each intent that is legal."""
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in GUIDE.read_text().splitlines()]
    head = next(row for row in rows if row[2:] == list(INTENTS))
    start = rows.index(head) + 2
    shown = {row[0]: (row[1].strip("`"), row[2:]) for row in rows[start : start + len(STATES)]}
    assert shown == {
        state: ("" if status is None else status.value, ["yes" if name in legal.split() else "" for name in INTENTS])
        for state, (_, status, legal) in STATES.items()
    }


@pytest.mark.parametrize(
    ("history", "name", "reason"),
    [
        ([], "cancel", "it was never placed"),
        ([ACCEPTED], "cancel", "it was never placed"),
        ([PLACED], "place", "it was placed before"),
        ([PLACED, SUBMITTED], "submit", "it was submitted"),
        ([PLACED, ACCEPTED], "submit", "the venue has it"),
        ([PLACED, numbered(events.OrderCancelRejected)], "deny", "the venue has it"),
        ([PLACED, CANCEL], "submit", "its cancel was requested; it can be denied"),
        ([PLACED, CANCEL], "amend", "its cancel was requested, and is not answered"),
        ([PLACED, CANCELED], "amend", "it is closed"),
    ],
)
def test_a_refusal_says_why(history: list[Event], name: str, reason: str) -> None:
    """In words that tell the engine what to do instead, if there is anything."""
    assert refusal(order(*history), INTENTS[name]) == reason


@pytest.mark.parametrize(
    ("then", "legal"),
    [
        ([CANCEL, numbered(events.OrderCancelRejected)], "cancel amend"),
        ([CANCEL, numbered(events.OrderCancelPending), numbered(events.OrderCancelRejected)], "cancel amend"),
        ([numbered(events.OrderCancelPending), PART, REST], ""),
        ([CANCEL, numbered(events.OrderRestated, status=OrderStatus.NEW)], "cancel amend"),
        ([CANCEL, numbered(events.OrderRestated, status=OrderStatus.PENDING_CANCEL)], ""),
        ([AMEND, numbered(events.OrderAmendRejected)], "cancel amend"),
        ([PART, REST, numbered(events.OrderAmended, quantity=Decimal(11))], "cancel"),
        ([CANCELED, PART], ""),
    ],
)
def test_the_answer_of_the_venue_opens_and_closes(then: list[Event], legal: str) -> None:
    """A refused cancel may be requested again, and so may one that a snapshot knows nothing of. A filled order that
    the venue made larger is open again; late fills open nothing.
    """
    row = order(PLACED, SUBMITTED, ACCEPTED, *then)
    found = [name for name in ("cancel", "amend") if not refusal(row, INTENTS[name])]
    assert found == legal.split()


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"quantity": "4"}, "quantity 4 is not more than the 4 that are filled"),
        ({"quantity": "3.5"}, "quantity 3.5 is not more than the 4 that are filled"),
        ({"quantity": "4.000000000000000001"}, ""),
        ({"quantity": "10"}, "it has these values already"),
        ({"quantity": "10", "price": "100"}, "it has these values already"),
        ({"quantity": "10", "price": "100.5"}, ""),
        ({"price": "0"}, "price 0 is not more than zero"),
        ({"price": "-1"}, "price -1 is not more than zero"),
        ({"stop_price": "90"}, "a LIMIT order has no stop_price"),
    ],
)
def test_the_values_of_an_amendment_have_to_make_sense(values: dict[str, str], reason: str) -> None:
    """For an order of ten, four of them filled."""
    intent = events.OrderAmendRequested(**{name: Decimal(value) for name, value in values.items()})
    assert refusal(order(PLACED, ACCEPTED, PART), intent) == reason


@pytest.mark.parametrize(
    ("kind", "values", "reason"),
    [
        (OrderType.MARKET, {"price": "101"}, "a MARKET order has no price"),
        (OrderType.STOP_LOSS, {"price": "101"}, "a STOP_LOSS order has no price"),
        (OrderType.STOP_LOSS, {"stop_price": "91"}, ""),
        (OrderType.STOP_LOSS, {"stop_price": "90"}, "it has these values already"),
        (OrderType.TAKE_PROFIT_LIMIT, {"stop_price": "91", "price": "101"}, ""),
        (OrderType.TAKE_PROFIT_LIMIT, {"stop_price": "0"}, "stop_price 0 is not more than zero"),
        (OrderType.LIMIT_MAKER, {"price": "101"}, ""),
    ],
)
def test_an_amendment_names_only_what_the_order_has(kind: OrderType, values: dict[str, str], reason: str) -> None:
    """A price for the limit types, a stop price for the stop types."""
    placed = events.OrderPlaced(
        pair=BTC,
        account="main",
        side=Side.BUY,
        type=kind,
        quantity=Decimal(10),
        price=Decimal(100) if kind in events.PRICED else None,
        stop_price=Decimal(90) if kind in events.STOPPED else None,
    )
    intent = events.OrderAmendRequested(**{name: Decimal(value) for name, value in values.items()})
    assert refusal(order(placed), intent) == reason


@pytest.mark.parametrize("pending", [[AMEND], [AMEND, numbered(events.OrderAmendPending)]])
def test_an_amendment_that_is_not_answered_can_be_taken_back(pending: list[Event]) -> None:
    """By another one to the values that the order still has, because soon it may not have them."""
    back = events.OrderAmendRequested(quantity=Decimal(10))
    assert refusal(order(PLACED, ACCEPTED), back) == "it has these values already"
    assert refusal(order(PLACED, ACCEPTED, *pending), back) == ""


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        ({"pair": ETH}, "another pair"),
        ({"account": "second"}, "another account: main, not second"),
        ({"is_test": True}, "another is_test: False, not True"),
        ({"side": Side.SELL}, "another side: BUY, not SELL"),
        ({"quantity": Decimal(3)}, ""),
    ],
)
def test_an_order_is_adopted_as_what_the_venue_told_of(other: dict[str, Any], reason: str) -> None:
    """Pair, account, side and paper or not are facts by then; the quantity is the engine's to say."""
    row = order(PART, ACCEPTED)
    found = refusal(row, events.OrderPlaced(**{**msgspec.structs.asdict(PLACED), **other}))
    assert reason in found
    assert bool(reason) is bool(found)


def test_an_adopted_order_is_not_submitted_again() -> None:
    """It is at the venue already; to cancel it is legal."""
    row = order(ACCEPTED, PLACED)
    assert refusal(row, INTENTS["submit"]) == "the venue has it"
    assert refusal(row, INTENTS["cancel"]) == ""


@pytest.mark.parametrize(
    ("history", "status"),
    [
        ([PairListed(pair=BTC, status=PairStatus.MAINTENANCE)], "MAINTENANCE"),
        ([PairListed(pair=BTC), PairStatusChanged(pair=BTC, status=PairStatus.MAINTENANCE)], "MAINTENANCE"),
        ([PairListed(pair=BTC), PairDelisted(pair=BTC)], "INACTIVE"),
        ([PairDelisted(pair=BTC)], "INACTIVE"),
        ([PairListed(pair=BTC), PairDelisted(pair=BTC), PairListed(pair=BTC)], None),
        ([], None),
    ],
)
def test_a_pair_that_does_not_trade_takes_no_new_orders(history: list[Event], status: str | None) -> None:
    """Listed or not; a pair of which nothing is known does. What is open on it can be amended and cancelled."""
    halted = pair(*history)
    reason = "" if status is None else f"BTCUSDT at binance is {status}"
    assert refusal(None, PLACED, halted) == reason
    assert refusal(order(ACCEPTED), PLACED, halted) == ""  # the venue has it: it is adopted
    assert refusal(order(PLACED, ACCEPTED), AMEND, halted) == ""
    assert refusal(order(PLACED, ACCEPTED), CANCEL, halted) == ""


def test_a_filter_refuses_a_placing_and_an_amendment_but_no_adoption() -> None:
    """What the venue took cannot violate its filters, whatever we know of them."""
    listed = pair(PairListed(pair=BTC, step_size=Decimal(3)))
    with pytest.raises(FilterViolated) as refused:
        decide(ID, None, INTENTS["place"], listed)
    error = refused.value
    assert (error.order_id, error.status, error.intent) == (ID, None, "OrderPlaced")
    assert (error.field, error.filter, error.limit) == ("quantity", "step_size", Decimal(3))
    assert (error.value, error.off_by) == (Decimal(10), Decimal(1))
    assert refusal(order(PLACED), INTENTS["amend"], listed) == "quantity 11 is 2 above a multiple of step_size 3"
    assert refusal(order(PLACED), AMEND, listed) == ""
    assert refusal(order(ACCEPTED), INTENTS["place"], listed) == ""


def test_an_illegal_intent_is_refused_for_that_before_any_filter() -> None:
    """Of a closed order nobody wants to hear about step sizes."""
    listed = pair(PairListed(pair=BTC, step_size=Decimal(3)))
    assert refusal(order(PLACED, CANCELED), INTENTS["amend"], listed) == "it is closed"


def test_facts_that_tell_of_no_order_leave_it_unknown() -> None:
    """A cancellation of nothing is an anomaly; the order can still be placed."""
    assert order(CANCELED) is None
    assert refusal(order(CANCELED), INTENTS["place"]) == ""


def test_nothing_is_decided_on_events_of_a_newer_program() -> None:
    """Half a history is no ground for a decision; an event type that nobody here folds is passed over."""
    log = log_of([(ORDER.stream, PLACED), (ORDER.stream, SUBMITTED)])
    newer = msgspec.structs.replace(log[1], schema_version=9, event=UnknownEvent("OrderSubmitted", 9, b""))
    with pytest.raises(UpgradeRequired, match=re.escape("OrderSubmitted at position 2")):
        folded_order(ORDER.stream.id, [log[0], newer])
    foreign = msgspec.structs.replace(log[1], type="OrderDreamt", event=UnknownEvent("OrderDreamt", 1, b""))
    assert folded_order(ORDER.stream.id, [log[0], foreign]) == order(PLACED)
