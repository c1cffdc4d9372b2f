"""What an execution of a strategy traded: counted from the orders that carry its id, and from their trades alone."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from fractions import Fraction
from operator import attrgetter
from typing import Any
from uuid import UUID

import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st

from byjy_events.event import Event
from byjy_events.log import EventLog
from byjy_events.recorded import Recorded
from byjy_events.vocabulary import orders as events
from byjy_events.vocabulary.orders import Side
from byjy_ops.cli import answered
from projections import (
    TRADING,
    Projector,
    Queries,
    catch_up,
    execution_totals,
    projections_as_of,
    rebuild,
    runner,
    verify,
)
from projections.choices import AnomalyKind, TradeStatus
from projections.pairs import trading_pair_id
from projections.rows import (
    AnomalyRow,
    ExecutionFeeRow,
    ExecutionTotalsRow,
    PositionFeeRow,
    PositionRow,
    TradeRow,
)
from tests.folding import Folded, columns, log_of
from tests.lifecycles import ETH, Step, Subject, any_moves, execution_of, lifecycles
from tests.moves import VenueOrder
from tests.replay import Tables, assert_rows_are_the_log, events_of, folded, stored
from tests.story import tell
from tests.test_truth import in_chunks
from tests.venue_model import Book, Trade, cut, fees_of

ONE, OTHER, NOBODYS = Subject(number=1), Subject(number=2, side=Side.SELL), Subject(number=3)
AGAIN = Subject(number=4, side=Side.SELL)
"""Of the same execution as ONE."""
VENUE = VenueOrder(number=9)
LINKED = (ONE, events.OrderLinked(external_order_id=VENUE.stream.id))
PRICE = Decimal(100)

KEY = ("trading_pair_id", "account", "is_test")

Told = tuple[Subject, Event]


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    """Commands in this process send the log to a standard error that pytest closes afterwards."""
    yield
    structlog.reset_defaults()


def rows_after(*told: Told) -> Folded:
    return Folded().fold_all(log_of((order.stream, event) for order, event in told))


def placed(order: Subject = ONE) -> Told:
    return order, order.placed(Decimal(10), PRICE)


def fill(order: Subject, name: str, quantity: str, price: str = "100", fee: str = "") -> Told:
    amount, _, asset = fee.partition(" ")
    paid = {"fee": Decimal(amount), "fee_asset": asset} if fee else {}
    return order, order.filled(name, Decimal(quantity), Decimal(price), **paid)


def bust(order: Subject, execution: str) -> Told:
    return order, order.fact(events.TradeBusted, update_id="b", execution_id=execution)


def correct(order: Subject, execution: str, quantity: str, price: str, **fields: Any) -> Told:
    terms = {"quantity": Decimal(quantity), "price": Decimal(price), **fields}
    return order, order.fact(events.TradeCorrected, update_id="k", execution_id=execution, **terms)


def totals(rows: Folded, order: Subject = ONE) -> ExecutionTotalsRow:
    """Of the only pair and account that the order's execution traded on."""
    (row,) = [one for one in rows.of(ExecutionTotalsRow) if one.strategy_execution_id == order.execution]
    return row


def summed(rows: Folded, order: Subject = ONE) -> tuple[Any, ...]:
    return columns(totals(rows, order), "orders fills volume quantity avg_price realized_pnl")


def fees(rows: Folded) -> dict[tuple[UUID, str], Decimal]:
    return {(row.strategy_execution_id, row.asset): row.amount for row in rows.of(ExecutionFeeRow)}


# --- orders and fills -----------------------------------------------------------------------------


def test_an_execution_counts_its_orders_and_fills() -> None:
    """Volume, what it holds at which price, and what it made, fees in quote and base included."""
    rows = rows_after(
        placed(),
        placed(AGAIN),
        fill(ONE, "a", "2", "100", "0.5 USDT"),
        fill(ONE, "b", "2", "110", "0.001 BTC"),
        fill(AGAIN, "c", "1", "120", "0.1 BNB"),
    )
    position = rows.one(PositionRow)
    assert summed(rows) == (2, 3, 540, Decimal("2.999"), position.avg_price, position.realized_pnl)
    assert position.realized_pnl
    assert columns(totals(rows), "created_at updated_at last_position") == (1000, 5000, 5)
    mine = {(ONE.execution, row.asset): row.amount for row in rows.of(PositionFeeRow)}
    assert fees(rows) == mine
    assert len(mine) == 3


