"""What follows from the messages of a made-up venue that reached the engine, in the order in which they did."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

from byjy_events.event import Event
from byjy_events.stream import Stream
from byjy_events.vocabulary import orders as events
from byjy_events.vocabulary.orders import OrderStatus, Side
from byjy_events.vocabulary.pairs import Pair
from tests.venue_model import (
    ENDS,
    SHOWING,
    Order,
    Terms,
    Trade,
    cut,
)


class Record(Terms):
    """What follows from the messages about one order that reached the engine, in the order in which they did."""

    def __init__(self, order: Order) -> None:
        super().__init__()
        self.order = order
        self.placed = False
        self.average_lost = False

    def hear(self, event: Any) -> None:
        if isinstance(event, events.OrderAccepted | events.OrderFilled | events.OrderAmended):
            self.accepted, self.done_for_day = True, False
        if type(event) in HEARD:
            HEARD[type(event)](self, event)

    def placing(self, event: events.OrderPlaced) -> None:
        self.placed, self.quantity = True, Fraction(event.quantity)

    def denied(self, event: events.OrderDenied) -> None:
        if self.status is OrderStatus.PENDING_NEW:
            self.end(OrderStatus.REJECTED)

    def rejected(self, event: events.OrderRejected) -> None:
        """What was filled before cannot have been rejected: that was a second sending."""
        if not self.filled:
            self.end(OrderStatus.REJECTED)

    def cancel_pending(self, event: events.OrderCancelPending) -> None:
        self.pending_cancel = not self.ended

    def cancel_rejected(self, event: events.OrderCancelRejected) -> None:
        self.pending_cancel = False

    def amend_pending(self, event: events.OrderAmendPending) -> None:
        self.pending_amends += [] if self.ended else [event.client_order_id or ""]

    def amend_answered(self, event: events.OrderAmended | events.OrderAmendRejected) -> None:
        if event.client_order_id in self.pending_amends:
            self.pending_amends.remove(event.client_order_id)

    def amended(self, event: events.OrderAmended) -> None:
        self.amend_answered(event)
        if event.quantity is not None:
            self.quantity = Fraction(event.quantity)
        elif event.reduced_by is not None and self.quantity is not None:
            self.quantity -= Fraction(event.reduced_by)

    def resting(self, event: events.OrderDoneForDay) -> None:
        self.done_for_day = not self.ended

    def executed(self, event: events.OrderFilled) -> None:
        trade = trade_of(event, 1 if event.side is Side.BUY else -1)
        trade.placed = self.placed
        self.trades.append(trade)

    def restated(self, event: events.OrderRestated) -> None:
        status = event.status
        self.ended = status if status in ENDS else None
        self.pending_cancel = status is OrderStatus.PENDING_CANCEL
        self.done_for_day = status is OrderStatus.DONE_FOR_DAY
        if status is not OrderStatus.PENDING_REPLACE:
            self.pending_amends = []
        self.accepted |= status not in (OrderStatus.PENDING_NEW, OrderStatus.REJECTED)
        self.quantity = Fraction(event.quantity) if event.quantity is not None else self.quantity
        told = Fraction(event.filled_quantity or 0)
        average = None if event.avg_price is None else Fraction(event.avg_price)
        if told != self.filled or average not in (None, self.average):
            self.beyond += told - self.filled
            known = sum((cut(one.quantity * one.price) for one in self.counted), Fraction(0))
            self.beyond_notional = None if average is None else cut(told * average) - known
            self.average_lost |= average is None
            if not told:
                self.beyond_notional = -known

    def count_anew(self) -> None:
        """A snapshot that told of less than the trades had heard of a bust before we did; it may come any time."""
        if self.beyond <= 0:
            self.beyond = self.beyond_notional = Fraction(0)

    def revised(self, event: Any) -> None:
        found = [one for one in self.trades if one.names[-1] == event.execution_id]
        found += [one for one in self.trades if one.names[0] == event.execution_id]
        if not found or found[0].busted:
            return
        self.count_anew()
        trade = found[0]
        if isinstance(event, events.TradeBusted):
            trade.busted = True
            return
        new = trade_of(event, trade.sign)
        trade.quantity, trade.price = new.quantity, new.price
        if event.fee is not None:
            trade.fee, trade.fee_asset = new.fee, event.fee_asset or trade.fee_asset
        trade.names += [event.corrected_execution_id] if event.corrected_execution_id else []


def trade_of(event: Any, sign: int) -> Trade:
    return Trade(
        [event.execution_id],
        sign,
        Fraction(event.quantity),
        Fraction(event.price),
        Fraction(event.fee or 0),
        event.fee_asset,
    )


HEARD: dict[type[Event], Callable[[Record, Any], None]] = {
    events.OrderPlaced: Record.placing,
    events.OrderDenied: Record.denied,
    events.OrderRejected: Record.rejected,
    events.OrderCanceled: lambda record, event: record.end(OrderStatus.CANCELED),
    events.OrderExpired: lambda record, event: record.end(OrderStatus.EXPIRED),
    events.OrderCancelPending: Record.cancel_pending,
    events.OrderCancelRejected: Record.cancel_rejected,
    events.OrderAmendPending: Record.amend_pending,
    events.OrderAmendRejected: Record.amend_answered,
    events.OrderAmended: Record.amended,
    events.OrderDoneForDay: Record.resting,
    events.OrderRestated: Record.restated,
    events.OrderFilled: Record.executed,
    events.TradeBusted: Record.revised,
    events.TradeCorrected: Record.revised,
}


def renames(event: Any) -> bool:
    """Whether the venue has an order by a new name: so it has the order."""
    return isinstance(event, events.OrderAmended) and bool(event.new_exchange_order_id or event.new_client_order_id)


Holding = tuple[Pair, str, bool]


class Heard:
    """Everything that reached the engine and was not a retelling, and what follows from it."""

    def __init__(self) -> None:
        self.records: dict[Stream, Record] = {}
        self._told: dict[Stream, list[tuple[int, Event]]] = {}
        self._count = 0

    def hear(self, order: Order, stream: Stream, event: Event) -> None:
        """What does not show that an unknown order exists makes no record of it, and is not remembered."""
        if stream not in self.records and not isinstance(event, SHOWING) and not renames(event):
            return
        self._count += 1
        self._told.setdefault(stream, []).append((self._count, event))
        self.records.setdefault(stream, Record(order)).hear(event)

    def link(self, order: Order) -> None:
        """As if everything had been told of one order, which was placed before anything else."""
        merged = [*self._told.pop(order.own_stream, []), *self._told.pop(order.derived_stream, [])]
        merged.sort(key=lambda told: (not isinstance(told[1], events.OrderPlaced), told[0]))
        self.records.pop(order.derived_stream, None)
        record = self.records[order.own_stream] = Record(order)
        self._told[order.own_stream] = merged
        for _, event in merged:
            record.hear(event)
        record.count_anew()

    def trades(self) -> dict[Holding, list[tuple[Stream, Trade]]]:
        """Those that count, by what they are a holding of, in the order in which they were first told."""
        fills: list[tuple[int, Order, Stream, Trade]] = []
        for stream, told in self._told.items():
            numbers = [number for number, event in told if isinstance(event, events.OrderFilled)]
            record = self.records[stream]
            fills += [(number, record.order, stream, one) for number, one in zip(numbers, record.trades, strict=True)]
        holdings: dict[Holding, list[tuple[Stream, Trade]]] = {}
        for _, order, stream, one in sorted(fills, key=lambda each: each[0]):
            if not one.busted:
                holdings.setdefault((order.pair, order.account, order.is_test), []).append((stream, one))
        return holdings
