"""A simulated venue: takes orders, fills them in pieces, and tells of it as venues do.

Requests and messages take time, so that a cancel may cross a fill. It tells facts twice, or differently the second
time, garbles messages, fills after it confirmed a cancel, fills too much, and reports orders that somebody placed by
hand. What it executed is in :attr:`Venue.ledger`, whatever it said.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Coroutine
from decimal import Decimal
from random import Random
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from byjy_events import Liquidity, OrderType, Side, TimeInForce
from byjy_events.numbers import ZERO
from byjy_ops.demo import messages
from byjy_ops.demo.feed import Feed
from byjy_ops.demo.ledger import new_ledger
from byjy_ops.demo.markets import ACCOUNTS, MARKETS, Account, Market
from byjy_ops.demo.messages import ExecutionReport, Kind
from byjy_ops.demo.mishaps import Mishap, Mishaps

FEE_RATE = Decimal("0.0004")
FILL_SECONDS = (0.004, 0.030)
LATENCY_SECONDS = (0.001, 0.006)
REJECTED_SHARE = 0.02
RESTING_SHARE = 0.3


class Request(Struct, frozen=True, kw_only=True):
    """A new order as it reaches the venue."""

    market: Market
    account: Account
    client: str
    side: Side
    type: OrderType
    quantity: Decimal
    price: Decimal | None
    time_in_force: TimeInForce


class _Order(Struct):
    """An order in the venue's book."""

    request: Request
    id: str
    leaves: Decimal
    price: Decimal
    mishap: Mishap
    open: bool = True


