"""What executions of strategies traded, summed over pairs and accounts: one sum for each quote asset, and the fees."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from uuid import UUID

import sqlalchemy as sa
from msgspec.structs import replace

from projections.amounts import total
from projections.rows import ExecutionFeeRow, Row
from projections.statements import Statement
from projections.tables import strategy_execution_fees, strategy_execution_totals, trading_pairs


class Turnover(Row, frozen=True, kw_only=True, gc=False):
    """What an execution traded against one quote asset, live or on paper.

    Attributes:
        is_test: on paper. Paper and live are never added up.
        orders, fills: how many it placed, and how many trades count.
        volume, realized_pnl: in the quote asset; None: out of the range of money.
    """

    strategy_execution_id: UUID
    quote_asset: str
    is_test: bool
    orders: int
    fills: int
    volume: Decimal | None
    realized_pnl: Decimal | None


class Traded(Row, frozen=True, kw_only=True, gc=False):
    """What an execution traded.

    Attributes:
        turnovers: by quote asset, live before paper; none: it placed no order.
        fees: by asset, live and paper together; negative: a rebate.
    """

    turnovers: tuple[Turnover, ...] = ()
    fees: tuple[ExecutionFeeRow, ...] = ()

    @property
    def orders(self) -> int:
        """Orders that it placed."""
        return sum(one.orders for one in self.turnovers)

    @property
    def fills(self) -> int:
        """Trades of them that count."""
        return sum(one.fills for one in self.turnovers)


NOTHING = Traded()


def turnovers_of_executions(executions: Sequence[UUID]) -> Statement:
    """Rows of :class:`Turnover`, one for each pair and account, in no order."""
    c = strategy_execution_totals.c
    columns = [c.strategy_execution_id, trading_pairs.c.quote_asset]
    columns += [c.is_test, c.orders, c.fills, c.volume, c.realized_pnl]
    statement = sa.select(*columns).join_from(
        strategy_execution_totals, trading_pairs, trading_pairs.c.id == c.trading_pair_id
    )
    return statement.where(c.strategy_execution_id.in_(executions))


def fees_of_executions(executions: Sequence[UUID]) -> Statement:
    """Rows of ``strategy_execution_fees``, in no order."""
    fees = strategy_execution_fees
    return sa.select(fees).where(fees.c.strategy_execution_id.in_(executions))


def summed(turnovers: Iterable[Turnover], fees: Iterable[ExecutionFeeRow]) -> dict[UUID, Traded]:
    """By execution; those that placed no order are not there."""
    sums: dict[tuple[UUID, str, bool], Turnover] = {}
    for one in turnovers:
        key = (one.strategy_execution_id, one.quote_asset, one.is_test)
        sums[key] = _added(sums[key], one) if key in sums else one
    found: dict[UUID, Traded] = {}
    for key in sorted(sums):
        before = found.get(key[0], NOTHING)
        found[key[0]] = replace(before, turnovers=(*before.turnovers, sums[key]))
    for fee in sorted(fees, key=lambda fee: fee.asset):
        before = found.get(fee.strategy_execution_id, NOTHING)
        found[fee.strategy_execution_id] = replace(before, fees=(*before.fees, fee))
    return found


def _added(one: Turnover, other: Turnover) -> Turnover:
    return replace(
        one,
        orders=one.orders + other.orders,
        fills=one.fills + other.fills,
        volume=_sum(one.volume, other.volume),
        realized_pnl=_sum(one.realized_pnl, other.realized_pnl),
    )


def _sum(one: Decimal | None, other: Decimal | None) -> Decimal | None:
    return None if one is None or other is None else total(one, other)
