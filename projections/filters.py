"""The filters of a trading pair: bounds and grid that the venue sets for quantities and prices.

The grid counts from zero, whatever the smallest quantity or price is: a quantity has to be a multiple of ``step_size``,
a price of ``tick_size``. So says Binance's spot API of its filters ``LOT_SIZE`` and ``PRICE_FILTER``. Its futures API,
and older versions of that page, count from the minimum; where that lies on the grid, as it does in practice, both say
the same. Stop prices obey the filters of prices, as they do there.
A filter that is None, or not more than zero, is no filter.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import NamedTuple

from byjy_events.numbers import CONTEXT
from byjy_events.vocabulary.orders import OrderAmendRequested, OrderPlaced
from projections.rows import TradingPairRow


class Violation(NamedTuple):
    """One number that one filter does not let through.

    Attributes:
        field: ``quantity``, ``price`` or ``stop_price``.
        filter: the column of ``trading_pairs``, e.g. ``step_size``.
        limit: what stands there.
        value: the number that was asked for.
        off_by: how much too small or too large it is; for a grid how far above the next lower multiple. More than zero.
    """

    field: str
    filter: str
    limit: Decimal
    value: Decimal
    off_by: Decimal


def violations(pair: TradingPairRow, terms: OrderPlaced | OrderAmendRequested) -> Iterator[Violation]:
    """Every filter that the terms of an order violate, exactly; values that are None are passed over.

    Of a pair that is ``external`` no filter is known, and its row has none.
    """
    for field, filtered in (("quantity", "quantity"), ("price", "price"), ("stop_price", "price")):
        value: Decimal | None = getattr(terms, field)
        if value is not None:
            yield from _violations(pair, field, filtered, value)


def _violations(pair: TradingPairRow, field: str, filtered: str, value: Decimal) -> Iterator[Violation]:
    least, most, grid = f"min_{filtered}", f"max_{filtered}", "step_size" if filtered == "quantity" else "tick_size"
    for name, off_by in ((least, _below), (most, _above), (grid, _off_grid)):
        limit: Decimal | None = getattr(pair, name)
        # The default context keeps 28 digits; a quantity may have 38.
        if limit is not None and limit > 0 and (missed := off_by(value, limit)) > 0:
            yield Violation(field, name, limit, value, missed)


def _below(value: Decimal, limit: Decimal) -> Decimal:
    return CONTEXT.subtract(limit, value)


def _above(value: Decimal, limit: Decimal) -> Decimal:
    return CONTEXT.subtract(value, limit)


def _off_grid(value: Decimal, limit: Decimal) -> Decimal:
    return CONTEXT.remainder(value, limit)
