"""Orders and positions against a venue that is made up: whatever it does and however it tells of it, rows are true.

Hypothesis plays venue, engine and the wire between them. After every message the rows have to be what the model makes
of the messages told so far; at the end, when everything has arrived, they have to be what really happened at the venue.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AbstractContextManager, AsyncExitStack, ExitStack
from decimal import Decimal
from fractions import Fraction
from typing import Any, TypeVar

import sqlalchemy as sa
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from msgspec.structs import replace

from byjy_events.event import Event, Fact
from byjy_events.log import EventLog
from byjy_events.recorded import Recorded
from byjy_events.stream import Stream
from byjy_events.vocabulary import orders as events
from byjy_events.vocabulary.orders import OrderStatus, Side
from byjy_events.vocabulary.venue import FactConflicted
from projections import TRADING, Past, Projector, projections_as_of, verify
from projections.folding import Fold
from projections.memory import Memory
from projections.stretches import folded as folded_stretch
from projections.stretches import stretches
from projections.unsuspended import result_of
from tests.folding import Folded, recorded
from tests.lifecycles import BTC, ETH
from tests.replay import Tables, events_of, folded, stored
from tests.test_runner_chunks import NewDatabase, new_database  # noqa: F401 - a fixture
from tests.truth_checks import (
    assert_same,
    check,
)
from tests.venue_model import Book, Order, Trade
from tests.venue_told import Heard

T = TypeVar("T")

IN_MEMORY = settings(max_examples=100, stateful_step_count=50, deadline=None, suppress_health_check=list(HealthCheck))
FEWER = settings(IN_MEMORY, max_examples=80)
IN_DATABASE = {"sqlite": settings(IN_MEMORY, max_examples=12), "postgresql": settings(IN_MEMORY, max_examples=4)}
ORDERS = 6
OTHERWISE = ("derived", "split", "foreign")
"""Orders that the engine does not simply place before anything else; see there."""

ABOUT_AMENDMENTS = (events.OrderAmendPending, events.OrderAmended, events.OrderAmendRejected)
"""Never lost: whoever misses one of these takes another amendment for answered."""

fractions = st.sampled_from([1, 1, 1, 2, 2, 3, 5]).map(Fraction) | st.sampled_from(
    [Fraction(text) for text in ("0.3", "0.001", "7.000000000000000001", "0.000000000000000001", "1.23456789")]
)
prices = st.sampled_from([Fraction(text) for text in ("100", "101", "99.123456789", "97.000000000000000003", "0.07")])
fees = st.sampled_from(
    [("0", None), ("0.01", "quote"), ("0.001", "base"), ("-0.002", "base"), ("0.5", "BNB"), ("-0.01", "BNB")]
)
new_orders = st.fixed_dictionaries(
    {
        "pair": st.sampled_from([BTC, BTC, BTC, ETH]),
        "account": st.sampled_from(["main", "main", "main", "second"]),
        "is_test": st.sampled_from([False, False, False, True]),
        "side": st.sampled_from(Side),
        "size": fractions,
        "how": st.sampled_from(["placed", "placed", "placed", "later", "derived", "split", "foreign"]),
        "names_requests": st.booleans(),
    }
)
often = st.sampled_from([True, True, False])


class Trading(RuleBasedStateMachine):
    """Two orders that trade against each other's position; the log is a list, folded event by event."""

    def __init__(self) -> None:
        super().__init__()
        self.orders: list[Order] = []
        self.heard = Heard()
        self.log: list[Recorded] = []
        self.folded = Folded()
        self.first: dict[bytes, Event] = {}

    # The wire.

    def append(self, stream: Stream, event: Event) -> None:
        """As the log does: a fact told again is dropped, unless it contradicts."""
        entry = recorded(event, len(self.log) + 1, stream, len(self.log) + 1)
        first = self.first.setdefault(entry.event_id_bytes, event)
        if first is not event:
            assert isinstance(event, Fact)
            if event.agrees_with(first):  # type: ignore[arg-type]
                return
            event = FactConflicted(
                fact_event_id=entry.event_id, fact_type=entry.type, fact_position=1, first=str(first), second=str(event)
            )
            entry = recorded(event, entry.position, stream, entry.stream_version)
        self.log.append(entry)
        self.folded.fold(entry)

    def tell(self, order: Order, event: Event) -> None:
        """Something new, of the engine or the venue."""
        self.heard.hear(order, order.stream(event), event)
        self.append(order.stream(event), event)

    def intend(self, order: Order, event: Event) -> None:
        self.heard.hear(order, order.own_stream, event)
        self.append(order.own_stream, event)

    def deliver(self, order: Order, channel: int) -> None:
        event = order.channels[channel].popleft().event
        order.told.append(event)
        self.tell(order, event)

    def deliver_all(self, order: Order) -> None:
        while under_way := order.under_way():
            self.deliver(order, under_way[0][0])

    def picked(self, data: st.DataObject, some: Sequence[T]) -> T | None:
        return some[data.draw(st.integers(0, len(some) - 1))] if some else None

    # The engine.

    @initialize(sizes=st.tuples(fractions, fractions))
    def begin(self, sizes: tuple[Fraction, Fraction]) -> None:
        for side, size in zip(Side, sizes, strict=True):
            self.begin_order("placed", pair=BTC, account="main", is_test=False, side=side, size=size)

    def begin_order(self, how: str, **terms: Any) -> None:
        unlike: Any = {how: True} if how in OTHERWISE else {}
        order = Order(number=len(self.orders) + 1, **unlike, **terms)
        self.orders.append(order)
        if how in ("placed", "split"):
            self.place(order)

    def place(self, order: Order) -> None:
        order.placed = True
        self.intend(order, order.placing())

    # The venue.

    @rule(
        data=st.data(),
        now=often,
        price=prices,
        fee=fees,
        quantity=fractions,
        much=st.sampled_from(["some", "rest", "flat"]),
    )
    def fill(self, data: st.DataObject, now: bool, much: str, **what: Any) -> None:
        """Some, what is left of the order, or what makes the position flat."""

        def filled(order: Order) -> None:
            trade = self.execution(order, **what)
            left = order.left
            held = self.held(order)
            if much == "rest" and left > 0:
                trade.quantity = left
            if much == "flat" and held * trade.sign < 0:
                trade.quantity = abs(held)
            order.fill(trade)

        self.happens(data, now, lambda one: True, filled)

    fill_more = fill_again = fill

    def held(self, order: Order) -> Fraction:
        told = self.heard.trades().get((order.pair, order.account, order.is_test), [])
        return Book([one for _, one in told], order.pair).held

    def execution(self, order: Order, quantity: Fraction, price: Fraction, fee: tuple[str, str | None]) -> Trade:
        amount, asset = fee
        named = {"base": order.pair.base_asset, "quote": order.pair.quote_asset}.get(asset or "", asset)
        sign = 1 if order.side is Side.BUY else -1
        return Trade([str(len(order.terms.trades) + 1)], sign, quantity, price, Fraction(amount), named)

    @rule(
        data=st.data(), now=often, correct=st.booleans(), renamed=st.booleans(), new=st.tuples(fractions, prices, fees)
    )
    def revise(self, data: st.DataObject, now: bool, correct: bool, renamed: bool, new: Any) -> None:
        def revised(order: Order) -> None:
            trade = order.terms.trades[data.draw(st.integers(0, len(order.terms.trades) - 1))]
            name = data.draw(st.sampled_from([trade.names[0], trade.names[-1], "never"]))
            if name == "never":
                return order.tell_trade(events.TradeBusted, execution_id=name)
            if not correct:
                return order.bust(trade, name)
            corrected = self.execution(order, *new)
            corrected.names = [f"{trade.names[0]}.{order.sent}"]
            return order.correct(trade, name, corrected, renamed)

        self.happens(data, now, lambda one: bool(one.terms.trades), revised)

    revise_again = revise

    def happens(self, data: st.DataObject, now: bool, may: Any, what: Any) -> None:
        """Something happens at the venue to an order to which it may; it is told now or some time."""
        order = self.picked(data, [one for one in self.orders if may(one)])
        if order:
            what(order)
            if now:
                self.deliver_all(order)

    # What becomes of messages.

    @rule(data=st.data())
    def arrive(self, data: st.DataObject) -> None:
        head = self.picked(data, [(one, which) for one in self.orders for which, _ in one.under_way()])
        if head:
            self.deliver(*head)

    @rule(data=st.data())
    def told_again(self, data: st.DataObject) -> None:
        told = self.picked(data, [(one, event) for one in self.orders for event in one.told])
        if told:
            order, event = told
            self.append(order.stream(event), replace(event))

    @rule(data=st.data())
    def told_otherwise(self, data: st.DataObject) -> None:
        kinds = (events.OrderFilled, events.TradeCorrected)
        told = self.picked(
            data, [(one, event) for one in self.orders for event in one.told if isinstance(event, kinds)]
        )
        if told:
            order, event = told
            self.append(order.stream(event), replace(event, quantity=event.quantity + 1, price=event.price + 1))

    # What has to hold.

    @invariant()
    def rows_are_what_was_told(self) -> None:
        check(self.folded.rows, self.heard)

    def teardown(self) -> None:
        self.arrive_at_last()
        check(self.folded.rows, self.heard)
        for order in self.orders:
            record = self.heard.records.get(order.own_stream)
            if record and not order.disturbed and order.derived_stream not in self.heard.records:
                assert_same(record, order)
        for size in (1, 3, 10_000):
            assert in_chunks(self.log, size) == self.folded.rows

    def arrive_at_last(self) -> None:
        for order in self.orders:
            self.deliver_all(order)


