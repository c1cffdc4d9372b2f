"""The questions that the tables answer, as SELECTs. Each has an index for its filter and its order alike.

Pages go by key, not by number: ``after`` is the last row of the page before, so that a page costs the same
wherever it lies, and rows that come or go do not shift the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias
from uuid import UUID

import sqlalchemy as sa

from byjy_events.vocabulary.orders import OrderStatus
from projections.choices import AliasKind, AnomalyKind
from projections.rows import (
    AnomalyRow,
    ExecutionTotalsRow,
    OrderRow,
    PositionCycleRow,
    PositionRow,
    Row,
    TradeRow,
    TradingPairRow,
)
from projections.tables import (
    IN_DOUBT,
    OPEN,
    anomalies,
    order_aliases,
    order_fees,
    orders,
    position_cycles,
    position_fees,
    positions,
    strategy_execution_fees,
    strategy_execution_totals,
    trades,
    trading_pairs,
)

Statement: TypeAlias = sa.Select[Any]

PAGE_LIMIT = 10_000
"""Rows that one page may have."""


def order(order_id: UUID) -> Statement:
    """One order by its own id."""
    return sa.select(orders).where(orders.c.id == order_id)


def order_by_alias(kind: AliasKind, exchange: str, account: str, pair: UUID, external_id: str) -> Statement:
    """The order that claimed an external id first."""
    alias = order_aliases.c
    return (
        sa.select(orders)
        .join(order_aliases, alias.order_id == orders.c.id)
        .where(
            alias.exchange == exchange,
            alias.account == account,
            alias.trading_pair_id == pair,
            alias.kind == kind,
            alias.external_id == external_id,
        )
    )


def order_by_own_id_column(kind: AliasKind, account: str, pair: UUID, external_id: str) -> Statement:
    """The oldest order that carries an external id which no event claimed as an alias."""
    column = orders.c.exchange_order_id if kind is AliasKind.EXCHANGE else orders.c.client_order_id
    return (
        sa.select(orders)
        .where(column == external_id, orders.c.trading_pair_id == pair, orders.c.account == account)
        .order_by(orders.c.id)
        .limit(1)
    )


def open_orders(
    pair: UUID | None = None, account: str | None = None, after: OrderRow | None = None, limit: int = 100
) -> Statement:
    """Orders that may still trade: by id within a pair or an account, else by account and id."""
    statement = _filtered(sa.select(orders).where(sa.text(OPEN)), orders, trading_pair_id=pair, account=account)
    keys = [orders.c.account, orders.c.id] if pair is None and account is None else [orders.c.id]
    return _page(statement, keys, after, limit)


def in_doubt(account: str | None = None, after: OrderRow | None = None, limit: int = 100) -> Statement:
    """Orders that the venue owes an answer: by id within an account, else by account and id."""
    statement = _filtered(sa.select(orders).where(sa.text(IN_DOUBT)), orders, account=account)
    keys = [orders.c.account, orders.c.id] if account is None else [orders.c.id]
    return _page(statement, keys, after, limit)


def orders_by_time(
    pair: UUID | None = None,
    status: OrderStatus | None = None,
    since: int | None = None,
    until: int | None = None,
    after: OrderRow | None = None,
    limit: int = 100,
    newest_first: bool = False,
) -> Statement:
    """Orders by ``created_at``, from ``since`` on and before ``until``."""
    statement = _filtered(sa.select(orders), orders, trading_pair_id=pair, status=status)
    since, until = _unless_passed(since, until, after, newest_first)
    statement = _between(statement, orders.c.created_at, since, until)
    return _page(statement, [orders.c.created_at, orders.c.id], after, limit, newest_first)


def trades_of_order(order_id: UUID, after: TradeRow | None = None, limit: int = 100) -> Statement:
    """The executions of one order in the order of the log."""
    return _page(sa.select(trades).where(trades.c.order_id == order_id), [trades.c.position], after, limit)


def trades_by_time(
    pair: UUID | None = None,
    since: int | None = None,
    until: int | None = None,
    after: TradeRow | None = None,
    limit: int = 100,
    newest_first: bool = False,
) -> Statement:
    """Executions by ``executed_at``, from ``since`` on and before ``until``."""
    statement = _filtered(sa.select(trades), trades, trading_pair_id=pair)
    since, until = _unless_passed(since, until, after, newest_first)
    statement = _between(statement, trades.c.executed_at, since, until)
    return _page(statement, [trades.c.executed_at, trades.c.position], after, limit, newest_first)


def position(pair: UUID, account: str, is_test: bool = False) -> Statement:
    """One position by its key."""
    return _filtered(sa.select(positions), positions, trading_pair_id=pair, account=account, is_test=is_test)


def positions_by_key(
    pair: UUID | None = None,
    account: str | None = None,
    is_test: bool | None = None,
    after: PositionRow | None = None,
    limit: int = 100,
) -> Statement:
    """Positions by pair, account and paper; those of one account live before paper, then by pair."""
    statement = _filtered(sa.select(positions), positions, trading_pair_id=pair, account=account, is_test=is_test)
    column = positions.c
    keys = [column.trading_pair_id, column.account, column.is_test]
    if pair is not None:
        keys = [column.account, column.is_test]
    elif account is not None:
        keys = [column.is_test, column.trading_pair_id]
    return _page(statement, keys, after, limit)


def cycles_of_position(
    pair: UUID,
    account: str,
    is_test: bool = False,
    after: PositionCycleRow | None = None,
    limit: int = 100,
    newest_first: bool = False,
) -> Statement:
    """The closed holdings of one position in the order of the log."""
    statement = sa.select(position_cycles)
    statement = _filtered(statement, position_cycles, trading_pair_id=pair, account=account, is_test=is_test)
    return _page(statement, [position_cycles.c.closed_position], after, limit, newest_first)


def fees_of_position(pair: UUID, account: str, is_test: bool = False) -> Statement:
    """What one position cost, by asset."""
    statement = _filtered(
        sa.select(position_fees), position_fees, trading_pair_id=pair, account=account, is_test=is_test
    )
    return statement.order_by(position_fees.c.asset)


def orders_of_execution(
    execution: UUID, after: OrderRow | None = None, limit: int = 100, newest_first: bool = False
) -> Statement:
    """The orders that one execution of a strategy placed, by ``created_at``."""
    statement = sa.select(orders).where(orders.c.strategy_execution_id == execution)
    return _page(statement, [orders.c.created_at, orders.c.id], after, limit, newest_first)


def trades_of_execution(
    execution: UUID, after: TradeRow | None = None, limit: int = 100, newest_first: bool = False
) -> Statement:
    """The trades of one execution of a strategy: by pair, account and paper, and there in the order of the log."""
    column = trades.c
    statement = sa.select(trades).where(column.strategy_execution_id == execution)
    keys = [column.trading_pair_id, column.account, column.is_test, column.position]
    return _page(statement, keys, after, limit, newest_first)


def totals_of_execution(execution: UUID, after: ExecutionTotalsRow | None = None, limit: int = 100) -> Statement:
    """What one execution of a strategy came to, by pair, account and paper."""
    column = strategy_execution_totals.c
    statement = sa.select(strategy_execution_totals).where(column.strategy_execution_id == execution)
    return _page(statement, [column.trading_pair_id, column.account, column.is_test], after, limit)


def fees_of_execution(execution: UUID) -> Statement:
    """What one execution of a strategy cost, by asset."""
    fees = strategy_execution_fees
    return sa.select(fees).where(fees.c.strategy_execution_id == execution).order_by(fees.c.asset)


def pair(pair_id: UUID) -> Statement:
    """One trading pair by its id."""
    return sa.select(trading_pairs).where(trading_pairs.c.id == pair_id)


def pairs(
    exchange: str | None = None, symbol: str | None = None, after: TradingPairRow | None = None, limit: int = 100
) -> Statement:
    """Trading pairs by exchange and symbol."""
    statement = _filtered(sa.select(trading_pairs), trading_pairs, exchange=exchange, symbol=symbol)
    column = trading_pairs.c
    keys = [column.exchange, column.symbol]
    if symbol is not None:
        keys = [column.exchange]
    elif exchange is not None:
        keys = [column.symbol]
    return _page(statement, keys, after, limit)


def anomalies_by_position(
    kind: AnomalyKind | None = None,
    order_id: UUID | None = None,
    since: int | None = None,
    after: AnomalyRow | None = None,
    limit: int = 100,
    newest_first: bool = False,
) -> Statement:
    """Anomalies in the order of the log; ``since`` is the first position of interest."""
    statement = _filtered(sa.select(anomalies), anomalies, kind=kind, order_id=order_id)
    since, _ = _unless_passed(since, None, after, newest_first)
    statement = _between(statement, anomalies.c.position, since, None)
    keys = [anomalies.c.position, anomalies.c.kind] if kind is None else [anomalies.c.position]
    return _page(statement, keys, after, limit, newest_first)


def fees_of_order(order_id: UUID) -> Statement:
    """What one order cost, by asset."""
    return sa.select(order_fees).where(order_fees.c.order_id == order_id).order_by(order_fees.c.asset)


def _filtered(statement: Statement, table: sa.Table, **wanted: Any) -> Statement:
    return statement.where(*(table.c[name] == value for name, value in wanted.items() if value is not None))


def _between(statement: Statement, column: sa.Column[Any], since: int | None, until: int | None) -> Statement:
    if since is not None:
        statement = statement.where(column >= since)
    return statement if until is None else statement.where(column < until)


def _unless_passed(
    since: int | None, until: int | None, after: Row | None, newest_first: bool
) -> tuple[int | None, int | None]:
    """A page beyond the first begins behind ``after``; the bound it began with would only mislead the planner."""
    if after is None:
        return since, until
    return (since, None) if newest_first else (None, until)


def _page(
    statement: Statement, keys: Sequence[sa.Column[Any]], after: Row | None, limit: int, newest_first: bool = False
) -> Statement:
    if not 1 <= limit <= PAGE_LIMIT:
        raise ValueError(f"limit {limit} is not between 1 and {PAGE_LIMIT}")
    if after is not None:
        here = sa.tuple_(*keys)
        there = sa.tuple_(*(sa.literal(getattr(after, key.name), key.type) for key in keys))
        statement = statement.where(here < there if newest_first else here > there)
    return statement.order_by(*(key.desc() if newest_first else key.asc() for key in keys)).limit(limit)
