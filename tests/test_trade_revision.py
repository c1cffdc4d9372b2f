"""Busts and corrections: what counted the trade is as if it had never been, or had been so all along."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Struct
from msgspec.structs import asdict

from byjy_events.event import Event
from byjy_events.vocabulary import orders as events
from byjy_events.vocabulary.orders import OrderStatus, Side
from byjy_events.vocabulary.pairs import Pair
from projections import trade_revision
from projections.choices import AnomalyKind, TradeStatus
from projections.rows import (
    AnomalyRow,
    OrderFeeRow,
    OrderRow,
    PositionCycleRow,
    PositionFeeRow,
    PositionRow,
    TradeRow,
)
from tests.folding import Folded, columns, log_of
from tests.lifecycles import Step, Subject

BUYER, SELLER = Subject(number=1), Subject(number=2, side=Side.SELL)
PRICE = Decimal(100)

TOLD_BY_THE_REVISION = {"updated_at", "last_position", "accepted_at", "created_at"}
"""Columns that say when something was told, not what was traded."""


def bust(order: Subject, execution: str, name: str = "b") -> Event:
    return order.fact(events.TradeBusted, update_id=name, execution_id=execution)


def correct(order: Subject, execution: str, quantity: str, price: str, name: str = "k", **fields: Any) -> Event:
    return order.fact(
        events.TradeCorrected,
        update_id=name,
        execution_id=execution,
        quantity=Decimal(quantity),
        price=Decimal(price),
        **fields,
    )


def folded(*told: tuple[Subject, Event]) -> Folded:
    return Folded().fold_all(log_of((order.stream, event) for order, event in told))


def placed(*told: Event) -> Folded:
    """What became of one order for 10 at 100."""
    return folded(*((BUYER, event) for event in (BUYER.placed(Decimal(10), PRICE), *told)))


def fill(name: str, quantity: str, price: str = "100", **fields: object) -> Event:
    return BUYER.filled(name, Decimal(quantity), Decimal(price), **fields)


def kinds(rows: Folded) -> list[str]:
    return [row.kind.value for row in rows.of(AnomalyRow)]


# --- orders ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "status", "after"),
    [
        ([], OrderStatus.PARTIALLY_FILLED, OrderStatus.NEW),
        ([fill("2", "6")], OrderStatus.FILLED, OrderStatus.PARTIALLY_FILLED),
        ([BUYER.fact(events.OrderCanceled)], OrderStatus.CANCELED, OrderStatus.CANCELED),
        ([BUYER.fact(events.OrderExpired)], OrderStatus.EXPIRED, OrderStatus.EXPIRED),
        ([BUYER.fact(events.OrderDoneForDay, update_id="d")], OrderStatus.DONE_FOR_DAY, OrderStatus.DONE_FOR_DAY),
        (
            [BUYER.fact(events.OrderCancelPending, update_id="p")],
            OrderStatus.PENDING_CANCEL,
            OrderStatus.PENDING_CANCEL,
        ),
    ],
)
def test_a_bust_takes_the_fill_from_its_order(before: list[Event], status: str, after: str) -> None:
    """Open, filled, ended and resting orders: the quantities go back, an end and a wait stay."""
    told = [BUYER.fact(events.OrderAccepted), fill("1", "4"), *before]
    assert placed(*told).one(OrderRow).status == status
    row = placed(*told, bust(BUYER, "1")).one(OrderRow)
    left = sum((one.quantity for one in before if isinstance(one, events.OrderFilled)), Decimal(0))
    assert columns(row, "status filled_quantity filled_notional") == (after, left, left * PRICE)
    assert row.avg_price == (PRICE if left else None)


def test_a_correction_is_as_if_it_had_been_told_so_first() -> None:
    """Quantity, price and fee of the trade, and all that follows from them."""
    fee: dict[str, Any] = {"fee": Decimal("0.5"), "fee_asset": "BNB"}
    corrected = placed(fill("1", "4", "101"), fill("2", "1"), correct(BUYER, "1", "5", "99", **fee))
    told_so = placed(fill("1", "5", "99", **fee), fill("2", "1"))
    assert alike(corrected) == alike(told_so)
    trade = corrected.of(TradeRow)[0]
    assert columns(trade, "status revised_position quantity price") == (TradeStatus.CORRECTED, 4, 5, 99)


def test_a_correction_without_a_fee_leaves_the_fee() -> None:
    """What the venue does not tell stays."""
    rows = placed(fill("1", "4", fee=Decimal("0.5"), fee_asset="USDT"), correct(BUYER, "1", "5", "99"))
    assert columns(rows.one(OrderRow), "commission commission_asset") == (Decimal("0.5"), "USDT")
    assert rows.one(OrderFeeRow).amount == Decimal("0.5")


def test_corrections_follow_each_other_by_the_last_name() -> None:
    """Each may rename the execution; the first name is understood too."""
    rows = placed(
        fill("1", "4"),
        correct(BUYER, "1", "5", "99", "k1", corrected_execution_id="F"),
        correct(BUYER, "F", "6", "98", "k2", corrected_execution_id="H"),
        correct(BUYER, "1", "7", "97", "k3"),
        bust(BUYER, "H"),
    )
    assert columns(rows.one(TradeRow), "execution_id status quantity") == ("H", TradeStatus.BUSTED, 7)
    assert rows.one(OrderRow).filled_quantity == 0
    assert kinds(rows) == []


def test_two_assets_become_one_again() -> None:
    """With the only fee in the other asset busted, the commission is a single sum once more."""
    usdt: dict[str, Any] = {"fee": Decimal(1), "fee_asset": "USDT"}
    bnb: dict[str, Any] = {"fee": Decimal(1), "fee_asset": "BNB"}
    rows = placed(fill("1", "1", **usdt), fill("2", "1", **bnb), bust(BUYER, "2"))
    assert columns(rows.one(OrderRow), "commission commission_asset") == (1, "USDT")
    assert [row.asset for row in rows.of(OrderFeeRow)] == ["USDT"]
    assert [row.asset for row in rows.of(PositionFeeRow)] == ["USDT"]


def test_what_a_snapshot_told_beyond_the_trades_stays() -> None:
    """The venue says 7 are filled, two trades tell of 5: a bust of 2 leaves 5."""
    snapshot = BUYER.fact(
        events.OrderRestated, update_id="s", status=OrderStatus.PARTIALLY_FILLED, filled_quantity=Decimal(7)
    )
    rows = placed(fill("1", "3"), fill("2", "2"), snapshot, bust(BUYER, "2"))
    assert columns(rows.one(OrderRow), "filled_quantity avg_price status") == (5, None, OrderStatus.PARTIALLY_FILLED)


@pytest.mark.parametrize(
    ("told", "kind"),
    [
        ([bust(BUYER, "9")], AnomalyKind.UNKNOWN_TRADE),
        ([correct(BUYER, "9", "1", "1")], AnomalyKind.UNKNOWN_TRADE),
        ([bust(BUYER, "1"), bust(BUYER, "1", "again")], AnomalyKind.REVISED_AGAIN),
        ([bust(BUYER, "1"), correct(BUYER, "1", "1", "1")], AnomalyKind.REVISED_AGAIN),
        ([correct(BUYER, "1", "11", "100")], AnomalyKind.OVERFILL),
    ],
)
def test_what_is_odd_about_a_revision_is_an_anomaly(told: list[Event], kind: AnomalyKind) -> None:
    """At its place in the log, with the order it is about; nothing else changes by it but the overfill."""
    rows = placed(fill("1", "4"), *told)
    (odd,) = rows.of(AnomalyRow)
    assert columns(odd, "kind order_id position") == (kind, BUYER.stream.id, 2 + len(told))
    if kind is not AnomalyKind.OVERFILL:
        assert alike(rows) == alike(placed(fill("1", "4"), *told[:-1]))


def test_a_revision_of_an_order_that_was_never_placed() -> None:
    """Without any row it is an anomaly alone; of an order that only the venue told of, it counts."""
    alone = folded((BUYER, bust(BUYER, "1")))
    assert kinds(alone) == ["UNKNOWN_PAIR", "UNKNOWN_ORDER", "UNKNOWN_TRADE"]
    assert alone.of(OrderRow) == []
    rows = folded((BUYER, fill("1", "4")), (BUYER, bust(BUYER, "1")))
    assert rows.one(OrderRow).filled_quantity == 0
    assert kinds(rows).count("UNKNOWN_ORDER") == 2


# --- positions ------------------------------------------------------------------------------------


def test_a_bust_of_what_closed_a_position_opens_it_again() -> None:
    """The holding that was closed is no more; its profit goes with it."""
    told = [(BUYER, fill("1", "4")), (SELLER, SELLER.filled("2", Decimal(4), Decimal(110)))]
    closed = folded(*told)
    assert closed.one(PositionCycleRow).realized_pnl == 40
    rows = folded(*told, (SELLER, bust(SELLER, "2")))
    assert rows.of(PositionCycleRow) == []
    assert columns(rows.one(PositionRow), "quantity avg_price realized_pnl closed_at") == (4, 100, 0, None)


def test_a_bust_of_what_flipped_a_position() -> None:
    """Long 4, sold 6, bought 1: without the sale it is long 5, and nothing was ever closed."""
    told = [
        (BUYER, fill("1", "4")),
        (SELLER, SELLER.filled("2", Decimal(6), Decimal(110))),
        (BUYER, fill("3", "1", "120")),
    ]
    assert columns(folded(*told).one(PositionCycleRow), "reversed side") == (True, "LONG")
    rows = folded(*told, (SELLER, bust(SELLER, "2")))
    assert rows.of(PositionCycleRow) == []
    assert columns(rows.one(PositionRow), "quantity avg_price fills realized_pnl") == (5, 104, 2, 0)


def test_holdings_before_the_last_flat_point_are_left_alone() -> None:
    """Their trades are not even looked at."""
    first = [(BUYER, fill("1", "1")), (SELLER, SELLER.filled("2", Decimal(1), Decimal(103)))]
    second = [(BUYER, fill("3", "2")), (BUYER, fill("4", "1", "130"))]
    rows = folded(*first, *second, (BUYER, bust(BUYER, "3")))
    assert rows.one(PositionCycleRow).realized_pnl == 3
    assert columns(rows.one(PositionRow), "quantity avg_price realized_pnl fills") == (1, 130, 3, 1)


def test_a_position_of_which_nothing_is_left_has_no_row() -> None:
    """As if it had never been traded."""
    rows = folded((BUYER, fill("1", "1")), (BUYER, bust(BUYER, "1")))
    assert rows.of(PositionRow) == []


# --- any revisions at all -------------------------------------------------------------------------

sizes = st.sampled_from([Decimal(size) for size in ("1", "2", "0.3", "7.000000000000000001")])
prices = st.sampled_from([Decimal(price) for price in ("100", "99.123456789", "101.5", "0.000000000000000007")])
fees = st.sampled_from(
    [{}]
    + [
        {"fee": Decimal(fee), "fee_asset": asset}
        for fee, asset in (("0.01", "USDT"), ("-0.01", "BNB"), ("0.001", "BTC"))
    ]
)
orders = st.sampled_from([BUYER, SELLER, Subject(number=3, is_test=True)])
fills = st.tuples(orders, sizes, prices, fees)
Fill = tuple[Subject, Decimal, Decimal, dict[str, Any]]


class Telling:
    """A log of fills, and what should have been told in the first place."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.truth: dict[int, Fill | None] = {}
        self.due: list[tuple[int, Step, Fill | None]] = []

    def fill(self, one: Fill) -> int:
        number = len(self.truth)
        self.truth[number] = one
        self.steps.append(step_of(number, one))
        return number

    def revise_later(self, number: int, then: Fill | None) -> None:
        order = (self.truth[number] or then)[0]  # type: ignore[index]
        name = str(number)
        if then is None:
            event = bust(order, name, f"b{name}")
        else:
            _, size, price, fee = then
            again = {"fee": Decimal(0), "fee_asset": "USDT"} | fee
            event = correct(order, name, str(size), str(price), f"k{name}", **again)
        self.due.append((number, (order.stream, event), None if then is None else (order, *then[1:])))

    def revise(self, which: int) -> None:
        number, step, then = self.due.pop(which)
        self.steps.append(step)
        self.truth[number] = then

    @property
    def should_have_been(self) -> list[Step]:
        return [step_of(number, one) for number, one in self.truth.items() if one is not None]


