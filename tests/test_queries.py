"""Every question to the read side gets the rows it asks for, in the order it promises, page by page."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from decimal import Decimal
from itertools import product
from typing import Any
from uuid import UUID

import pytest
import pytest_asyncio

from byjy_events.identifiers import new_order_id
from byjy_events.log import EventLog
from byjy_events.stream import order_stream
from byjy_events.vocabulary import orders as events
from byjy_events.vocabulary.orders import OrderStatus
from projections import TRADING, Queries, catch_up
from projections.rows import CLOSED, Row
from projections.statements import PAGE_LIMIT
from tests.lifecycles import BTC, ETH, Subject, lifecycles
from tests.replay import Tables, stored
from tests.story import tell

Rows = Sequence[Any]


class Asked:
    """A projected log: the questions, and every row there is to compare the answers with."""

    def __init__(self, log: EventLog, tables: Tables) -> None:
        self.log = log
        self.queries = Queries(log.engine)
        self._tables = tables

    def rows(self, table: str) -> list[Any]:
        return list(self._tables[table].values())


@pytest_asyncio.fixture
async def asked(database: str) -> AsyncIterator[Asked]:
    """Two pairs, two accounts, paper and live, orders in every state, some unknown to the engine."""
    strangers = [Subject(number=number, pair=ETH, account="third") for number in range(1001, 1006)]
    async with EventLog.open(database) as log:
        await tell(log, lifecycles(seed=4, orders=40))
        await tell(log, [(order.stream, order.fact(events.OrderAccepted)) for order in strangers])
        await catch_up(log, TRADING)
        yield Asked(log, await stored(log))


async def paged(question: Callable[..., Awaitable[Rows]], limit: int = 3, **wanted: Any) -> list[Any]:
    """All pages of a listing, one after the other."""
    rows: list[Any] = []
    after: Row | None = None
    while page := await question(after=after, limit=limit, **wanted):
        assert len(page) <= limit
        rows += page
        after = page[-1]
    return rows


def by(*names: str) -> Callable[[Any], tuple[Any, ...]]:
    """A key to sort by, as the databases compare: texts by their bytes, ids by theirs."""

    def key(row: Any) -> tuple[Any, ...]:
        values = (getattr(row, name) for name in names)
        return tuple(value.bytes if isinstance(value, UUID) else value for value in values)

    return key


async def test_an_order_is_found_by_its_id(asked: Asked) -> None:
    """The whole row, or None."""
    for row in asked.rows("orders"):
        assert await asked.queries.order(row.id) == row
    assert await asked.queries.order(new_order_id()) is None


async def test_an_order_is_found_by_its_external_ids(asked: Asked) -> None:
    """At its venue, account and pair, and nowhere else."""
    queries = asked.queries
    symbols = {BTC.id: BTC.symbol, ETH.id: ETH.symbol}
    for row in asked.rows("orders"):
        symbol = symbols[row.trading_pair_id]
        if row.exchange_order_id is not None:
            assert await queries.order_by_exchange_id(row.exchange, row.account, symbol, row.exchange_order_id) == row
            assert await queries.order_by_client_id(row.exchange, row.account, symbol, row.exchange_order_id) is None
            assert await queries.order_by_exchange_id(row.exchange, "nobody", symbol, row.exchange_order_id) is None
        assert await queries.order_by_client_id(row.exchange, row.account, symbol, row.client_order_id) == row


async def test_an_order_is_found_under_its_former_name(asked: Asked) -> None:
    """A venue that replaces an order renames it; both names lead to it."""
    order = Subject(number=2000)
    renamed = order.fact(events.OrderAmended, update_id="1", new_exchange_order_id="new", new_client_order_id="c-new")
    await tell(asked.log, [(order.stream, order.fact(events.OrderAccepted)), (order.stream, renamed)])
    await catch_up(asked.log, TRADING)
    for name in ("v2000", "new"):
        row = await asked.queries.order_by_exchange_id(BTC.exchange, "main", BTC.symbol, name)
        assert row is not None
        assert row.id == order.stream.id
    for name in ("c2000", "c-new"):
        assert await asked.queries.order_by_client_id(BTC.exchange, "main", BTC.symbol, name) is not None


async def test_an_id_that_no_event_claimed_is_found_in_the_orders(asked: Asked) -> None:
    """A rejection tells an id without claiming it."""
    order = Subject(number=2001)
    await tell(
        asked.log,
        [
            (order.stream, events.OrderPlaced(**_terms(order))),
            (order.stream, order.fact(events.OrderRejected, exchange_order_id="told", reason="no")),
        ],
    )
    await catch_up(asked.log, TRADING)
    row = await asked.queries.order_by_exchange_id(BTC.exchange, "main", BTC.symbol, "told")
    assert row is not None
    assert (row.id, row.status) == (order.stream.id, OrderStatus.REJECTED)


def _terms(order: Subject) -> dict[str, Any]:
    return {
        "pair": order.pair,
        "account": order.account,
        "side": order.side,
        "type": events.OrderType.MARKET,
        "quantity": Decimal(1),
    }


async def test_open_orders_come_page_by_page(asked: Asked) -> None:
    """All that may still trade, each once, those of one pair and account alone if so wanted."""
    for pair, account in product([None, BTC.id, ETH.id, UUID(int=0)], [None, "main", "second", "nobody"]):
        expected = [
            row
            for row in asked.rows("orders")
            if row.status not in CLOSED and pair in (None, row.trading_pair_id) and account in (None, row.account)
        ]
        order = by("account", "id") if pair is None and account is None else by("id")
        assert await paged(asked.queries.open_orders, pair=pair, account=account) == sorted(expected, key=order)


async def test_orders_come_by_time_and_status(asked: Asked) -> None:
    """Within any span of time, either way, page by page."""
    everything = sorted(asked.rows("orders"), key=by("created_at", "id"))
    spans = [(None, None), (everything[5].created_at, everything[-5].created_at)]
    statuses = [None, *{row.status for row in everything}]
    assert len(statuses) > 3
    for pair, status, newest_first, (since, until) in product([None, BTC.id], statuses, [False, True], spans):
        expected = [
            row
            for row in everything
            if pair in (None, row.trading_pair_id) and status in (None, row.status) and within(row, since, until)
        ]
        found = await paged(
            asked.queries.orders, pair=pair, status=status, since=since, until=until, newest_first=newest_first
        )
        assert found == (expected[::-1] if newest_first else expected)


def within(row: Any, since: int | None, until: int | None, name: str = "created_at") -> bool:
    at = getattr(row, name)
    return (since is None or at >= since) and (until is None or at < until)


async def test_the_trades_of_an_order_come_as_logged(asked: Asked) -> None:
    """Each once, page by page."""
    trades = sorted(asked.rows("trades"), key=by("position"))
    for order in asked.rows("orders"):
        expected = [trade for trade in trades if trade.order_id == order.id]
        assert await paged(asked.queries.trades, limit=1, order=order.id) == expected


async def test_the_trades_of_an_order_are_not_filtered(asked: Asked) -> None:
    """A filter that would be ignored is refused."""
    with pytest.raises(ValueError, match="one order"):
        await asked.queries.trades(order=UUID(int=1), since=1)


async def test_trades_come_by_time(asked: Asked) -> None:
    """Of one pair or of all, within any span, either way."""
    everything = sorted(asked.rows("trades"), key=by("executed_at", "position"))
    spans = [(None, None), (everything[4].executed_at, everything[-4].executed_at)]
    for pair, newest_first, (since, until) in product([None, BTC.id, ETH.id], [False, True], spans):
        expected = [
            row
            for row in everything
            if pair in (None, row.trading_pair_id) and within(row, since, until, "executed_at")
        ]
        found = await paged(asked.queries.trades, pair=pair, since=since, until=until, newest_first=newest_first)
        assert found == (expected[::-1] if newest_first else expected)


async def test_a_position_is_found_by_its_key(asked: Asked) -> None:
    """Pair, account, and whether it is paper."""
    for row in asked.rows("positions"):
        assert await asked.queries.position(row.trading_pair_id, row.account, row.is_test) == row
    assert await asked.queries.position(BTC.id, "nobody") is None


async def test_positions_come_page_by_page(asked: Asked) -> None:
    """In the promised order, whatever the filter."""
    for pair, account, is_test in product([None, BTC.id], [None, "main"], [None, False, True]):
        expected = [
            row
            for row in asked.rows("positions")
            if pair in (None, row.trading_pair_id) and account in (None, row.account) and is_test in (None, row.is_test)
        ]
        order = by("trading_pair_id", "account", "is_test")
        if pair is None and account is not None:
            order = by("is_test", "trading_pair_id")
        found = await paged(asked.queries.positions, limit=1, pair=pair, account=account, is_test=is_test)
        assert found == sorted(expected, key=order)


async def test_closed_holdings_and_fees_of_a_position(asked: Asked) -> None:
    """Those of one position alone; holdings page by page in either direction."""
    closed, fees = by("closed_position"), by("asset")
    assert asked.rows("position_cycles")
    for row in asked.rows("positions"):
        key = {"pair": row.trading_pair_id, "account": row.account, "is_test": row.is_test}
        mine = [one for one in asked.rows("position_cycles") if position_of(one) == position_of(row)]
        for newest_first in (False, True):
            found = await paged(asked.queries.position_cycles, limit=2, newest_first=newest_first, **key)
            assert found == sorted(mine, key=closed, reverse=newest_first)
        paid = [one for one in asked.rows("position_fees") if position_of(one) == position_of(row)]
        assert await asked.queries.position_fees(**key) == sorted(paid, key=fees)


def position_of(row: Any) -> tuple[Any, ...]:
    return row.trading_pair_id, row.account, row.is_test


async def test_pairs_come_by_exchange_and_symbol(asked: Asked) -> None:
    """One by its id; all, those of a venue, those of a name."""
    rows = sorted(asked.rows("trading_pairs"), key=by("exchange", "symbol"))
    assert await paged(asked.queries.pairs, limit=1) == rows
    for row in rows:
        assert await asked.queries.pair(row.id) == row
        assert await paged(asked.queries.pairs, limit=1, exchange=row.exchange) == [row]
        assert await paged(asked.queries.pairs, limit=1, symbol=row.symbol) == [row]
        assert await paged(asked.queries.pairs, exchange=row.exchange, symbol=row.symbol) == [row]
    assert await asked.queries.pair(UUID(int=0)) is None


async def test_anomalies_come_in_the_order_of_the_log(asked: Asked) -> None:
    """Of one kind or of all, of one order or of all, from any position on."""
    everything = sorted(asked.rows("anomalies"), key=by("position", "kind"))
    kinds = [None, *{row.kind for row in everything}]
    assert len(kinds) > 2
    orders, positions = [None, everything[0].order_id], [None, everything[2].position]
    for kind, order, since, newest_first in product(kinds, orders, positions, [False, True]):
        expected = [
            row
            for row in everything
            if kind in (None, row.kind) and order in (None, row.order_id) and (since is None or row.position >= since)
        ]
        found = await paged(
            asked.queries.anomalies, limit=2, kind=kind, order=order, since=since, newest_first=newest_first
        )
        assert found == (expected[::-1] if newest_first else expected)


async def test_the_fees_of_an_order_come_by_asset(asked: Asked) -> None:
    """One row for each asset; none where nothing was paid."""
    fees = sorted(asked.rows("order_fees"), key=by("asset"))
    assert fees
    for order in asked.rows("orders"):
        expected = [fee for fee in fees if fee.order_id == order.id]
        assert await asked.queries.order_fees(order.id) == expected


async def test_a_page_has_a_size(asked: Asked) -> None:
    """Empty, negative and boundless pages are refused."""
    for limit in (0, -1, PAGE_LIMIT + 1):
        with pytest.raises(ValueError, match="limit"):
            await asked.queries.orders(limit=limit)


async def test_questions_can_share_one_connection(asked: Asked) -> None:
    """All that is asked on it sees one moment; the connection stays its owner's."""
    async with asked.log.engine.connect() as connection:
        queries = Queries(connection)
        before = await queries.orders()
        assert before == await queries.orders()
        assert not connection.closed


async def test_no_question_keeps_its_connection(asked: Asked) -> None:
    """What was checked out goes back with the answer."""
    pool: Any = asked.log.engine.pool
    before = pool.checkedout()
    await asked.queries.orders()
    await asked.queries.order(new_order_id())
    assert pool.checkedout() == before


async def test_an_order_that_was_just_placed_is_open(asked: Asked) -> None:
    """And in doubt, until the venue has answered."""
    order = Subject(number=3000, account="fresh")
    await asked.log.append(order_stream(order.stream.id), [events.OrderPlaced(**_terms(order))])
    await catch_up(asked.log, TRADING)
    (row,) = await asked.queries.open_orders(account="fresh")
    assert row.id == order.stream.id
    assert await asked.queries.in_doubt(account="fresh") == [row]
    await asked.log.append(order_stream(order.stream.id), [order.fact(events.OrderAccepted)])
    await catch_up(asked.log, TRADING)
    assert await asked.queries.in_doubt(account="fresh") == []
