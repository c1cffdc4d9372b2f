"""An order that is at work, as the strategy that placed it sees it."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from uuid import UUID

from byjy_events import Event, OrderAmended, OrderCanceled, OrderExpired, OrderFilled, OrderRejected
from byjy_events.numbers import ZERO


class Working:
    """What a strategy needs to decide upon next; the whole truth about the order is in its stream.

    Attributes:
        ended: set once the order cannot trade any more.
    """

    def __init__(self, order_id: UUID, quantity: Decimal) -> None:
        self.id = order_id
        self.quantity = quantity
        self.filled = ZERO
        self.ended = asyncio.Event()

    def hear(self, event: Event) -> None:
        """A fact about the order became durable."""
        if isinstance(event, OrderFilled):
            self.filled += event.quantity
        elif isinstance(event, OrderAmended) and event.quantity is not None:
            self.quantity = event.quantity
        elif isinstance(event, (OrderCanceled, OrderExpired, OrderRejected)):
            self.ended.set()
        if self.filled >= self.quantity:
            self.ended.set()

    async def ends_within(self, seconds: float) -> bool:
        """Wait for the end, but not longer than this."""
        try:
            await asyncio.wait_for(self.ended.wait(), seconds)
        except TimeoutError:
            return False
        return True