def test_what_others_trade_of_the_same_position_is_not_its_own() -> None:
    """Another execution, and an order of none: the position nets all three, the totals none of the others."""
    rows = rows_after(
        placed(), placed(OTHER), placed(NOBODYS),
        fill(ONE, "a", "2", "100"), fill(OTHER, "a", "2", "110"), fill(NOBODYS, "a", "5", "90", "1 BNB"),
    )  # fmt: skip
    assert summed(rows) == (1, 1, 200, 2, 100, 0)
    assert summed(rows, OTHER) == (1, 1, 220, -2, 110, 0)
    assert rows.one(PositionRow).realized_pnl == 20
    assert {row.strategy_execution_id for row in rows.of(TradeRow)} == {ONE.execution, OTHER.execution, None}
    assert len(rows.of(ExecutionTotalsRow)) == 2
    assert fees(rows) == {}


def test_pairs_accounts_and_paper_have_rows_of_their_own() -> None:
    """Fees are summed over all of them."""
    orders = [
        ONE,
        Subject(number=4, pair=ETH),
        Subject(number=7, account="second"),
        Subject(number=10, is_test=True),
    ]
    rows = rows_after(*map(placed, orders), *(fill(one, "a", "1", "50", "0.25 BNB") for one in orders))
    assert {one.execution for one in orders} == {ONE.execution}
    keys = {(row.trading_pair_id, row.account, row.is_test) for row in rows.of(ExecutionTotalsRow)}
    assert keys == {(row.trading_pair_id, row.account, row.is_test) for row in rows.of(PositionRow)}
    assert len(keys) == 4
    assert fees(rows) == {(ONE.execution, "BNB"): 1}


def test_an_order_counts_once_whatever_becomes_of_it() -> None:
    """Placed again, rejected: one order, as it was placed first."""
    rejected = ONE, ONE.fact(events.OrderRejected, reason="no funds")
    assert summed(rows_after(placed(), placed(), rejected)) == (1, 0, 0, 0, None, 0)


def test_a_rebate_that_makes_up_for_a_fee_leaves_no_row() -> None:
    """As in the fees of orders and positions."""
    assert fees(rows_after(placed(), fill(ONE, "a", "1", fee="0.5 BNB"), fill(ONE, "b", "1", fee="-0.5 BNB"))) == {}


def test_a_fill_from_before_the_placing_belongs_to_no_execution() -> None:
    """It is an anomaly already; the order counts, and so does what it fills from then on."""
    rows = rows_after(fill(ONE, "a", "2", fee="1 BNB"), placed(), fill(ONE, "b", "3", "90"))
    assert summed(rows) == (1, 1, 270, 3, 90, 0)
    assert [row.strategy_execution_id for row in rows.of(TradeRow)] == [None, ONE.execution]
    assert [(row.kind, row.position) for row in rows.of(AnomalyRow)][-1] == (AnomalyKind.UNKNOWN_ORDER, 1)
    assert fees(rows) == {}
    again = rows_after(fill(ONE, "a", "2"), placed(), fill(ONE, "b", "3", "90"), bust(ONE, "a"))
    assert summed(again) == (1, 1, 270, 3, 90, 0)


def test_a_sum_out_of_range_is_unknown_and_says_so() -> None:
    """Volume and profit are null from then on, and everything else goes on."""
    far = "90000000000000000000"
    rows = rows_after(placed(), fill(ONE, "a", "1", far), fill(ONE, "b", "1", far), fill(ONE, "c", "1", "1"))
    assert columns(totals(rows), "fills volume quantity realized_pnl") == (3, None, 3, 0)
    odd = [row for row in rows.of(AnomalyRow) if row.kind is AnomalyKind.NUMBER_OUT_OF_RANGE]
    assert [row.position for row in odd] == [3]
    opposed = rows_after(
        placed(OTHER), placed(), fill(OTHER, "a", far, "1"), fill(ONE, "a", far, "1"), fill(ONE, "b", far, "1", "1 BNB")
    )
    assert columns(totals(opposed), "fills volume quantity") == (2, None, Decimal(far))
    assert fees(opposed) == {(ONE.execution, "BNB"): 1}


