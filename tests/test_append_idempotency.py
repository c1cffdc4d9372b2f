"""A fact told twice is stored once; one told otherwise is kept beside the first."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest

from byjy_events import (
    ANY,
    NO_STREAM,
    Entry,
    EventIdReused,
    EventLog,
    Fact,
    FactConflicted,
    OrderSubmitted,
    Outcome,
    Stream,
    VersionConflict,
    Write,
    new_event_id,
    new_order_id,
    order_stream,
    usable_or_kept,
    venue_stream,
)
from byjy_events.vocabulary.venue import RAW_LIMIT
from byjy_events.writer import Writer
from tests.sample_events import facts, filled, placed


@pytest.fixture
async def log(database: str) -> AsyncIterator[EventLog]:
    async with EventLog.open(database) as log:
        yield log


@pytest.fixture
def stream() -> Stream:
    return order_stream(new_order_id())


async def conflicts(log: EventLog) -> list[FactConflicted]:
    found = [recorded.event async for recorded in log.read(types=[FactConflicted])]
    return [event for event in found if isinstance(event, FactConflicted)]


# --- facts ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("fact", facts(), ids=lambda fact: type(fact).__name__)
async def test_a_fact_told_twice_is_stored_once(log: EventLog, stream: Stream, fact: Fact) -> None:
    """The second receipt is the first, but for the outcome. Our clocks and actor are no part of the fact."""
    first = await log.append(stream, [Entry(fact, occurred_at=1, received_at=2)], actor="stream")
    second = await log.append(stream, [Entry(fact, occurred_at=3, received_at=4)], actor="snapshot")
    (one,), (two,) = first.events, second.events
    assert (one.outcome, two.outcome) == (Outcome.APPENDED, Outcome.DUPLICATE)
    assert (two.event_id, two.position, two.stream_version, two.recorded_at) == (
        one.event_id, one.position, one.stream_version, one.recorded_at,
    )  # fmt: skip
    assert (first.duplicates, second.duplicates) == (0, 1)
    assert await log.head() == 1


async def test_a_fact_is_known_after_the_log_was_opened_anew(database: str, stream: Stream) -> None:
    """And to another process."""
    async with EventLog.open(database) as log:
        await log.append(stream, [filled("1")])
    async with EventLog.open(database) as log:
        assert (await log.append(stream, [filled("1")])).duplicates == 1
        assert await log.head() == 1


async def test_a_fact_twice_in_one_append_is_stored_once(log: EventLog, stream: Stream) -> None:
    """As a venue's snapshot may hold it."""
    receipt = await log.append(stream, [filled("1"), filled("2"), filled("1")], expected=NO_STREAM)
    assert [(one.position, one.outcome) for one in receipt.events] == [
        (1, Outcome.APPENDED), (2, Outcome.APPENDED), (1, Outcome.DUPLICATE),
    ]  # fmt: skip


async def test_a_fact_told_by_many_at_once_is_stored_once(log: EventLog, stream: Stream) -> None:
    """Exactly one of the receipts says that it was new."""
    receipts = await asyncio.gather(*(log.append(stream, [filled("1")]) for _ in range(50)))
    assert sum(receipt.duplicates == 0 for receipt in receipts) == 1
    assert {receipt.position for receipt in receipts} == {1}
    assert await log.head() == 1


async def test_a_fact_told_on_another_stream_is_the_same_fact(log: EventLog, stream: Stream) -> None:
    """The first place counts, and nothing is stored on the other stream."""
    await log.append(stream, [filled("1")])
    receipt = await log.append(order_stream(new_order_id()), [filled("1")], expected=NO_STREAM)
    assert (receipt.position, receipt.events[0].outcome) == (1, Outcome.DUPLICATE)
    assert await log.head() == 1


# --- expectations and ids that are known ----------------------------------------------------------


