"""Moves of the orders of one account, told in words, as events.

A move happens to an order that buys at 100: ``place 10``, ``accept``, ``fill a 4 @ 110`` is execution a, at 100 where
no price is told; ``fill a 4 for 0.1 BNB`` has a fee. ``sell ...`` happens to a second order of the same account, which
sells; ``venue ...`` to an order that the venue tells of under an id of its own. ``want ...`` is a request of ours.
"""

from __future__ import annotations

from decimal import Decimal

from msgspec import Struct

from byjy_events.event import Event
from byjy_events.identifiers import external_order_id
from byjy_events.stream import Stream, order_stream
from byjy_events.vocabulary import orders as events
from byjy_events.vocabulary.orders import OrderStatus, Side
from tests.lifecycles import Subject

PRICE = Decimal(100)


class VenueOrder(Subject, frozen=True, kw_only=True):
    """An order under the id that is derived from the venue's, of which the venue does not say whose it is."""

    @property
    def stream(self) -> Stream:
        return order_stream(external_order_id(self.pair.exchange, self.account, self.pair.symbol, f"v{self.number}"))

    def fact(self, kind: type[events.OrderFact], **fields: object) -> Event:
        return Subject.fact(self, kind, **{"client_order_id": None, **fields})


class Cast(Struct, frozen=True):
    """The orders of a case, on an account of their own."""

    buy: Subject
    sell: Subject
    venue: VenueOrder

    @classmethod
    def of(cls, number: int) -> Cast:
        account = f"case {number}"
        return cls(
            Subject(number=10 * number, account=account),
            Subject(number=10 * number + 1, account=account, side=Side.SELL),
            VenueOrder(number=10 * number + 2, account=account),
        )

    def told(self, move: str, number: int) -> tuple[Subject, Event]:
        """A move as an event, and the order that it is told of."""
        words = move.split()
        if words[0] in ("sell", "venue"):
            order: Subject = self.sell if words[0] == "sell" else self.venue
            return order, self._event(order, words[1:], str(number))
        return self.buy, self._event(self.buy, words, str(number))

    def _event(self, order: Subject, words: list[str], name: str) -> Event:
        match words:
            case ["link", *whom]:
                other = self.sell if whom else self.venue
                return events.OrderLinked(external_order_id=other.stream.id)
            case ["want", *_]:
                return _request(words[1:])
            case ["place", quantity]:
                return order.placed(Decimal(quantity), PRICE)
            case ["submit"]:
                return events.OrderSubmitted()
            case ["deny"]:
                return events.OrderDenied(reason="too large")
        return _fact(order, words, name)


def _request(words: list[str]) -> Event:
    match words:
        case ["amend", quantity]:
            return events.OrderAmendRequested(quantity=Decimal(quantity))
    assert words == ["cancel"]
    return events.OrderCancelRequested()


_ANSWERS: dict[str, type[events.OrderFact]] = {
    "accept": events.OrderAccepted,
    "reject": events.OrderRejected,
    "cancel": events.OrderCanceled,
    "expire": events.OrderExpired,
    "cancel pending": events.OrderCancelPending,
    "cancel rejected": events.OrderCancelRejected,
    "done for day": events.OrderDoneForDay,
}


def _fact(order: Subject, words: list[str], name: str) -> Event:
    match words:
        case ["fill", execution, quantity, "for", amount, asset]:
            return order.filled(execution, Decimal(quantity), PRICE, fee=Decimal(amount), fee_asset=asset)
        case ["fill", execution, quantity, *priced]:
            return order.filled(execution, Decimal(quantity), Decimal(priced[1]) if priced else PRICE)
        case ["bust", execution]:
            return order.fact(events.TradeBusted, update_id=name, execution_id=execution)
        case ["correct", execution, quantity, "@", price, *more]:
            terms = {"execution_id": execution, "quantity": Decimal(quantity), "price": Decimal(price)}
            return order.fact(events.TradeCorrected, update_id=name, **terms, **_correction(more))
        case ["amend", "pending", request]:
            return order.fact(events.OrderAmendPending, update_id=name, client_order_id=request)
        case ["amend", "rejected", request]:
            return order.fact(events.OrderAmendRejected, update_id=name, client_order_id=request)
        case ["amended", quantity, request]:
            return order.fact(events.OrderAmended, update_id=name, client_order_id=request, quantity=Decimal(quantity))
        case ["restate", status, quantity, filled]:
            return order.fact(
                events.OrderRestated,
                update_id=name,
                status=OrderStatus(status),
                quantity=Decimal(quantity),
                filled_quantity=Decimal(filled),
            )
    return order.fact(_ANSWERS[" ".join(words)], update_id=name)


def _correction(words: list[str]) -> dict[str, object]:
    match words:
        case ["for", amount, asset]:
            return {"fee": Decimal(amount), "fee_asset": asset}
        case [renamed]:
            return {"corrected_execution_id": renamed}
    assert not words
    return {}