class Races(Trading):
    """More orders, in any pair and account, and everything else that can happen to them."""

    @precondition(lambda self: len(self.orders) < ORDERS)
    @rule(one=new_orders)
    def order(self, one: dict[str, Any]) -> None:
        self.begin_order(**one)

    @rule(data=st.data())
    def place_late(self, data: st.DataObject) -> None:
        order = self.picked(data, [one for one in self.orders if not one.placed and not one.foreign])
        if order:
            self.place(order)

    @rule(data=st.data())
    def link(self, data: st.DataObject) -> None:
        linkable = [one for one in self.orders if (one.derived or one.split) and one.placed and not one.linked]
        linkable = [one for one in linkable if self.heard.records[one.own_stream].ended is not OrderStatus.REJECTED]
        order = self.picked(data, [one for one in linkable if one.derived_stream in self.heard.records])
        if order:
            self.append(order.own_stream, events.OrderLinked(external_order_id=order.derived_stream.id))
            order.linked = True
            self.heard.link(order)

    @rule(data=st.data(), what=st.sampled_from(["submit", "cancel", "amend", "deny"]))
    def intent(self, data: st.DataObject, what: str) -> None:
        """What the engine wants changes nothing of what is true, but for what never left."""
        order = self.picked(data, [one for one in self.orders if one.placed])
        if order is None:
            return
        if what == "deny" and not order.sent and not order.terms.ended:
            order.terms.end(OrderStatus.REJECTED)
            order.disturbed = True
            self.intend(order, events.OrderDenied(reason="too large"))
        elif what == "submit":
            self.intend(order, events.OrderSubmitted())
        elif what == "cancel":
            self.intend(order, events.OrderCancelRequested())
        elif what == "amend":
            self.intend(order, events.OrderAmendRequested(quantity=Decimal(3)))

    @rule(data=st.data(), now=often)
    def accept(self, data: st.DataObject, now: bool) -> None:
        self.happens(data, now, lambda one: not one.terms.accepted and not one.terms.ended, Order.accept)

    @rule(data=st.data(), now=often)
    def reject(self, data: st.DataObject, now: bool) -> None:
        self.happens(
            data,
            now,
            lambda one: (
                one.placed and not one.derived and not one.split and not one.terms.accepted and not one.terms.ended
            ),
            lambda one: one.end(events.OrderRejected, OrderStatus.REJECTED),
        )

    @rule(data=st.data(), now=often, what=st.sampled_from([Order.await_cancel, Order.await_amend, Order.rest]))
    def hold(self, data: st.DataObject, now: bool, what: Any) -> None:
        def may(order: Order) -> bool:
            if what is Order.await_amend:
                return order.open and order.ours_to_amend and (order.names_requests or not order.terms.pending_amends)
            if what is Order.await_cancel:
                return order.open and not order.terms.pending_cancel
            return order.open and not order.in_halves

        self.happens(data, now, may, what)

    @rule(data=st.data(), now=often, expires=st.booleans())
    def end(self, data: st.DataObject, now: bool, expires: bool) -> None:
        ends = {False: (events.OrderCanceled, OrderStatus.CANCELED), True: (events.OrderExpired, OrderStatus.EXPIRED)}
        self.happens(data, now, lambda one: one.open, lambda one: one.end(*ends[expires]))

    @rule(data=st.data(), now=often)
    def refuse_cancel(self, data: st.DataObject, now: bool) -> None:
        self.happens(data, now, lambda one: one.terms.pending_cancel, Order.refuse_cancel)

    @rule(data=st.data(), now=often, quantity=fractions, reduces=st.booleans(), renames=st.booleans())
    def amend(self, data: st.DataObject, now: bool, quantity: Fraction, reduces: bool, renames: bool) -> None:
        def amended(order: Order) -> None:
            which = data.draw(st.integers(0, max(len(order.terms.pending_amends) - 1, 0)))
            order.amend(which, quantity, as_reduction=reduces and order.placed and not order.derived, renames=renames)

        self.happens(data, now, lambda one: one.open and one.ours_to_amend, amended)

    @rule(data=st.data(), now=often)
    def refuse_amend(self, data: st.DataObject, now: bool) -> None:
        def refused(order: Order) -> None:
            order.refuse_amend(data.draw(st.integers(0, len(order.terms.pending_amends) - 1)))

        self.happens(data, now, lambda one: bool(one.terms.pending_amends), refused)

    @rule(data=st.data())
    def lost(self, data: st.DataObject) -> None:
        under_way = [(one, which, head) for one in self.orders for which, head in one.under_way()]
        losable = [(one, which) for one, which, head in under_way if not isinstance(head.event, ABOUT_AMENDMENTS)]
        head = self.picked(data, losable)
        if head:
            order, channel = head
            order.channels[channel].popleft()
            order.disturbed = True

    @rule(data=st.data(), tells_average=st.booleans())
    def reconcile(self, data: st.DataObject, tells_average: bool) -> None:
        """A snapshot of an order of which no message is under way."""
        settled = [one for one in self.orders if one.sent and not one.under_way() and not one.in_halves]
        order = self.picked(data, [one for one in settled if one.terms.holds < 2])
        if order:
            self.restate(order, tells_average)

    def restate(self, order: Order, tells_average: bool) -> None:
        record = self.heard.records.get(order.own_stream if order.linked or not order.derived else order.derived_stream)
        # An average that only says that a correction was lost tells nothing of which trade.
        told = None if record is None else record.filled
        tells = tells_average and (
            record is None or told != order.terms.filled or record.average == order.terms.average
        )
        event = order.snapshot(order.terms.average if tells else None)
        order.told.append(event)
        self.tell(order, event)


