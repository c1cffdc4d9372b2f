"""The desk: what an engine wants is decided on the log as it is, stored once, or refused with nothing stored."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from byjy_events import (
    Entry,
    EventIdReused,
    EventLog,
    InvalidAppend,
    InvalidEvent,
    OrderAccepted,
    OrderAmended,
    OrderAmendRequested,
    OrderCanceled,
    OrderCancelRejected,
    OrderCancelRequested,
    OrderDenied,
    OrderPlaced,
    OrderStatus,
    OrderSubmitted,
    Outcome,
    OutcomeUnknown,
    PairListed,
    PairStatus,
    PairStatusChanged,
    Receipt,
    Stream,
    VersionConflict,
    new_event_id,
    new_order_id,
    pair_stream,
)
from byjy_events.event import Event
from projections import TRADING, FilterViolated, IntentRefused, OrderDesk, Queries, catch_up
from projections.desk import DECISIONS
from tests.lifecycles import BTC, Subject

ROOT = Path(__file__).resolve().parents[1]
PAIR = pair_stream(BTC.exchange, BTC.symbol)
LISTED = PairListed(pair=BTC, step_size=Decimal("0.5"), tick_size=Decimal("0.5"))


class Interrupted(EventLog):
    """A real log, where something can happen between a decision and its append, or to the answer.

    Attributes:
        meanwhile: events that are appended to the stream first, one before each append.
        answer_lost: the next append happens, and its caller is told that nobody knows.
    """

    meanwhile: Iterator[Event] = iter(())
    answer_lost = False

    async def append(self, stream: Stream, events: Sequence[Event | Entry], **rest: Any) -> Receipt:
        for event in self.meanwhile:
            await super().append(stream, [event])
            break
        receipt = await super().append(stream, events, **rest)
        if self.answer_lost:
            self.answer_lost = False
            raise OutcomeUnknown([event.event_id for event in receipt.events], "the answer was lost")
        return receipt


@pytest_asyncio.fixture
async def log(database: str) -> AsyncIterator[Interrupted]:
    """A log with a listed pair. Nothing projects: decisions need no tables."""
    async with Interrupted.open(database) as log:
        assert isinstance(log, Interrupted)
        await log.append(PAIR, [LISTED])
        yield log


@pytest.fixture
def order() -> Subject:
    return Subject(number=1)


def placed(order: Subject, quantity: str = "10", price: str = "100") -> OrderPlaced:
    event = order.placed(Decimal(quantity), Decimal(price))
    assert isinstance(event, OrderPlaced)
    return event


async def types(log: EventLog, stream: Stream) -> list[str]:
    return [recorded.type async for recorded in log.read(stream=stream)]


async def test_a_session_as_an_engine_would_write_it(log: Interrupted, order: Subject) -> None:
    """Placed, sent, amended, filled in part, cancelled: intents by the desk, facts by the log, one history, and the
    table says the same in the end.
    """
    desk, order_id = OrderDesk(log), order.stream.id
    signal = new_event_id()
    await desk.place(order_id, placed(order), actor="strategy:mm-1", correlation_id=signal)
    await desk.submit(order_id, "c1")
    await log.append(order.stream, [order.fact(OrderAccepted)])
    asked = await desk.request_amend(order_id, quantity=Decimal(8), price=Decimal("100.5"))
    amended = order.fact(OrderAmended, update_id="1", quantity=Decimal(8), price=Decimal("100.5"))
    await log.append(order.stream, [amended], causation_id=asked.events[0].event_id)
    await log.append(order.stream, [order.filled("1", Decimal(3), Decimal(100))])
    await desk.request_cancel(order_id, "stale")
    with pytest.raises(IntentRefused, match="its cancel was requested, and is not answered"):
        await desk.request_cancel(order_id)
    await log.append(order.stream, [order.fact(OrderCancelRejected, update_id="2")])
    await desk.request_cancel(order_id)
    await log.append(order.stream, [order.fact(OrderCanceled)])
    with pytest.raises(IntentRefused) as refused:
        await desk.request_amend(order_id, quantity=Decimal(9))
    assert refused.value.status is OrderStatus.CANCELED

    assert await types(log, order.stream) == [
        "OrderPlaced", "OrderSubmitted", "OrderAccepted", "OrderAmendRequested", "OrderAmended", "OrderFilled",
        "OrderCancelRequested", "OrderCancelRejected", "OrderCancelRequested", "OrderCanceled",
    ]  # fmt: skip
    await catch_up(log, TRADING)
    row = await Queries(log.engine).order(order_id)
    assert row is not None
    assert (row.status, row.quantity, row.filled_quantity) == (OrderStatus.CANCELED, Decimal(8), Decimal(3))


async def test_an_intent_is_stored_as_it_was_given(log: Interrupted, order: Subject) -> None:
    """On the order's stream, with the append's keywords; the receipt says where."""
    desk, correlation, cause, own = OrderDesk(log), new_event_id(), new_event_id(), new_event_id()
    about: dict[str, Any] = {"actor": "risk", "correlation_id": correlation, "causation_id": cause, "event_id": own}
    await desk.place(order.stream.id, placed(order))
    receipt = await desk.deny(order.stream.id, "too large", **about)
    (_, stored) = [recorded async for recorded in log.read(stream=order.stream)]
    assert stored.event == OrderDenied(reason="too large")
    assert (stored.actor, stored.correlation_id, stored.causation_id) == ("risk", correlation, cause)
    assert (receipt.events[0].event_id, receipt.events[0].position) == (own, stored.position)
    assert (stored.event_id, stored.stream_version) == (own, 2)


async def test_each_method_records_its_intent(log: Interrupted) -> None:
    """With what it was told."""
    desk, order = OrderDesk(log), Subject(number=2)
    await desk.place(order.stream.id, placed(order))
    await desk.submit(order.stream.id, "mine")
    await desk.request_amend(order.stream.id, quantity=Decimal(11), price=Decimal(99))
    await desk.request_cancel(order.stream.id, "tired")
    assert [recorded.event async for recorded in log.read(stream=order.stream)] == [
        placed(order),
        OrderSubmitted(client_order_id="mine"),
        OrderAmendRequested(quantity=Decimal(11), price=Decimal(99)),
        OrderCancelRequested(reason="tired"),
    ]


async def test_what_is_refused_is_not_stored(log: Interrupted, order: Subject) -> None:
    """By state, by filter, by nonsense: the head of the log stays where it is."""
    desk, order_id = OrderDesk(log), order.stream.id
    await desk.place(order_id, placed(order))
    head, stranger = await log.head(), new_order_id()
    with pytest.raises(IntentRefused, match="it was placed before"):
        await desk.place(order_id, placed(order))
    with pytest.raises(IntentRefused, match="it was never placed") as unknown:
        await desk.request_cancel(stranger)
    assert (unknown.value.order_id, unknown.value.status) == (stranger, None)
    with pytest.raises(FilterViolated, match=r"quantity 0\.7 is 0\.2 above a multiple of step_size 0\.5"):
        await desk.place(stranger, placed(order, "0.7"))
    with pytest.raises(FilterViolated, match=r"price 100\.25 is 0\.25 above a multiple of tick_size 0\.5"):
        await desk.request_amend(order_id, price=Decimal("100.25"))
    with pytest.raises(InvalidEvent, match="nothing to amend"):
        await desk.request_amend(order_id)
    with pytest.raises(InvalidEvent, match=r"OrderAmendRequested\.quantity"):
        await desk.request_amend(order_id, quantity=1.5)  # type: ignore[arg-type]
    with pytest.raises(InvalidAppend, match="expected a UUID, got '7'"):
        await desk.submit("7")  # type: ignore[arg-type]
    with pytest.raises(InvalidAppend, match="expected an OrderPlaced, got OrderSubmitted"):
        await desk.place(stranger, OrderSubmitted())  # type: ignore[arg-type]
    assert await log.head() == head


async def test_a_desk_hears_of_a_pair_that_changes(database: str, log: Interrupted) -> None:
    """Listed anew, halted and resumed by another process, between one order and the next."""
    desk = OrderDesk(log)
    await desk.place(new_order_id(), placed(Subject(number=1), "0.5"))
    async with EventLog.open(database) as elsewhere:
        await elsewhere.append(PAIR, [PairListed(pair=BTC, min_quantity=Decimal(1))])
        with pytest.raises(FilterViolated, match=r"quantity 0\.5 is 0\.5 below min_quantity 1"):
            await desk.place(new_order_id(), placed(Subject(number=1), "0.5"))
        await desk.place(new_order_id(), placed(Subject(number=1), "1.3"))
        await elsewhere.append(PAIR, [PairStatusChanged(pair=BTC, status=PairStatus.MAINTENANCE)])
        with pytest.raises(IntentRefused, match="BTCUSDT at binance is MAINTENANCE"):
            await desk.place(new_order_id(), placed(Subject(number=1)))
        await elsewhere.append(PAIR, [PairStatusChanged(pair=BTC, status=PairStatus.TRADING)])
        with pytest.raises(FilterViolated, match="min_quantity"):
            await desk.place(new_order_id(), placed(Subject(number=1), "0.5"))


async def test_a_pair_that_nobody_listed_takes_any_order(database: str) -> None:
    """Nothing is known of it, so nothing can be refused."""
    async with EventLog.open(database) as log:
        await OrderDesk(log).place(new_order_id(), placed(Subject(number=1), "0.000000000000000001"))


async def test_a_fill_of_the_rest_in_between_refuses_the_cancel(log: Interrupted, order: Subject) -> None:
    """It was legal when it was decided first, and is decided again."""
    desk = OrderDesk(log)
    await desk.place(order.stream.id, placed(order))
    log.meanwhile = iter([order.filled("1", Decimal(10), Decimal(100))])
    with pytest.raises(IntentRefused) as refused:
        await desk.request_cancel(order.stream.id)
    assert refused.value.status is OrderStatus.FILLED
    assert await types(log, order.stream) == ["OrderPlaced", "OrderFilled"]


async def test_an_intent_that_is_still_legal_follows_what_came_in_between(log: Interrupted, order: Subject) -> None:
    """After the first event of an order as well, which the venue may tell before the engine has said it."""
    desk = OrderDesk(log)
    log.meanwhile = iter([order.fact(OrderAccepted), order.filled("1", Decimal(4), Decimal(100))])
    assert (await desk.place(order.stream.id, placed(order))).events[0].stream_version == 3
    log.meanwhile = iter([order.filled("2", Decimal(4), Decimal(100))])
    await desk.request_cancel(order.stream.id)
    assert await types(log, order.stream) == [
        "OrderAccepted", "OrderFilled", "OrderPlaced", "OrderFilled", "OrderCancelRequested",
    ]  # fmt: skip


async def test_an_amendment_is_decided_on_the_fills_that_came_in_between(log: Interrupted, order: Subject) -> None:
    """Down to five is legal with nothing filled, and is not with six."""
    desk = OrderDesk(log)
    await desk.place(order.stream.id, placed(order))
    log.meanwhile = iter([order.filled("1", Decimal(6), Decimal(100))])
    with pytest.raises(IntentRefused, match="quantity 5 is not more than the 6 that are filled"):
        await desk.request_amend(order.stream.id, quantity=Decimal(5))


@pytest.mark.parametrize("changes", [DECISIONS - 1, DECISIONS])
async def test_an_order_that_never_rests_ends_the_patience(log: Interrupted, order: Subject, changes: int) -> None:
    """The last decision may still succeed; after it the conflict is the caller's, and nothing was stored."""
    desk = OrderDesk(log)
    await desk.place(order.stream.id, placed(order))
    log.meanwhile = (order.filled(str(name), Decimal(1), Decimal(100)) for name in range(changes))
    if changes < DECISIONS:
        await desk.request_cancel(order.stream.id)
    else:
        with pytest.raises(VersionConflict) as conflict:
            await desk.request_cancel(order.stream.id)
        assert (conflict.value.expected, conflict.value.actual) == (changes, changes + 1)
    assert Counter(await types(log, order.stream)) == Counter(
        {"OrderPlaced": 1, "OrderFilled": changes, "OrderCancelRequested": int(changes < DECISIONS)}
    )


