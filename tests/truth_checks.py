"""Rows against the truth of a made-up venue: every order, trade, position, closed holding and fee."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from fractions import Fraction
from typing import Any

from byjy_events.vocabulary.orders import Side
from projections.choices import TradeStatus
from tests.replay import Tables
from tests.test_runner_chunks import NewDatabase, new_database  # noqa: F401 - a fixture
from tests.venue_model import Book, Cycle, Order, Trade, cut, fees_of
from tests.venue_told import Heard, Record


def fraction(value: Decimal | None) -> Fraction | None:
    return None if value is None else Fraction(value)


def check(tables: Tables, heard: Heard) -> None:
    """Every order, every trade, every position and cycle and all fees."""
    assert {stream.id for stream in heard.records} == tables["orders"].keys()
    for stream, record in heard.records.items():
        check_order(tables["orders"][stream.id], record)
        fees = [row for row in rows_of(tables, "order_fees") if row.order_id == stream.id]
        assert {row.asset: Fraction(row.amount) for row in fees} == record.fees
    holdings = heard.trades()
    assert {(pair.id, *rest) for pair, *rest in holdings} == tables["positions"].keys()
    for (pair, account, is_test), told in holdings.items():
        names = {id(one): (stream.id, one.names[-1]) for stream, one in told}
        trades = [one for _, one in told]
        check_position(tables, (pair.id, account, is_test), Book(trades, pair), names)
        assert fees_by_asset(tables, (pair.id, account, is_test)) == fees_of(trades)
    check_executions(tables, heard)
    check_conservation(tables, heard)


def check_order(row: Any, record: Record) -> None:
    assert row.status == record.status
    assert fraction(row.quantity) == record.quantity
    assert Fraction(row.filled_quantity) == record.filled
    assert fraction(row.leaves_quantity) == record.leaves
    if record.average is not None or record.beyond:  # where trades add up to what a snapshot told, theirs may be known
        assert fraction(row.avg_price) == record.average or (row.avg_price is None and record.average_lost)
    assert (fraction(row.commission), row.commission_asset and record.commission[1]) == record.commission
    assert row.external is not record.placed
    assert (row.accepted_at is not None) is record.accepted


def check_position(tables: Tables, key: Any, book: Book, names: dict[int, Any]) -> None:
    row: Any = tables["positions"][key]
    assert (row.quantity, fraction(row.avg_price)) == (book.held, book.average if book.held else None)
    assert Fraction(row.realized_pnl) == book.profit
    places = {one.position: (one.order_id, one.execution_id) for one in tables["trades"].values()}  # type: ignore[attr-defined]

    def of_row(one: Any) -> Any:
        return (
            *(places[one.opened_position], places[one.closed_position], one.side, one.reversed, one.fills),
            *map(Fraction, (one.peak_quantity, one.realized_pnl, one.avg_price)),
        )

    def of_cycle(one: Cycle) -> Any:
        opened, closed = names[id(one.opened_by)], names[id(one.closed_by)]
        return opened, closed, one.side, one.reversed, one.fills, one.peak, one.profit, one.average

    found: list[Any] = [one for one in tables["position_cycles"].values() if key_of(one) == key]
    found.sort(key=lambda one: one.closed_position)
    assert [of_row(one) for one in found] == [of_cycle(one) for one in book.cycles if one.closed_by]
    if book.held:
        cycle = book.cycles[-1]
        assert (row.fills, Fraction(row.peak_quantity), places[row.opened_position]) == (
            cycle.fills,
            cycle.peak,
            names[id(cycle.opened_by)],
        )
    running = row.cycle_realized_pnl if row.quantity else 0
    assert sum((Fraction(one.realized_pnl) for one in found), Fraction(running)) + book.flat_costs == Fraction(
        row.realized_pnl
    )


def check_executions(tables: Tables, heard: Heard) -> None:
    """What each execution's orders came to, had nobody else traded; fills from before the placing are not its own."""
    orders: Counter[Any] = Counter()
    for record in heard.records.values():
        order = record.order
        if record.placed and order.execution is not None:
            orders[order.execution, order.pair.id, order.account, order.is_test] += 1
    trades: dict[Any, list[Trade]] = {}
    pairs = {}
    for (pair, account, is_test), told in heard.trades().items():
        for stream, one in told:
            execution = heard.records[stream].order.execution
            if one.placed and execution is not None:
                trades.setdefault((execution, pair.id, account, is_test), []).append(one)
                pairs[pair.id] = pair
    rows: Any = tables["strategy_execution_totals"]
    assert rows.keys() == orders.keys() | trades.keys()
    for key, row in rows.items():
        mine = trades.get(key, [])
        book = Book(mine, pairs[key[1]]) if mine else None
        assert (row.orders, row.fills) == (orders[key], len(mine))
        assert Fraction(row.volume) == sum((cut(one.quantity * one.price) for one in mine), Fraction(0))
        assert Fraction(row.realized_pnl) == (book.profit if book else 0)
        assert (row.quantity, fraction(row.avg_price)) == (
            (book.held, book.average) if book and book.held else (0, None)
        )
    check_fees_of_executions(tables, trades)


