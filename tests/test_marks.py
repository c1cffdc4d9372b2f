"""Positions at market: unrealised profit and value at given prices, as a function, as a question, and for operators."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from fractions import Fraction
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from byjy_events import EventLog
from byjy_events.numbers import ZERO
from byjy_events.vocabulary.orders import Side
from byjy_events.vocabulary.pairs import Pair
from projections import (
    TRADING,
    InvalidMark,
    MarkedPosition,
    PositionRow,
    Queries,
    catch_up,
    marked,
    projections_as_of,
    unrealized_pnl,
)
from tests.cli import byjy, rows
from tests.folding import Folded, columns, recorded
from tests.lifecycles import BTC, ETH, Step, Subject
from tests.shared import oracle
from tests.story import tell

MOST = Decimal("99999999999999999999.999999999999999999")
KUCOIN_BTC = Pair(exchange="kucoin", symbol="BTCUSDT", base_asset="BTC", quote_asset="USDT")
MARKS = {BTC.id: Decimal(110), ETH.id: Decimal("0.05")}

money = st.decimals(min_value=-(10**19), max_value=10**19, places=18, allow_nan=False)
small = st.decimals(min_value=Decimal("0.001"), max_value=1000, places=3)


def held(quantity: str | Decimal, avg_price: str | Decimal | None, realized_pnl: str | None = "0") -> PositionRow:
    """A position."""
    return PositionRow(
        trading_pair_id=BTC.id,
        account="main",
        quantity=Decimal(quantity),
        avg_price=None if avg_price is None else Decimal(avg_price),
        realized_pnl=None if realized_pnl is None else Decimal(realized_pnl),
        created_at=1,
        updated_at=1,
        last_position=1,
    )


# --- the function -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("position", "mark", "unrealized", "value", "total"),
    [
        (held("2", "100"), "110", "20", "220", "20"),
        (held("2", "100"), "90", "-20", "180", "-20"),
        (held("-2", "100", "5"), "110", "-20", "-220", "-15"),
        (held("-2", "100", "5"), "90", "20", "-180", "25"),
        (held("1", "100"), "0", "-100", "0", "-100"),
        (held("1", "10"), "-37.63", "-47.63", "-37.63", "-47.63"),
        (held("0", None, "7"), "110", "0", "0", "7"),
    ],
)
def test_a_position_at_a_mark(position: PositionRow, mark: str, unrealized: str, value: str, total: str) -> None:
    """Long and short, at a gain and at a loss, at nothing and below, and flat."""
    found = marked(position, Decimal(mark))
    expected = tuple(map(Decimal, (mark, unrealized, value, total)))
    assert (found.mark, found.unrealized_pnl, found.market_value, found.total_pnl) == expected
    assert found.row == position


def test_the_worked_case_has_its_unrealised_profit() -> None:
    """150,000 at 1.00012, reopened after a round trip, at 1.0003."""
    [case] = [one for one in oracle("positions.json")["cases"] if "closed_and_reopened" in one["src"]]
    folded = Folded()
    for number, (fill, _) in enumerate(case["steps"], 1):
        order = Subject(number=1, side=Side(fill[0]))
        event = order.filled(str(number), Decimal(fill[1]), Decimal(fill[2]))
        folded.fold(recorded(event, number, order.stream))
    expected = case["steps"][-1][1]["upnl@1.0003"]
    assert unrealized_pnl(folded.one(PositionRow), Decimal("1.0003")) == Decimal(expected)


def test_without_a_mark_only_a_flat_position_has_a_value() -> None:
    """Nothing held is worth nothing at any price; what is held at a price that nobody gave is not known."""
    assert marked(held("2", "100"), None) == MarkedPosition(
        row=held("2", "100"), mark=None, unrealized_pnl=None, market_value=None, total_pnl=None
    )
    flat = marked(held("0", None, "7"), None)
    assert columns(flat, "unrealized_pnl market_value total_pnl") == (0, 0, 7)


@given(quantity=money, avg_price=money, mark=money)
def test_profit_and_value_are_exact_to_eighteen_decimals(quantity: Decimal, avg_price: Decimal, mark: Decimal) -> None:
    """Half-even, as fractions have it, or None where NUMERIC(38, 18) ends."""
    found = marked(held(quantity, avg_price if quantity else None), mark)
    price = avg_price if quantity else ZERO
    assert found.unrealized_pnl == rounded((Fraction(mark) - Fraction(price)) * Fraction(quantity))
    assert found.market_value == rounded(Fraction(mark) * Fraction(quantity))


def rounded(value: Fraction) -> Decimal | None:
    """Computed without any decimal context."""
    units = round(value * 10**18)
    return None if abs(units) >= 10**38 else Decimal(f"{units}E-18")


@given(side=st.sampled_from(Side), quantity=small, price=small, mark=small)
def test_closing_at_the_mark_realises_what_was_unrealised(
    side: Side, quantity: Decimal, price: Decimal, mark: Decimal
) -> None:
    """The profit in all is what the position will have realised once it is closed at that price."""
    folded = Folded()
    opening, closing = Subject(number=1, side=side), Subject(number=2, side=Side.SELL if side is Side.BUY else Side.BUY)
    folded.fold(recorded(opening.filled("1", quantity, price), 1, opening.stream))
    promised = marked(folded.one(PositionRow), mark).total_pnl
    folded.fold(recorded(closing.filled("1", quantity, mark), 2, closing.stream))
    after = folded.one(PositionRow)
    assert columns(after, "quantity realized_pnl") == (0, promised)


def test_what_leaves_the_range_of_money_is_not_known() -> None:
    """None, never an exception; the other amounts stand."""
    found = marked(held(MOST, "1"), Decimal(2))
    assert columns(found, "unrealized_pnl market_value total_pnl") == (MOST, None, MOST)
    assert marked(held("1", "1", str(MOST)), Decimal(2)).total_pnl is None
    unknown = marked(held("1", "1", None), Decimal(3))
    assert columns(unknown, "unrealized_pnl total_pnl") == (2, None)
    assert marked(held("1", None), Decimal(3)).unrealized_pnl is None


# --- the question -----------------------------------------------------------------------------------------


def fills() -> list[Step]:
    """Two long, one short, one flat, one on paper, and one on a pair of the same symbol elsewhere."""
    buy, sell = Subject(number=1), Subject(number=2, side=Side.SELL)
    eth = Subject(number=3, pair=ETH, side=Side.SELL)
    paper = Subject(number=4, is_test=True)
    second = Subject(number=5, account="second")
    back = Subject(number=6, account="second", side=Side.SELL)
    other = Subject(number=7, pair=KUCOIN_BTC)
    return [
        (order.stream, order.filled(name, Decimal(quantity), Decimal(price)))
        for order, name, quantity, price in (
            (buy, "a", "3", "100"),
            (sell, "b", "1", "130"),
            (eth, "c", "4", "0.06"),
            (paper, "d", "1", "100"),
            (second, "e", "1", "100"),
            (back, "f", "1", "107"),
            (other, "g", "1", "100"),
        )
    ]


def amounts(found: list[MarkedPosition]) -> dict[tuple[UUID, str, bool], tuple[Any, ...]]:
    """Mark, unrealised profit, value and profit in all, by position."""
    return {
        (one.row.trading_pair_id, one.row.account, one.row.is_test): (
            one.mark,
            one.unrealized_pnl,
            one.market_value,
            one.total_pnl,
        )
        for one in found
    }


EXPECTED = {
    (BTC.id, "main", False): (110, 20, 220, 50),
    (BTC.id, "main", True): (110, 10, 110, 10),
    (BTC.id, "second", False): (110, 0, 0, 7),
    (ETH.id, "main", False): (Decimal("0.05"), Decimal("0.04"), Decimal("-0.2"), Decimal("0.04")),
    (KUCOIN_BTC.id, "main", False): (None, None, None, None),
}


async def test_positions_are_asked_for_at_marks(database: str) -> None:
    """Every one that :meth:`positions` gives, page by page, now and in the past; without a mark, without amounts."""
    async with EventLog.open(database) as log:
        position = await tell(log, fills())
        await catch_up(log, TRADING)
        queries = Queries(log.engine)
        assert amounts(await queries.marked_positions(MARKS)) == EXPECTED
        first = await queries.marked_positions(MARKS, limit=3)
        rest = await queries.marked_positions(MARKS, after=first[-1].row)
        assert [one.row for one in first + rest] == await queries.positions()
        paper = {key: value for key, value in EXPECTED.items() if key[2]}
        assert amounts(await queries.marked_positions(MARKS, pair=BTC.id, account="main", is_test=True)) == paper
        async with projections_as_of(log, position) as past:
            assert amounts(await past.queries.marked_positions(MARKS)) == EXPECTED
        async with projections_as_of(log, 1) as past:
            [only] = await past.queries.marked_positions(MARKS)
            assert only.row.quantity == 3
            assert only.unrealized_pnl == 30


async def test_a_mark_that_is_no_price_is_refused(database: str) -> None:
    """By name, before anything is read."""
    async with EventLog.open(database) as log:
        queries = Queries(log.engine)
        wrong: tuple[Any, ...] = (Decimal("NaN"), Decimal("Infinity"), Decimal("1e20"), Decimal("1e-19"), 61000.5)
        for mark in wrong:
            with pytest.raises(InvalidMark, match=str(BTC.id)) as error:
                await queries.marked_positions({ETH.id: Decimal(1), BTC.id: mark})
            assert (error.value.pair, error.value.mark) == (BTC.id, mark)
            assert error.value.reason


# --- for operators ----------------------------------------------------------------------------------------


@pytest.fixture
def told(database: str) -> str:
    """A database with the fills, projected."""

    async def work() -> None:
        async with EventLog.open(database) as log:
            await tell(log, fills())
            await catch_up(log, TRADING)

    asyncio.run(work())
    return database


def test_the_command_shows_positions_at_marks(told: str) -> None:
    """For programs and for people, now and as of a position; without --mark there is nothing of it."""
    marks = ("--mark", "binance:BTCUSDT=110", "--mark", "ETH-BTC=0.05")
    listed = rows("positions", *marks, database=told)
    keys = ("mark", "unrealized_pnl", "market_value", "total_pnl")
    found = {
        (UUID(row["trading_pair_id"]), row["account"], row["is_test"]): tuple(
            None if row[key] is None else Decimal(row[key]) for key in keys
        )
        for row in listed
    }
    assert found == EXPECTED
    assert rows("as-of", "7", "positions", *marks, database=told) == listed
    of_one = [row for row in listed if row["symbol"] == "ETH-BTC"]
    assert rows("as-of", "7", "positions", "--pair", "ETH-BTC", *marks, database=told) == of_one
    [line] = [
        line.split()
        for line in byjy("positions", "--pair", "ETH-BTC", *marks, database=told).stdout.splitlines()
        if line.startswith("ETH-BTC")
    ]
    assert line[:7] == ["ETH-BTC", "-4", "0.06", "0.05", "0.04", "-0.2", "0.04"]
    plain = rows("positions", database=told)
    assert not set(keys) & set(plain[0])
    assert [{key: value for key, value in row.items() if key not in keys} for row in listed] == plain


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--mark", "BTCUSDT=110"], "--mark: 'BTCUSDT' may mean binance:BTCUSDT, kucoin:BTCUSDT"),
        (["--mark", "ETH-BTC=1", "--mark", "kucoin:ETH-BTC=2"], "--mark: 'kucoin:ETH-BTC' has two prices, 1 and 2"),
        (["--mark", "QQQ=1"], "--mark: no pair is called 'QQQ'"),
    ],
)
def test_a_mark_of_no_one_pair_is_refused(told: str, arguments: list[str], reason: str) -> None:
    """Nothing is shown at a price that may have been meant for another."""
    for command in (["positions"], ["as-of", "7", "positions"]):
        done = byjy(*command, *arguments, database=told)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr
        assert reason in done.stderr
