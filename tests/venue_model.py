"""A venue that is made up, and the truth about it, worked out the simple way: no row is folded, no code is shared.

An :class:`Order` is what really happens: executions, and messages about them on their way to the engine, which come
late, twice, in another order or never. :class:`Heard` is what follows from the messages that did come. Numbers are
fractions; :func:`cut` is the only rounding.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from typing import Any
from uuid import UUID

from byjy_events.event import Event
from byjy_events.identifiers import external_order_id
from byjy_events.stream import Stream, order_stream
from byjy_events.vocabulary import orders as events
from byjy_events.vocabulary.orders import OrderStatus, OrderType, Side
from byjy_events.vocabulary.pairs import Pair

ENDS = {OrderStatus.CANCELED, OrderStatus.REJECTED, OrderStatus.EXPIRED}
CLOSED = ENDS | {OrderStatus.FILLED}
UNIT = 10**18
SHOWING = (events.OrderPlaced, events.OrderAccepted, events.OrderFilled, events.OrderRestated)
"""What shows that there is an order; so does a new name for it."""


def cut(value: Fraction) -> Fraction:
    """Rounded half-even to 18 decimals."""
    return Fraction(round(value * UNIT), UNIT)


def exact(value: Fraction) -> Decimal:
    """A fraction that has no more than 18 decimals, as the events want it."""
    return Decimal(int(value * UNIT)).scaleb(-18)


TRADES = (events.OrderFilled, events.TradeBusted, events.TradeCorrected)
"""What is about trades."""

# --- what was traded ------------------------------------------------------------------------------


@dataclass(repr=False)
class Trade:
    """An execution. ``names``: the first that it was told under, and the last. ``placed``: its order was, by then."""

    names: list[str]
    sign: int
    quantity: Fraction
    price: Fraction
    fee: Fraction = Fraction(0)
    fee_asset: str | None = None
    busted: bool = False
    placed: bool = False

    def __repr__(self) -> str:
        return f"trade {self.names}"


@dataclass
class Terms:
    """What an order's status follows from (FIX, Order State Changes): at the venue, and as far as it was told."""

    quantity: Fraction | None = None
    trades: list[Trade] = field(default_factory=list)
    accepted: bool = False
    ended: OrderStatus | None = None
    pending_cancel: bool = False
    pending_amends: list[str] = field(default_factory=list)
    done_for_day: bool = False
    beyond: Fraction = Fraction(0)
    beyond_notional: Fraction | None = Fraction(0)

    @property
    def counted(self) -> list[Trade]:
        return [one for one in self.trades if not one.busted]

    @property
    def filled(self) -> Fraction:
        return sum((one.quantity for one in self.counted), self.beyond)

    @property
    def average(self) -> Fraction | None:
        if self.beyond_notional is None or not self.filled:
            return None
        return cut(sum((cut(one.quantity * one.price) for one in self.counted), self.beyond_notional) / self.filled)

    @property
    def status(self) -> OrderStatus:
        if self.ended:
            return self.ended
        if self.pending_cancel:
            return OrderStatus.PENDING_CANCEL
        if self.pending_amends:
            return OrderStatus.PENDING_REPLACE
        if self.done_for_day:
            return OrderStatus.DONE_FOR_DAY
        if self.filled > 0:
            full = self.quantity is not None and self.filled >= self.quantity
            return OrderStatus.FILLED if full else OrderStatus.PARTIALLY_FILLED
        return OrderStatus.NEW if self.accepted else OrderStatus.PENDING_NEW

    @property
    def holds(self) -> int:
        """How many things it waits for; the status tells of one."""
        return self.pending_cancel + bool(self.pending_amends) + self.done_for_day

    @property
    def leaves(self) -> Fraction | None:
        if self.status in CLOSED:
            return Fraction(0)
        return None if self.quantity is None else max(self.quantity - self.filled, Fraction(0))

    @property
    def fees(self) -> dict[str, Fraction]:
        return fees_of(self.counted)

    @property
    def commission(self) -> tuple[Fraction | None, str | None]:
        assets = {one.fee_asset for one in self.counted if one.fee}
        if len(assets) > 1:
            return None, None
        return sum((one.fee for one in self.counted), Fraction(0)), assets.pop() if assets else None

    def end(self, status: OrderStatus) -> None:
        if not self.ended:
            self.ended, self.pending_cancel, self.pending_amends, self.done_for_day = status, False, [], False


def fees_of(trades: Iterable[Trade]) -> dict[str, Fraction]:
    """Sums by asset that come to something."""
    sums: dict[str, Fraction] = {}
    for one in trades:
        if one.fee and one.fee_asset:
            sums[one.fee_asset] = sums.get(one.fee_asset, Fraction(0)) + one.fee
    return {asset: amount for asset, amount in sums.items() if amount}


# --- positions ------------------------------------------------------------------------------------


@dataclass
class Cycle:
    """A holding from flat, or through zero, until it is closed."""

    opened_by: Trade
    side: str
    peak: Fraction
    profit: Fraction
    fills: int = 1
    average: Fraction = Fraction(0)
    closed_by: Trade | None = None
    reversed: bool = False


