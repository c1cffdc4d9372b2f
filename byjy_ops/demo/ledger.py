"""The venue's own books, kept in plain sums and without a look at our log: the truth that we are held against."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal

from msgspec import Struct, field

from byjy_events import Side
from byjy_events.numbers import ZERO


class Book(Struct):
    """What was executed on one account in one pair.

    Attributes:
        quantity: bought less sold.
        cash: received less paid in the quote asset, fees in the quote asset included.
        fees: by asset.
    """

    executions: int = 0
    quantity: Decimal = ZERO
    cash: Decimal = ZERO
    fees: dict[str, Decimal] = field(default_factory=lambda: defaultdict(Decimal))

    def enter(
        self, side: Side, quantity: Decimal, price: Decimal, fee: Decimal, fee_asset: str | None, quote_asset: str
    ) -> None:
        """One execution."""
        self._add(1, side, quantity, price, fee, fee_asset, quote_asset)

    def take_back(
        self, side: Side, quantity: Decimal, price: Decimal, fee: Decimal, fee_asset: str | None, quote_asset: str
    ) -> None:
        """One execution that never was."""
        self._add(-1, side, -quantity, price, -fee, fee_asset, quote_asset)

    def _add(
        self, executions: int, side: Side, quantity: Decimal, price: Decimal, fee: Decimal, fee_asset: str | None,
        quote_asset: str,
    ) -> None:  # fmt: skip
        signed = quantity if side is Side.BUY else -quantity
        self.executions += executions
        self.quantity += signed
        self.cash -= signed * price
        if fee_asset is not None:
            self.fees[fee_asset] += fee
        if fee_asset == quote_asset:
            self.cash -= fee


Ledger = defaultdict[tuple[str, str], Book]
"""A book for each symbol and account."""


def new_ledger() -> Ledger:
    """Books without entries."""
    return defaultdict(Book)