def step_of(number: int, one: Fill) -> Step:
    order, size, price, fee = one
    return order.stream, order.filled(str(number), size, price, **fee)


@st.composite
def revised(draw: st.DrawFn) -> tuple[list[Step], list[Step]]:
    """A log of fills, some of which are busted or corrected later, in any order; and the log that should have been."""
    telling = Telling()
    for one in draw(st.lists(fills, min_size=1, max_size=12)):
        number = telling.fill(one)
        what = draw(st.sampled_from(["stands", "stands", "busted", "corrected"]))
        if what != "stands":
            telling.revise_later(number, None if what == "busted" else draw(fills))
        while draw(st.booleans()) and telling.due:
            telling.revise(draw(st.integers(0, len(telling.due) - 1)))
    while telling.due:
        telling.revise(0)
    return telling.steps, telling.should_have_been


@pytest.mark.parametrize("page", [1, 5_000])
def test_the_rows_are_those_of_a_log_in_which_it_was_so_all_along(page: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is busted and corrected, whenever, in whatever order: orders, positions, holdings, fees."""
    monkeypatch.setattr(trade_revision, "PAGE_ROWS", page)

    @given(logs=revised())
    @settings(max_examples=300, deadline=None)
    def compare(logs: tuple[list[Step], list[Step]]) -> None:
        told, should = (Folded().fold_all(log_of(steps)) for steps in logs)
        assert alike(told) == alike(should)

    compare()


def alike(rows: Folded) -> dict[str, Any]:
    """What is to be equal, whatever positions and instants the events have."""
    places = {trade.position: trade.execution_id for trade in rows.of(TradeRow)}
    instants = {trade.executed_at: trade.execution_id for trade in rows.of(TradeRow)}

    def told(row: Struct) -> dict[str, Any]:
        values = {name: value for name, value in asdict(row).items() if name not in TOLD_BY_THE_REVISION}
        for name, value in values.items():
            if name.endswith("_position"):
                values[name] = places.get(value)
            elif name.endswith("_at"):
                values[name] = instants.get(value)
        return values

    orders = [row for row in map(told, rows.of(OrderRow)) if row["filled_quantity"]]
    return {
        "orders": sorted(orders, key=lambda row: row["id"]),
        **{
            row_type.__name__: sorted(map(told, rows.of(row_type)), key=str)
            for row_type in (PositionRow, PositionCycleRow, PositionFeeRow, OrderFeeRow)
        },
    }


def test_a_bust_that_spells_the_pair_otherwise_refolds_fees_as_they_were() -> None:
    """What a fee was paid in is known from its own fill."""
    told = (
        fill("1", "5", fee=Decimal("0.01"), fee_asset="BTC"),
        fill("2", "1", fee=Decimal(2), fee_asset="USDT"),
        fill("3", "1"),
    )
    odd = Pair(exchange="binance", symbol="BTCUSDT", base_asset="XBT", quote_asset="ZUSD")
    busted = events.TradeBusted(pair=odd, account="main", exchange_order_id="v1", update_id="b", execution_id="3")
    rows, never = placed(*told, busted), placed(*told[:-1])
    assert alike(rows) == alike(never)


def test_an_execution_id_that_is_there_twice_means_the_one_that_stands() -> None:
    """And of those that stand the one that was told so first."""
    renamed = correct(BUYER, "1", "1", "99", "k1", corrected_execution_id="b")
    again = placed(fill("1", "1"), renamed, bust(BUYER, "b", "x"), fill("b", "2"), bust(BUYER, "b", "y"))
    assert [trade.status for trade in again.of(TradeRow)] == [TradeStatus.BUSTED] * 2
    renamed = correct(BUYER, "1", "1", "99", "k1", corrected_execution_id="2")
    taken = placed(fill("1", "1"), fill("2", "2"), renamed, bust(BUYER, "2"))
    assert [trade.status for trade in taken.of(TradeRow)] == [TradeStatus.CORRECTED, TradeStatus.BUSTED]
    assert kinds(again) == kinds(taken) == []


def test_a_correction_out_of_range_says_so() -> None:
    """What the order came to is unknown from then on, and there is an anomaly."""
    most = "99999999999999999999"
    rows = placed(fill("1", "1"), correct(BUYER, "1", most, most))
    assert "NUMBER_OUT_OF_RANGE" in kinds(rows)
    assert rows.one(OrderRow).filled_notional is None