class Linking(Races):
    """One order that the venue tells of under its own id, all of it or its trades."""

    @initialize(how=st.sampled_from(["derived", "split"]), size=fractions, names_requests=st.booleans())
    def begin_unmatched(self, how: str, **terms: Any) -> None:
        self.begin_order(how, pair=BTC, account="main", is_test=False, side=Side.BUY, **terms)

    link_again = Races.link
    place_again = Races.place_late


class Amending(Races):
    """One order that is in the market, and requests to amend it, of which several may be pending."""

    @initialize(size=fractions, names_requests=st.sampled_from([True, True, False]))
    def begin_accepted(self, **terms: Any) -> None:
        self.begin_order("placed", pair=BTC, account="main", is_test=False, side=Side.BUY, **terms)
        self.orders[0].accept()
        self.deliver_all(self.orders[0])

    hold_again = hold_more = Races.hold
    amend_again = Races.amend
    refuse_again = Races.refuse_amend


def without(machine: type[Races], *rules: str) -> type[Races]:
    """The same machine, that has more time for the rules that are left."""
    return type(machine.__name__, (machine,), dict.fromkeys(["begin", "order", *rules]))


class Stored(Races):
    """The same through a log and a projector that runs all the while; rows are looked at in the end."""

    def __init__(self, database: AbstractContextManager[str]) -> None:
        super().__init__()
        self._open = ExitStack()
        url = self._open.enter_context(database)
        self._following = AsyncExitStack()
        self._runner = self._open.enter_context(asyncio.Runner())
        self.run(self._begin(url))

    async def _begin(self, url: str) -> None:
        self.database_log = await self._following.enter_async_context(EventLog.open(url))
        self.projector = await self._following.enter_async_context(Projector(self.database_log, TRADING))

    def run(self, doing: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(doing)

    def append(self, stream: Stream, event: Event) -> None:
        self.run(self.database_log.append(stream, [event]))

    @invariant()
    def rows_are_what_was_told(self) -> None:
        """Not after every message: the projector is to fold several at once."""

    @rule()
    def projected(self) -> None:
        self.run(self._projected())

    async def _projected(self) -> None:
        await self.projector.wait_for(await self.database_log.head())

    def teardown(self) -> None:
        try:
            self.arrive_at_last()
            self.run(self._compare())
        finally:
            self.run(self._following.aclose())
            self._open.close()

    async def _compare(self) -> None:
        """Live, verified, folded in memory, and as of a position in the middle: all the same, and true."""
        log = self.database_log
        await self._projected()
        told, live = await events_of(log), await stored(log)
        check(live, self.heard)
        assert live == folded(told)
        assert (await verify(log, TRADING)).differences == 0
        for position in {len(told) // 3, len(told) // 2}:
            async with projections_as_of(log, position) as past:
                assert await tables_of(past) == folded(told[:position])


async def tables_of(past: Past) -> Tables:
    """All rows of a past."""
    tables: Tables = {}
    for projection in TRADING.projections:
        found = await past.fetch(sa.select(projection.table))
        rows = [projection.row_type(**row._mapping) for row in found]
        tables[projection.table.name] = {projection.key_of(row): row for row in rows}
    return tables


def in_chunks(log: Sequence[Recorded], size: int) -> Tables:
    """The rows of a fold that keeps its rows in memory from one chunk to the next, as the runner's does."""
    memory, fold = Memory(TRADING), Fold(TRADING)
    for start in range(0, len(log), size):
        for stretch in stretches(TRADING, log[start : start + size]):
            changes, _ = result_of(folded_stretch(fold, TRADING, stretch, memory))
            memory.store(changes)
    return {one.name: rows for one, rows in memory.tables.items()}


def test_rows_are_what_the_venue_did() -> None:
    """Races, retellings, contradictions, losses, snapshots, revisions, links: in memory, after each message."""
    run_state_machine_as_test(Races, settings=IN_MEMORY)


def test_positions_are_what_was_traded() -> None:
    """Two orders on both sides of one position: closed, reversed, busted and corrected, again and again."""
    run_state_machine_as_test(Trading, settings=IN_MEMORY)


def test_linked_orders_are_what_the_venue_did_of_one() -> None:
    """Whatever was told of either before, and of the one after."""
    run_state_machine_as_test(without(Linking, "told_again", "told_otherwise", "intent"), settings=FEWER)


def test_amended_orders_are_what_the_venue_made_of_them() -> None:
    """Several pending amendments, answered in any order, between fills and snapshots."""
    less = ("told_again", "told_otherwise", "intent", "lost", "fill_again", "fill_more", "revise_again", "end")
    run_state_machine_as_test(without(Amending, *less), settings=FEWER)


def test_what_is_stored_is_what_the_venue_did(new_database: NewDatabase, backend: str) -> None:  # noqa: F811
    """The same races through a real log: live, rebuilt, as of any position and folded in memory are one."""

    class StoredHere(Stored):
        def __init__(self) -> None:
            super().__init__(new_database())

    run_state_machine_as_test(StoredHere, settings=IN_DATABASE[backend])


# --- what was found once --------------------------------------------------------------------------


class Told(Races):
    """Played by hand: one order for 10, of which everything is told at once."""

    def __init__(self) -> None:
        super().__init__()
        self.begin_order("placed", pair=BTC, account="main", is_test=False, side=Side.BUY, size=Fraction(10))
        (self.only,) = self.orders

    def then(self, what: Callable[[Order], None]) -> None:
        what(self.only)
        self.deliver_all(self.only)
        self.rows_are_what_was_told()

    def filled(self, price: int) -> None:
        self.then(lambda order: order.fill(self.execution(order, Fraction(1), Fraction(price), ("0", None))))


def test_a_snapshot_that_tells_nothing_new_costs_no_digit() -> None:
    """An average of thirds, told as it is known already: the next fill is added to what was spent, not to a product."""
    told = Told()
    for price in (100, 100, 101):
        told.filled(price)
    told.restate(told.only, tells_average=True)
    told.filled(100)
    assert told.heard.records[told.only.own_stream].average == Fraction("100.25")


def test_a_trade_keeps_its_first_name_when_its_order_is_renamed() -> None:
    """The order has a new name at the venue, the trade too; the venue busts it by the name that it told first."""
    told = Told()
    told.filled(100)
    told.then(lambda order: order.amend(0, Fraction(10), as_reduction=False, renames=True))
    (trade,) = told.only.terms.trades
    again = Trade(["other"], trade.sign, trade.quantity, trade.price)
    told.then(lambda order: order.correct(trade, "1", again, renamed=True))
    told.then(lambda order: order.bust(trade, "1"))
    assert told.heard.records[told.only.own_stream].filled == 0


def test_a_snapshot_that_shows_a_pending_amendment_answers_none() -> None:
    """Of two that are pending one is answered after the snapshot: the other one is pending still."""
    told = Told()
    told.then(Order.accept)
    told.then(Order.await_amend)
    told.restate(told.only, tells_average=False)
    told.then(Order.await_amend)
    told.then(lambda order: order.amend(1, Fraction(11), as_reduction=False, renames=False))
    assert told.heard.records[told.only.own_stream].status is OrderStatus.PENDING_REPLACE
