"""Every question is answered by an index: what the databases say of their plans, not how long they took.

SQLite must not scan a table, nor sort what comes in the order of a key. PostgreSQL, kept from scanning tables, must
find an index for every condition and every order: a small table would be scanned whatever its indexes.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest_asyncio
import sqlalchemy as sa
from msgspec.structs import asdict
from sqlalchemy.ext.asyncio import AsyncConnection

from byjy_events.vocabulary.orders import OrderStatus, Side
from byjy_events.vocabulary.pairs import PairStatus
from projections import TRADING, AliasKind, AnomalyKind, PositionSide, statements
from projections.rows import (
    AnomalyRow,
    ExecutionFeeRow,
    ExecutionTotalsRow,
    OrderAliasRow,
    OrderFeeRow,
    OrderRow,
    PositionCycleRow,
    PositionFeeRow,
    PositionRow,
    Row,
    TradeRow,
    TradingPairRow,
)
from projections.statements import Statement
from projections.traded import fees_of_executions, turnovers_of_executions
from tests.rows import writable_engine

ROWS = 2_000
PAIRS, VENUES, ACCOUNTS, EXECUTIONS = 60, 3, 10, 40
STATUSES = (OrderStatus.NEW, OrderStatus.PARTIALLY_FILLED, *9 * (OrderStatus.FILLED, OrderStatus.CANCELED))
IN_DOUBT_EVERY = 40
OF_EXECUTION = "strategy_execution_id"
EXPLAIN = {"sqlite": "EXPLAIN QUERY PLAN", "postgresql": "EXPLAIN"}
SQLITE_NAMES = (
    ("sqlite_autoindex_trading_pairs_2", "uq_trading_pairs_exchange_symbol"),
    (r"sqlite_autoindex_(\w+)_1", r"pk_\1"),
    (
        r"(positions|position_fees|position_cycles|order_fees|order_aliases|strategy_execution_\w+) USING PRIMARY KEY",
        r"\1 USING INDEX pk_\1",
    ),
    ("^SCAN (positions)$", r"SCAN \1 USING INDEX pk_\1"),
)
"""A table WITHOUT ROWID is its own primary key; a scan of it comes in the order of the key."""


def pair_row(number: int) -> TradingPairRow:
    return TradingPairRow(
        id=UUID(int=number),
        symbol=f"S{number // VENUES}",
        base_asset="BTC",
        quote_asset="USDT",
        exchange=f"venue{number % VENUES}",
        status=PairStatus.TRADING,
        created_at=1,
        updated_at=1,
    )


def order_row(number: int) -> OrderRow:
    return OrderRow(
        id=UUID(int=number),
        exchange_order_id=f"v{number}",
        client_order_id=f"c{number}",
        trading_pair_id=UUID(int=number % PAIRS),
        account=f"a{number % ACCOUNTS}",
        status=STATUSES[number * 7 % len(STATUSES)],
        exchange=f"venue{number % PAIRS % VENUES}",
        cancel_requested_at=number if number % IN_DOUBT_EVERY == 0 else None,
        amend_requested_at=number if number % IN_DOUBT_EVERY == 1 else None,
        strategy_execution_id=execution_of(number),
        created_at=number // 2,
        updated_at=number,
        last_position=number,
    )


def execution_of(order: int) -> UUID | None:
    """Every third order belongs to none."""
    return UUID(int=order % EXECUTIONS) if order % 3 else None


def alias_row(number: int) -> OrderAliasRow:
    order = order_row(number)
    return OrderAliasRow(
        exchange=order.exchange,
        account=order.account,
        trading_pair_id=order.trading_pair_id,
        kind=tuple(AliasKind)[number % 2],
        external_id=f"x{number}",
        order_id=order.id,
        claimed_at=number,
    )


def trade_row(number: int) -> TradeRow:
    order = order_row(number // 2)
    return TradeRow(
        id=UUID(int=number),
        order_id=order.id,
        trading_pair_id=order.trading_pair_id,
        account=order.account,
        is_test=False,
        execution_id=str(number),
        side=Side.BUY,
        quantity=Decimal(1),
        price=Decimal(1),
        executed_at=number // 2,
        position=number,
        strategy_execution_id=order.strategy_execution_id,
    )


def position_row(number: int) -> PositionRow:
    return PositionRow(
        trading_pair_id=UUID(int=number % PAIRS),
        account=f"a{number // PAIRS % ACCOUNTS}",
        is_test=number >= PAIRS * ACCOUNTS,
        created_at=1,
        updated_at=1,
        last_position=number,
    )


def cycle_row(number: int) -> PositionCycleRow:
    return PositionCycleRow(
        trading_pair_id=UUID(int=number % PAIRS),
        account=f"a{number // PAIRS % ACCOUNTS}",
        closed_position=number,
        opened_position=number,
        side=PositionSide.LONG,
        peak_quantity=Decimal(1),
        avg_price=Decimal(1),
        realized_pnl=Decimal(1),
        total_realized_pnl=Decimal(1),
        fills=2,
        opened_at=1,
        closed_at=number,
    )


def position_fee_row(number: int) -> PositionFeeRow:
    return PositionFeeRow(
        trading_pair_id=UUID(int=number % PAIRS),
        account=f"a{number // PAIRS % ACCOUNTS}",
        asset=f"asset{number}",
        amount=Decimal(1),
    )


def fee_row(number: int) -> OrderFeeRow:
    return OrderFeeRow(order_id=UUID(int=number // 2), asset=f"asset{number % 2}", amount=Decimal(1))


def totals_row(number: int) -> ExecutionTotalsRow:
    return ExecutionTotalsRow(
        strategy_execution_id=UUID(int=number // PAIRS),
        trading_pair_id=UUID(int=number % PAIRS),
        account=f"a{number % ACCOUNTS}",
        created_at=1,
        updated_at=1,
        last_position=number,
    )


def execution_fee_row(number: int) -> ExecutionFeeRow:
    return ExecutionFeeRow(strategy_execution_id=UUID(int=number // 2), asset=f"asset{number % 2}", amount=Decimal(1))


def anomaly_row(number: int) -> AnomalyRow:
    return AnomalyRow(
        position=number,
        kind=tuple(AnomalyKind)[number % len(AnomalyKind)],
        order_id=UUID(int=number // 3),
        trading_pair_id=None,
        message="",
        recorded_at=number,
    )


MADE: dict[type[Row], list[Any]] = {
    TradingPairRow: list(map(pair_row, range(PAIRS))),
    OrderRow: list(map(order_row, range(ROWS))),
    OrderAliasRow: list(map(alias_row, range(ROWS))),
    OrderFeeRow: list(map(fee_row, range(ROWS))),
    TradeRow: list(map(trade_row, range(ROWS))),
    PositionRow: list(map(position_row, range(2 * PAIRS * ACCOUNTS))),
    PositionCycleRow: list(map(cycle_row, range(ROWS))),
    PositionFeeRow: list(map(position_fee_row, range(ROWS))),
    AnomalyRow: list(map(anomaly_row, range(ROWS))),
    ExecutionTotalsRow: list(map(totals_row, range(ROWS))),
    ExecutionFeeRow: list(map(execution_fee_row, range(ROWS))),
}
"""Parents first: enough of everything that a planner has a choice, and spread as in life."""

PAIR, ORDER, ALIAS, FEE, TRADE, POSITION, CYCLE, _, ANOMALY, TOTALS, _ = (
    rows[len(rows) // 2] for rows in MADE.values()
)
EXECUTION = UUID(int=7)


@pytest_asyncio.fixture
async def connection(database: str, backend: str) -> AsyncIterator[AsyncConnection]:
    """A connection to tables that are full, with the planner knowing what it knows in life."""
    engine = writable_engine(database)
    async with engine.begin() as connection:
        for projection in TRADING.projections:
            if rows := MADE.get(projection.row_type):
                await connection.execute(sa.insert(projection.table), [asdict(row) for row in rows])
        if backend == "postgresql":  # which looks by itself, now and then; on SQLite nobody does
            await connection.exec_driver_sql("ANALYZE")
            await connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
            await connection.exec_driver_sql("SET LOCAL enable_bitmapscan = off")
        yield connection
    await engine.dispose()


def every_statement() -> Iterator[tuple[str, Statement, str]]:
    """A name, the statement, and the indexes that may serve it.

    A handful is sorted after the index found it: the orders that carry one external id, the venues of one symbol.
    """
    s = statements
    yield "order", s.order(ORDER.id), "pk_orders"
    own = {AliasKind.EXCHANGE: ORDER.exchange_order_id, AliasKind.CLIENT: ORDER.client_order_id}
    for kind in AliasKind:
        column = f"ix_orders_{kind.lower()}_order_id"
        yield (
            f"by {kind}",
            s.order_by_alias(kind, ALIAS.exchange, ALIAS.account, ALIAS.trading_pair_id, ALIAS.external_id),
            "pk_order_aliases pk_orders",
        )
        yield (
            f"a handful by own {kind}",
            s.order_by_own_id_column(kind, ORDER.account, ORDER.trading_pair_id, own[kind]),
            column,
        )
    yield from _paged(
        "open orders of a pair", s.open_orders, ORDER, "ix_orders_open_trading_pair_id", pair=ORDER.trading_pair_id
    )
    yield from _paged(
        "open orders of an account", s.open_orders, ORDER, "ix_orders_open_account", account=ORDER.account
    )
    yield from _paged("open orders", s.open_orders, ORDER, "ix_orders_open_account")
    yield from _paged("orders in doubt", s.in_doubt, ORDER, "ix_orders_in_doubt")
    yield from _paged("orders in doubt of an account", s.in_doubt, ORDER, "ix_orders_in_doubt", account=ORDER.account)
    for newest in (False, True):
        way = {"newest_first": newest}
        for span in ({}, {"since": 400}, {"until": 600}, {"since": 400, "until": 600}):
            given: dict[str, Any] = {**way, **span}
            yield from _paged(f"orders {given}", s.orders_by_time, ORDER, "ix_orders_created_at", **given)
            yield from _paged(
                f"orders by status {given}",
                s.orders_by_time,
                ORDER,
                "ix_orders_status",
                status=OrderStatus.NEW,
                **given,
            )
            yield from _paged(
                f"orders of a pair {given}",
                s.orders_by_time,
                ORDER,
                "ix_orders_trading_pair_id",
                pair=ORDER.trading_pair_id,
                **given,
            )
            yield from _paged(f"trades {given}", s.trades_by_time, TRADE, "ix_trades_executed_at", **given)
            yield from _paged(
                f"trades of a pair {given}",
                s.trades_by_time,
                TRADE,
                "ix_trades_trading_pair_id",
                pair=ORDER.trading_pair_id,
                **given,
            )
        yield from _paged(f"anomalies {way}", s.anomalies_by_position, ANOMALY, "pk_anomalies", **way)
        yield from _paged(f"anomalies since {way}", s.anomalies_by_position, ANOMALY, "pk_anomalies", since=900, **way)
        yield from _paged(
            f"anomalies of a kind {way}",
            s.anomalies_by_position,
            ANOMALY,
            "ix_anomalies_kind pk_anomalies",
            kind=ANOMALY.kind,
            **way,
        )
        yield from _paged(
            f"anomalies of an order {way}",
            s.anomalies_by_position,
            ANOMALY,
            "ix_anomalies_order_id",
            order_id=ANOMALY.order_id,
            **way,
        )
    yield from _paged("trades of an order", s.trades_of_order, TRADE, "ix_trades_order_id", order_id=TRADE.order_id)
    for newest in (False, True):
        of_execution: dict[str, Any] = {"execution": EXECUTION, "newest_first": newest}
        yield from _paged(
            f"orders of an execution {newest}",
            s.orders_of_execution,
            ORDER,
            f"ix_orders_{OF_EXECUTION}",
            **of_execution,
        )
        yield from _paged(
            f"trades of an execution {newest}",
            s.trades_of_execution,
            TRADE,
            f"ix_trades_{OF_EXECUTION}",
            **of_execution,
        )
    yield "trades of an execution that a bust asks for", _asked_by_a_bust(), f"ix_trades_{OF_EXECUTION}"
    yield from _paged(
        "totals", s.totals_of_execution, TOTALS, "pk_strategy_execution_totals", execution=TOTALS.strategy_execution_id
    )
    yield "fees of an execution", s.fees_of_execution(EXECUTION), "pk_strategy_execution_fees"
    some = [TOTALS.strategy_execution_id, EXECUTION]
    yield "a handful of turnovers", turnovers_of_executions(some), "pk_strategy_execution_totals pk_trading_pairs"
    yield "a handful of fees", fees_of_executions(some), "pk_strategy_execution_fees"
    yield "fees of a position", s.fees_of_position(POSITION.trading_pair_id, POSITION.account), "pk_position_fees"
    yield from _paged(
        "cycles", s.cycles_of_position, CYCLE, "pk_position_cycles", pair=CYCLE.trading_pair_id, account=CYCLE.account
    )
    yield "position", s.position(POSITION.trading_pair_id, POSITION.account), "pk_positions ix_positions_account"
    yield from _paged("positions", s.positions_by_key, POSITION, "pk_positions")
    yield from _paged("paper positions", s.positions_by_key, POSITION, "pk_positions", is_test=True)
    yield from _paged("positions of a pair", s.positions_by_key, POSITION, "pk_positions", pair=ORDER.trading_pair_id)
    yield from _paged(
        "positions of an account", s.positions_by_key, POSITION, "ix_positions_account", account=ORDER.account
    )
    yield "pair", s.pair(PAIR.id), "pk_trading_pairs"
    unique = "uq_trading_pairs_exchange_symbol"
    yield from _paged("pairs", s.pairs, PAIR, unique)
    yield from _paged(
        "a handful of pairs by symbol", s.pairs, PAIR, f"ix_trading_pairs_symbol {unique}", symbol=PAIR.symbol
    )
    yield from _paged("pairs of a venue", s.pairs, PAIR, unique, exchange=PAIR.exchange)
    yield "fees", s.fees_of_order(FEE.order_id), "pk_order_fees"


def _asked_by_a_bust() -> Statement:
    table = TRADING.by_row_type[TradeRow].table
    c = table.c
    mine = (
        c.strategy_execution_id == EXECUTION,
        c.trading_pair_id == TRADE.trading_pair_id,
        c.account == TRADE.account,
    )
    return sa.select(table).where(*mine, c.is_test == sa.false(), c.position > 0).order_by(c.position).limit(1_000)


def _paged(name: str, made: Any, after: Any, indexes: str, **given: Any) -> Iterator[tuple[str, Statement, str]]:
    """The first page and the next."""
    yield name, made(**given), indexes
    yield f"{name}, next page", made(**given, after=after), indexes


async def test_every_question_is_answered_by_its_index(connection: AsyncConnection) -> None:
    """No table is scanned, and nothing is sorted that an index has in order."""
    wrong = []
    for name, statement, indexes in every_statement():
        plan = await plan_of(connection, statement)
        used = set(re.findall(r"\b(?:pk|ix|uq)_\w+", plan))
        if not used or not used <= set(indexes.split()) or sorts_or_scans(plan, name.startswith("a handful")):
            wrong.append(f"{name}: wants {indexes}\n{plan}\n")
    assert not wrong, "\n".join(wrong)


async def test_a_question_without_an_index_is_found_out(connection: AsyncConnection) -> None:
    """The test above can fail: neither a scan nor a sort passes."""
    orders = TRADING.by_row_type[OrderRow].table
    assert sorts_or_scans(await plan_of(connection, sa.select(orders).where(orders.c.reject_reason == "x")))
    assert sorts_or_scans(await plan_of(connection, sa.select(orders).order_by(orders.c.price)))


def sorts_or_scans(plan: str, may_sort: bool = False) -> bool:
    sorts = re.search(r"TEMP B-TREE|\bSort\b", plan) and not may_sort
    return bool(sorts or re.search(r"Seq Scan|SCAN (?!.*USING (COVERING )?INDEX)", plan))


async def plan_of(connection: AsyncConnection, statement: Statement) -> str:
    """What the database says, with SQLite's own names of indexes turned into ours."""
    sent: list[tuple[str, Any]] = []

    def keep(_connection: Any, _cursor: Any, text: str, parameters: Any, *_: Any) -> None:
        sent.append((text, parameters))

    sa.event.listen(connection.sync_connection, "before_cursor_execute", keep)
    await connection.execute(statement)
    sa.event.remove(connection.sync_connection, "before_cursor_execute", keep)
    ((text, parameters),) = sent
    found = await connection.exec_driver_sql(f"{EXPLAIN[connection.dialect.name]} {text}", parameters)
    plan = "\n".join(str(row[-1]) for row in found)
    for theirs, ours in SQLITE_NAMES:
        plan = re.sub(theirs, ours, plan, flags=re.MULTILINE)
    return plan
