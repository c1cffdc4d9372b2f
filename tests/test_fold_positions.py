"""Positions: netting at average cost, against worked cases and against the money that moved."""

from __future__ import annotations

import random
from decimal import Decimal
from typing import Any

from byjy_events.numbers import CONTEXT
from byjy_events.vocabulary.orders import OrderFilled, Side
from byjy_events.vocabulary.pairs import Pair
from projections.choices import AnomalyKind
from projections.rows import AnomalyRow, PositionCycleRow, PositionFeeRow, PositionRow
from tests.folding import Folded, columns, recorded
from tests.lifecycles import BTC, Subject
from tests.shared import oracle

PRINTED = Decimal("1e-8")
"""The cases print prices as binary floats and money with 8 decimals."""


class Account:
    """One account that trades one pair, fill by fill."""

    def __init__(self, pair: Pair = BTC) -> None:
        self.pair = pair
        self.folded = Folded()
        self.fills = 0

    def fill(self, side: str, quantity: str, price: str, fee: str = "0", fee_asset: str | None = None) -> PositionRow:
        self.fills += 1
        order = Subject(number=1, pair=self.pair, side=Side(side))
        asset = fee_asset or self.pair.quote_asset
        event = order.filled(str(self.fills), Decimal(quantity), Decimal(price), fee=Decimal(fee), fee_asset=asset)
        self.folded.fold(recorded(event, self.fills, order.stream))
        return self.position

    @property
    def position(self) -> PositionRow:
        return self.folded.one(PositionRow)


def case(src: str) -> Any:
    """The one worked case whose source mentions ``src``."""
    (found,) = [case for case in oracle("positions.json")["cases"] if src in case["src"]]
    return found


def near(value: Decimal | None, wanted: str) -> bool:
    """Equal as far as the case prints."""
    return value is not None and abs(value - Decimal(wanted)) <= PRINTED


def test_same_side_re_weights_and_other_side_realises() -> None:
    """The Trading Technologies example: fees of 0.0001 of the notional are realised at once."""
    account = Account()
    for (side, quantity, price), expected in case("trading_technologies")["steps"]:
        fee = Decimal(quantity) * Decimal(price) * Decimal("0.0001")
        position = account.fill(side, quantity, price, str(fee))
        assert position.quantity == Decimal(expected["qty"])
        assert near(position.avg_price, expected["avg"])
        assert "rpnl" not in expected or near(position.realized_pnl, expected["rpnl"])


def test_fees_in_the_base_asset_change_the_held_quantity() -> None:
    """Bought, less is held than was filled; sold short, more is owed; a quote fee leaves the quantity alone."""
    for (side, quantity, price, fee, asset), expected in case("commission_in_base_currency")["steps"]:
        position = Account().fill(side, quantity, price, fee, asset.removesuffix("(quote)"))
        (signed,) = expected.values()
        assert position.quantity == Decimal(signed)
        assert position.avg_price == Decimal(price)


def test_a_closed_position_opens_again_at_its_new_price() -> None:
    """Flat has no price; what opens afterwards counts its own fills and has realised nothing yet."""
    account = Account()
    opened, closed, reopened = case("closed_and_reopened")["steps"]
    account.fill(*opened[0])
    flat = account.fill(*closed[0])
    assert columns(flat, "quantity avg_price closed_at") == (0, None, 2000)
    position = account.fill(*reopened[0])
    expected = reopened[1]
    assert position.quantity > 0
    assert position.avg_price == Decimal(expected["avg"])
    assert position.fills == expected["fill_count"]
    assert position.closed_at is None
    assert position.realized_pnl is not None
    assert flat.realized_pnl is not None
    assert position.realized_pnl - flat.realized_pnl == Decimal(expected["rpnl"])
    unrealised = (Decimal("1.0003") - position.avg_price) * position.quantity
    assert unrealised == Decimal(expected["upnl@1.0003"])


def test_crossing_zero_closes_the_old_and_opens_the_new() -> None:
    """The barter cases; where a position is closed and a new one opened, ours is the sum of both profits."""
    for numbers in case("barter")["cases"]:
        account = Account()
        for fill in numbers["fills"]:
            position = account.fill(*fill)
        new = numbers.get("new", {})
        profit = sum(Decimal(part) for part in (numbers.get("closed_rpnl", "0"), new.get("rpnl", "0")))
        assert position.realized_pnl == Decimal(numbers.get("rpnl", profit)), numbers["tc"]
        quantity = Decimal(new.get("qty", numbers.get("qty", "0")))
        assert position.quantity == (-quantity if new.get("side") == "SHORT" else quantity)
        average = new.get("avg", numbers.get("avg"))
        assert position.avg_price == (None if average is None else Decimal(average))


def test_a_flat_position_has_realised_exactly_the_money_that_moved() -> None:
    """Whatever was bought, sold and paid in quote and base fees: closed at zero, profit is money in less money out."""
    chance = random.Random(7)
    for _ in range(50):
        account, cash = Account(), Decimal(0)
        for _ in range(20):
            side = chance.choice(("BUY", "SELL"))
            quantity, price = Decimal(chance.randrange(1, 500)) / 100, Decimal(chance.randrange(100, 300)) / 7
            price = price.quantize(Decimal("1e-8"))
            asset = chance.choice(("USDT", "BTC"))
            fee = Decimal(chance.randrange(-10, 20)) / 1000
            account.fill(side, str(quantity), str(price), str(fee), asset)
            cash += quantity * price * (-1 if side == "BUY" else 1) - (fee if asset == "USDT" else 0)
        held = account.position.quantity
        position = account.fill("SELL" if held > 0 else "BUY", str(abs(held)), "30")
        cash += held * 30
        assert position.quantity == 0
        assert position.avg_price is None
        assert position.realized_pnl is not None
        assert abs(position.realized_pnl - cash) < Decimal("1e-14")