async def test_a_call_whose_outcome_is_unknown_can_be_repeated(log: Interrupted, order: Subject) -> None:
    """Under the id that the error names: it is stored once, also when it would not be legal any more."""
    desk = OrderDesk(log)
    await desk.place(order.stream.id, placed(order))
    log.answer_lost = True
    with pytest.raises(OutcomeUnknown) as unknown:
        await desk.request_cancel(order.stream.id, "stale")
    await log.append(order.stream, [order.fact(OrderCanceled)])
    (own,) = unknown.value.event_ids
    receipt = await desk.request_cancel(order.stream.id, "stale", event_id=own)
    assert (receipt.events[0].outcome, receipt.events[0].stream_version) == (Outcome.DUPLICATE, 2)
    assert await types(log, order.stream) == ["OrderPlaced", "OrderCancelRequested", "OrderCanceled"]
    with pytest.raises(EventIdReused):
        await desk.request_cancel(order.stream.id, "something else", event_id=own)


async def test_a_repeated_call_that_was_not_stored_is_decided(log: Interrupted, order: Subject) -> None:
    """An id of one's own is no way around the rules."""
    desk = OrderDesk(log)
    with pytest.raises(IntentRefused, match="it was never placed"):
        await desk.request_cancel(order.stream.id, event_id=new_event_id())