async def test_when_all_are_known_the_first_receipt_comes_back_whatever_was_expected(
    log: EventLog, stream: Stream
) -> None:
    """A retry of an append that succeeded is no conflict, though the version has moved on."""
    first = await log.append(stream, [filled("1"), filled("2")], expected=NO_STREAM)
    for expected in (NO_STREAM, 1, 2, 99, ANY):
        again = await log.append(stream, [filled("1"), filled("2")], expected=expected)
        assert [one.position for one in again.events] == [one.position for one in first.events]
        assert again.duplicates == 2


async def test_when_some_are_known_any_version_stores_the_others(log: EventLog, stream: Stream) -> None:
    """A snapshot that overlaps with what was streamed."""
    await log.append(stream, [filled("2")])
    receipt = await log.append(stream, [filled(name) for name in "123"], expected=ANY)
    assert [(one.position, one.outcome) for one in receipt.events] == [
        (2, Outcome.APPENDED), (1, Outcome.DUPLICATE), (3, Outcome.APPENDED),
    ]  # fmt: skip
    assert receipt.position == 3


@pytest.mark.parametrize("expected", [NO_STREAM, 1, 2])
async def test_when_some_are_known_an_exact_version_is_a_conflict(log: EventLog, stream: Stream, expected: int) -> None:
    """Even the version that is right: the caller knew less than the log. The error says which were known."""
    first = await log.append(stream, [filled("2")])
    with pytest.raises(VersionConflict) as refused:
        await log.append(stream, [filled(name) for name in "123"], expected=expected)
    assert (refused.value.expected, refused.value.actual) == (expected, 1)
    assert refused.value.known_event_ids == (first.events[0].event_id,)
    assert await log.head() == 1


async def test_when_none_is_known_the_version_decides(log: EventLog, stream: Stream) -> None:
    """As for any event."""
    await log.append(stream, [filled("1")], expected=NO_STREAM)
    with pytest.raises(VersionConflict):
        await log.append(stream, [filled("2")], expected=NO_STREAM)
    assert (await log.append(stream, [filled("2")], expected=1)).duplicates == 0


async def test_known_ids_count_over_all_streams_of_an_append(log: EventLog, stream: Stream) -> None:
    """Some known in one part: an exact version in another part is a conflict of the whole."""
    other = order_stream(new_order_id())
    await log.append(stream, [filled("1")])
    with pytest.raises(VersionConflict) as refused:
        await log.append_all([Write(stream, [filled("1")], ANY), Write(other, [filled("2")], NO_STREAM)])
    assert refused.value.stream == other
    assert await log.head() == 1


# --- contradictions -------------------------------------------------------------------------------


async def test_a_fact_told_otherwise_is_kept_beside_the_first(log: EventLog, stream: Stream) -> None:
    """The first telling stands; the second is in the log, with its clocks, and caused by the first."""
    first = await log.append(stream, [filled("1", price="100")])
    receipt = await log.append(stream, [Entry(filled("1", price="101"), occurred_at=5)], actor="snapshot")
    (told,) = receipt.events
    assert (told.outcome, told.position, told.conflict_position) == (Outcome.CONFLICTED, 1, 2)
    assert (receipt.position, receipt.duplicates) == (2, 1)
    first_telling, kept = [recorded async for recorded in log.read()]
    assert first_telling.event == filled("1", price="100")
    assert isinstance(kept.event, FactConflicted)
    assert kept.stream == stream
    assert (kept.occurred_at, kept.actor) == (5, "snapshot")
    assert kept.causation_id == kept.event.fact_event_id == first.events[0].event_id
    assert (kept.event.fact_type, kept.event.fact_position) == ("OrderFilled", 1)
    assert json.loads(kept.event.first)["price"] == "100"
    assert json.loads(kept.event.second)["price"] == "101"


async def test_the_same_contradiction_told_again_is_kept_once(log: EventLog, stream: Stream) -> None:
    """And another one is another one."""
    await log.append(stream, [filled("1", price="100")])
    positions = [
        (await log.append(stream, [filled("1", price=price)])).events[0].conflict_position
        for price in ("101", "101", "102", "101")
    ]
    assert positions == [2, 2, 3, 2]
    assert await log.head() == 3