def test_numbers_are_rounded_at_every_fill() -> None:
    """A third of a price is kept to 18 decimals, half-even, and the next fill starts from there."""
    account = Account()
    account.fill("BUY", "1", "1")
    assert account.fill("BUY", "2", "2").avg_price == Decimal("1.666666666666666667")
    third = account.fill("SELL", "3", "1.666666666666666667")
    assert third.realized_pnl == 0


def test_a_fee_in_a_third_asset_is_only_tallied() -> None:
    """Neither the quantity nor the profit feels it; its sum is kept for each asset."""
    account = Account()
    account.fill("BUY", "1", "100", "0.5", "BNB")
    account.fill("BUY", "1", "100", "-0.2", "BNB")
    account.fill("BUY", "1", "100", "3", "KCS")
    account.fill("BUY", "1", "100", "0", "FTT")
    assert columns(account.position, "quantity realized_pnl") == (4, 0)
    fees = {row.asset: row.amount for row in account.folded.of(PositionFeeRow)}
    assert fees == {"BNB": Decimal("0.3"), "KCS": 3}


def test_fees_in_base_and_quote_are_tallied_too() -> None:
    """They are in the position already, and the tally says what they came to; what comes to nothing has no row."""
    account = Account()
    account.fill("BUY", "1", "100", "0.5", "USDT")
    account.fill("BUY", "1", "100", "0.5", "BTC")
    account.fill("BUY", "1", "100", "-0.5", "USDT")
    assert columns(account.position, "quantity realized_pnl") == (Decimal("2.5"), -50)
    assert {row.asset: row.amount for row in account.folded.of(PositionFeeRow)} == {"BTC": Decimal("0.5")}


def test_a_holding_that_was_closed_is_kept_with_its_own_profit() -> None:
    """Closed flat or through zero, with its side, its peak, its fills and its part of the fee."""
    account = Account()
    account.fill("BUY", "1", "100", "1")
    account.fill("BUY", "1", "110")
    account.fill("SELL", "2", "120")
    account.fill("SELL", "1", "90")
    account.fill("BUY", "4", "80", "2")
    first, second = account.folded.of(PositionCycleRow)
    assert columns(first, "side opened_position closed_position fills peak_quantity avg_price reversed") == (
        "LONG", 1, 3, 3, 2, 105, False,
    )  # fmt: skip
    assert columns(first, "realized_pnl total_realized_pnl opened_at closed_at") == (29, 29, 1000, 3000)
    assert columns(second, "side opened_position closed_position fills peak_quantity reversed") == (
        "SHORT", 4, 5, 2, 1, True,
    )  # fmt: skip
    assert columns(second, "realized_pnl total_realized_pnl") == (Decimal("9.5"), Decimal("38.5"))
    position = account.position
    assert columns(position, "quantity fills opened_position peak_quantity") == (3, 1, 5, 3)
    assert columns(position, "realized_pnl cycle_realized_pnl") == (37, Decimal("-1.5"))


def test_paper_trades_never_touch_live_positions() -> None:
    """Each account, and paper and live apart, has a row of its own."""
    folded = Folded()
    subjects = [Subject(number=1), Subject(number=2, is_test=True), Subject(number=3, account="second")]
    for position, order in enumerate(subjects, 1):
        folded.fold(recorded(order.filled("1", Decimal(position), Decimal(10)), position, order.stream))
    held = {(row.account, row.is_test): row.quantity for row in folded.of(PositionRow)}
    assert held == {("main", False): 1, ("main", True): 2, ("second", False): 3}


def test_a_position_that_leaves_the_range_of_money_says_so_and_goes_on() -> None:
    """A quantity out of range stays as it was, a profit out of range is unknown; both are anomalies."""
    account, most = Account(), "99999999999999999999"
    account.fill("BUY", most, "1")
    assert account.fill("BUY", "1", "1").quantity == Decimal(most)
    assert account.fill("SELL", most, most).realized_pnl is None
    position = account.fill("BUY", "1", "2")
    assert columns(position, "quantity avg_price realized_pnl") == (1, 2, None)
    odd = [row.position for row in account.folded.of(AnomalyRow) if row.kind is AnomalyKind.NUMBER_OUT_OF_RANGE]
    assert {2, 3} <= set(odd)


def test_the_fold_works_with_sixty_digits_whatever_the_caller_s_context() -> None:
    """Products of 38-digit numbers are not cut to the 28 digits that Python starts with."""
    account = Account()
    account.fill("BUY", "12345678901234567890.123456789012345678", "1")
    position = account.fill("BUY", "0.000000000000000001", "1")
    assert position.quantity == Decimal("12345678901234567890.123456789012345679")
    assert CONTEXT.prec == 60
    assert isinstance(account.position, PositionRow)


def test_a_fill_without_quantity_changes_nothing_that_is_held() -> None:
    """Venues do send fills of nothing; flat stays flat, a price stays a price."""
    account = Account()
    assert account.fill("BUY", "0", "5").avg_price is None
    account.fill("BUY", "2", "7")
    position = account.fill("SELL", "0", "5")
    assert columns(position, "quantity avg_price realized_pnl") == (2, 7, 0)


def test_positions_follow_fills_of_orders_that_nobody_placed() -> None:
    """What is held is what was executed, whoever ordered it."""
    order = Subject(number=9, side=Side.SELL)
    folded = Folded()
    fill = order.filled("1", Decimal(2), Decimal(10))
    assert isinstance(fill, OrderFilled)
    folded.fold(recorded(fill, 1, order.stream))
    assert folded.one(PositionRow).quantity == -2
