"""Orders: what status, quantities and ids become of what the engine wanted and the venue said."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

import pytest

from byjy_events.event import Event
from byjy_events.stream import pair_stream
from byjy_events.vocabulary import orders as events
from byjy_events.vocabulary.orders import OrderStatus, Side
from byjy_events.vocabulary.pairs import Pair, PairListed
from projections.choices import AnomalyKind
from projections.rows import CLOSED, AnomalyRow, OrderFeeRow, OrderRow, TradeRow
from projections.tables import OPEN
from tests.folding import Folded, columns, log_of, recorded
from tests.lifecycles import BTC, MOVES, Subject

ORDER = Subject(number=1)
PRICE = Decimal(100)


def folded(*moves: Event) -> Folded:
    """The rows after these events of one order, on a listed pair."""
    listed = (pair_stream(BTC.exchange, BTC.symbol), PairListed(pair=BTC))
    return Folded().fold_all(log_of([listed, *((ORDER.stream, event) for event in moves)]))


def placed(quantity: int = 10) -> Event:
    return ORDER.placed(Decimal(quantity), PRICE)


def fact(kind: type[events.OrderFact], name: str = "1", **fields: Any) -> Event:
    return ORDER.fact(kind, update_id=name, **fields)


def fill(name: str, quantity: str, price: str = "100", **fields: Any) -> Event:
    return ORDER.filled(name, Decimal(quantity), Decimal(price), **fields)


def kinds(rows: Folded) -> list[str]:
    return [row.kind for row in rows.of(AnomalyRow)]


ACCEPTED = fact(events.OrderAccepted)
CANCELED = fact(events.OrderCanceled)


@pytest.mark.parametrize(
    ("moves", "status"),
    [
        ([], OrderStatus.PENDING_NEW),
        ([events.OrderSubmitted()], OrderStatus.PENDING_NEW),
        ([ACCEPTED], OrderStatus.NEW),
        ([fact(events.OrderTriggered)], OrderStatus.NEW),
        ([events.OrderDenied(reason="limit")], OrderStatus.REJECTED),
        ([fact(events.OrderRejected)], OrderStatus.REJECTED),
        ([ACCEPTED, events.OrderCancelRequested()], OrderStatus.NEW),
        ([ACCEPTED, events.OrderAmendRequested(quantity=Decimal(1))], OrderStatus.NEW),
        ([fill("1", "4")], OrderStatus.PARTIALLY_FILLED),
        ([fill("1", "4"), ACCEPTED], OrderStatus.PARTIALLY_FILLED),
        ([ACCEPTED, fill("1", "10")], OrderStatus.FILLED),
        ([ACCEPTED, fact(events.OrderCancelPending)], OrderStatus.PENDING_CANCEL),
        ([fact(events.OrderCancelPending), fact(events.OrderCancelRejected)], OrderStatus.PENDING_NEW),
        ([ACCEPTED, fact(events.OrderAmendPending), fill("1", "10")], OrderStatus.PENDING_REPLACE),
        (
            [ACCEPTED, fact(events.OrderAmendPending), fill("1", "10"), fact(events.OrderAmendRejected)],
            OrderStatus.FILLED,
        ),
        (
            [ACCEPTED, fact(events.OrderAmendPending), fact(events.OrderCancelPending)],
            OrderStatus.PENDING_CANCEL,
        ),
        ([ACCEPTED, CANCELED], OrderStatus.CANCELED),
        ([fill("1", "4"), fact(events.OrderExpired)], OrderStatus.EXPIRED),
        ([CANCELED, ACCEPTED], OrderStatus.CANCELED),
        ([CANCELED, fact(events.OrderCancelPending)], OrderStatus.CANCELED),
        ([fact(events.OrderExpired), CANCELED], OrderStatus.EXPIRED),
        ([fill("1", "10"), fact(events.OrderAmended, quantity=Decimal(12))], OrderStatus.PARTIALLY_FILLED),
        ([fill("1", "4"), fact(events.OrderAmended, quantity=Decimal(4))], OrderStatus.FILLED),
        ([fill("1", "4"), fact(events.OrderAmended, reduced_by=Decimal(6))], OrderStatus.FILLED),
        ([ACCEPTED, fact(events.OrderDoneForDay)], OrderStatus.DONE_FOR_DAY),
        ([ACCEPTED, fact(events.OrderDoneForDay), fact(events.OrderAccepted, "2")], OrderStatus.NEW),
        ([fact(events.OrderDoneForDay), fill("1", "4")], OrderStatus.PARTIALLY_FILLED),
        ([CANCELED, fact(events.OrderRestated, status=OrderStatus.NEW)], OrderStatus.NEW),
        ([fact(events.OrderRestated, status=OrderStatus.FILLED)], OrderStatus.FILLED),
    ],
)
def test_the_status_is_what_fix_says(moves: list[Event], status: OrderStatus) -> None:
    """An end stays an end, a pending request outranks fills, our own requests move nothing."""
    assert folded(placed(), *moves).one(OrderRow).status is status


@pytest.mark.parametrize("end", [CANCELED, fact(events.OrderExpired), fact(events.OrderRejected)])
def test_a_late_fill_counts_and_the_end_stays(end: Event) -> None:
    """After its end an order still takes the fills that the venue made, with an anomaly for each."""
    before = folded(placed(), end).one(OrderRow)
    rows = folded(placed(), end, fill("1", "3"), fill("2", "4"))
    after = rows.one(OrderRow)
    assert columns(after, "status filled_quantity leaves_quantity") == (before.status, 7, 0)
    assert kinds(rows) == ["LATE_FILL", "LATE_FILL"]
    assert len(rows.of(TradeRow)) == 2


def test_filled_beyond_its_quantity_is_an_anomaly_and_counts() -> None:
    """The venue's executions are true, however much was ordered."""
    rows = folded(placed(), fill("1", "8"), fill("2", "5"))
    order = rows.one(OrderRow)
    assert columns(order, "status filled_quantity leaves_quantity") == (OrderStatus.FILLED, 13, 0)
    assert kinds(rows) == ["OVERFILL"]


