"""Trading pairs: what can be traded, and within which bounds."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from uuid import UUID

from byjy_events.event import Checked, Id, Intent, VenueName, event_type
from byjy_events.identifiers import pair_id
from byjy_events.numbers import ZERO


class PairStatus(StrEnum):
    """Whether a pair can be traded now."""

    TRADING = "TRADING"
    INACTIVE = "INACTIVE"
    MAINTENANCE = "MAINTENANCE"


class Pair(Checked, frozen=True, kw_only=True):
    """One instrument at one venue. Every order event carries it, so that no fact depends on another.

    Attributes:
        exchange: the venue, e.g. ``binance``; at most 64 characters.
        symbol: the venue's name for it, e.g. ``BTCUSDT``.
        base_asset: what is bought and sold, e.g. ``BTC``.
        quote_asset: what it is paid in, e.g. ``USDT``.
    """

    exchange: VenueName
    symbol: Id
    base_asset: Id
    quote_asset: Id

    @property
    def id(self) -> UUID:
        """The row in ``trading_pairs``: derived from exchange and symbol."""
        return pair_id(self.exchange, self.symbol)


@event_type()
class PairListed(Intent, frozen=True, kw_only=True):
    """A pair and its filters became known, or changed: the whole truth of that moment, not a difference.

    Attributes:
        min_quantity, max_quantity, step_size: bounds and grid of an order's quantity; 0 and None: no bound.
        min_price, max_price, tick_size: the same for its price.
    """

    pair: Pair
    status: PairStatus = PairStatus.TRADING
    min_quantity: Decimal = ZERO
    max_quantity: Decimal | None = None
    step_size: Decimal = ZERO
    min_price: Decimal = ZERO
    max_price: Decimal | None = None
    tick_size: Decimal = ZERO


@event_type()
class PairStatusChanged(Intent, frozen=True, kw_only=True):
    """Trading in a pair was halted or resumed; its filters stay."""

    pair: Pair
    status: PairStatus


@event_type()
class PairDelisted(Intent, frozen=True, kw_only=True):
    """The pair is gone for good; its rows stay, inactive."""

    pair: Pair
