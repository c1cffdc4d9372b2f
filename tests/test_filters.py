"""Filters of a trading pair: which numbers pass, and by how much the others miss."""

from __future__ import annotations

import decimal
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from byjy_events.event import Event
from byjy_events.identifiers import new_order_id
from byjy_events.stream import pair_stream
from byjy_events.vocabulary.orders import OrderAmendRequested, OrderPlaced, OrderStatus, OrderType, Side
from byjy_events.vocabulary.pairs import PairListed, PairStatus, PairStatusChanged
from projections.deciding import folded_pair
from projections.errors import FilterViolated
from projections.filters import Violation, violations
from projections.rows import TradingPairRow
from tests.folding import log_of
from tests.lifecycles import BTC

STREAM = pair_stream(BTC.exchange, BTC.symbol)


def pair(*events: Event, **filters: str) -> TradingPairRow:
    """A pair as the log tells of it, or as a listing with these filters does."""
    limits: dict[str, Any] = {name: Decimal(value) for name, value in filters.items()}
    told = events or (PairListed(pair=BTC, **limits),)
    row = folded_pair(log_of((STREAM, event) for event in told))
    assert row is not None
    return row


def terms(quantity: str = "1", price: str = "100", stop_price: str = "90") -> OrderPlaced:
    return OrderPlaced(
        pair=BTC,
        account="main",
        side=Side.BUY,
        type=OrderType.STOP_LOSS_LIMIT,
        quantity=Decimal(quantity),
        price=Decimal(price),
        stop_price=Decimal(stop_price),
    )


@pytest.mark.parametrize(
    ("filters", "values", "missed"),
    [
        ({"min_quantity": "0.01"}, {"quantity": "0.01"}, None),
        ({"min_quantity": "0.01"}, {"quantity": "0.0099"}, "quantity min_quantity 0.0001"),
        ({"max_quantity": "5"}, {"quantity": "5"}, None),
        ({"max_quantity": "5"}, {"quantity": "5.5"}, "quantity max_quantity 0.5"),
        ({"step_size": "0.001"}, {"quantity": "0.003"}, None),
        ({"step_size": "0.001"}, {"quantity": "0.0015"}, "quantity step_size 0.0005"),
        ({"step_size": "0.001"}, {"quantity": "0.0005"}, "quantity step_size 0.0005"),
        ({"step_size": "5"}, {"quantity": "17"}, "quantity step_size 2"),
        ({"min_price": "10"}, {"price": "9"}, "price min_price 1"),
        ({"max_price": "1000"}, {"price": "1000.01"}, "price max_price 0.01"),
        ({"tick_size": "0.01"}, {"price": "99.99"}, None),
        ({"tick_size": "0.01"}, {"price": "99.995"}, "price tick_size 0.005"),
        ({"min_price": "10"}, {"stop_price": "9"}, "stop_price min_price 1"),
        ({"max_price": "1000"}, {"stop_price": "1001"}, "stop_price max_price 1"),
        ({"tick_size": "0.5"}, {"stop_price": "90.3"}, "stop_price tick_size 0.3"),
        ({}, {"quantity": "99999999999999999999", "price": "0.000000000000000001"}, None),
    ],
)
def test_a_number_passes_or_misses_by_so_much(
    filters: dict[str, str], values: dict[str, str], missed: str | None
) -> None:
    """Bounds are part of what is allowed; quantity and price each have filters of their own."""
    found = [f"{one.field} {one.filter} {one.off_by}" for one in violations(pair(**filters), terms(**values))]
    assert found == ([] if missed is None else [missed])


def test_a_filter_of_zero_is_no_filter() -> None:
    """Binance switches a rule off that way, also the greatest price."""
    nothing = {name: "0" for name in TradingPairRow.__struct_fields__ if name.startswith(("min_", "max_"))}
    assert not list(violations(pair(**nothing, step_size="0", tick_size="0"), terms()))


def test_the_grid_counts_from_zero_and_not_from_the_minimum() -> None:
    """With a minimum that is off the grid, 1.5 and 2.5 are steps from the minimum, but not multiples of one."""
    odd = pair(min_quantity="1.5", step_size="1")
    assert not list(violations(odd, terms("2")))
    (violation,) = violations(odd, terms("2.5"))
    assert violation == Violation("quantity", "step_size", Decimal(1), Decimal("2.5"), Decimal("0.5"))


