"""Whether our tables and the venue's books tell the same."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator
from decimal import Decimal

from byjy_events.numbers import CONTEXT, ZERO
from byjy_ops.demo.ledger import Book, Ledger
from byjy_ops.demo.markets import ACCOUNTS, MARKETS, Account, Market
from projections import PositionRow, Queries, TradeRow, TradeStatus

PAGE = 1_000
TOLERANCE = Decimal("1e-9")
"""Of profit: an average price is rounded to 18 decimals at every fill."""


async def disagreements(queries: Queries, ledger: Ledger) -> list[str]:
    """Where trades, positions and the venue differ, as sentences; empty: the books agree."""
    found = []
    for market in MARKETS:
        trades = await _books_of_trades(queries, market)
        for account in ACCOUNTS:
            position = await queries.position(market.pair.id, account.name, account.is_test)
            symbol = market.pair.symbol
            found += _differences(symbol, account, ledger[symbol, account.name], trades[account.name], position)
    return found


async def _books_of_trades(queries: Queries, market: Market) -> defaultdict[str, Book]:
    """The rows of ``trades``, summed up as the venue sums up its executions."""
    books: defaultdict[str, Book] = defaultdict(Book)
    async for row in _trades(queries, market):
        if row.status is TradeStatus.BUSTED:
            continue
        books[row.account].enter(row.side, row.quantity, row.price, row.fee, row.fee_asset, market.pair.quote_asset)
    return books


async def _trades(queries: Queries, market: Market) -> AsyncIterator[TradeRow]:
    after: TradeRow | None = None
    while page := await queries.trades(pair=market.pair.id, after=after, limit=PAGE):
        for row in page:
            yield row
        after = page[-1]


def _differences(symbol: str, account: Account, venue: Book, trades: Book, position: PositionRow | None) -> list[str]:
    held = ZERO if position is None else position.quantity
    profit = ZERO if position is None else position.realized_pnl
    expected_profit = venue.cash + held * ((position and position.avg_price) or ZERO)
    pairs = [
        ("number of trades", trades.executions, venue.executions),
        ("sum of trades", trades.quantity, venue.quantity),
        ("cash of trades", trades.cash, venue.cash),
        ("fees", dict(trades.fees), dict(venue.fees)),
        ("position", held, venue.quantity),
    ]
    found = [
        f"{symbol} {account.name}: {what} is {ours}, at the venue {theirs}"
        for what, ours, theirs in pairs
        if ours != theirs
    ]
    if profit is None or abs(CONTEXT.subtract(profit, expected_profit)) > TOLERANCE:
        found.append(f"{symbol} {account.name}: realised profit is {profit}, by the venue's cash {expected_profit}")
    return found
