"""Links: two orders that turn out to be one, folded into one row, whenever that is told."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from byjy_events.event import Event
from byjy_events.log import EventLog
from byjy_events.vocabulary import orders as events
from byjy_events.vocabulary.orders import OrderStatus, Side
from projections import TRADING, catch_up, rebuild, verify
from projections.choices import AnomalyKind, TradeStatus
from projections.rows import AnomalyRow, OrderAliasRow, OrderFeeRow, OrderRow, PositionFeeRow, PositionRow, TradeRow
from tests.folding import Folded, columns, log_of
from tests.lifecycles import ETH, Step, Subject
from tests.moves import VenueOrder
from tests.replay import assert_rows_are_the_log
from tests.story import tell

OWN = Subject(number=1)
VENUE = VenueOrder(number=9)
PRICE = Decimal(100)

Told = tuple[Subject, Event]
PLACED: Told = (OWN, OWN.placed(Decimal(10), PRICE))
LINKED: Told = (OWN, events.OrderLinked(external_order_id=VENUE.stream.id))
BY_ENGINE = (
    "type quantity price time_in_force side client_order_id external",
    ("LIMIT", 10, 100, "GTC", "BUY", "c1", False),
)
"""Columns of the order that only the engine tells."""


def steps(*told: Told) -> list[Step]:
    return [(order.stream, event) for order, event in told]


def folded(*told: Told) -> Folded:
    return Folded().fold_all(log_of(steps(*told)))


def fill(order: Subject, name: str, quantity: str, price: str = "100", **fields: Any) -> Told:
    return order, order.filled(name, Decimal(quantity), Decimal(price), **fields)


def fact(order: Subject, kind: type[events.OrderFact], name: str = "u", **fields: Any) -> Told:
    return order, order.fact(kind, update_id=name, **fields)


def restated(order: Subject, status: OrderStatus, filled: str, **fields: Any) -> Told:
    return fact(order, events.OrderRestated, f"s{filled}", status=status, filled_quantity=Decimal(filled), **fields)


def kinds(rows: Folded) -> list[tuple[str, int]]:
    """Anomalies of links and fills with their places, but for the pair that nobody listed and the unknown order."""
    usual = (AnomalyKind.UNKNOWN_PAIR, AnomalyKind.UNKNOWN_ORDER)
    return [(row.kind, row.position) for row in rows.of(AnomalyRow) if row.kind not in usual]


# --- one row --------------------------------------------------------------------------------------


def test_an_order_that_was_reported_first_becomes_the_engine_s_own() -> None:
    """Engine's terms, venue's executions; trades, fees and ids are those of the one row; the other one is gone."""
    rows = folded(
        fill(VENUE, "a", "4", "99", fee=Decimal("0.4"), fee_asset="BNB"),
        fill(VENUE, "b", "1", "104", fee=Decimal("0.1"), fee_asset="BNB"),
        PLACED,
        fill(OWN, "c", "2", "107", fee=Decimal("0.2"), fee_asset="BNB"),
        LINKED,
    )
    order = rows.one(OrderRow)
    assert order.id == OWN.stream.id
    assert columns(order, BY_ENGINE[0]) == BY_ENGINE[1]
    assert columns(order, "status filled_quantity filled_notional avg_price") == (
        OrderStatus.PARTIALLY_FILLED, 7, 714, 102,
    )  # fmt: skip
    assert columns(order, "commission commission_asset last_position") == (Decimal("0.7"), "BNB", 5)
    assert columns(order, "accepted_at executed_at created_at updated_at") == (1000, 4000, 3000, 5000)
    assert {trade.execution_id: trade.order_id for trade in rows.of(TradeRow)} == dict.fromkeys("abc", order.id)
    assert columns(rows.one(OrderFeeRow), "order_id asset amount") == (order.id, "BNB", Decimal("0.7"))
    assert {row.external_id: row.order_id for row in rows.of(OrderAliasRow)} == dict.fromkeys(
        ("v9", "c1", "v1"), order.id
    )
    assert kinds(rows) == []


def test_a_link_leaves_the_position_alone() -> None:
    """It follows the executions, whoever ordered them."""
    told = [fill(VENUE, "a", "4", "99", fee=Decimal("0.4"), fee_asset="BNB"), PLACED, fill(OWN, "b", "1")]
    before, after = folded(*told), folded(*told, LINKED)
    assert before.one(PositionRow) == after.one(PositionRow)
    assert before.one(PositionFeeRow) == after.one(PositionFeeRow)


def test_the_ids_of_the_venue_s_order_lead_to_ours() -> None:
    """Where the engine's row has no exchange order id yet, it takes the other one's."""
    rows = folded(fact(VENUE, events.OrderAccepted), PLACED, LINKED)
    assert columns(rows.one(OrderRow), "exchange_order_id client_order_id") == ("v9", "c1")
    by_id = {row.external_id: row.order_id for row in rows.of(OrderAliasRow)}
    assert by_id == {"v9": OWN.stream.id, "c1": OWN.stream.id}


def test_fees_in_several_assets_make_no_single_commission() -> None:
    """One asset each, two together: the detail is in order_fees."""
    rows = folded(
        fill(VENUE, "a", "1", fee=Decimal(1), fee_asset="BNB"),
        PLACED,
        fill(OWN, "b", "1", fee=Decimal(2), fee_asset="USDT"),
        LINKED,
    )
    assert columns(rows.one(OrderRow), "commission commission_asset") == (None, None)
    assert {row.asset: row.amount for row in rows.of(OrderFeeRow)} == {"BNB": 1, "USDT": 2}


def test_fees_that_come_to_nothing_leave_no_row() -> None:
    """A rebate here and a fee there."""
    fee: dict[str, Any] = {"fee_asset": "BNB"}
    rows = folded(
        fill(VENUE, "a", "1", fee=Decimal(1), **fee), PLACED, fill(OWN, "b", "1", fee=Decimal(-1), **fee), LINKED
    )
    assert rows.of(OrderFeeRow) == []


# --- what the venue told of either ----------------------------------------------------------------

CANCELED = fact(VENUE, events.OrderCanceled)


@pytest.mark.parametrize(
    ("told", "status", "filled"),
    [
        ([PLACED, fact(VENUE, events.OrderAccepted), LINKED], OrderStatus.NEW, 0),
        ([PLACED, fill(VENUE, "a", "10"), LINKED], OrderStatus.FILLED, 10),
        ([PLACED, fill(VENUE, "a", "4"), LINKED, fill(OWN, "b", "6")], OrderStatus.FILLED, 10),
        ([fact(VENUE, events.OrderAccepted), CANCELED, PLACED, LINKED], OrderStatus.CANCELED, 0),
        ([fill(VENUE, "a", "4"), fact(VENUE, events.OrderExpired), PLACED, LINKED], OrderStatus.EXPIRED, 4),
        ([fill(VENUE, "a", "4"), PLACED, fact(OWN, events.OrderCanceled), LINKED], OrderStatus.CANCELED, 4),
        (
            [fact(VENUE, events.OrderAccepted), fact(VENUE, events.OrderCancelPending), PLACED, LINKED],
            OrderStatus.PENDING_CANCEL,
            0,
        ),
        (
            [fact(VENUE, events.OrderAccepted), fact(VENUE, events.OrderAmendPending), PLACED, LINKED],
            OrderStatus.PENDING_REPLACE,
            0,
        ),
        (
            [fill(VENUE, "a", "4"), fact(VENUE, events.OrderDoneForDay), PLACED, LINKED],
            OrderStatus.DONE_FOR_DAY,
            4,
        ),
        (
            [fact(VENUE, events.OrderAccepted), fact(VENUE, events.OrderCancelPending), PLACED,
             fact(OWN, events.OrderCanceled), LINKED],
            OrderStatus.CANCELED,
            0,
        ),
    ],
)  # fmt: skip
def test_the_status_is_that_of_one_order(told: list[Told], status: OrderStatus, filled: int) -> None:
    """An end of either is the end, a pending request of either is pending, fills add up."""
    order = folded(*told).one(OrderRow)
    assert columns(order, "id status filled_quantity external") == (OWN.stream.id, status, filled, False)


def test_a_link_may_come_before_anything_else_is_told_of_ours() -> None:
    """Facts that come to our stream afterwards are folded as always."""
    rows = folded(fill(VENUE, "a", "4"), PLACED, LINKED, fact(OWN, events.OrderAccepted), fill(OWN, "b", "6"))
    assert columns(rows.one(OrderRow), "status filled_quantity accepted_at") == (OrderStatus.FILLED, 10, 1000)
    assert kinds(rows) == []


def test_requests_of_ours_stay_unanswered() -> None:
    """What the engine asked under its own id was not answered by a link."""
    rows = folded(fact(VENUE, events.OrderAccepted), PLACED, (OWN, events.OrderCancelRequested()), LINKED)
    order = rows.one(OrderRow)
    assert columns(order, "status cancels_unanswered cancel_requested_at") == (OrderStatus.NEW, 1, 3000)


def test_more_filled_together_than_placed_is_an_overfill() -> None:
    """Of the link, in a sentence that tells both quantities; the fills count."""
    rows = folded(PLACED, fill(OWN, "a", "8"), fill(VENUE, "b", "5"), LINKED)
    assert columns(rows.one(OrderRow), "status filled_quantity") == (OrderStatus.FILLED, 13)
    assert kinds(rows) == [(AnomalyKind.OVERFILL, 4)]
    (odd,) = [row for row in rows.of(AnomalyRow) if row.kind is AnomalyKind.OVERFILL]
    assert columns(odd, "order_id message") == (OWN.stream.id, "13 filled of an order for 10")


# --- snapshots ------------------------------------------------------------------------------------

PARTLY = OrderStatus.PARTIALLY_FILLED


@pytest.mark.parametrize(
    ("told", "filled", "average"),
    [
        ([restated(VENUE, PARTLY, "6", avg_price=Decimal(99)), PLACED], 6, 99),
        ([PLACED, restated(OWN, PARTLY, "6", avg_price=Decimal(99)), fact(VENUE, events.OrderAccepted)], 6, 99),
        ([PLACED, restated(OWN, PARTLY, "6", avg_price=Decimal(99)), fill(VENUE, "a", "4", "98")], 6, 99),
        ([fill(VENUE, "a", "4", "98"), restated(VENUE, PARTLY, "6", avg_price=Decimal(99)), PLACED], 6, 99),
        ([PLACED, restated(OWN, PARTLY, "3"), fill(VENUE, "a", "4", "98")], 4, 98),
    ],
)
def test_a_snapshot_of_either_order_is_about_the_one_that_they_are(told: list[Told], filled: int, average: int) -> None:
    """The executions are those that the snapshot counted already: they are not added to it."""
    order = folded(*told, LINKED).one(OrderRow)
    assert columns(order, "filled_quantity avg_price") == (filled, average)


# --- what cannot be linked ------------------------------------------------------------------------

OTHER_PAIR = VenueOrder(number=9, pair=ETH)
OTHER_ACCOUNT = VenueOrder(number=9, account="second")
OTHER_SIDE = VenueOrder(number=9, side=Side.SELL)
PAPER = VenueOrder(number=9, is_test=True)
SECOND = Subject(number=2)


def link_to(order: Subject) -> Told:
    return OWN, events.OrderLinked(external_order_id=order.stream.id)


@pytest.mark.parametrize(
    ("told", "link", "why"),
    [
        ([PLACED], link_to(VENUE), "nobody told of"),
        ([PLACED, (SECOND, SECOND.placed(Decimal(1), PRICE))], link_to(SECOND), "the engine placed by itself"),
        ([PLACED, fill(OWN, "a", "1")], link_to(OWN), "the engine placed by itself"),
        ([fill(OWN, "a", "1"), fill(VENUE, "b", "1")], link_to(VENUE), "was never placed itself"),
        ([fill(VENUE, "b", "1")], link_to(VENUE), "was never placed itself"),
        ([PLACED, fill(OTHER_PAIR, "a", "1")], link_to(OTHER_PAIR), "another trading_pair_id"),
        ([PLACED, fill(OTHER_ACCOUNT, "a", "1")], link_to(OTHER_ACCOUNT), "another account: second, not main"),
        ([PLACED, fill(OTHER_SIDE, "a", "1")], link_to(OTHER_SIDE), "another side: SELL, not BUY"),
        ([PLACED, fill(PAPER, "a", "1")], link_to(PAPER), "another is_test: True, not False"),
    ],
)
def test_what_cannot_be_one_stays_two(told: list[Told], link: Told, why: str) -> None:
    """An anomaly of the order that was to be linked, which says why; no row is otherwise than before."""
    before, after = folded(*told), folded(*told, link)
    (odd,) = [row for row in after.of(AnomalyRow) if row.kind is AnomalyKind.LINK_CONFLICT]
    assert columns(odd, "order_id position") == (OWN.stream.id, len(told) + 1)
    assert why in odd.message
    assert odd.message.startswith(f"linked to order {link[1].external_order_id}")  # type: ignore[attr-defined]
    after.rows["anomalies"].pop((odd.position, odd.kind))
    assert after.rows == before.rows


def test_an_order_of_which_no_side_was_told_can_be_linked() -> None:
    """An acceptance tells none; ours is known."""
    assert folded(fact(VENUE, events.OrderAccepted), PLACED, LINKED).one(OrderRow).side is Side.BUY


def test_a_second_link_to_the_same_order_finds_nothing() -> None:
    """It is ours already; nothing changes."""
    rows = folded(fill(VENUE, "a", "4"), PLACED, LINKED, LINKED)
    assert rows.one(OrderRow).filled_quantity == 4
    assert kinds(rows) == [(AnomalyKind.LINK_CONFLICT, 4)]


# --- afterwards -----------------------------------------------------------------------------------

LATER = fill(VENUE, "z", "3", "110")


def test_what_comes_under_the_venue_s_id_afterwards_makes_a_new_row() -> None:
    """The position counts it; its external id is claimed already, and says whose it is."""
    rows = folded(fill(VENUE, "a", "4"), PLACED, LINKED, LATER)
    own, again = rows.of(OrderRow)
    assert columns(own, "id filled_quantity") == (OWN.stream.id, 4)
    assert columns(again, "id external filled_quantity") == (VENUE.stream.id, True, 3)
    assert rows.one(PositionRow).quantity == 7
    assert kinds(rows) == [(AnomalyKind.ALIAS_CONFLICT, 4)]


def test_what_came_afterwards_can_be_linked_again() -> None:
    """Then it is as if it had been told before the first link."""
    rows = folded(fill(VENUE, "a", "4"), PLACED, LINKED, LATER, LINKED)
    told_before = folded(fill(VENUE, "a", "4"), PLACED, LATER, LINKED)
    what = "id status filled_quantity filled_notional avg_price commission accepted_at executed_at exchange_order_id"
    one, other = rows.one(OrderRow), told_before.one(OrderRow)
    assert columns(replace(one, executed_at=None), what) == columns(replace(other, executed_at=None), what)
    assert columns(one, "filled_quantity filled_notional executed_at") == (7, 730, 4000)
    assert {trade.order_id for trade in rows.of(TradeRow)} == {OWN.stream.id}


def test_a_trade_that_was_moved_is_busted_through_our_order() -> None:
    """By its execution id, whoever it was first told of."""
    bust = fact(OWN, events.TradeBusted, execution_id="a")
    rows = folded(fill(VENUE, "a", "4"), PLACED, fill(OWN, "b", "1", "105"), LINKED, bust)
    assert columns(rows.one(OrderRow), "status filled_quantity avg_price") == (PARTLY, 1, 105)
    statuses = {trade.execution_id: trade.status for trade in rows.of(TradeRow)}
    assert statuses == {"a": TradeStatus.BUSTED, "b": TradeStatus.EXECUTED}
    assert columns(rows.one(PositionRow), "quantity avg_price") == (1, 105)
    assert kinds(rows) == []


def test_a_trade_that_was_moved_is_corrected_through_our_order() -> None:
    """Order and position are as if it had been told so from the start."""
    correction = fact(OWN, events.TradeCorrected, execution_id="a", quantity=Decimal(5), price=Decimal(99))
    rows = folded(fill(VENUE, "a", "4"), PLACED, LINKED, correction)
    assert columns(rows.one(OrderRow), "filled_quantity avg_price") == (5, 99)
    assert columns(rows.one(PositionRow), "quantity avg_price") == (5, 99)


def test_a_bust_that_came_before_the_link_stays() -> None:
    """A busted trade moves along, and counts no more than before."""
    bust = fact(VENUE, events.TradeBusted, execution_id="a")
    rows = folded(fill(VENUE, "a", "4"), fill(VENUE, "b", "1"), bust, PLACED, LINKED)
    assert rows.one(OrderRow).filled_quantity == 1
    assert [trade.order_id for trade in rows.of(TradeRow)] == [OWN.stream.id] * 2


def test_an_order_of_ours_can_be_several_of_the_venue_s() -> None:
    """A venue that splits an order reports it under several ids: all of them are linked, one after the other."""
    other = VenueOrder(number=8)
    rows = folded(fill(VENUE, "a", "4"), fill(other, "b", "6"), PLACED, LINKED, link_to(other))
    assert columns(rows.one(OrderRow), "status filled_quantity") == (OrderStatus.FILLED, 10)
    assert {row.order_id for row in rows.of(OrderAliasRow)} == {OWN.stream.id}


# --- through the real log -------------------------------------------------------------------------


def life(number: int) -> Sequence[Told]:
    """Each number another one of the courses that a link may take, on an account of its own."""
    account = f"linked {number}"
    own, venue = Subject(number=1000 + number, account=account), VenueOrder(number=2000 + number, account=account)
    placed = (own, own.placed(Decimal(10), PRICE))
    linked = (own, events.OrderLinked(external_order_id=venue.stream.id))
    fee: dict[str, Any] = {"fee": Decimal("0.1"), "fee_asset": "BNB"}
    first, second, late = fill(venue, "a", "4", "99", **fee), fill(own, "b", "1", **fee), fill(venue, "z", "2", **fee)
    bust = fact(own, events.TradeBusted, "t", execution_id="a")
    courses: list[list[Told]] = [
        [first, placed, second, linked],
        [placed, linked],
        [first, placed, linked, late, linked],
        [first, placed, linked, late],
        [first, placed, second, linked, bust],
        [first, fact(venue, events.OrderCanceled), placed, linked, second],
        [restated(venue, PARTLY, "6"), placed, second, linked],
        [first, linked, placed],
    ]
    return courses[number]


@pytest.mark.parametrize("pieces", [1, 1000])
async def test_tables_that_were_linked_equal_the_log(database: str, pieces: int) -> None:
    """Projected event by event or at once, verified and rebuilt: no difference."""
    told = [step for number in range(8) for step in steps(*life(number))]
    async with EventLog.open(database) as log:
        for start in range(0, len(told), pieces):
            await tell(log, told[start : start + pieces], at_once=1)
            await catch_up(log, TRADING)
        await assert_rows_are_the_log(log)
        assert (await verify(log, TRADING)).differences == 0
        assert (await rebuild(log, TRADING)).differences == 0
        await assert_rows_are_the_log(log)
