"""What is traded in the demo, and on which accounts."""

from __future__ import annotations

from decimal import Decimal

from msgspec import Struct

from byjy_events import Pair, PairListed

EXCHANGE = "simex"


class Account(Struct, frozen=True):
    """An account at the venue; paper trading happens on one of its own."""

    name: str
    is_test: bool = False


class Market(Struct, frozen=True):
    """One pair with its grid, where its price starts, and in which asset the venue takes its fees."""

    pair: Pair
    price: Decimal
    tick: Decimal
    step: Decimal
    lot: Decimal
    fee_asset: str

    def listing(self) -> PairListed:
        """The pair as the venue announces it."""
        return PairListed(pair=self.pair, min_quantity=self.step, step_size=self.step, tick_size=self.tick)


def _market(base: str, quote: str, price: str, tick: str, step: str, lot: str, fee_asset: str) -> Market:
    pair = Pair(exchange=EXCHANGE, symbol=base + quote, base_asset=base, quote_asset=quote)
    return Market(pair, Decimal(price), Decimal(tick), Decimal(step), Decimal(lot), fee_asset)


MARKETS = (
    _market("BTC", "USDT", "64250", "0.01", "0.00001", "0.05", "USDT"),
    _market("ETH", "USDT", "3120", "0.01", "0.0001", "0.8", "USDT"),
    _market("ETH", "BTC", "0.04856", "0.00001", "0.0001", "0.8", "SIM"),
)

ACCOUNTS = (Account("main"), Account("paper", is_test=True))
