"""Every question is answered by an index: what the databases say of their plans, not how long they took.

SQLite must not scan a table, nor sort what comes in the order of a key. PostgreSQL, kept from scanning tables, must
find an index for every condition and every order: a small table would be scanned whatever its indexes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from byjy_events.database import open_engine, parse_url
from byjy_events.vocabulary.orders import OrderStatus, Side
from byjy_events.vocabulary.pairs import PairStatus
from projections import AliasKind, AnomalyKind, statements
from projections.rows import AnomalyRow, OrderRow, PositionRow, TradeRow, TradingPairRow
from projections.statements import Statement
from tests.test_queries import Asked, asked

__all__ = ["asked"]

ID = UUID(int=1)
ORDER = OrderRow(
    id=ID,
    trading_pair_id=ID,
    account="main",
    status=OrderStatus.NEW,
    exchange="binance",
    created_at=1,
    updated_at=1,
    last_position=1,
)
PAIR = TradingPairRow(
    id=ID,
    symbol="BTCUSDT",
    base_asset="BTC",
    quote_asset="USDT",
    exchange="binance",
    status=PairStatus.TRADING,
    created_at=1,
    updated_at=1,
)
POSITION = PositionRow(trading_pair_id=ID, account="main", is_test=False, created_at=1, updated_at=1, last_position=1)
ANOMALY = AnomalyRow(
    position=1, kind=AnomalyKind.LATE_FILL, order_id=None, trading_pair_id=None, message="", recorded_at=1
)


def every_statement() -> Iterator[tuple[str, Statement, str]]:
    """A name, the statement, and the indexes that may serve it."""
    s = statements
    yield "order", s.order(ID), "pk_orders"
    for kind in AliasKind:
        column = f"ix_orders_{kind.lower()}_order_id"
        yield f"by {kind}", s.order_by_alias(kind, "binance", "main", ID, "x"), "pk_order_aliases pk_orders"
        yield f"by own {kind}", s.order_by_own_id_column(kind, "main", ID, "x"), column
    yield from _paged(
        "open orders of a pair", s.open_orders, ORDER, "ix_orders_open_trading_pair_id", pair=ID
    )
    yield from _paged("open orders of an account", s.open_orders, ORDER, "ix_orders_open_account", account="main")
    yield from _paged("open orders", s.open_orders, ORDER, "ix_orders_open_account")
    for newest in (False, True):
        way = {"newest_first": newest}
        for span in ({}, {"since": 1}, {"until": 9}, {"since": 1, "until": 9}):
            given: dict[str, Any] = {**way, **span}
            yield from _paged(f"orders {given}", s.orders_by_time, ORDER, "ix_orders_created_at", **given)
            yield from _paged(
                f"orders by status {given}", s.orders_by_time, ORDER, "ix_orders_status", status=OrderStatus.NEW, **given
            )
            yield from _paged(
                f"orders of a pair {given}", s.orders_by_time, ORDER, "ix_orders_trading_pair_id", pair=ID, **given
            )
            yield from _paged(f"trades {given}", s.trades_by_time, TRADE, "ix_trades_executed_at", **given)
            yield from _paged(
                f"trades of a pair {given}", s.trades_by_time, TRADE, "ix_trades_trading_pair_id", pair=ID, **given
            )
        yield from _paged(f"anomalies {way}", s.anomalies_by_position, ANOMALY, "pk_anomalies", **way)
        yield from _paged(f"anomalies since {way}", s.anomalies_by_position, ANOMALY, "pk_anomalies", since=1, **way)
        yield from _paged(
            f"anomalies of a kind {way}", s.anomalies_by_position, ANOMALY, "ix_anomalies_kind", kind=ANOMALY.kind, **way
        )
        yield from _paged(
            f"anomalies of an order {way}", s.anomalies_by_position, ANOMALY, "ix_anomalies_order_id", order_id=ID, **way
        )
    yield from _paged("trades of an order", s.trades_of_order, TRADE, "ix_trades_order_id", order_id=ID)
    yield "position", s.position(ID, "main"), "pk_positions"
    yield from _paged("positions", s.positions_by_key, POSITION, "pk_positions")
    yield from _paged("positions of a pair", s.positions_by_key, POSITION, "pk_positions", pair=ID)
    yield from _paged("positions of an account", s.positions_by_key, POSITION, "ix_positions_account", account="main")
    yield "pair", s.pair(ID), "pk_trading_pairs"
    unique = "uq_trading_pairs_exchange_symbol"
    yield from _paged("pairs", s.pairs, PAIR, unique)
    yield from _paged("pairs of a venue", s.pairs, PAIR, unique, exchange="binance")
    yield "fees", s.fees_of_order(ID), "pk_order_fees"


def _paged(name: str, made: Any, after: Any, indexes: str, **given: Any) -> Iterator[tuple[str, Statement, str]]:
    """The first page and the next."""
    yield name, made(**given), indexes
    yield f"{name}, next page", made(**given, after=after), indexes


TRADE = TradeRow(
    id=ID,
    order_id=ID,
    trading_pair_id=ID,
    account="main",
    is_test=False,
    execution_id="1",
    side=Side.BUY,
    quantity=sa.cast,  # type: ignore[arg-type]
    price=sa.cast,  # type: ignore[arg-type]
    executed_at=1,
    position=1,
)


async def test_every_question_is_answered_by_its_index(asked: Asked, backend: str) -> None:
    """No table is scanned, and nothing is sorted that an index has in order."""
    explain = {"sqlite": _sqlite_plan, "postgresql": _postgresql_plan}[backend]
    wrong = []
    async with asked.log.engine.connect() as connection:
        if backend == "postgresql":
            for statement in ("SET enable_seqscan = off", "SET enable_bitmapscan = off", "ANALYZE"):
                await connection.exec_driver_sql(statement)
        for name, statement, indexes in every_statement():
            plan = await explain(connection, statement)
            used = set(re.findall(r"(?:pk|ix|uq)_\w+|PRIMARY KEY", plan))
            if not used or not used <= set(indexes.split()) | {"PRIMARY KEY"} or _sorts_or_scans(plan):
                wrong.append(f"{name}: wants {indexes}\n{plan}\n")
        await connection.rollback()
    assert not wrong, "\n".join(wrong)


def _sorts_or_scans(plan: str) -> bool:
    unordered = re.search(r"TEMP B-TREE|\bSort\b|Seq Scan", plan)
    scanned = re.search(r"SCAN (?!.*USING (COVERING )?INDEX)", plan)
    return bool(unordered or scanned)


async def _sqlite_plan(connection: AsyncConnection, statement: Statement) -> str:
    compiled = _compiled(connection, statement)
    found = await connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {compiled}")
    plan = "\n".join(str(row[-1]) for row in found)
    return re.sub(r"sqlite_autoindex_(\w+)_\d+", lambda match: _automatic(match[1]), plan)


def _automatic(table: str) -> str:
    """SQLite names the index of a constraint after the table; each of ours has one at most, and the key is first."""
    return "uq_trading_pairs_exchange_symbol" if table == "trading_pairs" else f"pk_{table}"


async def _postgresql_plan(connection: AsyncConnection, statement: Statement) -> str:
    found = await connection.exec_driver_sql(f"EXPLAIN {_compiled(connection, statement)}")
    return "\n".join(row[0] for row in found)


def _compiled(connection: AsyncConnection, statement: Statement) -> str:
    return str(statement.compile(dialect=connection.dialect, compile_kwargs={"literal_binds": True}))
