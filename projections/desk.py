"""Where an engine says what it wants of an order, and is told no before anything is stored.

Every call reads the order's stream from the log, never a table, which may lag; folds it; decides; and appends with the
exact version that it read. Whatever happens to the order in between, a fill or the same wish of another process, makes
the append a conflict, and the decision is made anew on what the stream is then. So what is stored was legal at the very
place in the stream where it stands. The trading pair's filters are those of the moment of reading: a pair that changes
in between does not make a conflict.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from operator import attrgetter
from typing import TypedDict, Unpack
from uuid import UUID

from byjy_events.errors import InvalidAppend, VersionConflict
from byjy_events.identifiers import new_event_id
from byjy_events.log import EventLog
from byjy_events.recorded import Entry, Receipt, Recorded
from byjy_events.stream import ANY, NO_STREAM, PAIR, Expected, Stream, order_stream
from byjy_events.vocabulary.orders import (
    OrderAmendRequested,
    OrderCancelRequested,
    OrderDenied,
    OrderLinked,
    OrderPlaced,
    OrderSubmitted,
)
from byjy_events.vocabulary.pairs import PairListed
from projections.deciding import OrderIntent, decide, folded_order, folded_pair
from projections.rows import OrderRow, TradingPairRow

DECISIONS = 5
"""Times that one call decides. An order that changes in each of these moments is told to the caller."""


class About(TypedDict, total=False):
    """What every call takes besides, as :meth:`byjy_events.log.EventLog.append` does.

    Attributes:
        event_id: of the intent; a fresh one if it is not given. Repeating a call with the id of its first time stores
            nothing twice and returns the first receipt, also after ``OutcomeUnknown``, which names it.
        actor: who wants it; the log's actor if it is not given.
        correlation_id: what this is part of, e.g. a signal.
        causation_id: the event that caused it.
    """

    event_id: UUID | None
    actor: str | None
    correlation_id: UUID | None
    causation_id: UUID | None


class OrderDesk:
    """Places, submits, denies, cancels and amends orders: each call decides, records the intent, and sends nothing.

    When a call returns, its intent is durable and was legal where it stands in the order's stream; then send it. Of
    any number of tasks and processes that want the same of an order, one is given a receipt, and that one sends it;
    the others are refused.

    Each call raises

    - IntentRefused: the order is not in a state for that. FilterViolated: a quantity or price does not fit the pair.
    - InvalidEvent, InvalidAppend: the arguments make no sense for any order.
    - VersionConflict: the order changed while it was decided, :data:`DECISIONS` times in a row.
    - UpgradeRequired: a newer program wrote to the order.
    - LogUnavailable, LogClosed, EventIdReused: as :meth:`byjy_events.log.EventLog.append` does.

    and then nothing was stored; or OutcomeUnknown, and then the call can be repeated with ``event_id``.
    """

    def __init__(self, log: EventLog) -> None:
        self._log = log
        # Read on from where they were left each time: listings come daily, and orders by the thousand.
        self._pairs: dict[UUID, tuple[Sequence[Recorded], TradingPairRow | None]] = {}

    async def place(self, order_id: UUID, placed: OrderPlaced, **about: Unpack[About]) -> Receipt:
        """Record an order before it is sent: once, on a pair that trades, within the pair's filters.

        An order that only the venue has told of so far becomes the engine's own by this, if pair, account, side and
        ``is_test`` are those told; filters and the pair's status do not matter then.
        """
        if not isinstance(placed, OrderPlaced):
            raise InvalidAppend("placed", f"expected an OrderPlaced, got {placed!r}")
        return await self._record(order_id, placed, **about)

    async def submit(self, order_id: UUID, client_order_id: str | None = None, **about: Unpack[About]) -> Receipt:
        """Record that the order is about to be sent: once, and only while the venue has told nothing of it.

        An order that was submitted and never acknowledged is not submitted again. Ask the venue for its client order
        id first; if the venue does not know it, send it under the same one, which needs no new intent.
        """
        return await self._record(order_id, OrderSubmitted(client_order_id=client_order_id), **about)

    async def deny(self, order_id: UUID, reason: str, **about: Unpack[About]) -> Receipt:
        """End an order that was not submitted, e.g. by a risk limit. From then on only the venue can end it."""
        return await self._record(order_id, OrderDenied(reason=reason), **about)

    async def request_cancel(self, order_id: UUID, reason: str = "", **about: Unpack[About]) -> Receipt:
        """Record that an open order is to be cancelled: once, until the venue has answered."""
        return await self._record(order_id, OrderCancelRequested(reason=reason), **about)

    async def request_amend(
        self,
        order_id: UUID,
        *,
        quantity: Decimal | None = None,
        price: Decimal | None = None,
        stop_price: Decimal | None = None,
        **about: Unpack[About],
    ) -> Receipt:
        """Record that an open order is to be amended, within the pair's filters; None leaves a value as it is.

        Args:
            quantity: the new total, with what is filled, and more than that.
            price, stop_price: of orders whose type has one.
        """
        intent = OrderAmendRequested(quantity=quantity, price=price, stop_price=stop_price)
        return await self._record(order_id, intent, **about)

    async def _record(
        self, order_id: UUID, intent: OrderIntent, *, event_id: UUID | None = None,
        actor: str | None = None, correlation_id: UUID | None = None, causation_id: UUID | None = None,
    ) -> Receipt:  # fmt: skip
        if not isinstance(order_id, UUID):
            raise InvalidAppend("order_id", f"expected a UUID, got {order_id!r}")
        entry = Entry(intent, event_id=new_event_id() if event_id is None else event_id)
        decisions = 0
        while True:
            expected = await self._decided(order_id, intent, entry.event_id)
            decisions += 1
            try:
                return await self._log.append(
                    order_stream(order_id), [entry], expected=expected,
                    actor=actor, correlation_id=correlation_id, causation_id=causation_id,
                )  # fmt: skip
            except VersionConflict:
                if decisions == DECISIONS:
                    raise

    async def _decided(self, order_id: UUID, intent: OrderIntent, event_id: UUID | None) -> Expected:
        """The version at which the intent is legal."""
        events = await self._read(order_stream(order_id))
        if any(one.event_id == event_id for one in events):
            return ANY  # it is stored, and the append says where: deciding again would refuse it as the second one
        row = folded_order(order_id, await self._with_linked(events))
        decide(order_id, row, intent, await self._pair(row, intent))
        return events[-1].stream_version if events else NO_STREAM

    async def _pair(self, row: OrderRow | None, intent: OrderIntent) -> TradingPairRow | None:
        """The pair as it is now, where the decision needs it."""
        if isinstance(intent, OrderPlaced):
            pair_id = intent.pair.id
        elif isinstance(intent, OrderAmendRequested) and row is not None:
            pair_id = row.trading_pair_id
        else:
            return None
        events, pair = self._pairs.get(pair_id, ((), None))
        news = await self._read(Stream(PAIR, pair_id), after=events[-1].position if events else 0)
        if news:
            events = _from_last_listing([*events, *news])
            pair = folded_pair(events)
            self._pairs[pair_id] = events, pair
        return pair

    async def _with_linked(self, events: Sequence[Recorded]) -> Sequence[Recorded]:
        """The events of the order, and of the orders that turned out to be this one, in the order of the log."""
        linked = [one.event.external_order_id for one in events if isinstance(one.event, OrderLinked)]
        others = [one for order_id in linked for one in await self._read(order_stream(order_id))]
        return sorted([*events, *others], key=attrgetter("position"))

    async def _read(self, stream: Stream, after: int = 0) -> Sequence[Recorded]:
        return [recorded async for recorded in self._log.read(stream=stream, after=after)]


def _from_last_listing(events: Sequence[Recorded]) -> Sequence[Recorded]:
    """What a pair is now follows from these: a listing is the whole truth of its moment."""
    listings = [number for number, one in enumerate(events) if isinstance(one.event, PairListed)]
    return events[listings[-1] :] if listings else events