def test_the_longest_numbers_are_compared_to_their_last_digit() -> None:
    """38 digits, whatever the thread's own decimal context would make of them."""
    small = "0.000000000000000001"
    exact, above = "99999999999999999999.999999999999999998", "99999999999999999999.999999999999999999"
    with decimal.localcontext(prec=3):
        assert not list(violations(pair(step_size="0.000000000000000002", max_quantity=exact), terms(exact)))
        found = [(one.filter, one.off_by) for one in violations(pair(step_size="0.000000000000000002"), terms(above))]
        assert found == [("step_size", Decimal(small))]
        (over,) = violations(pair(max_quantity=exact), terms(above))
        assert over.off_by == Decimal(small)


numbers = st.integers(1, 10**38 - 1).map(lambda digits: Decimal(f"{digits}e-18"))


@given(value=numbers, least=numbers, most=numbers, step=numbers)
def test_filters_are_those_of_exact_arithmetic(value: Decimal, least: Decimal, most: Decimal, step: Decimal) -> None:
    """Computed again with fractions, which know no precision."""
    listed = pair(PairListed(pair=BTC, min_quantity=least, max_quantity=most, step_size=step))
    found = {one.filter: Fraction(one.off_by) for one in violations(listed, terms(str(value)))}
    exact = {
        "min_quantity": Fraction(least) - Fraction(value),
        "max_quantity": Fraction(value) - Fraction(most),
        "step_size": Fraction(value) % Fraction(step),
    }
    assert found == {name: missed for name, missed in exact.items() if missed > 0}


def test_an_amendment_is_measured_by_the_values_that_it_names() -> None:
    """What it leaves as it is passed when the order was placed, and filters may have changed since."""
    listed = pair(step_size="1", tick_size="1", min_price="5")
    assert [one.field for one in violations(listed, OrderAmendRequested(price=Decimal("7.5")))] == ["price"]
    assert [one.field for one in violations(listed, OrderAmendRequested(quantity=Decimal("7.5")))] == ["quantity"]
    assert [one.filter for one in violations(listed, OrderAmendRequested(stop_price=Decimal(4)))] == ["min_price"]


def test_a_pair_that_was_never_listed_has_no_filters() -> None:
    """Its status may be known, nothing else is."""
    halted = pair(PairStatusChanged(pair=BTC, status=PairStatus.MAINTENANCE))
    assert halted.external
    assert not list(violations(halted, terms("0.000000000000000001")))


def test_a_new_listing_replaces_every_filter_of_the_old_one() -> None:
    """It is the whole truth of its moment: what it does not name is no filter any more."""
    relisted = pair(
        PairListed(pair=BTC, step_size=Decimal(1), max_price=Decimal(1)), PairListed(pair=BTC, step_size=Decimal("0.1"))
    )
    assert not list(violations(relisted, terms("0.1")))


@pytest.mark.parametrize(
    ("filter_name", "limit", "value", "off_by", "sentence"),
    [
        ("step_size", "0.001", "0.0015", "0.0005", "quantity 0.0015 is 0.0005 above a multiple of step_size 0.001"),
        ("min_quantity", "6", "5", "1", "quantity 5 is 1 below min_quantity 6"),
        ("max_quantity", "1E-7", "2E-7", "1E-7", "quantity 0.0000002 is 0.0000001 above max_quantity 0.0000001"),
    ],
)
def test_the_error_says_which_filter_and_by_how_much(
    filter_name: str, limit: str, value: str, off_by: str, sentence: str
) -> None:
    """In plain digits, after the order and its status."""
    order = new_order_id()
    error = FilterViolated(
        order,
        OrderStatus.NEW,
        "OrderAmendRequested",
        field="quantity",
        filter_name=filter_name,
        limit=Decimal(limit),
        value=Decimal(value),
        off_by=Decimal(off_by),
    )
    assert error.reason == sentence
    assert str(error) == f"order {order}, which is NEW, refuses OrderAmendRequested: {sentence}"
