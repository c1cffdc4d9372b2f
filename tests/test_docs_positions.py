"""The page about positions: every number of its example is what the fold makes of the fills that it shows."""

from __future__ import annotations

import re
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import pytest

from byjy_events.event import Event
from byjy_events.stream import Stream
from byjy_events.vocabulary.orders import Side, TradeBusted
from projections.marks import marked
from projections.rows import ExecutionFeeRow, ExecutionTotalsRow, PositionCycleRow, PositionFeeRow, PositionRow
from tests.folding import Folded, recorded
from tests.lifecycles import Subject

PAGE = Path(__file__).resolve().parents[1] / "docs" / "reference" / "positions.md"
BUYER, SELLER = Subject(number=1), Subject(number=2, side=Side.SELL)

Table = list[list[str]]


def tables(first_column: str) -> list[Table]:
    """The rows of every table of the page whose first column is called so, cell by cell."""
    found = re.findall(rf"\| {re.escape(first_column)} \|.*\n\|[-|]+\|\n((?:\|.*\n)+)", PAGE.read_text())
    return [[[cell.strip() for cell in line[1:-1].split("|")] for line in rows.splitlines()] for rows in found]


(EXAMPLE,) = tables("#")
FILLS = [row for row in EXAMPLE if not row[1].startswith("bust")]


def after(number: int) -> Folded:
    """What the tables hold after the row of that number; its number is its place in the log."""
    folded = Folded()
    for position, row in enumerate(EXAMPLE[:number], 1):
        folded.fold(recorded(*_told(position, row)))
    return folded


def _told(position: int, row: list[str]) -> tuple[Event, int, Stream]:
    number, what, fee, *_ = row
    assert int(number) == position
    match what.split():
        case ["bust", "of", busted]:
            order = _order(EXAMPLE[int(busted) - 1][1])
            return order.fact(TradeBusted, update_id="bust", execution_id=busted), position, order.stream
        case [_, quantity, "@", price]:
            order = _order(what)
            amount, _, asset = fee.partition(" ")
            paid = {"fee": Decimal(amount), "fee_asset": asset} if fee else {}
            return order.filled(number, Decimal(quantity), Decimal(price), **paid), position, order.stream
    raise AssertionError(what)


def _order(what: str) -> Subject:
    return BUYER if what.startswith("BUY") else SELLER


def shown(value: Decimal | None) -> str:
    """A number as the page has it."""
    return "" if value is None else f"{value:f}"


@pytest.mark.parametrize("row", EXAMPLE, ids=lambda row: f"{row[0]} {row[1]}")
def test_every_row_of_the_example_is_what_the_fold_makes(row: list[str]) -> None:
    """Quantity, average price, profit in all and of the holding."""
    position = after(int(row[0])).one(PositionRow)
    numbers = (position.quantity, position.avg_price, position.realized_pnl, position.cycle_realized_pnl)
    assert [shown(number) for number in numbers] == row[3:]


@pytest.mark.parametrize(("table", "number"), [(0, 10), (1, 11)])
def test_the_closed_holdings_are_those_of_the_fold(table: int, number: int) -> None:
    """After the last fill, and after the bust."""
    both = tables("Opened by")
    assert len(both) == 2
    cycles = sorted(after(number).of(PositionCycleRow), key=lambda row: row.closed_position)
    assert [_closed(row) for row in cycles] == both[table]


def _closed(row: PositionCycleRow) -> list[str]:
    money = [row.peak_quantity, row.avg_price, row.realized_pnl, row.total_realized_pnl]
    places, reversed_ = [str(row.opened_position), str(row.closed_position)], "yes" if row.reversed else "no"
    return [*places, row.side, *map(shown, money), str(row.fills), reversed_]


def test_the_fees_are_those_of_the_fold() -> None:
    """In each asset, before and after the bust."""
    rows = tables("After")[0]
    assert [row[0] for row in rows] == ["10", "11"]
    for number, *amounts in rows:
        fees = {row.asset: shown(row.amount) for row in after(int(number)).of(PositionFeeRow)}
        assert fees == dict(zip(("USDT", "BTC", "BNB"), amounts, strict=True))