def test_the_average_price_comes_of_the_exact_sum_of_notionals() -> None:
    """Not of an average of averages: the notional is summed, and divided once for each fill."""
    rows = folded(placed(), fill("1", "1", "1"), fill("2", "1", "2"), fill("3", "1", "2"))
    order = rows.one(OrderRow)
    assert columns(order, "filled_notional avg_price") == (5, Decimal("1.666666666666666667"))


def test_sums_out_of_range_are_unknown_and_an_anomaly() -> None:
    """A notional beyond 20 digits has no place in money; the quantity goes on being counted."""
    rows = folded(placed(), fill("1", "99999999999", "99999999999"), fill("2", "1", "1"))
    order = rows.one(OrderRow)
    assert columns(order, "filled_notional avg_price filled_quantity") == (None, None, 100000000000)
    assert kinds(rows).count(AnomalyKind.NUMBER_OUT_OF_RANGE) == 1


def test_an_amendment_changes_terms_and_keeps_what_it_does_not_name() -> None:
    """None leaves a value; ``reduced_by`` is taken off the total; new ids replace the old ones."""
    rows = folded(
        placed(),
        events.OrderAmendRequested(price=Decimal(90)),
        fact(events.OrderAmended, "1", price=Decimal(90), new_exchange_order_id="v1b"),
        fact(events.OrderAmended, "2", reduced_by=Decimal("2.5")),
    )
    order = rows.one(OrderRow)
    assert columns(order, "price quantity stop_price") == (90, Decimal("7.5"), None)
    assert columns(order, "exchange_order_id client_order_id") == ("v1b", "c1")
    assert order.amend_requested_at is None


def test_a_request_is_remembered_until_the_venue_refuses_it() -> None:
    """``cancel_requested_at`` says which orders are in doubt."""
    asked = folded(placed(), ACCEPTED, events.OrderCancelRequested()).one(OrderRow)
    assert asked.cancel_requested_at == 4000
    refused = folded(placed(), ACCEPTED, events.OrderCancelRequested(), fact(events.OrderCancelRejected))
    assert refused.one(OrderRow).cancel_requested_at is None


def test_a_denied_order_says_that_the_engine_denied_it() -> None:
    """It never left, which a venue's rejection would not tell."""
    assert folded(placed(), events.OrderDenied(reason="limit")).one(OrderRow).reject_reason == (
        "denied by the engine: limit"
    )
    assert folded(placed(), fact(events.OrderRejected, reason="funds")).one(OrderRow).reject_reason == "funds"


def test_an_order_that_the_venue_has_cannot_be_denied_any_more() -> None:
    """It is still in the market, and has to be found among the open orders."""
    denied = folded(placed(), ACCEPTED, fill("1", "1"), events.OrderDenied(reason="limit")).one(OrderRow)
    assert (denied.status, denied.is_open, denied.reject_reason) == (OrderStatus.PARTIALLY_FILLED, True, None)