def check_fees_of_executions(tables: Tables, trades: dict[Any, list[Trade]]) -> None:
    by_execution: dict[Any, list[Trade]] = {}
    for (execution, *_), some in trades.items():
        by_execution.setdefault(execution, []).extend(some)
    expected = {
        (execution, asset): fee for execution, some in by_execution.items() for asset, fee in fees_of(some).items()
    }
    found = rows_of(tables, "strategy_execution_fees")
    assert {(one.strategy_execution_id, one.asset): Fraction(one.amount) for one in found} == expected


def check_conservation(tables: Tables, heard: Heard) -> None:
    """From the rows alone: trades are what orders filled, but for what a snapshot told; and what positions hold."""
    of_orders: dict[Any, Fraction] = {}
    of_positions: dict[Any, Fraction] = {}
    base = {row.id: row.base_asset for row in tables["trading_pairs"].values()}  # type: ignore[attr-defined]
    for one in rows_of(tables, "trades"):
        if one.status is not TradeStatus.BUSTED:
            sign = 1 if one.side is Side.BUY else -1
            of_orders[one.order_id] = of_orders.get(one.order_id, Fraction(0)) + Fraction(one.quantity)
            paid = one.fee if one.fee_asset == base[one.trading_pair_id] else 0
            of_positions[key_of(one)] = (
                of_positions.get(key_of(one), Fraction(0)) + sign * Fraction(one.quantity) - Fraction(paid)
            )
    beyond = {stream.id: record.beyond for stream, record in heard.records.items()}
    filled = {one.id: Fraction(one.filled_quantity) - beyond[one.id] for one in rows_of(tables, "orders")}
    assert {order: quantity for order, quantity in filled.items() if quantity} == of_orders
    assert {key_of(one): Fraction(one.quantity) for one in rows_of(tables, "positions")} == of_positions


def rows_of(tables: Tables, name: str) -> list[Any]:
    return list(tables[name].values())


def key_of(row: Any) -> Any:
    return row.trading_pair_id, row.account, row.is_test


def fees_by_asset(tables: Tables, key: Any) -> dict[str, Fraction]:
    return {one.asset: Fraction(one.amount) for one in rows_of(tables, "position_fees") if key_of(one) == key}


def assert_same(record: Record, order: Order) -> None:
    """What was told comes to what is true."""
    terms = order.terms
    assert (record.filled, record.average) == (terms.filled, terms.average)
    assert (record.commission, record.fees) == (terms.commission, terms.fees)
    if record.quantity is not None:  # else nobody said
        assert (record.quantity, record.status) == (terms.quantity, terms.status)