async def test_a_contradiction_told_by_many_at_once_is_kept_once(log: EventLog, stream: Stream) -> None:
    """Every receipt names the same place."""
    await log.append(stream, [filled("1", price="100")])
    receipts = await asyncio.gather(*(log.append(stream, [filled("1", price="101")]) for _ in range(20)))
    assert {receipt.events[0].conflict_position for receipt in receipts} == {2}
    assert await log.head() == 2


async def test_two_tellings_in_one_append_are_a_contradiction_too(log: EventLog, stream: Stream) -> None:
    """The first of them stands."""
    receipt = await log.append(stream, [filled("1", price="100"), filled("1", price="101")])
    assert [one.outcome for one in receipt.events] == [Outcome.APPENDED, Outcome.CONFLICTED]
    (kept,) = await conflicts(log)
    assert json.loads(kept.second)["price"] == "101"


@pytest.mark.parametrize("prices", [("101", "100"), ("100", "101"), ("101", "102"), ("101", "100", "102", "100")])
async def test_every_telling_of_a_known_fact_is_compared(
    log: EventLog, stream: Stream, prices: tuple[str, ...]
) -> None:
    """One append tells a stored fact several times, some as it was and some otherwise."""
    await log.append(stream, [filled("1", price="100")])
    receipt = await log.append(stream, [filled("1", price=price) for price in prices])
    outcomes = [Outcome.DUPLICATE if price == "100" else Outcome.CONFLICTED for price in prices]
    assert [one.outcome for one in receipt.events] == outcomes
    assert sorted(json.loads(kept.second)["price"] for kept in await conflicts(log)) == sorted(set(prices) - {"100"})


async def test_a_telling_that_leaves_something_out_is_no_contradiction(log: EventLog, stream: Stream) -> None:
    """Venues tell more in one place than in another; numbers that are equal are equal however spelled."""
    await log.append(stream, [filled("1", quantity="1.50", client_order_id="c")])
    receipt = await log.append(stream, [filled("1", quantity="1.5")])
    assert receipt.events[0].outcome is Outcome.DUPLICATE
    assert await log.head() == 1


async def test_contradictions_do_not_harm_what_is_new_in_the_same_append(log: EventLog, stream: Stream) -> None:
    """Known, contradicted and new in one call: each gets its own outcome."""
    await log.append(stream, [filled("1"), filled("2")])
    receipt = await log.append(stream, [filled("1"), filled("2", price="7"), filled("3")])
    assert [one.outcome for one in receipt.events] == [Outcome.DUPLICATE, Outcome.CONFLICTED, Outcome.APPENDED]
    assert [recorded.type async for recorded in log.read(after=2)] == ["OrderFilled", "FactConflicted"]


async def test_the_largest_payloads_can_contradict_each_other(log: EventLog) -> None:
    """Both are kept as far as one payload goes, whatever the bytes."""
    stream, event_id = venue_stream("binance", "main"), new_event_id()

    def fail(raw: bytes) -> Fact:
        raise ValueError('"\\' * 1000)

    one, other = (usable_or_kept("binance", "main", byte * RAW_LIMIT, fail) for byte in (b"\xff", b"\x00"))
    await log.append(stream, [Entry(one, event_id=event_id)])
    receipt = await log.append(stream, [Entry(other, event_id=event_id)])
    assert receipt.events[0].outcome is Outcome.CONFLICTED
    (kept,) = await conflicts(log)
    assert kept.first.startswith('{"exchange":"binance"')
    assert kept.second.startswith('{"exchange":"binance"')


# --- own events with an id of their own -----------------------------------------------------------


