"""The table, its rows, and how fills become rows. Paper trades do not count."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from msgspec import Struct

from byjy_events import OrderFilled, Recorded
from byjy_events.columns import BigInt, Money, word
from byjy_events.numbers import CONTEXT, ZERO, InexactNumber, rounded
from projections import Group, Key, Projection, on

DAY = 24 * 60 * 60 * 10**9
"""Nanoseconds."""

daily_volume = sa.Table(
    "daily_volume",
    sa.MetaData(),
    sa.Column("exchange", word(255), primary_key=True),
    sa.Column("symbol", word(255), primary_key=True),
    sa.Column("day", BigInt, primary_key=True, autoincrement=False),
    sa.Column("quantity", Money),
    sa.Column("notional", Money),
    sa.Column("fills", BigInt, nullable=False),
    sa.Index("ix_daily_volume_day", "day", "exchange", "symbol"),
    sqlite_strict=True,
)


class DailyVolumeRow(Struct, frozen=True, kw_only=True):
    """What was traded of a pair on one day.

    Attributes:
        day: days since 1970-01-01, UTC.
        quantity, notional: in the base and in the quote asset; None: the sum left the range of NUMERIC(38, 18).
    """

    exchange: str
    symbol: str
    day: int
    quantity: Decimal | None = ZERO
    notional: Decimal | None = ZERO
    fills: int = 0

    @property
    def date(self) -> date:
        """The day as a date."""
        return date(1970, 1, 1) + timedelta(days=self.day)


class DailyVolume(Projection[DailyVolumeRow]):
    """``daily_volume``: each fill counts on the day it happened at the venue, where the venue tells."""

    name = "daily_volume"
    version = 1
    table = daily_volume
    row_type = DailyVolumeRow

    def keys(self, recorded: Recorded) -> Sequence[Key]:
        fill: Any = recorded.event
        if fill.is_test:
            return ()
        return ((fill.pair.exchange, fill.pair.symbol, recorded.effective_at // DAY),)

    @on(OrderFilled)
    def filled(self, row: DailyVolumeRow | None, fill: OrderFilled, recorded: Recorded, key: Key) -> DailyVolumeRow:
        exchange, symbol, day = key
        before = row if row is not None else DailyVolumeRow(exchange=exchange, symbol=symbol, day=day)
        return DailyVolumeRow(
            exchange=exchange,
            symbol=symbol,
            day=day,
            quantity=_grown(before.quantity, fill.quantity),
            notional=_grown(before.notional, CONTEXT.multiply(fill.quantity, fill.price)),
            fills=before.fills + 1,
        )


def _grown(total: Decimal | None, added: Decimal) -> Decimal | None:
    """Rounded here, at every event: rounded later, a row would depend on how many events were folded at once."""
    if total is None:
        return None
    try:
        return rounded(CONTEXT.add(total, added))
    except InexactNumber:
        return None  # a venue may say anything: a projection that raised would stop


DAILY_VOLUME = Group("daily_volume", [DailyVolume()])
"""A group of its own: it advances, stops and is rebuilt by itself."""
