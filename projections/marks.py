"""Positions at market: what holdings are worth, and have gained, at prices that somebody gives.

A mark is a price in the quote asset; who quotes it (last trade, mid, index) is the caller's choice, and nothing of it
is stored. Fees need no further look: those in the base asset are in the quantity already, those in the quote asset in
the realised profit.

An example: 2 BTC bought at 100 and 1 sold at 130 leave 1 BTC at 100, with 30 realised. At a mark of 110 the
unrealised profit is (110 − 100) × 1 = 10, the market value 110, the profit in all 40. Sold short, 1 BTC at 100 has
gained (110 − 100) × −1 = −10 at that mark.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from uuid import UUID

from msgspec import Struct

from byjy_events.errors import ByjyError
from byjy_events.numbers import CONTEXT, ZERO, InexactNumber, canonical
from projections.amounts import notional, settled, total
from projections.rows import PositionRow


class InvalidMark(ByjyError, ValueError):
    """A price that no position can be valued at: not finite, or more than NUMERIC(38, 18) holds.

    Attributes:
        pair: the id of the trading pair.
        mark: what was given.
        reason: what is wrong with it.
    """

    def __init__(self, pair: UUID, mark: object, reason: str) -> None:
        self.pair = pair
        self.mark = mark
        self.reason = reason
        super().__init__(f"mark of pair {pair}: {reason}")


class MarkedPosition(Struct, frozen=True, kw_only=True):
    """A position at market, in the quote asset. What does not fit NUMERIC(38, 18) is None.

    Attributes:
        row: the position.
        mark: the price; None: none was given, and then the amounts below are None too, unless the position is flat.
        unrealized_pnl: (mark − average price) × signed quantity; 0 when flat.
        market_value: mark × signed quantity: negative for a short position, 0 when flat.
        total_pnl: realised over the row's whole life, and unrealised.
    """

    row: PositionRow
    mark: Decimal | None
    unrealized_pnl: Decimal | None
    market_value: Decimal | None
    total_pnl: Decimal | None


def marked(row: PositionRow, mark: Decimal | None) -> MarkedPosition:
    """A position at a price, which may be zero or negative as prices may; None: there is none.

    Raises:
        InvalidMark: the mark is no price.
    """
    mark = None if mark is None else _checked(row.trading_pair_id, mark)
    unrealized = unrealized_pnl(row, mark)
    return MarkedPosition(
        row=row,
        mark=mark,
        unrealized_pnl=unrealized,
        market_value=_market_value(row, mark),
        total_pnl=None if unrealized is None or row.realized_pnl is None else total(row.realized_pnl, unrealized),
    )


def unrealized_pnl(row: PositionRow, mark: Decimal | None) -> Decimal | None:
    """What closing at ``mark`` would realise before fees, rounded half-even to 18 decimals; None: not known."""
    if not row.quantity:
        return ZERO
    if mark is None or row.avg_price is None:
        return None
    return settled(CONTEXT.multiply(CONTEXT.subtract(mark, row.avg_price), row.quantity))


def checked(marks: Mapping[UUID, Decimal]) -> dict[UUID, Decimal]:
    """Marks by pair, in their canonical spelling.

    Raises:
        InvalidMark: one of them is no price.
    """
    return {pair: _checked(pair, mark) for pair, mark in marks.items()}


def _checked(pair: UUID, mark: Decimal) -> Decimal:
    try:
        return canonical(mark)
    except InexactNumber as error:
        raise InvalidMark(pair, mark, str(error)) from None


def _market_value(row: PositionRow, mark: Decimal | None) -> Decimal | None:
    if not row.quantity:
        return ZERO
    return None if mark is None else notional(row.quantity, mark)
