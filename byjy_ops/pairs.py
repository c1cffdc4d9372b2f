"""Trading pairs by the names that people use."""

from __future__ import annotations

from typing import Any, NamedTuple
from uuid import UUID

import sqlalchemy as sa

from byjy_ops.errors import InvalidArgument
from byjy_ops.listing import Cells
from byjy_ops.reading import Fetch
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
    """The trading pairs of a database; none, for tables that are not ours."""

    def __init__(self, names: dict[UUID, PairName]) -> None:
        self._names = names

    def called(self, text: str) -> dict[UUID, PairName]:
        """The pairs that ``SYMBOL`` or ``EXCHANGE:SYMBOL`` may mean."""
        # A symbol may hold a colon itself, as BTC/USDT:USDT does; the full name comes first.
        found = {pair: name for pair, name in self._names.items() if text == str(name)}
        return found or {pair: name for pair, name in self._names.items() if text == name.symbol}

    def resolve(self, text: str, option: str = "--pair") -> UUID:
        """The pair that is meant by the value of an option.

        Raises:
            InvalidArgument: no pair is called so, or several are.
        """
        found = self.called(text)
        if len(found) > 1:
            names = sorted(map(str, found.values()))
            more = f" and {len(names) - CANDIDATES} more" if len(names) > CANDIDATES else ""
            raise InvalidArgument(option, f"{text!r} may mean {', '.join(names[:CANDIDATES])}{more}")
        if not found:
            raise InvalidArgument(option, f"no pair is called {text!r}; to see all of them: byjy pairs")
        return next(iter(found))

    def named(self, row: Any) -> Cells:
        """A row of any table as a mapping, with exchange and symbol where it refers to a pair."""
        cells = dict(row._mapping)
        if self._names and "trading_pair_id" in cells:
            name = self._names.get(cells["trading_pair_id"])
            cells.setdefault("exchange", None if name is None else name.exchange)
            cells["symbol"] = None if name is None else name.symbol
        return cells


NO_PAIRS = Pairs({})


async def known_pairs(fetch: Fetch) -> Pairs:
    """All pairs; there are few thousand at most."""
    c = trading_pairs.c
    rows = await fetch(sa.select(c.id, c.exchange, c.symbol))
    return Pairs({row.id: PairName(row.exchange, row.symbol) for row in rows})