async def test_an_intent_with_an_id_of_its_own_can_be_repeated(log: EventLog, stream: Stream) -> None:
    """So a caller that does not know whether it got through may just try again."""
    entry = Entry(placed(), event_id=new_event_id())
    first = await log.append(stream, [entry], expected=NO_STREAM)
    second = await log.append(stream, [entry], expected=NO_STREAM)
    assert (second.events[0].outcome, second.position) == (Outcome.DUPLICATE, first.position)
    assert await log.head() == 1


async def test_an_intent_without_an_id_is_a_new_one_every_time(log: EventLog, stream: Stream) -> None:
    """Equal orders are two orders."""
    await log.append(stream, [placed()])
    await log.append(stream, [placed()])
    assert await log.head() == 2


@pytest.mark.parametrize("elsewhere", [False, True])
async def test_an_id_cannot_be_used_for_another_event(log: EventLog, stream: Stream, elsewhere: bool) -> None:
    """Neither with other content nor on another stream."""
    event_id = new_event_id()
    await log.append(stream, [Entry(placed("1"), event_id=event_id)])
    where = order_stream(new_order_id()) if elsewhere else stream
    with pytest.raises(EventIdReused) as refused:
        await log.append(where, [Entry(placed("1" if elsewhere else "2"), event_id=event_id)])
    assert (refused.value.event_id, refused.value.position) == (event_id, 1)
    assert await log.head() == 1


async def test_an_id_used_twice_within_one_append_is_refused(log: EventLog, stream: Stream) -> None:
    """Nothing is stored, so there is no position to name."""
    event_id = new_event_id()
    with pytest.raises(EventIdReused) as refused:
        await log.append(stream, [Entry(placed("1"), event_id=event_id), Entry(OrderSubmitted(), event_id=event_id)])
    assert isinstance(refused.value.event_id, UUID)
    assert refused.value.position is None
    assert await log.head() == 0


async def test_an_append_with_a_reused_id_stores_nothing(log: EventLog, stream: Stream) -> None:
    """Not even the events beside it that are new: an append is stored whole or not at all."""
    event_id = new_event_id()
    await log.append(stream, [Entry(placed("1"), event_id=event_id)])
    with pytest.raises(EventIdReused):
        await log.append(stream, [OrderSubmitted(), Entry(placed("2"), event_id=event_id)])
    assert await log.head() == 1


async def test_a_fact_told_of_two_orders_leaves_both_streams_as_they_are(log: EventLog, database: str) -> None:
    """A log that was just opened knows no versions; what it takes for new and then does not touch stays usable."""
    first, second = order_stream(new_order_id()), order_stream(new_order_id())
    await log.append(second, [OrderSubmitted(), OrderSubmitted()])
    async with EventLog.open(database) as fresh:
        told = await asyncio.gather(
            fresh.append(first, [filled("1")]), fresh.append(second, [filled("1")], expected=NO_STREAM)
        )
        assert [receipt.events[0].outcome for receipt in told] == [Outcome.APPENDED, Outcome.DUPLICATE]
        assert (await fresh.append(second, [OrderSubmitted()])).events[0].stream_version == 3
        assert (await fresh.append(second, [OrderSubmitted()], expected=3)).events[0].stream_version == 4


async def test_a_caller_that_is_cancelled_on_being_answered_loses_no_contradiction(
    log: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer is there, the caller has not seen it yet: the other telling is kept all the same."""
    stream = order_stream(new_order_id())
    await log.append(stream, [filled("1", price="100")])
    caller = asyncio.create_task(log.append(stream, [filled("1", price="101")]))
    answer = Writer._answer

    def answered_and_cancelled(*arguments: Any) -> None:
        answer(*arguments)
        caller.cancel()

    monkeypatch.setattr(Writer, "_answer", answered_and_cancelled)
    with pytest.raises(asyncio.CancelledError):
        await caller
    monkeypatch.undo()
    await log.append(stream, [OrderSubmitted()])
    (kept,) = await conflicts(log)
    assert json.loads(kept.second)["price"] == "101"