async def test_two_desks_never_store_two_intents_where_one_is_legal(database: str, log: Interrupted) -> None:
    """On two logs, for many orders at once: of the same wish, one is stored and the other refused."""
    orders = [Subject(number=number) for number in range(1, 31)]
    async with EventLog.open(database) as second:
        desks = [OrderDesk(log), OrderDesk(second)]
        for wish, arguments in (("place", True), ("submit", False), ("request_cancel", False)):
            calls = [
                getattr(desk, wish)(order.stream.id, *([placed(order)] if arguments else []))
                for order in orders
                for desk in desks
            ]
            answers = await asyncio.gather(*calls, return_exceptions=True)
            for first, other in zip(answers[::2], answers[1::2], strict=True):
                assert {type(first), type(other)} == {Receipt, IntentRefused}, (wish, first, other)
    for order in orders:
        assert await types(log, order.stream) == ["OrderPlaced", "OrderSubmitted", "OrderCancelRequested"]


CANCELS = """
import asyncio, sys
from byjy_events import EventLog
from projections import IntentRefused, OrderDesk
from tests.lifecycles import Subject

async def main():
    async with EventLog.open(sys.argv[1]) as log:
        desk = OrderDesk(log)
        print("ready", flush=True)
        sys.stdin.readline()
        for number in range(1, 41):
            try:
                await desk.request_cancel(Subject(number=number).stream.id)
                print("sent", number)
            except IntentRefused as error:
                print("refused", number, error.reason)

asyncio.run(main())
"""