def test_commission_is_one_asset_s_sum_or_nothing() -> None:
    """In several assets the row has no commission; the detail is in order_fees."""
    one = folded(
        placed(),
        fill("1", "1", fee=Decimal("0.1"), fee_asset="BNB"),
        fill("2", "1"),
        fill("3", "1", fee=Decimal("-0.3"), fee_asset="BNB"),
    )
    assert columns(one.one(OrderRow), "commission commission_asset") == (Decimal("-0.2"), "BNB")
    assert one.one(OrderFeeRow).amount == Decimal("-0.2")
    several = folded(
        placed(),
        fill("1", "1", fee=Decimal(1), fee_asset="BNB"),
        fill("2", "1", fee=Decimal(2), fee_asset="USDT"),
        fill("3", "1", fee=Decimal(4), fee_asset="BNB"),
    )
    assert columns(several.one(OrderRow), "commission commission_asset") == (None, None)
    assert {row.asset: row.amount for row in several.of(OrderFeeRow)} == {"BNB": 5, "USDT": 2}


def test_a_snapshot_is_believed() -> None:
    """Status, terms and sums become what the venue shows; the notional follows, or is unknown."""
    restated = fact(
        events.OrderRestated,
        status=OrderStatus.PARTIALLY_FILLED,
        quantity=Decimal(20),
        filled_quantity=Decimal(4),
        avg_price=Decimal("99.5"),
    )
    order = folded(placed(), fill("1", "3"), restated).one(OrderRow)
    assert columns(order, "quantity filled_quantity filled_notional") == (20, 4, 398)
    vague = fact(events.OrderRestated, status=OrderStatus.PARTIALLY_FILLED, filled_quantity=Decimal(4))
    order = folded(placed(), fill("1", "3"), vague).one(OrderRow)
    assert columns(order, "filled_quantity filled_notional avg_price") == (4, None, None)


def test_a_snapshot_that_tells_nothing_new_leaves_the_sums() -> None:
    """The exact notional is not given up for a filled quantity that agrees with ours."""
    same = fact(events.OrderRestated, status=OrderStatus.PARTIALLY_FILLED, filled_quantity=Decimal(3))
    order = folded(placed(), fill("1", "3", "7"), same).one(OrderRow)
    assert columns(order, "filled_quantity filled_notional avg_price") == (3, 21, 7)


def test_a_snapshot_of_a_canceled_order_keeps_the_time_of_its_cancel() -> None:
    """Reconciliation comes later than what it finds."""
    restated = fact(events.OrderRestated, status=OrderStatus.CANCELED)
    assert folded(placed(), CANCELED, restated).one(OrderRow).canceled_at == 3000
    assert folded(placed(), ACCEPTED, restated).one(OrderRow).canceled_at == 4000


def test_what_is_left_is_exact_to_the_last_of_38_digits() -> None:
    """Whatever the decimal context of the caller."""
    event = ORDER.placed(Decimal("99999999999999999999.999999999999999999"), PRICE)
    order = folded(event, fill("1", "0.000000000000000001", "1")).one(OrderRow)
    assert order.leaves_quantity == Decimal("99999999999999999999.999999999999999998")


def test_clocks_are_those_of_the_first_and_last_event() -> None:
    """The venue's clock where it told one, the engine's otherwise."""
    rows = Folded()
    for position, (event, at) in enumerate(
        [(placed(), None), (ACCEPTED, 50), (fill("1", "1"), 70), (fill("2", "1"), 60), (CANCELED, 90)], 1
    ):
        rows.fold(recorded(event, position, ORDER.stream, position, at))
    order = rows.one(OrderRow)
    assert columns(order, "created_at accepted_at executed_at") == (1000, 50, 60)
    assert columns(order, "canceled_at updated_at last_position") == (90, 90, 5)


# --- orders nobody placed -------------------------------------------------------------------------


def test_a_fill_of_an_unknown_order_makes_an_external_row_and_an_anomaly_each_time() -> None:
    """The row holds what the fill told; the second fill is as unknown as the first."""
    rows = folded(fill("1", "3"), fill("2", "4"))
    order = rows.one(OrderRow)
    assert order.external
    assert columns(order, "side quantity type filled_quantity") == (Side.BUY, None, None, 7)
    assert columns(order, "status leaves_quantity") == (OrderStatus.PARTIALLY_FILLED, None)
    assert kinds(rows) == ["UNKNOWN_ORDER", "UNKNOWN_ORDER"]


@pytest.mark.parametrize("move", ["canceled", "amended", "reduced", "cancel pending", "expired", "busted"])
def test_other_messages_about_an_unknown_order_make_only_an_anomaly(move: str) -> None:
    """They prove no order that is worth a row."""
    rows = folded(MOVES[move](ORDER, "1", Decimal(1)))
    assert rows.of(OrderRow) == []
    assert kinds(rows).count("UNKNOWN_ORDER") == 1
    assert rows.of(AnomalyRow)[0].order_id == ORDER.stream.id


