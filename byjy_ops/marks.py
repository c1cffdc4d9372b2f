"""``byjy positions --mark``: positions at prices that the operator gives."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from byjy_ops.arguments import Mark
from byjy_ops.errors import InvalidArgument
from byjy_ops.listing import Cells, Column
from byjy_ops.pairs import Pairs, known_pairs
from byjy_ops.reading import live_rows
from byjy_ops.tables import POSITIONS, Filters, Table, filtered, write_rows
from projections import PositionRow, marked
from projections.queries import rows_of

_AT_MARKET = ("mark", "unrealized_pnl", "market_value", "total_pnl")
_BEFORE = "realized_pnl"


async def positions_at_marks(
    database: str, marks: Sequence[Mark], filters: Filters, limit: int, *, as_json: bool
) -> None:
    """Write positions at market, at most ``limit``; 0: all. Those without a mark are there too.

    Raises:
        InvalidArgument: a pair that there is not, or that is marked twice.
    """
    async with live_rows(database) as fetch:
        pairs = await known_pairs(fetch)
        table = at_marks(marks, pairs)
        await write_rows(fetch, pairs, table, filtered(table, filters, pairs), limit, as_json=as_json)


def at_marks(marks: Sequence[Mark], pairs: Pairs) -> Table:
    """The listing of positions, with what they are worth.

    Raises:
        InvalidArgument: a pair that there is not, or that is marked twice.
    """
    prices = _prices(marks, pairs)
    before = next(number for number, column in enumerate(POSITIONS.shown) if column.name == _BEFORE)
    added = tuple(Column(name, right=True) for name in _AT_MARKET)
    shown = (*POSITIONS.shown[:before], *added, *POSITIONS.shown[before:])
    return POSITIONS._replace(shown=shown, derived=lambda row: _worth(row, prices))


def _prices(marks: Sequence[Mark], pairs: Pairs) -> dict[UUID, Decimal]:
    prices: dict[UUID, Decimal] = {}
    for mark in marks:
        pair = pairs.resolve(mark.pair, "--mark")
        if pair in prices:
            raise InvalidArgument("--mark", f"{mark.pair!r} has two prices, {prices[pair]:f} and {mark.price:f}")
        prices[pair] = mark.price
    return prices


def _worth(row: sa.Row[Any], prices: dict[UUID, Decimal]) -> Cells:
    [position] = rows_of(PositionRow, [row])
    found = marked(position, prices.get(position.trading_pair_id))
    return {name: getattr(found, name) for name in _AT_MARKET}