ORDERS = {
    ("A", Side.BUY): Subject(number=1),
    ("A", Side.SELL): Subject(number=4, side=Side.SELL),
    ("B", Side.SELL): Subject(number=2, side=Side.SELL),
    ("B", Side.BUY): Subject(number=5),
    ("none", Side.SELL): Subject(number=3, side=Side.SELL),
}
"""Of the example about executions."""


def test_what_executions_traded_is_what_the_fold_makes() -> None:
    """Of the execution whose trade it is, and of the position, row by row; and the fees in the end."""
    (rows,) = tables("Trade")
    folded = Folded()
    for place, order in enumerate(ORDERS.values(), 1):
        folded.fold(recorded(order.placed(Decimal(10), Decimal(100)), place, order.stream))
    for place, (what, whose, fee, *numbers) in enumerate(rows, len(ORDERS) + 1):
        order = ORDERS[whose, Side(what.split()[0])]
        _, quantity, _, price = what.split()
        amount, _, asset = fee.partition(" ")
        paid = {"fee": Decimal(amount), "fee_asset": asset} if fee else {}
        fill = order.filled(str(place), Decimal(quantity), Decimal(price), **paid)
        folded.fold(recorded(fill, place, order.stream))
        position = folded.one(PositionRow)
        assert [*_traded(folded, order), shown(position.quantity), shown(position.realized_pnl)] == numbers, what
    fees = sorted((row.amount, row.asset) for row in folded.of(ExecutionFeeRow))
    assert fees == [(Decimal("0.1"), "BNB"), (Decimal("0.2"), "USDT"), (Decimal("0.5"), "USDT")]


def _traded(folded: Folded, order: Subject) -> list[str]:
    for row in folded.of(ExecutionTotalsRow):
        if row.strategy_execution_id == order.execution:
            return [str(row.fills), *map(shown, (row.volume, row.quantity, row.avg_price, row.realized_pnl))]
    return [""] * 5


def test_what_is_unrealised_is_what_the_marks_make_of_the_fold() -> None:
    """Long, short and flat."""
    rows = tables("After")[1]
    assert len(rows) >= 4
    for number, mark, *amounts in rows:
        at_market = marked(after(int(number)).one(PositionRow), Decimal(mark))
        found = (at_market.unrealized_pnl, at_market.market_value, at_market.total_pnl)
        assert [shown(amount) for amount in found] == amounts, number


def test_flat_the_profit_is_the_money_that_moved() -> None:
    """What the eight fills paid and brought, as the page says it."""
    paid, brought = Decimal(0), Decimal(0)
    for _, what, fee, *_ in FILLS[:8]:
        side, quantity, _, price = what.split()
        amount, _, asset = fee.partition(" ")
        money = Decimal(quantity) * Decimal(price) * (1 if side == "SELL" else -1)
        money -= Decimal(amount) if asset == "USDT" else 0
        paid, brought = paid - min(money, Decimal(0)), brought + max(money, Decimal(0))
    paid, brought = paid.normalize(), brought.normalize()
    assert f"paid {paid} and brought {brought}, fees included; the difference is {brought - paid}" in PAGE.read_text()
    assert after(8).one(PositionRow).realized_pnl == brought - paid


def test_the_example_has_a_case_of_every_rule() -> None:
    """Both sides, fees in quote, base and a third asset, a rebate, a crossing of zero, a close, a bust."""
    fees = " ".join(row[2] for row in EXAMPLE)
    assert all(asset in fees for asset in ("USDT", "BTC", "BNB", "-"))
    quantities = [Decimal(row[3]) for row in EXAMPLE]
    assert any(one * other < 0 for one, other in pairwise(quantities))
    assert Decimal(0) in quantities
    assert EXAMPLE[-1][1].startswith("bust of ")