@pytest.mark.parametrize("move", ["accepted", "renamed", "restated", "filled"])
def test_messages_that_prove_a_living_order_make_an_external_row(move: str) -> None:
    """An order that the venue holds is worth knowing of, whoever placed it."""
    rows = folded(MOVES[move](ORDER, "1", Decimal(1)))
    assert rows.one(OrderRow).external
    assert kinds(rows) == ["UNKNOWN_ORDER"]


def test_an_external_order_takes_what_the_venue_says_of_it() -> None:
    """A cancel closes it, and is an anomaly too."""
    rows = folded(fill("1", "3"), CANCELED)
    assert rows.one(OrderRow).status is OrderStatus.CANCELED
    assert kinds(rows) == ["UNKNOWN_ORDER", "UNKNOWN_ORDER"]


def test_an_order_placed_after_its_fills_keeps_them() -> None:
    """The row becomes the engine's own, with the engine's terms."""
    rows = folded(fill("1", "3"), placed(10), fill("2", "7"))
    order = rows.one(OrderRow)
    assert columns(order, "external quantity filled_quantity") == (False, 10, 10)
    assert order.status is OrderStatus.FILLED
    assert kinds(rows) == ["UNKNOWN_ORDER"]


def test_an_order_placed_twice_stands_as_placed_first() -> None:
    """The log's decider refuses it; should it be there all the same, nothing is overwritten."""
    rows = folded(placed(10), placed(20))
    assert rows.one(OrderRow).quantity == 10
    assert kinds(rows) == ["PLACED_AGAIN"]


def test_an_intent_for_an_unknown_order_is_an_anomaly() -> None:
    """Nothing is dropped silently."""
    rows = folded(events.OrderCancelRequested())
    assert rows.of(OrderRow) == []
    assert kinds(rows) == ["UNKNOWN_ORDER"]


def test_the_pair_of_a_fill_may_differ_from_its_order_s() -> None:
    """A confused venue changes no order's pair; its trade lies where it says."""
    other = Pair(exchange="binance", symbol="ETHUSDT", base_asset="ETH", quote_asset="USDT")
    stray = events.OrderFilled(
        pair=other,
        account="main",
        exchange_order_id="v1",
        execution_id="1",
        side=Side.BUY,
        quantity=Decimal(1),
        price=PRICE,
    )
    rows = folded(placed(), stray)
    assert rows.one(OrderRow).trading_pair_id == BTC.id
    assert rows.one(TradeRow).trading_pair_id == other.id


def test_the_index_of_open_orders_leaves_out_exactly_the_closed_ones() -> None:
    """A status of the one and not of the other would hide orders from the engine after a crash."""
    assert set(re.findall(r"'(\w+)'", OPEN)) == {status.value for status in CLOSED}


SNAPSHOT_AT = 50


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ([(40, "4", "100")], (4, 100, 4)),
        ([(40, "3", "100")], (4, None, 3)),
        ([(40, "3", "100"), (50, "1", "104")], (4, 101, 4)),
        ([(60, "3", "100")], (7, None, 3)),
        ([(40, "5", "100")], (5, 100, 5)),
        ([(60, "1", "90"), (40, "4", "100")], (5, 98, 5)),
    ],
)
def test_a_fill_from_before_a_snapshot_was_in_it(told: list[tuple[int, str, str]], expected: tuple[Any, ...]) -> None:
    """After a crash the venue says that 4 are filled; the fills are told later, from before that or from after it."""
    four = {"status": OrderStatus.PARTIALLY_FILLED, "filled_quantity": Decimal(4)}
    snapshot = ORDER.fact(events.OrderRestated, update_id="s", **four)
    rows = folded(placed())
    rows.fold(recorded(snapshot, 10, ORDER.stream, at=SNAPSHOT_AT))
    for position, (at, quantity, price) in enumerate(told, 11):
        rows.fold(recorded(fill(str(position), quantity, price), position, ORDER.stream, at=at))
    assert columns(rows.one(OrderRow), "filled_quantity avg_price traded_quantity") == expected


def test_a_venue_that_makes_an_order_smaller_by_itself_answers_no_request() -> None:
    """Told by how much alone, and naming no request that is pending."""
    asked = (placed(), events.OrderAmendRequested(quantity=Decimal(8)))
    smaller = ORDER.fact(events.OrderAmended, update_id="s", reduced_by=Decimal(1), client_order_id=None)
    row = folded(*asked, smaller).one(OrderRow)
    assert columns(row, "quantity amends_unanswered") == (9, 1)
    answered = ORDER.fact(events.OrderAmended, update_id="a", quantity=Decimal(8))
    assert columns(folded(*asked, smaller, answered).one(OrderRow), "quantity amends_unanswered") == (8, 0)
