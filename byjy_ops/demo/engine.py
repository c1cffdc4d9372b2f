"""The engine between strategies and venue: it writes down first, then acts.

What a strategy wants is durable before the venue hears of it; what the venue says is durable before a strategy hears
of it. So after a crash the log knows every order that may be at the venue, and nobody acted on what was forgotten.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from decimal import Decimal
from uuid import UUID

from byjy_events import (
    NO_STREAM,
    Entry,
    EventLog,
    OrderAmendRequested,
    OrderCancelRequested,
    OrderDenied,
    OrderPlaced,
    OrderSubmitted,
    Outcome,
    Receipt,
    Stream,
    Write,
    new_order_id,
    order_stream,
    pair_stream,
)
from byjy_ops.demo.adapter import Heard, client_order_id, heard
from byjy_ops.demo.markets import MARKETS, Account, Market
from byjy_ops.demo.measurements import Measurements
from byjy_ops.demo.venue import Request, Venue
from byjy_ops.demo.working import Working
from projections import Projector

ORDER_LIMIT_LOTS = 3
"""The engine denies larger orders itself."""

LOOK_EVERY = 10
"""Of so many orders, one is looked up in the tables after it was placed."""

WAIT_SECONDS = 30.0


class Engine:
    """Publishes through one log, and tells each strategy what became of its orders."""

    def __init__(self, log: EventLog, projector: Projector, venue: Venue, tasks: asyncio.TaskGroup) -> None:
        self._log = log
        self._projector = projector
        self._venue = venue
        self._working: dict[UUID, Working] = {}
        self._tasks = tasks
        self.measurements = Measurements()

    async def list_markets(self) -> None:
        """Tell the log what can be traded, all pairs in one atomic append."""
        writes = [Write(pair_stream(m.pair.exchange, m.pair.symbol), [m.listing()], NO_STREAM) for m in MARKETS]
        await self._publish(writes, "engine")

    def price(self, market: Market) -> Decimal:
        """Of the last trade at the venue."""
        return self._venue.price(market)

    # --- what strategies want -------------------------------------------------------------------------

    async def place(self, market: Market, account: Account, placed: OrderPlaced, actor: str) -> Working | None:
        """Place an order; None: the engine's own limit denied it."""
        order_id = new_order_id()
        if placed.quantity > market.lot * ORDER_LIMIT_LOTS:
            denied = OrderDenied(reason=f"larger than {ORDER_LIMIT_LOTS} lots")
            await self._publish([Write(order_stream(order_id), [placed, denied], NO_STREAM)], actor)
            return None
        client = client_order_id(order_id)
        events = [placed, OrderSubmitted(client_order_id=client)]
        receipt = await self._publish([Write(order_stream(order_id), events, NO_STREAM)], actor)
        working = self._working[order_id] = Working(order_id, placed.quantity)
        if len(self._working) % LOOK_EVERY == 0:
            self._tasks.create_task(self._see(order_id, receipt.position))
        self._venue.submit(
            Request(
                market=market,
                account=account,
                client=client,
                side=placed.side,
                type=placed.type,
                quantity=placed.quantity,
                price=placed.price,
                time_in_force=placed.time_in_force,
            )
        )
        return working

    async def cancel(self, working: Working, reason: str, actor: str) -> None:
        """Ask the venue to cancel what is left."""
        await self._publish([Write(order_stream(working.id), [OrderCancelRequested(reason=reason)])], actor)
        self._venue.cancel(client_order_id(working.id))

    async def amend(self, working: Working, quantity: Decimal, price: Decimal, actor: str) -> None:
        """Ask the venue for other terms."""
        wanted = OrderAmendRequested(quantity=quantity, price=price)
        await self._publish([Write(order_stream(working.id), [wanted])], actor)
        self._venue.amend(client_order_id(working.id), quantity, price)

    # --- what the venue says --------------------------------------------------------------------------

    async def listen(self, account: Account) -> None:
        """Store everything that the venue says on one account, until its feed ends."""
        async for messages in self._venue.feeds[account.name].arrivals():
            await self._store([heard(account, raw) for raw in messages])

    async def _store(self, arrived: Sequence[Heard]) -> None:
        """What arrived together is appended together, each fact in the stream of its order."""
        by_stream: dict[Stream, list[Entry]] = {}
        for one in arrived:
            by_stream.setdefault(one.stream, []).append(one.entry)
        receipt = await self._publish([Write(stream, entries) for stream, entries in by_stream.items()], "venue")
        stored = iter(receipt.events)
        for stream, entries in by_stream.items():
            working = self._working.get(stream.id)
            for entry in entries:
                if next(stored).outcome is Outcome.APPENDED and working is not None:
                    working.hear(entry.event)

    # --- publishing and measuring ---------------------------------------------------------------------

    async def _publish(self, writes: Sequence[Write], actor: str) -> Receipt:
        called = time.perf_counter()
        receipt = await self._log.append_all(writes, actor=actor)
        self.measurements.acknowledged(receipt, time.perf_counter() - called)
        return receipt

    async def _see(self, order_id: UUID, position: int) -> None:
        """Read our own write, and measure how long that took to be possible."""
        acknowledged = time.perf_counter()
        await self._projector.wait_for(position, timeout_seconds=WAIT_SECONDS)
        self.measurements.lags.add(time.perf_counter() - acknowledged)
        row = await self._projector.queries.order(order_id)
        if row is None or row.last_position < position:
            raise RuntimeError(f"order {order_id} is not in the tables at position {position}")