class Book:
    """A position at average cost, from its trades in the order in which they were told."""

    def __init__(self, trades: Iterable[Trade], pair: Pair) -> None:
        self.held, self.average = Fraction(0), Fraction(0)
        self.cycles: list[Cycle] = []
        self.flat_costs = Fraction(0)
        for trade in trades:
            delta, cost = trade.sign * trade.quantity, Fraction(0)
            if trade.fee_asset == pair.quote_asset:
                cost = trade.fee
            elif trade.fee_asset == pair.base_asset:
                delta, cost = delta - trade.fee, trade.fee * trade.price
            self._trade(trade, delta, cost)

    def _trade(self, trade: Trade, delta: Fraction, cost: Fraction) -> None:
        after = self.held + delta
        if not self.held:
            self._open(trade, after, -cut(cost))
        elif self.held * after < 0:
            self._reverse(trade, delta, cost)
        else:
            cycle, gained = self.cycles[-1], Fraction(0)
            if self.held * delta > 0:
                self.average = cut((self.held * self.average + delta * trade.price) / after)
            else:
                gained = -delta * (trade.price - self.average)
            cycle.fills, cycle.profit = cycle.fills + 1, cycle.profit + cut(gained - cost)
            cycle.peak = max(cycle.peak, abs(after))
            if not after:
                cycle.closed_by = trade
        self.held = after
        if self.held:
            self.cycles[-1].average = self.average

    def _open(self, trade: Trade, held: Fraction, profit: Fraction) -> None:
        if held:
            self.average = trade.price
            self.cycles.append(Cycle(trade, "LONG" if held > 0 else "SHORT", abs(held), profit))
        else:  # the whole of it went into its fee
            self.flat_costs += profit

    def _reverse(self, trade: Trade, delta: Fraction, cost: Fraction) -> None:
        """Each holding bears the fee of what is its own."""
        closing_cost = cut(cost * abs(self.held) / abs(delta))
        old = self.cycles[-1]
        old.profit += cut(self.held * (trade.price - self.average) - closing_cost)
        old.fills, old.closed_by, old.reversed = old.fills + 1, trade, True
        self._open(trade, self.held + delta, -cut(cost - closing_cost))

    @property
    def profit(self) -> Fraction:
        return sum((one.profit for one in self.cycles), self.flat_costs)


# --- the venue ------------------------------------------------------------------------------------


@dataclass
class Message:
    """On its way to the engine. ``number``: its place among those of its order."""

    number: int
    event: Event


