"""Questions to the read side, typed: rows in, rows out, one short statement each.

Every listing is a page in the order of a key: give the last row of one page as ``after`` to get the next.
Pairs are named by the id of their row, see ``byjy_events.identifiers.pair_id``. Instants are nanoseconds UTC.
A page has at most ``statements.PAGE_LIMIT`` rows; ValueError otherwise.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple, TypeVar
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from byjy_events.identifiers import pair_id
from byjy_events.vocabulary.orders import OrderStatus
from projections import statements
from projections.choices import AliasKind, AnomalyKind
from projections.marks import MarkedPosition, checked, marked
from projections.rows import (
    AnomalyRow,
    ExecutionFeeRow,
    ExecutionTotalsRow,
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
from projections.traded import NOTHING, Traded, Turnover, fees_of_executions, summed, turnovers_of_executions

R = TypeVar("R", bound=Row)


class Scope(NamedTuple):
    """What a question is about, so that whoever answers need not look at anything else. Neither: about everything."""

    order: UUID | None = None
    pair: UUID | None = None


EVERYTHING = Scope()

EXECUTIONS_AT_ONCE = 1_000
"""Executions that one statement is about: parameters of a statement are not without bounds."""


class Queries:
    """Reads the tables as they are now; how far behind the log they are, the projector knows.

    Args:
        database: an engine, from which each question takes a connection of its own, or one connection, whose
            transaction then decides what all questions see.
    """

    def __init__(self, database: AsyncEngine | AsyncConnection) -> None:
        self._database = database

    async def order(self, order_id: UUID) -> OrderRow | None:
        """One order by its own id; None: there is no row."""
        return await self._one(OrderRow, statements.order(order_id), Scope(order=order_id))

    async def order_by_exchange_id(self, exchange: str, account: str, symbol: str, external_id: str) -> OrderRow | None:
        """The order that a venue calls so, now or before it was renamed. Of several, the first to claim the id."""
        return await self._by_external_id(AliasKind.EXCHANGE, exchange, account, symbol, external_id)

    async def order_by_client_id(self, exchange: str, account: str, symbol: str, external_id: str) -> OrderRow | None:
        """The order that we call so towards a venue, now or before. Of several, the first to claim the id."""
        return await self._by_external_id(AliasKind.CLIENT, exchange, account, symbol, external_id)

    async def open_orders(
        self, pair: UUID | None = None, account: str | None = None, after: OrderRow | None = None, limit: int = 100
    ) -> list[OrderRow]:
        """Orders that may still trade: by id within a pair or an account, else by account and id.

        A row has all that an engine needs to go on with the order; ``doubts_of`` says what of it is unanswered.
        """
        return await self._all(OrderRow, statements.open_orders(pair, account, after, limit), Scope(pair=pair))

    async def in_doubt(
        self, account: str | None = None, after: OrderRow | None = None, limit: int = 100
    ) -> list[OrderRow]:
        """Orders that the venue owes an answer: placed or submitted and never acknowledged, or with a cancel or an
        amendment never answered. By id within an account, else by account and id; ``doubts_of`` says what and since
        when.

        An index holds these orders alone, so the answer takes as long as there are orders in doubt, not as the log
        is long. Rows follow the log: let the projector catch up first, ``wait_for(await log.head())``.
        """
        return await self._all(OrderRow, statements.in_doubt(account, after, limit))

    async def orders(
        self,
        pair: UUID | None = None,
        status: OrderStatus | None = None,
        since: int | None = None,
        until: int | None = None,
        after: OrderRow | None = None,
        limit: int = 100,
        newest_first: bool = False,
    ) -> list[OrderRow]:
        """Orders by ``created_at``, from ``since`` on and before ``until``."""
        statement = statements.orders_by_time(pair, status, since, until, after, limit, newest_first)
        return await self._all(OrderRow, statement, Scope(pair=pair))

    async def trades(
        self,
        order: UUID | None = None,
        pair: UUID | None = None,
        since: int | None = None,
        until: int | None = None,
        after: TradeRow | None = None,
        limit: int = 100,
        newest_first: bool = False,
    ) -> list[TradeRow]:
        """Executions by ``executed_at``, from ``since`` on and before ``until``; those of one order as logged.

        Raises:
            ValueError: ``order`` together with a pair or a time: an order's executions are few, take them all.
        """
        if order is None:
            statement = statements.trades_by_time(pair, since, until, after, limit, newest_first)
        elif pair is None and since is None and until is None and not newest_first:
            statement = statements.trades_of_order(order, after, limit)
        else:
            raise ValueError("the trades of one order come whole, in the order of the log")
        return await self._all(TradeRow, statement, Scope(order, pair))

    async def position(self, pair: UUID, account: str, is_test: bool = False) -> PositionRow | None:
        """What an account holds of a pair; None: it never traded it."""
        return await self._one(PositionRow, statements.position(pair, account, is_test), Scope(pair=pair))

    async def positions(
        self,
        pair: UUID | None = None,
        account: str | None = None,
        is_test: bool | None = None,
        after: PositionRow | None = None,
        limit: int = 100,
    ) -> list[PositionRow]:
        """Positions, flat ones too; ``is_test`` None: paper and live."""
        statement = statements.positions_by_key(pair, account, is_test, after, limit)
        return await self._all(PositionRow, statement, Scope(pair=pair))

    async def marked_positions(
        self,
        marks: Mapping[UUID, Decimal],
        pair: UUID | None = None,
        account: str | None = None,
        is_test: bool | None = None,
        after: PositionRow | None = None,
        limit: int = 100,
    ) -> list[MarkedPosition]:
        """The page that :meth:`positions` gives, at market; a position whose pair has no mark is there too.

        Args:
            marks: prices in the quote asset, by the id of the pair.
            after: ``row`` of the last one of the page before.

        Raises:
            InvalidMark: a mark is not finite, or does not fit NUMERIC(38, 18).
        """
        prices = checked(marks)
        rows = await self.positions(pair, account, is_test, after, limit)
        return [marked(row, prices.get(row.trading_pair_id)) for row in rows]

    async def position_cycles(
        self,
        pair: UUID,
        account: str,
        is_test: bool = False,
        after: PositionCycleRow | None = None,
        limit: int = 100,
        newest_first: bool = False,
    ) -> list[PositionCycleRow]:
        """What an account held of a pair and closed, in the order of the log."""
        statement = statements.cycles_of_position(pair, account, is_test, after, limit, newest_first)
        return await self._all(PositionCycleRow, statement, Scope(pair=pair))

    async def position_fees(self, pair: UUID, account: str, is_test: bool = False) -> list[PositionFeeRow]:
        """What a position cost over its whole life, a row for each asset."""
        return await self._all(PositionFeeRow, statements.fees_of_position(pair, account, is_test), Scope(pair=pair))

    async def orders_of_execution(
        self, execution: UUID, after: OrderRow | None = None, limit: int = 100, newest_first: bool = False
    ) -> list[OrderRow]:
        """The orders that one execution of a strategy placed, by ``created_at``."""
        return await self._all(OrderRow, statements.orders_of_execution(execution, after, limit, newest_first))

    async def trades_of_execution(
        self, execution: UUID, after: TradeRow | None = None, limit: int = 100, newest_first: bool = False
    ) -> list[TradeRow]:
        """The trades of one execution of a strategy: by pair, account and paper, and there in the order of the log."""
        return await self._all(TradeRow, statements.trades_of_execution(execution, after, limit, newest_first))

    async def execution_totals(
        self, execution: UUID, after: ExecutionTotalsRow | None = None, limit: int = 100
    ) -> list[ExecutionTotalsRow]:
        """What one execution of a strategy came to, by pair, account and paper; none: it placed no order."""
        return await self._all(ExecutionTotalsRow, statements.totals_of_execution(execution, after, limit))

    async def execution_fees(self, execution: UUID) -> list[ExecutionFeeRow]:
        """What one execution of a strategy cost, a row for each asset."""
        return await self._all(ExecutionFeeRow, statements.fees_of_execution(execution))

    async def traded(self, executions: Sequence[UUID]) -> dict[UUID, Traded]:
        """What each of these executions traded, summed over pairs and accounts; nothing, if it placed no order."""
        found: dict[UUID, Traded] = dict.fromkeys(executions, NOTHING)
        for start in range(0, len(executions), EXECUTIONS_AT_ONCE):
            some = executions[start : start + EXECUTIONS_AT_ONCE]
            turnovers = await self._all(Turnover, turnovers_of_executions(some))
            found |= summed(turnovers, await self._all(ExecutionFeeRow, fees_of_executions(some)))
        return found

    async def pair(self, pair: UUID) -> TradingPairRow | None:
        """One trading pair by its id; None: nobody ever named it."""
        return await self._one(TradingPairRow, statements.pair(pair), Scope(pair=pair))

    async def pairs(
        self,
        exchange: str | None = None,
        symbol: str | None = None,
        after: TradingPairRow | None = None,
        limit: int = 100,
    ) -> list[TradingPairRow]:
        """Trading pairs by exchange and symbol."""
        return await self._all(TradingPairRow, statements.pairs(exchange, symbol, after, limit))

    async def anomalies(
        self,
        kind: AnomalyKind | None = None,
        order: UUID | None = None,
        since: int | None = None,
        after: AnomalyRow | None = None,
        limit: int = 100,
        newest_first: bool = False,
    ) -> list[AnomalyRow]:
        """Anomalies in the order of the log, from the log position ``since`` on."""
        statement = statements.anomalies_by_position(kind, order, since, after, limit, newest_first)
        return await self._all(AnomalyRow, statement)

    async def order_fees(self, order: UUID) -> list[OrderFeeRow]:
        """What one order cost, a row for each asset."""
        return await self._all(OrderFeeRow, statements.fees_of_order(order), Scope(order=order))

    async def _by_external_id(
        self, kind: AliasKind, exchange: str, account: str, symbol: str, external_id: str
    ) -> OrderRow | None:
        pair = pair_id(exchange, symbol)
        claimed = statements.order_by_alias(kind, exchange, account, pair, external_id)
        carried = statements.order_by_own_id_column(kind, account, pair, external_id)
        found = await self._one(OrderRow, claimed, Scope(pair=pair))
        return found if found is not None else await self._one(OrderRow, carried, Scope(pair=pair))

    async def _one(self, row_type: type[R], statement: Statement, scope: Scope) -> R | None:
        rows = await self._all(row_type, statement, scope)
        return rows[0] if rows else None

    async def _all(self, row_type: type[R], statement: Statement, scope: Scope = EVERYTHING) -> list[R]:
        if isinstance(self._database, AsyncConnection):
            return await _read(self._database, row_type, statement)
        async with self._database.connect() as connection:
            return await _read(connection, row_type, statement)


async def _read(connection: AsyncConnection, row_type: type[R], statement: Statement) -> list[R]:
    return rows_of(row_type, (await connection.execute(statement)).all())


def rows_of(row_type: type[R], found: Iterable[Sequence[Any]]) -> list[R]:
    """Typed rows of what a SELECT of all columns found."""
    names = row_type.__struct_fields__
    return [row_type(**dict(zip(names, row, strict=True))) for row in found]
