"""One trading day of one stock: from messages to events, each message for itself, the same every time.

A submission becomes OrderPlaced and OrderAccepted, a partial cancel OrderAmended, a deletion OrderCanceled, an
execution OrderFilled. A message about an order that the file never submitted becomes the same event; the read
side recognises that the order is unknown.

Every id is derived, so importing twice stores nothing twice. The line number, which is stable within a file, tells the
facts of one order apart; the date goes with it, because NASDAQ numbers its orders anew every day.

Order ids, and the ids of OrderPlaced, are UUIDs of version 8 (RFC 9562) that rise with time, as the index likes them:

====== =====================================================================================
bits   content
====== =====================================================================================
48     midnight of the trading date in New York, milliseconds since 1970
4      version: 8
12     hash of kind, venue, account, symbol and of what does not fit the last field
2      variant
14     more of the hash
48     the order's number at the venue, or the line's number in the file
====== =====================================================================================
"""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from functools import lru_cache
from uuid import UUID
from zoneinfo import ZoneInfo

from byjy_events import (
    Entry,
    Event,
    Liquidity,
    OrderAccepted,
    OrderAmended,
    OrderCanceled,
    OrderFilled,
    OrderPlaced,
    OrderType,
    Pair,
    PairListed,
    Side,
    Stream,
    order_stream,
)
from byjy_events.identifiers import derived_id, derived_id_bytes
from byjy_ops.lobster.message import Message, MessageType

VENUE = "nasdaq"
CURRENCY = "USD"
TICK_SIZE = Decimal("0.01")
"""Regulation NMS, rule 612, for stocks from one dollar up."""

_NEW_YORK = "America/New_York"
_NUMBER_BITS = 48
_NUMBER_MASK = (1 << _NUMBER_BITS) - 1
_PRICE_SCALE = -4


class TradingDay:
    """What one file tells of: a stock, a date, and the account that the flow is booked on."""

    def __init__(self, symbol: str, on: date, account: str) -> None:
        self.pair = Pair(exchange=VENUE, symbol=symbol, base_asset=symbol, quote_asset=CURRENCY)
        self.date = on
        self.account = account
        self.midnight = int(datetime(on.year, on.month, on.day, tzinfo=ZoneInfo(_NEW_YORK)).timestamp()) * 10**9
        self._day = f"{on:%Y%m%d}"
        self._prefixes: dict[tuple[str, int], int] = {}

    def __str__(self) -> str:
        return f"{self.pair.symbol} of {self.date}"

    def listing(self) -> Entry:
        """The pair. Its id does not depend on the day, so it is listed once."""
        event = PairListed(pair=self.pair, min_quantity=Decimal(1), step_size=Decimal(1), tick_size=TICK_SIZE)
        event_id = derived_id("PairListed", "lobster", VENUE, self.pair.symbol)
        return Entry(event, self.midnight, self.midnight, event_id)

    def entries(self, line: int, message: Message) -> tuple[Stream, list[Entry]]:
        """What a message about a visible order becomes, and the order's stream.

        Args:
            line: the number of the line in its file, from 1.
        """
        at = self.midnight + message.nanoseconds
        stream = order_stream(self._ordered_id("order", int(message.order)))
        fact = Entry(self._fact(message, f"{self._day}.{line}"), at, at)
        if message.type is not MessageType.SUBMISSION:
            return stream, [fact]
        return stream, [Entry(self._placed(message), at, at, self._ordered_id("placed", line)), fact]

    def line_of(self, event_id: UUID) -> int:
        """The line that an OrderPlaced with this id came from."""
        return event_id.int & _NUMBER_MASK

    def _placed(self, message: Message) -> OrderPlaced:
        return OrderPlaced(
            pair=self.pair,
            account=self.account,
            side=_side(message),
            type=OrderType.LIMIT,
            quantity=_size(message.size),
            price=_price(message.price),
        )

    def _fact(self, message: Message, told: str) -> Event:
        pair, account, order = self.pair, self.account, message.order
        if message.type is MessageType.SUBMISSION:
            return OrderAccepted(pair=pair, account=account, exchange_order_id=order, update_id=told)
        if message.type is MessageType.DELETION:
            return OrderCanceled(pair=pair, account=account, exchange_order_id=order, update_id=told)
        if message.type is MessageType.PARTIAL_CANCEL:
            less = _size(message.size)
            return OrderAmended(pair=pair, account=account, exchange_order_id=order, update_id=told, reduced_by=less)
        return OrderFilled(
            pair=pair,
            account=account,
            exchange_order_id=order,
            execution_id=told,
            side=_side(message),
            quantity=_size(message.size),
            price=_price(message.price),
            liquidity=Liquidity.MAKER,
        )

    def _ordered_id(self, kind: str, number: int) -> UUID:
        high = number >> _NUMBER_BITS
        prefix = self._prefixes.get((kind, high))
        if prefix is None:
            prefix = self._prefixes[kind, high] = self._prefix(kind, high)
        return UUID(int=prefix | (number & _NUMBER_MASK))

    def _prefix(self, kind: str, high: int) -> int:
        parts = (f"lobster {kind}", VENUE, self.account, self.pair.symbol, str(high))
        hashed = int.from_bytes(derived_id_bytes(*parts)[:4], "big")
        milliseconds = self.midnight // 10**6
        return (
            milliseconds << 80
            | 0x8 << 76
            | (hashed >> 20) << 64  # 12 bits
            | 0b10 << 62
            | (hashed >> 6 & 0x3FFF) << 48  # the next 14
        )


def _side(message: Message) -> Side:
    return Side.BUY if message.is_buy else Side.SELL


@lru_cache(maxsize=65_536)
def _size(digits: str) -> Decimal:
    return Decimal(digits)


@lru_cache(maxsize=65_536)
def _price(digits: str) -> Decimal:
    return Decimal(digits).scaleb(_PRICE_SCALE)
