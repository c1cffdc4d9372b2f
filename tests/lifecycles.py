"""Lives of orders, made up: sensible ones by a seed, and any sequence of moves at all by hypothesis."""

from __future__ import annotations

import random
from collections.abc import Callable
from decimal import Decimal
from uuid import UUID

from hypothesis import strategies as st
from msgspec import Struct

from byjy_events.event import Event
from byjy_events.stream import Stream, order_stream, pair_stream
from byjy_events.vocabulary import orders as events
from byjy_events.vocabulary.orders import OrderStatus, OrderType, Side
from byjy_events.vocabulary.pairs import Pair, PairListed

BTC = Pair(exchange="binance", symbol="BTCUSDT", base_asset="BTC", quote_asset="USDT")
ETH = Pair(exchange="kucoin", symbol="ETH-BTC", base_asset="ETH", quote_asset="BTC")

Step = tuple[Stream, Event]


def execution_of(number: int) -> UUID | None:
    """Of the order with a number: one of two, or none."""
    return UUID(int=(0x0190_0000_0000_7000_8000 << 48) + 0xE0 + number % 3) if number % 3 else None


class Subject(Struct, frozen=True, kw_only=True):
    """The order that moves are about."""

    number: int
    pair: Pair = BTC
    account: str = "main"
    side: Side = Side.BUY
    is_test: bool = False

    @property
    def stream(self) -> Stream:
        """Ids rise with the number, as those of real orders rise with time."""
        return order_stream(UUID(int=(0x0190_0000_0000_7000_8000 << 48) + self.number))

    @property
    def execution(self) -> UUID | None:
        """The execution of a strategy that places it; every third order belongs to none."""
        return execution_of(self.number)

    def fact(self, kind: type[events.OrderFact], **fields: object) -> Event:
        """A fact about this order, which names the order as its venue does."""
        known = {"exchange_order_id": f"v{self.number}", "client_order_id": f"c{self.number}", **fields}
        return kind(pair=self.pair, account=self.account, is_test=self.is_test, **known)  # type: ignore[arg-type]

    def placed(self, quantity: Decimal, price: Decimal) -> Event:
        return events.OrderPlaced(
            pair=self.pair,
            account=self.account,
            side=self.side,
            type=OrderType.LIMIT,
            quantity=quantity,
            price=price,
            client_order_id=f"c{self.number}",
            is_test=self.is_test,
            strategy_execution_id=self.execution,
        )

    def filled(self, name: str, quantity: Decimal, price: Decimal, **fields: object) -> Event:
        return self.fact(
            events.OrderFilled, execution_id=name, side=self.side, quantity=quantity, price=price, **fields
        )


TWIN = Subject(number=5)
"""Could be the first subject under another name."""


def _before(name: str, steps: int) -> str:
    """The name of the move so many steps before this one."""
    return str(max(int(name) - steps, 1))


Move = Callable[[Subject, str, Decimal], Event]
_PRICE = Decimal("100.5")

MOVES: dict[str, Move] = {
    "placed": lambda order, name, size: order.placed(size, _PRICE),
    "submitted": lambda order, name, size: events.OrderSubmitted(),
    "denied": lambda order, name, size: events.OrderDenied(reason="too large"),
    "cancel requested": lambda order, name, size: events.OrderCancelRequested(),
    "amend requested": lambda order, name, size: events.OrderAmendRequested(quantity=size),
    "accepted": lambda order, name, size: order.fact(events.OrderAccepted, update_id=name),
    "rejected": lambda order, name, size: order.fact(events.OrderRejected, update_id=name, reason="no funds"),
    "triggered": lambda order, name, size: order.fact(events.OrderTriggered, update_id=name),
    "filled": lambda order, name, size: order.filled(name, size, _PRICE),
    "filled at another price": lambda order, name, size: order.filled(name, size, Decimal("99.123456789")),
    "filled for a fee": lambda order, name, size: order.filled(
        name, size, _PRICE, fee=Decimal("0.01"), fee_asset=order.pair.quote_asset
    ),
    "filled for a fee in base": lambda order, name, size: order.filled(
        name, size, _PRICE, fee=Decimal("0.001"), fee_asset=order.pair.base_asset
    ),
    "filled for a third asset": lambda order, name, size: order.filled(
        name, size, _PRICE, fee=Decimal("0.5"), fee_asset="BNB"
    ),
    "cancel pending": lambda order, name, size: order.fact(events.OrderCancelPending, update_id=name),
    "canceled": lambda order, name, size: order.fact(events.OrderCanceled, update_id=name),
    "expired": lambda order, name, size: order.fact(events.OrderExpired, update_id=name),
    "amend pending": lambda order, name, size: order.fact(events.OrderAmendPending, update_id=name),
    "amended": lambda order, name, size: order.fact(events.OrderAmended, update_id=name, quantity=size),
    "reduced": lambda order, name, size: order.fact(events.OrderAmended, update_id=name, reduced_by=size),
    "renamed": lambda order, name, size: order.fact(
        events.OrderAmended, update_id=name, new_exchange_order_id=f"w{name}"
    ),
    "cancel rejected": lambda order, name, size: order.fact(events.OrderCancelRejected, update_id=name),
    "amend rejected": lambda order, name, size: order.fact(events.OrderAmendRejected, update_id=name),
    "done for day": lambda order, name, size: order.fact(events.OrderDoneForDay, update_id=name),
    "busted": lambda order, name, size: order.fact(events.TradeBusted, update_id=name, execution_id=_before(name, 1)),
    "busted late": lambda order, name, size: order.fact(
        events.TradeBusted, update_id=name, execution_id=_before(name, 4)
    ),
    "corrected": lambda order, name, size: order.fact(
        events.TradeCorrected, update_id=name, execution_id=_before(name, 1), quantity=size, price=_PRICE
    ),
    "corrected and renamed": lambda order, name, size: order.fact(
        events.TradeCorrected,
        update_id=name,
        execution_id=_before(name, 2),
        corrected_execution_id=name,
        quantity=size,
        price=Decimal("98.7"),
        fee=Decimal("0.3"),
        fee_asset="BNB",
    ),
    "linked": lambda order, name, size: events.OrderLinked(external_order_id=TWIN.stream.id),
    "restated": lambda order, name, size: order.fact(
        events.OrderRestated, update_id=name, status=OrderStatus.NEW, filled_quantity=size
    ),
    "another's id": lambda order, name, size: order.fact(
        events.OrderAccepted, update_id=name, exchange_order_id="v1", client_order_id="c1"
    ),
}
"""Everything that can happen to an order, by name; ``name`` makes each fact one of its own."""

