"""Strategies: each places an order, watches it, changes its mind, and begins anew.

They do not try to be clever: they make every turn that an order can take. What each decides depends on the seed and
on its name alone; when it does so, on the venue.
"""

from __future__ import annotations

import asyncio
from decimal import Decimal
from random import Random
from typing import ClassVar

from byjy_events import OrderPlaced, OrderType, Side, TimeInForce
from byjy_ops.demo.engine import Engine
from byjy_ops.demo.markets import Account, Market
from byjy_ops.demo.working import Working

PATIENCE_SECONDS = (0.02, 0.15)
PAUSE_SECONDS = (0.005, 0.04)
AMEND_SHARE = 0.25
OVERSIZED_SHARE = 0.01


class Strategy:
    """One strategy on one market and account. Subclasses say what they order and how they look after it."""

    kind: ClassVar[str]

    def __init__(self, engine: Engine, market: Market, account: Account, number: int, seed: int) -> None:
        self.name = f"strategy:{self.kind}-{number}"
        self._engine = engine
        self._market = market
        self._account = account
        self._random = Random(f"{seed} {self.name}")

    async def run(self, enough: asyncio.Event) -> None:
        """Trade until it is enough, and leave no order behind."""
        while not enough.is_set():
            working = await self._engine.place(self._market, self._account, self.order(), self.name)
            if working is not None:
                await self.look_after(working)
            await asyncio.sleep(self._random.uniform(*PAUSE_SECONDS))

    def order(self) -> OrderPlaced:
        """The next order."""
        raise NotImplementedError

    async def look_after(self, working: Working) -> None:
        """Stay with an order until it ended."""
        raise NotImplementedError

    def _placed(self, type_: OrderType, price: Decimal | None, time_in_force: TimeInForce) -> OrderPlaced:
        return OrderPlaced(
            pair=self._market.pair,
            account=self._account.name,
            side=self._random.choice((Side.BUY, Side.SELL)),
            type=type_,
            quantity=self._quantity(),
            price=price,
            time_in_force=time_in_force,
            is_test=self._account.is_test,
        )

    def _quantity(self) -> Decimal:
        lots = 10 if self._random.random() < OVERSIZED_SHARE else self._random.uniform(0.2, 2.0)
        return (self._market.lot * Decimal(lots)).quantize(self._market.step)


class MarketMaker(Strategy):
    """Rests limit orders in the book, amends some of them, and cancels what was not filled in time."""

    kind = "mm"

    def order(self) -> OrderPlaced:
        return self._placed(OrderType.LIMIT, self._near_the_market(), TimeInForce.GTC)

    async def look_after(self, working: Working) -> None:
        if await working.ends_within(self._random.uniform(*PATIENCE_SECONDS)):
            return
        if self._random.random() < AMEND_SHARE:
            more = (working.quantity * Decimal("1.25")).quantize(self._market.step)
            await self._engine.amend(working, more, self._near_the_market(), self.name)
            if await working.ends_within(self._random.uniform(*PATIENCE_SECONDS)):
                return
        await self._engine.cancel(working, "not filled in time", self.name)
        await working.ended.wait()

    def _near_the_market(self) -> Decimal:
        distance = Decimal(1 + self._random.gauss(0, 0.0005))
        return (self._engine.price(self._market) * distance).quantize(self._market.tick)


class Taker(Strategy):
    """Takes what the market gives at once."""

    kind = "taker"

    def order(self) -> OrderPlaced:
        return self._placed(OrderType.MARKET, None, TimeInForce.IOC)

    async def look_after(self, working: Working) -> None:
        await working.ended.wait()
