"""Trading pairs by the names that people use."""

from __future__ import annotations

from typing import Any, NamedTuple
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from byjy_ops.errors import InvalidArgument
from byjy_ops.listing import Cells
from projections.tables import trading_pairs

CANDIDATES = 10
"""How many pairs an error names."""


class PairName(NamedTuple):
    """What a pair is called where."""

    exchange: str
    symbol: str

    def __str__(self) -> str:
        return f"{self.exchange}:{self.symbol}"


class Pairs:
    """The trading pairs of a database."""

    def __init__(self, names: dict[UUID, PairName]) -> None:
        self._names = names

    def resolve(self, text: str) -> UUID:
        """The pair that ``SYMBOL`` or ``EXCHANGE:SYMBOL`` means.

        Raises:
            InvalidArgument: no pair is called so, or several are.
        """
        # A symbol may hold a colon itself, as BTC/USDT:USDT does; the full name comes first.
        found = {pair: name for pair, name in self._names.items() if text == str(name)}
        found = found or {pair: name for pair, name in self._names.items() if text == name.symbol}
        if len(found) > 1:
            names = sorted(map(str, found.values()))
            more = f" and {len(names) - CANDIDATES} more" if len(names) > CANDIDATES else ""
            raise InvalidArgument("--pair", f"{text!r} may mean {', '.join(names[:CANDIDATES])}{more}")
        if not found:
            raise InvalidArgument("--pair", f"no pair is called {text!r}; to see all of them: byjy pairs")
        return next(iter(found))

    def named(self, row: Any) -> Cells:
        """A row of any table as a mapping, with exchange and symbol where it refers to a pair."""
        cells = dict(row._mapping)
        if "trading_pair_id" in cells:
            name = self._names.get(cells["trading_pair_id"])
            cells.setdefault("exchange", None if name is None else name.exchange)
            cells["symbol"] = None if name is None else name.symbol
        return cells


async def known_pairs(connection: AsyncConnection) -> Pairs:
    """All pairs; there are few thousand at most."""
    c = trading_pairs.c
    rows = await connection.execute(sa.select(c.id, c.exchange, c.symbol))
    return Pairs({row.id: PairName(row.exchange, row.symbol) for row in rows})