@dataclass(repr=False)
class Order:
    """An order as the venue has it.

    Attributes:
        foreign: somebody else's; the engine never places it.
        derived: its messages go to the stream derived from the venue's id, until it is linked.
        split: only its messages about trades do.
        names_requests: the venue says which amendment it answers; else there is one at a time.
        channels: messages about orders and about trades; each keeps its order, nothing else does.
        disturbed: messages were lost or overtaken, so that what was told may be less than what is true.
    """

    number: int
    pair: Pair
    account: str
    is_test: bool
    side: Side
    size: Fraction
    derived: bool = False
    split: bool = False
    foreign: bool = False
    names_requests: bool = True
    terms: Terms = field(default_factory=Terms)
    placed: bool = False
    linked: bool = False
    disturbed: bool = False
    client_name: str = ""
    venue_name: str = ""
    updates: int = 0
    sent: int = 0
    channels: tuple[deque[Message], deque[Message]] = field(default_factory=lambda: (deque(), deque()))
    told: list[Event] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.client_name, self.venue_name = f"c{self.number}", f"v{self.number}"
        self.terms.quantity = self.size

    def __repr__(self) -> str:
        return f"order {self.number}"

    @property
    def execution(self) -> UUID | None:
        return UUID(int=0xE0 + self.number % 3) if self.number % 3 else None

    @property
    def own_stream(self) -> Stream:
        return order_stream(UUID(int=(0x0190_0000_0000_7000_8000 << 48) + self.number))

    @property
    def derived_stream(self) -> Stream:
        name = f"v{self.number}"
        return order_stream(external_order_id(self.pair.exchange, self.account, self.pair.symbol, name))

    def stream(self, event: Event) -> Stream:
        """Where the engine appends what it hears of the order."""
        unmatched = self.derived or (self.split and isinstance(event, TRADES))
        return self.derived_stream if unmatched and not self.linked else self.own_stream

    @property
    def quantity(self) -> Fraction:
        return self.terms.quantity or self.size

    @property
    def left(self) -> Fraction:
        return self.quantity - self.terms.filled

    @property
    def ours_to_amend(self) -> bool:
        """Nobody amends an order before it is known whose it is."""
        return self.foreign or (self.placed and (self.linked or not self.derived))

    @property
    def in_halves(self) -> bool:
        """Two orders as far as the engine knows. Which half was told something first is lost when they are linked."""
        return self.split and not self.linked

    @property
    def open(self) -> bool:
        return self.terms.accepted and not self.terms.ended

    def placing(self) -> Event:
        return events.OrderPlaced(
            pair=self.pair,
            account=self.account,
            side=self.side,
            type=OrderType.MARKET,
            quantity=exact(self.size),
            client_order_id=f"c{self.number}",
            is_test=self.is_test,
            strategy_execution_id=self.execution,
        )

    def fact(self, kind: type[events.OrderFact], **fields: Any) -> Event:
        if "update_id" in kind.__struct_fields__:
            self.updates += 1
            fields = {"update_id": f"u{self.updates}", **fields}
        known = {"exchange_order_id": self.venue_name, "client_order_id": self.client_name, **fields}
        return kind(pair=self.pair, account=self.account, is_test=self.is_test, **known)

    def tell(self, kind: type[events.OrderFact], **fields: Any) -> None:
        self.send(0, self.fact(kind, **fields))

    def tell_trade(self, kind: type[events.OrderFact], **fields: Any) -> None:
        self.send(1, self.fact(kind, **fields))

    def send(self, channel: int, event: Event) -> None:
        self.sent += 1
        self.channels[channel].append(Message(self.sent, event))

    def under_way(self) -> list[tuple[int, Message]]:
        """The next message of each channel, the oldest first."""
        heads = [(which, channel[0]) for which, channel in enumerate(self.channels) if channel]
        return sorted(heads, key=lambda head: head[1].number)

    # What happens at the venue.

    def accept(self) -> None:
        self.terms.accepted = True
        self.tell(events.OrderAccepted)

    def fill(self, trade: Trade) -> None:
        if not self.terms.accepted and not self.terms.ended:
            self.accept()
        self.disturbed |= self.terms.done_for_day or self.terms.ended is OrderStatus.REJECTED
        self.terms.done_for_day = False
        self.terms.trades.append(trade)
        self.tell_trade(
            events.OrderFilled,
            execution_id=trade.names[0],
            side=self.side,
            quantity=exact(trade.quantity),
            price=exact(trade.price),
            fee=exact(trade.fee),
            fee_asset=trade.fee_asset,
        )

    def bust(self, trade: Trade, name: str) -> None:
        trade.busted = True
        self.tell_trade(events.TradeBusted, execution_id=name)

    def correct(self, trade: Trade, name: str, new: Trade, renamed: bool) -> None:
        if not trade.busted:
            trade.quantity, trade.price = new.quantity, new.price
            if new.fee_asset:  # else the venue says nothing of the fee
                trade.fee, trade.fee_asset = new.fee, new.fee_asset
            trade.names += new.names if renamed else []
        self.tell_trade(
            events.TradeCorrected,
            execution_id=name,
            corrected_execution_id=new.names[0] if renamed else None,
            quantity=exact(new.quantity),
            price=exact(new.price),
            fee=exact(new.fee) if new.fee_asset else None,
            fee_asset=new.fee_asset,
        )

    def end(self, kind: type[events.OrderFact], status: OrderStatus) -> None:
        self.terms.end(status)
        self.tell(kind)

    def await_cancel(self) -> None:
        self.terms.pending_cancel = True
        self.tell(events.OrderCancelPending)

    def refuse_cancel(self) -> None:
        self.terms.pending_cancel = False
        self.tell(events.OrderCancelRejected)

    def await_amend(self) -> None:
        name = f"{self.client_name}+{self.updates}" if self.names_requests else self.client_name
        self.terms.pending_amends.append(name)
        self.tell(events.OrderAmendPending, client_order_id=name)

    def amend(self, which: int, quantity: Fraction, *, as_reduction: bool, renames: bool) -> None:
        """``which`` of the pending ones; none is pending: the venue, or somebody at its desk, did it."""
        pending, before = self.terms.pending_amends, self.quantity
        name = pending.pop(which) if pending else self.client_name
        self.terms.quantity, self.terms.done_for_day, self.terms.accepted = quantity, False, True
        told: dict[str, Any] = (
            {"reduced_by": exact(before - quantity)} if as_reduction else {"quantity": exact(quantity)}
        )
        if renames:
            told["new_exchange_order_id"] = f"w{self.number}.{self.updates}"
        if self.names_requests and name != self.client_name:
            told["new_client_order_id"] = name
        self.tell(events.OrderAmended, client_order_id=name, **told)
        self.venue_name = told.get("new_exchange_order_id", self.venue_name)
        self.client_name = told.get("new_client_order_id", self.client_name)

    def refuse_amend(self, which: int) -> None:
        name = self.terms.pending_amends.pop(which)
        self.tell(events.OrderAmendRejected, client_order_id=name)

    def rest(self) -> None:
        self.disturbed |= bool(self.channels[1])
        self.terms.done_for_day = True
        self.tell(events.OrderDoneForDay)

    def snapshot(self, average: Fraction | None) -> Event:
        return self.fact(
            events.OrderRestated,
            status=self.terms.status,
            side=self.side,
            quantity=exact(self.quantity),
            filled_quantity=exact(self.terms.filled),
            avg_price=None if average is None else exact(average),
        )