SUBJECTS = (
    Subject(number=1),
    TWIN,
    Subject(number=2, side=Side.SELL),
    Subject(number=3, is_test=True),
    Subject(number=4, pair=ETH, account="second", side=Side.SELL),
)

_SIZES = st.sampled_from([Decimal(size) for size in ("1", "2", "0.3", "7.000000000000000001", "10")])


def _played(moves: list[tuple[Subject, str, Decimal]]) -> list[Step]:
    return [(order.stream, MOVES[move](order, str(n), size)) for n, (order, move, size) in enumerate(moves, 1)]


any_moves: st.SearchStrategy[list[Step]] = st.lists(
    st.tuples(st.sampled_from(SUBJECTS), st.sampled_from(sorted(MOVES)), _SIZES), max_size=40
).map(_played)
"""Any moves on a few orders, in any order: much of it is nonsense, none of it may stop a fold."""


def lifecycles(seed: int, orders: int) -> list[Step]:
    """Sensible lives of ``orders`` orders on two listed pairs, interleaved; the same seed, the same lives."""
    chance = random.Random(seed)
    waiting = [_life(chance, number) for number in range(1, orders + 1)]
    waiting.reverse()
    open_lives: list[list[Step]] = []
    steps: list[Step] = [(pair_stream(pair.exchange, pair.symbol), PairListed(pair=pair)) for pair in (BTC, ETH)]
    while waiting or open_lives:
        while waiting and len(open_lives) < 20:
            open_lives.append(waiting.pop())
        life = open_lives[chance.randrange(len(open_lives))]
        steps.append(life.pop(0))
        if not life:
            open_lives.remove(life)
    return steps


def _life(chance: random.Random, number: int) -> list[Step]:
    order = Subject(
        number=number,
        pair=chance.choice((BTC, BTC, ETH)),
        account=chance.choice(("main", "second")),
        side=chance.choice((Side.BUY, Side.SELL)),
        is_test=chance.random() < 0.1,
    )
    quantity = Decimal(chance.randrange(1, 10_000)) / 1000
    price = Decimal(chance.randrange(9_000, 11_000)) / 100
    life = [order.placed(quantity, price), events.OrderSubmitted(), order.fact(events.OrderAccepted)]
    fills = _fills(chance, order, quantity, price)
    life += fills
    if chance.random() < 0.6:
        life.append(events.OrderCancelRequested())
        life.append(order.fact(events.OrderCancelPending, update_id="p"))
        life.append(order.fact(events.OrderCanceled))
    if chance.random() < 0.05:
        life.append(order.filled("late", Decimal("0.001"), price))
    life += _revisions(random.Random(number), order, len(fills), price)
    return [(order.stream, event) for event in life]


def _revisions(chance: random.Random, order: Subject, fills: int, price: Decimal) -> list[Event]:
    revisions: list[Event] = []
    if fills and chance.random() < 0.05:
        revisions.append(order.fact(events.TradeBusted, update_id="b", execution_id="1"))
    if fills > 1 and chance.random() < 0.1:
        size = Decimal("0.002")
        corrected = order.fact(events.TradeCorrected, update_id="k", execution_id="2", quantity=size, price=price)
        revisions.append(corrected)
    return revisions


def _fills(chance: random.Random, order: Subject, quantity: Decimal, price: Decimal) -> list[Event]:
    fees: list[dict[str, object]] = [
        {},
        {"fee": Decimal("0.012"), "fee_asset": order.pair.quote_asset},
        {"fee": Decimal("0.0001"), "fee_asset": order.pair.base_asset},
        {"fee": Decimal("0.02"), "fee_asset": "BNB"},
    ]
    parts = chance.choice((0, 0, 1, 1, 2, 3))
    part = (quantity / 4).quantize(Decimal("0.0001"))
    sizes = [part] * (parts - 1) + [quantity - part * (parts - 1)] if parts else []
    return [order.filled(str(n), size, price, **chance.choice(fees)) for n, size in enumerate(sizes, 1)]