# --- busts, corrections, links --------------------------------------------------------------------


def test_a_bust_is_as_if_the_trade_had_never_been(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many trades are read at once; the fee goes with it."""
    before = [placed(), placed(AGAIN), fill(ONE, "a", "2", "100", "1 USDT")]
    after = [fill(AGAIN, "b", "3", "120", "0.5 BNB"), fill(ONE, "c", "4", "90")]
    busted = fill(ONE, "x", "1", "130", "2 USDT")
    never = rows_after(*before, *after)
    for page in (1, 2, 1_000):
        monkeypatch.setattr(execution_totals, "PAGE_ROWS", page)
        rows = rows_after(*before, busted, *after, bust(ONE, "x"))
        assert (summed(rows), fees(rows)) == (summed(never), fees(never))
        assert columns(totals(rows), "created_at updated_at last_position") == (1000, 7000, 7)


def test_the_bust_of_the_only_trade_leaves_the_order() -> None:
    """The order was placed all the same."""
    rows = rows_after(placed(), fill(ONE, "a", "2", fee="1 BNB"), bust(ONE, "a"))
    assert (summed(rows), fees(rows)) == ((1, 0, 0, 0, None, 0), {})


def test_a_row_without_an_order_goes_with_its_last_trade() -> None:
    """A venue may tell of another pair than the order's: that row has fills and no order."""
    elsewhere = Subject(number=1, pair=ETH)
    rows = rows_after(placed(), fill(elsewhere, "a", "1"))
    assert sorted(row.orders for row in rows.of(ExecutionTotalsRow)) == [0, 1]
    assert summed(rows_after(placed(), fill(elsewhere, "a", "1"), bust(elsewhere, "a"))) == (1, 0, 0, 0, None, 0)


def test_a_correction_is_as_if_it_had_been_told_so_first() -> None:
    """Quantity, price and fee."""
    corrected = rows_after(
        placed(), fill(ONE, "a", "2", "100", "1 USDT"), fill(ONE, "b", "1", "130"),
        correct(ONE, "a", "3", "90", fee=Decimal("0.5"), fee_asset="BNB"),
    )  # fmt: skip
    told_so = rows_after(placed(), fill(ONE, "a", "3", "90", "0.5 BNB"), fill(ONE, "b", "1", "130"))
    assert (summed(corrected), fees(corrected)) == (summed(told_so), fees(told_so))


def test_a_link_brings_the_trades_of_the_other_order_along(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if they had been told of the engine's order; a busted one moves and does not count."""
    linked = [
        fill(VENUE, "a", "2", "100", "1 BNB"),
        placed(),
        fill(VENUE, "b", "1", "130"),
        fill(ONE, "c", "1", "120"),
        bust(VENUE, "a"),
        fill(VENUE, "d", "3", "90", "0.5 BNB"),
    ]
    told_so = rows_after(
        placed(), fill(ONE, "b", "1", "130"), fill(ONE, "c", "1", "120"), fill(ONE, "d", "3", "90", "0.5 BNB")
    )
    assert summed(rows_after(*linked)) == (1, 1, 120, 1, 120, 0)
    for page in (1, 1_000):
        monkeypatch.setattr(execution_totals, "PAGE_ROWS", page)
        rows = rows_after(*linked, LINKED)
        assert (summed(rows), fees(rows)) == (summed(told_so), fees(told_so))
        assert {row.strategy_execution_id for row in rows.of(TradeRow)} == {ONE.execution}
        assert totals(rows).last_position == 7


# --- every story ----------------------------------------------------------------------------------


def check(tables: Tables, log: Sequence[Recorded]) -> None:
    """The totals against sums of the trades by other means; and the trades' executions against the log."""
    trades: list[Any] = sorted(tables["trades"].values(), key=lambda row: row.position)
    orders: Any = tables["orders"]
    placings = first_placings(log)
    streams = {one.event_id: one.stream_id for one in log}
    for one in trades:
        moved = streams[one.id] != one.order_id
        known = one.order_id in placings and (moved or placings[one.order_id].position < one.position)
        assert one.strategy_execution_id == (orders[one.order_id].strategy_execution_id if known else None)
    check_sums(tables, [one for one in trades if one.status is not TradeStatus.BUSTED], placings.values())


def first_placings(log: Iterable[Recorded]) -> dict[UUID, Recorded]:
    found: dict[UUID, Recorded] = {}
    for one in log:
        if isinstance(one.event, events.OrderPlaced):
            found.setdefault(one.stream_id, one)
    return found


def check_sums(tables: Tables, trades: Sequence[TradeRow], placings: Iterable[Recorded]) -> None:
    assert {row.strategy_execution_id for row in trades} <= {execution_of(1), execution_of(2), None}
    orders: Counter[Any] = Counter()
    for one in placings:
        event: Any = one.event
        if event.strategy_execution_id is not None:
            orders[event.strategy_execution_id, trading_pair_id(event.pair), event.account, event.is_test] += 1
    mine: dict[Any, list[Trade]] = {}
    paid: dict[Any, list[Trade]] = {}
    for row in trades:
        if row.strategy_execution_id is not None:
            trade = told(row)
            mine.setdefault((row.strategy_execution_id, row.trading_pair_id, row.account, row.is_test), []).append(
                trade
            )
            paid.setdefault(row.strategy_execution_id, []).append(trade)
    found: Any = tables["strategy_execution_totals"]
    assert found.keys() == orders.keys() | mine.keys()
    for key, row in found.items():
        check_row(row, orders[key], mine.get(key, []), tables["trading_pairs"][key[1]])
    amounts: Any = {key: Fraction(row.amount) for key, row in tables["strategy_execution_fees"].items()}  # type: ignore[attr-defined]
    assert amounts == {(one, asset): fee for one, some in paid.items() for asset, fee in fees_of(some).items()}


def check_row(row: Any, orders: int, trades: list[Trade], pair: Any) -> None:
    book = Book(trades, pair)
    assert (row.orders, row.fills) == (orders, len(trades))
    assert Fraction(row.volume) == sum((cut(one.quantity * one.price) for one in trades), Fraction(0))
    assert (row.quantity, Fraction(row.realized_pnl)) == (book.held, book.profit)
    assert (None if row.avg_price is None else Fraction(row.avg_price)) == (book.average if book.held else None)


def told(row: TradeRow) -> Trade:
    money = (Fraction(row.quantity), Fraction(row.price), Fraction(row.fee))
    return Trade([row.execution_id], 1 if row.side is Side.BUY else -1, *money, row.fee_asset)


stories: st.SearchStrategy[list[Step]] = st.one_of(
    any_moves, st.builds(lifecycles, seed=st.integers(0, 1000), orders=st.integers(1, 8))
)


@given(steps=stories)
@settings(max_examples=150, deadline=None)
def test_totals_are_sums_of_the_trades_however_the_log_is_cut(steps: list[Step]) -> None:
    """Event by event, seven at a time and all at once; with late placings, busts, corrections and links."""
    log = log_of(steps)
    whole = in_chunks(log, max(len(log), 1))
    assert in_chunks(log, 1) == whole == in_chunks(log, 7)
    check(whole, log)


def test_the_check_can_fail() -> None:
    """It sees a trade too few, and a total too many."""
    log = log_of(lifecycles(seed=4, orders=30))
    tables = in_chunks(log, 50)
    check(tables, log)
    for name in ("trades", "strategy_execution_totals", "strategy_execution_fees"):
        rows: Any = tables[name]
        carried = next(key for key, row in rows.items() if row.strategy_execution_id is not None)
        without = {**tables, name: {key: row for key, row in rows.items() if key != carried}}
        with pytest.raises(AssertionError):
            check(without, log)


@pytest.mark.parametrize("chunk", [1, 7, 1_000_000])
async def test_live_rebuilt_and_past_totals_are_the_same(
    database: str, monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    """In a database, whether rows stay in memory or are read again."""
    monkeypatch.setattr(runner, "CHUNK_EVENTS", chunk)
    monkeypatch.setattr("projections.folding.ROWS_KEPT", 40)
    monkeypatch.setattr("projections.replay.CHUNK_EVENTS", min(chunk, 1_000))
    async with EventLog.open(database) as log:
        head = await tell(log, lifecycles(seed=21, orders=16))
        await catch_up(log, TRADING)
        check(await stored(log), await events_of(log))
        assert await assert_rows_are_the_log(log) == head
        assert (await verify(log, TRADING)).differences == 0
        assert (await rebuild(log, TRADING)).differences == 0
        async with projections_as_of(log, head // 2) as past:
            then = folded(await events_of(log, head // 2))["strategy_execution_totals"]
            execution: Any = execution_of(1)
            expected = of_execution(then, execution, *KEY)
            assert await past.queries.execution_totals(execution) == expected != []


async def test_projected_inline_the_totals_are_the_same(database: str) -> None:
    """In the very transactions that append."""
    async with EventLog.open(database) as log, Projector(log, TRADING, inline=True) as projector:
        head = await tell(log, lifecycles(seed=22, orders=25))
        await projector.wait_for(head, timeout_seconds=30)
        check(await stored(log), await events_of(log))
        await assert_rows_are_the_log(log)


async def test_an_execution_can_be_asked_for(database: str) -> None:
    """Totals, fees, orders and trades, page by page; of an execution that traded nothing there is nothing."""
    async with EventLog.open(database) as log:
        await tell(log, lifecycles(seed=23, orders=40))
        await catch_up(log, TRADING)
        tables, ask = await stored(log), Queries(log.engine)
        execution = execution_of(1)
        assert execution is not None
        totals = of_execution(tables["strategy_execution_totals"], execution, *KEY)
        assert await paged(ask.execution_totals, execution) == totals != []
        fees = of_execution(tables["strategy_execution_fees"], execution, "asset")
        assert await ask.execution_fees(execution) == fees != []
        orders = of_execution(tables["orders"], execution, "created_at", "id")
        assert await paged(ask.orders_of_execution, execution) == orders != []
        trades = of_execution(tables["trades"], execution, "trading_pair_id", "account", "is_test", "position")
        assert await paged(ask.trades_of_execution, execution) == trades != []
        assert await paged(ask.trades_of_execution, execution, newest_first=True) == trades[::-1]
        nobody = UUID(int=1)
        assert not await ask.execution_totals(nobody)
        assert not await ask.execution_fees(nobody)


def test_orders_and_trades_of_an_execution_are_listed(database: str, capsys: pytest.CaptureFixture[str]) -> None:
    """``--execution``, live and as of a position; other tables have no such filter."""

    async def work() -> tuple[Tables, int]:
        async with EventLog.open(database) as log:
            head = await tell(log, lifecycles(seed=24, orders=12))
            await catch_up(log, TRADING)
            return await stored(log), head

    tables, head = asyncio.run(work())
    execution: Any = execution_of(1)
    for table in ("orders", "trades"):
        expected = {str(row.id) for row in of_execution(tables[table], execution, "id")}
        for command in ([table], ["as-of", str(head), table]):
            asked = [*command, "--execution", str(execution), "--limit", "0", "--json"]
            assert answered(["--database", database, *asked]) == 0
            found = map(json.loads, capsys.readouterr().out.splitlines())
            assert {row["id"] for row in found} == expected != set()
    asked = ["as-of", str(head), "positions", "--execution", str(execution)]
    assert answered(["--database", database, *asked]) == 2
    assert "--execution" in capsys.readouterr().err


async def paged(ask: Any, execution: UUID, **given: Any) -> list[Any]:
    """All pages of three rows."""
    found: list[Any] = []
    while page := await ask(execution, after=found[-1] if found else None, limit=3, **given):
        found += page
    return found


def of_execution(rows: Any, execution: UUID, *by: str) -> list[Any]:
    """The execution's rows of a table, in the order of some columns."""
    return sorted((row for row in rows.values() if row.strategy_execution_id == execution), key=attrgetter(*by))