class Venue:
    """A venue with one market for each pair and one feed for each account. Leave it to have it finish its work."""

    def __init__(self, seed: int) -> None:
        self._random = Random(f"{seed} venue")
        self._mishaps = Mishaps(seed)
        self._prices = {market.pair.symbol: market.price for market in MARKETS}
        self._orders: dict[str, _Order] = {}
        self._numbers = itertools.count(1)
        self._at_work: set[asyncio.Task[None]] = set()
        self.ledger = new_ledger()
        self.feeds = {account.name: Feed() for account in ACCOUNTS}

    def price(self, market: Market) -> Decimal:
        """The price of the last trade."""
        return self._prices[market.pair.symbol]

    async def close(self) -> None:
        """Finish what is under way, then end the feeds."""
        while self._at_work:
            await asyncio.gather(*self._at_work)
        for feed in self.feeds.values():
            feed.end()

    # --- requests: each returns at once, the answers come through the feed ----------------------------

    def submit(self, request: Request) -> None:
        """Take a new order."""
        self._begin(self._serve(request))

    def cancel(self, client: str) -> None:
        """Cancel what is left of an order, if it is not too late."""
        self._begin(self._serve_cancel(self._orders[client]))

    def amend(self, client: str, quantity: Decimal, price: Decimal) -> None:
        """Change the terms of an order, if it is not too late."""
        self._begin(self._serve_amend(self._orders[client], quantity, price))

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._at_work.add(task)
        task.add_done_callback(self._at_work.discard)

    async def _serve(self, request: Request) -> None:
        market = request.market
        mishap = Mishap.NONE if request.time_in_force is TimeInForce.IOC else self._mishaps.next()
        price = request.price or self._moved(market)
        order = _Order(request, f"X{next(self._numbers):08}", request.quantity, price, mishap)
        self._orders[request.client] = order
        await self._latency()
        if mishap is Mishap.NONE and self._random.random() < REJECTED_SHARE:
            order.open = False
            self._tell(order, Kind.REJECTED, text="the price is too far from the market")
            return
        self._tell(order, Kind.NEW)
        if mishap is Mishap.GARBLED:
            self.feeds[request.account.name].send(self._garbled(order))
        if mishap is Mishap.STRANGER:
            self._stranger_trades(request)
        await self._trade(order)

    async def _trade(self, order: _Order) -> None:
        for quantity in self._pieces(order):
            await asyncio.sleep(self._random.uniform(*FILL_SECONDS))
            if not order.open:
                return
            self._fill(order, min(quantity, order.leaves))
        if order.open and order.request.time_in_force is TimeInForce.IOC:
            order.open = False
            self._tell(order, Kind.EXPIRED, text="immediate or cancel")

    async def _serve_cancel(self, order: _Order) -> None:
        await self._latency()
        if order.open:
            self._tell(order, Kind.PENDING_CANCEL)
            await self._latency()
        if not order.open:  # filled before the cancel came, or while it was pending
            self._tell(order, Kind.CANCEL_REJECTED, text="too late to cancel")
            return
        order.open = False
        self._tell(order, Kind.CANCELED)
        if order.mishap is Mishap.LATE_FILL:  # matched before the cancel, told after it
            await self._latency()
            self._fill(order, order.leaves)

    async def _serve_amend(self, order: _Order, quantity: Decimal, price: Decimal) -> None:
        await self._latency()
        executed = order.request.quantity - order.leaves
        if not order.open or quantity <= executed:
            self._tell(order, Kind.REPLACE_REJECTED, text="too late to replace")
            return
        order.leaves, order.price = quantity - executed, price
        order.request = replace(order.request, quantity=quantity, price=price)
        self._tell(order, Kind.REPLACED, quantity=quantity, price=price)

    # --- trading --------------------------------------------------------------------------------------

    def _pieces(self, order: _Order) -> list[Decimal]:
        """How the market will take the order, if it is given the time: in one to five pieces, or not to the end."""
        if order.mishap is Mishap.OVERFILL:
            return [order.leaves]
        step, count = order.request.market.step, self._random.choice((1, 1, 2, 3, 5))
        piece = max((order.leaves / count).quantize(step), step)
        pieces = [piece] * (count - 1) + [order.leaves]
        rests = order.mishap is Mishap.LATE_FILL
        if order.mishap is Mishap.NONE and self._random.random() < RESTING_SHARE:
            rests = True
        return pieces[:-1] if rests else pieces

    def _fill(self, order: _Order, quantity: Decimal) -> None:
        if quantity <= 0:
            return
        order.leaves -= quantity
        if order.mishap is Mishap.OVERFILL and order.leaves <= 0:
            quantity += order.request.market.step
        if order.leaves <= 0:
            order.open = False
        report = self._executed(order, quantity)
        if order.mishap is Mishap.TOLD_TWICE:
            self._send(order, report)
        if order.mishap is Mishap.TOLD_OTHERWISE:
            order.mishap = Mishap.NONE
            self._send(order, replace(report, price=order.price + order.request.market.tick))
        if order.mishap in (Mishap.BUSTED, Mishap.CORRECTED):
            self._begin(self._revise(order, report, order.mishap))
            order.mishap = Mishap.NONE

    async def _revise(self, order: _Order, report: ExecutionReport, mishap: Mishap) -> None:
        """An execution was a mistake: it is taken back, or its price is put right. The order does not come back."""
        await self._latency()
        request, quote_asset = order.request, order.request.market.pair.quote_asset
        book = self.ledger[report.symbol, request.account.name]
        quantity, price, fee = report.quantity or ZERO, report.price or ZERO, report.fee or ZERO
        book.take_back(report.side, quantity, price, fee, report.fee_asset, quote_asset)
        details = {"execution": report.execution}
        if mishap is Mishap.BUSTED:
            self._tell(order, Kind.TRADE_CANCELED, **details)
            return
        price += request.market.tick
        book.enter(report.side, quantity, price, fee, report.fee_asset, quote_asset)
        told = {"quantity": quantity, "price": price, "fee": fee, "fee_asset": report.fee_asset}
        self._tell(order, Kind.TRADE_CORRECTED, **details, **told)

    def _executed(self, order: _Order, quantity: Decimal) -> ExecutionReport:
        """Enter an execution in the books, and tell of it."""
        request, market = order.request, order.request.market
        fee = (quantity * order.price * FEE_RATE).quantize(Decimal("1e-8"))
        book = self.ledger[market.pair.symbol, request.account.name]
        book.enter(request.side, quantity, order.price, fee, market.fee_asset, market.pair.quote_asset)
        return self._tell(
            order,
            Kind.TRADE,
            quantity=quantity,
            price=order.price,
            execution=f"E{next(self._numbers):08}",
            fee=fee,
            fee_asset=market.fee_asset,
            liquidity=Liquidity.TAKER if request.type is OrderType.MARKET else Liquidity.MAKER,
        )

    def _stranger_trades(self, request: Request) -> None:
        """Somebody uses the same account by hand: the engine never placed this order."""
        market = request.market
        by_hand = replace(request, client=f"web-{next(self._numbers)}", quantity=market.lot)
        order = _Order(by_hand, f"X{next(self._numbers):08}", ZERO, self._moved(market), Mishap.NONE, open=False)
        self._executed(order, market.lot)

    def _moved(self, market: Market) -> Decimal:
        """The price, one small step of its random walk later."""
        factor = Decimal(1 + self._random.gauss(0, 0.0003))
        price = (self._prices[market.pair.symbol] * factor).quantize(market.tick)
        self._prices[market.pair.symbol] = price
        return price

    # --- messages -------------------------------------------------------------------------------------

    def _tell(self, order: _Order, kind: Kind, **details: Any) -> ExecutionReport:
        request = order.request
        report = ExecutionReport(
            kind=kind,
            time=time.time_ns(),
            update=next(self._numbers),
            symbol=request.market.pair.symbol,
            order=order.id,
            client=request.client,
            side=request.side,
            **details,
        )
        self._send(order, report)
        return report

    def _send(self, order: _Order, report: ExecutionReport) -> None:
        self.feeds[order.request.account.name].send(messages.encode(report))

    def _garbled(self, order: _Order) -> bytes:
        """Half a message: the connection hiccuped."""
        whole = f'{{"kind":"TRADE","order":"{order.id}","update":{next(self._numbers)},"quantity":"0.0'
        return whole.encode()

    async def _latency(self) -> None:
        await asyncio.sleep(self._random.uniform(*LATENCY_SECONDS))
