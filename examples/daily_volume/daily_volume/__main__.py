"""``python -m daily_volume [URL]``: publish fills and read the volumes live. Run again, it counts nothing twice."""

from __future__ import annotations

import asyncio
import sys
from decimal import Decimal
from uuid import UUID

from byjy_events import Entry, EventLog, OrderFilled, Pair, Side, order_stream
from byjy_events.numbers import spelled
from daily_volume.queries import volumes
from daily_volume.volume import DAILY_VOLUME, DAY
from projections import Projector, create_tables

BTC = Pair(exchange="binance", symbol="BTCUSDT", base_asset="BTC", quote_asset="USDT")
ETH = Pair(exchange="kucoin", symbol="ETH-USDT", base_asset="ETH", quote_asset="USDT")
ORDERS = {BTC: order_stream(UUID(int=1)), ETH: order_stream(UUID(int=2))}
NEW_YEAR = 19_723 * DAY
"""2024-01-01."""

FILLS = (
    (BTC, "1", NEW_YEAR, "0.5", "42000.1"),
    (BTC, "2", NEW_YEAR + DAY - 1, "0.25", "42500"),
    (BTC, "3", NEW_YEAR + DAY, "1", "43000.123456789"),
    (ETH, "1", NEW_YEAR + DAY, "10", "2300.5"),
    (BTC, "3", NEW_YEAR + DAY, "1", "43000.123456789"),  # the venue tells it twice
)
"""Pair, execution id, when, quantity and price."""


async def main(url: str) -> None:
    async with EventLog.open(url) as log:
        await create_tables(log, DAILY_VOLUME)
        async with Projector(log, DAILY_VOLUME) as projector:
            await projector.wait_for(await publish(log))
            async with log.engine.connect() as connection:
                for row in await volumes(connection):
                    amounts = " ".join(
                        "?" if amount is None else spelled(amount) for amount in (row.quantity, row.notional)
                    )
                    print(f"{row.date} {row.exchange}:{row.symbol} {amounts} {row.fills} fills")


async def publish(log: EventLog) -> int:
    """Append the fills one by one, as an engine would, and return the last one's position."""
    position = 0
    for pair, execution_id, at, quantity, price in FILLS:
        fill = OrderFilled(
            pair=pair,
            account="main",
            side=Side.BUY,
            exchange_order_id=f"X-{pair.symbol}",
            execution_id=execution_id,
            quantity=Decimal(quantity),
            price=Decimal(price),
        )
        receipt = await log.append(ORDERS[pair], [Entry(fill, occurred_at=at)])
        position = max(position, receipt.position)
    return position


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "sqlite:///daily_volume.db"))