async def test_of_two_processes_exactly_one_sends_each_cancel(database: str, log: Interrupted) -> None:
    """Both want to cancel the same orders at the same time, in the same order."""
    orders = [Subject(number=number) for number in range(1, 41)]
    for order in orders:
        await log.append(order.stream, [placed(order), order.fact(OrderAccepted)])
    said = await asyncio.to_thread(both_cancel, database)
    sent = Counter(int(line.split()[1]) for line in said if line.startswith("sent"))
    answered = re.compile(r"refused (\d+) its cancel was requested, and is not answered")
    refused = Counter(int(match[1]) for match in map(answered.fullmatch, said) if match)
    assert sent == refused == Counter(range(1, 41))
    for order in orders:
        assert await types(log, order.stream) == ["OrderPlaced", "OrderAccepted", "OrderCancelRequested"]


def both_cancel(url: str) -> list[str]:
    """Run two programs that begin at once, and return what they say."""
    command = [sys.executable, "-c", CANCELS, url]
    programs = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) for _ in range(2)
    ]
    for program in programs:
        assert program.stdout is not None
        assert program.stdout.readline() == "ready\n"
    for program in programs:
        assert program.stdin is not None
        program.stdin.write("go\n")
        program.stdin.flush()
    outputs = [program.communicate(timeout=60)[0] for program in programs]
    assert [program.returncode for program in programs] == [0, 0]
    return [line for output in outputs for line in output.splitlines()]


def test_the_example_of_the_guide_runs_as_it_stands(tmp_path: Path) -> None:
    """And says what the comments in it promise."""
    example = re.search(r"```python\n(.*?)```", (ROOT / "docs/guide/orders.md").read_text(), re.DOTALL)
    assert example is not None
    promised = re.findall(r"print\(.*\)  # (.*)", example[1])
    done = subprocess.run(
        [sys.executable, "-c", example[1]], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    *lines, history = done.stdout.splitlines()
    assert lines == promised != []
    assert history == str(["OrderPlaced", "OrderSubmitted", "OrderAccepted", "OrderAmendRequested", "OrderFilled"])
