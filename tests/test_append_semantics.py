"""What an append promises: order, versions, expectations, all or nothing."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import pytest

from byjy_events import (
    ANY,
    NO_STREAM,
    Entry,
    EventLog,
    InvalidAppend,
    InvalidEvent,
    OrderSubmitted,
    Outcome,
    Stream,
    VersionConflict,
    Write,
    new_event_id,
    new_order_id,
    order_stream,
    pair_stream,
)
from byjy_events.draft import EVENTS_LIMIT
from tests.sample_events import ID, SAMPLES, filled, placed


@pytest.fixture
async def log(database: str) -> AsyncIterator[EventLog]:
    async with EventLog.open(database, actor="engine:1") as log:
        yield log


@pytest.fixture
def stream() -> Stream:
    return order_stream(new_order_id())


async def contents(log: EventLog) -> list[tuple[int, Stream, int]]:
    return [(one.position, one.stream, one.stream_version) async for one in log.read()]


# --- one stream -----------------------------------------------------------------------------------


async def test_events_are_stored_in_the_order_given(log: EventLog, stream: Stream) -> None:
    """Positions and stream versions both count from 1, and the receipt says which."""
    events = [placed(str(number)) for number in range(1, 11)]
    receipt = await log.append(stream, events)
    stored = [recorded async for recorded in log.read()]
    assert [recorded.event for recorded in stored] == events
    assert [recorded.position for recorded in stored] == list(range(1, 11))
    assert [recorded.stream_version for recorded in stored] == list(range(1, 11))
    assert [(one.position, one.stream_version) for one in receipt.events] == [(n, n) for n in range(1, 11)]
    assert [one.event_id for one in receipt.events] == [recorded.event_id for recorded in stored]
    assert {one.recorded_at for one in receipt.events} == {recorded.recorded_at for recorded in stored}
    assert (receipt.position, receipt.duplicates) == (10, 0)


async def test_every_type_of_event_comes_back_whole(log: EventLog, stream: Stream) -> None:
    """Every field of every type, through both databases."""
    await log.append(stream, list(SAMPLES.values()))
    assert [recorded.event async for recorded in log.read()] == list(SAMPLES.values())


async def test_versions_count_within_a_stream_and_positions_across_all(log: EventLog) -> None:
    """Two streams interleaved; the same id in another category is another stream."""
    one, other = order_stream(ID), Stream("pair", ID)
    for where in (one, other, one, other, one):
        await log.append(where, [OrderSubmitted()])
    assert await contents(log) == [(1, one, 1), (2, other, 1), (3, one, 2), (4, other, 2), (5, one, 3)]


async def test_what_is_known_about_an_event_is_stored_with_it(log: EventLog, stream: Stream) -> None:
    """Clocks, actor, correlation, causation and a given id."""
    event_id, correlation, causation = new_event_id(), uuid4(), uuid4()
    entry = Entry(placed(), occurred_at=-1, received_at=2**63 - 1, event_id=event_id)
    await log.append(stream, [entry], actor="größe/日本", correlation_id=correlation, causation_id=causation)
    (recorded,) = [recorded async for recorded in log.read()]
    assert (recorded.occurred_at, recorded.received_at) == (-1, 2**63 - 1)
    assert recorded.event_id == event_id
    assert recorded.actor == "größe/日本"
    assert (recorded.correlation_id, recorded.causation_id) == (correlation, causation)
    assert recorded.effective_at == -1


async def test_what_is_not_said_gets_its_default(log: EventLog, stream: Stream) -> None:
    """The actor of the log, the moment of the append, an id of its own, and nothing made up beyond that."""
    await log.append(stream, [placed(), placed()])
    one, other = [recorded async for recorded in log.read()]
    assert one.actor == "engine:1"
    assert one.occurred_at is None
    assert one.correlation_id is one.causation_id is None
    assert abs(one.recorded_at - one.received_at) < 60 * 10**9
    assert one.effective_at == one.received_at
    assert one.event_id != other.event_id
    assert one.event_id.version == 7


async def test_the_clock_of_the_log_never_runs_backwards(
    log: EventLog, stream: Stream, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even when the machine's clock does."""
    if database.startswith("sqlite"):  # PostgreSQL has a clock of its own
        backwards = itertools.count(5 * 10**18, -(10**9))
        monkeypatch.setattr("byjy_events.sqlite.appender.time.time_ns", lambda: next(backwards))
    moments = [(await log.append(stream, [Entry(placed(), received_at=0)])).events[0].recorded_at for _ in range(5)]
    assert moments == sorted(moments)


# --- expectations ---------------------------------------------------------------------------------


@pytest.mark.parametrize("before", [0, 1, 3])
@pytest.mark.parametrize("expected", [ANY, NO_STREAM, 1, 2, 3, 4])
async def test_an_expectation_holds_or_nothing_is_stored(
    log: EventLog, stream: Stream, before: int, expected: Any
) -> None:
    """ANY always holds; a version holds only if the stream is exactly there."""
    if before:
        await log.append(stream, [placed() for _ in range(before)])
    if expected is ANY or expected == before:
        receipt = await log.append(stream, [placed()], expected=expected)
        assert receipt.events[0].stream_version == before + 1
        return
    with pytest.raises(VersionConflict) as refused:
        await log.append(stream, [placed(), placed()], expected=expected)
    error = refused.value
    assert (error.stream, error.expected, error.actual, error.known_event_ids) == (stream, expected, before, ())
    assert await log.head() == before


async def test_a_conflict_says_what_was_expected_and_what_was_found(log: EventLog, stream: Stream) -> None:
    """In words that need no looking up."""
    with pytest.raises(VersionConflict, match=f"{stream}: expected version 2, found no stream"):
        await log.append(stream, [placed()], expected=2)
    await log.append(stream, [placed()])
    with pytest.raises(VersionConflict, match="expected no stream, found version 1"):
        await log.append(stream, [placed()], expected=NO_STREAM)


async def test_the_log_goes_on_after_a_conflict(log: EventLog, stream: Stream) -> None:
    """Another try with the actual version succeeds, and no position was used up."""
    await log.append(stream, [placed()])
    with pytest.raises(VersionConflict) as refused:
        await log.append(stream, [placed()], expected=7)
    receipt = await log.append(stream, [placed()], expected=refused.value.actual)
    assert receipt.position == 2


async def test_versions_are_right_again_after_somebody_else_appended(database: str, stream: Stream) -> None:
    """What one log remembers of a stream does not outlive an append by another."""
    async with EventLog.open(database) as one, EventLog.open(database) as other:
        for number in range(0, 20, 2):
            assert (await one.append(stream, [placed()], expected=number)).position == number + 1
            with pytest.raises(VersionConflict):
                await other.append(stream, [placed()], expected=number)
            assert (await other.append(stream, [placed()], expected=number + 1)).position == number + 2


# --- several streams ------------------------------------------------------------------------------


async def test_several_streams_are_appended_to_as_one(log: EventLog) -> None:
    """In the order of the call, each with its own version."""
    one, other = order_stream(new_order_id()), pair_stream("binance", "BTCUSDT")
    await log.append(other, [SAMPLES["PairListed"]])
    receipt = await log.append_all(
        [Write(one, [placed(), OrderSubmitted()], NO_STREAM), Write(other, [SAMPLES["PairDelisted"]], 1)]
    )
    assert await contents(log) == [(1, other, 1), (2, one, 1), (3, one, 2), (4, other, 2)]
    assert [(event.position, event.stream_version) for event in receipt.events] == [(2, 1), (3, 2), (4, 2)]


@pytest.mark.parametrize("wrong", [0, 1, 2])
async def test_one_part_in_conflict_stores_nothing_of_any(log: EventLog, wrong: int) -> None:
    """Wherever the conflict is: first, in the middle, last."""
    streams = [order_stream(new_order_id()) for _ in range(3)]
    writes = [Write(one, [placed()], 5 if number == wrong else NO_STREAM) for number, one in enumerate(streams)]
    with pytest.raises(VersionConflict) as refused:
        await log.append_all(writes)
    assert refused.value.stream == streams[wrong]
    assert await log.head() == 0


async def test_a_part_without_events_is_a_condition(log: EventLog) -> None:
    """Append here only if that stream is still where it was."""
    guarded, stream = order_stream(new_order_id()), order_stream(new_order_id())
    await log.append(guarded, [placed()])
    await log.append_all([Write(guarded, [], 1), Write(stream, [placed()])])
    with pytest.raises(VersionConflict) as refused:
        await log.append_all([Write(guarded, [], NO_STREAM), Write(stream, [placed()])])
    assert refused.value.stream == guarded
    assert await log.head() == 2


# --- calls that make no sense ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "argument"),
    [
        ({"events": []}, "events"),
        ({"events": ["OrderPlaced"]}, "events"),
        ({"events": [None]}, "events"),
        ({"events": [OrderSubmitted] * 2}, "events"),
        ({"events": [OrderSubmitted()] * (EVENTS_LIMIT + 1)}, "events"),
        ({"actor": ""}, "actor"),
        ({"actor": "a" * 256}, "actor"),
        ({"actor": "a\0"}, "actor"),
        ({"actor": "a\ud800"}, "actor"),
        ({"actor": 5}, "actor"),
        ({"expected": -1}, "expected"),
        ({"expected": True}, "expected"),
        ({"expected": "1"}, "expected"),
        ({"expected": None}, "expected"),
        ({"correlation_id": "1"}, "correlation_id"),
        ({"causation_id": 1}, "causation_id"),
        ({"stream": Stream("", ID)}, "stream"),
        ({"stream": Stream("c" * 65, ID)}, "stream"),
        ({"stream": Stream("a\0", ID)}, "stream"),
        ({"stream": Stream("a\ud800", ID)}, "stream"),
        ({"stream": Stream("order", str(ID))}, "stream"),  # type: ignore[arg-type]
        ({"events": [Entry(placed(), occurred_at=2**63)]}, "occurred_at"),
        ({"events": [Entry(placed(), occurred_at=1.5)]}, "occurred_at"),  # type: ignore[arg-type]
        ({"events": [Entry(placed(), received_at=-(2**63) - 1)]}, "received_at"),
        ({"events": [Entry(placed(), event_id="1")]}, "event_id"),  # type: ignore[arg-type]
    ],
    ids=str,
)
async def test_a_call_that_makes_no_sense_is_refused_by_name(
    log: EventLog, stream: Stream, arguments: dict[str, Any], argument: str
) -> None:
    """The error names the argument; nothing is stored."""
    with pytest.raises(InvalidAppend) as refused:
        await log.append(**{"stream": stream, "events": [placed()], **arguments})
    assert refused.value.argument == argument
    assert await log.head() == 0


async def test_one_stream_cannot_be_named_twice_in_one_append(log: EventLog, stream: Stream) -> None:
    """It would be unclear which expectation comes first."""
    with pytest.raises(InvalidAppend, match="the same stream is named twice"):
        await log.append_all([Write(stream, [placed()]), Write(stream, [placed()])])
    with pytest.raises(InvalidAppend, match="got 0"):
        await log.append_all([])


async def test_one_bad_event_keeps_its_whole_append_out(log: EventLog, stream: Stream) -> None:
    """And no other append."""
    from msgspec.structs import replace

    with pytest.raises(InvalidEvent, match=r"OrderPlaced\.account"):
        await log.append(stream, [placed(), replace(placed(), account=""), placed()])
    assert (await log.append(stream, [placed()])).position == 1


async def test_the_largest_append_is_one_transaction(log: EventLog, stream: Stream) -> None:
    """As many events as are allowed, larger than a batch and than a read."""
    receipt = await log.append(stream, [OrderSubmitted()] * EVENTS_LIMIT, expected=NO_STREAM)
    assert [one.stream_version for one in receipt.events] == list(range(1, EVENTS_LIMIT + 1))
    assert len({one.recorded_at for one in receipt.events}) == 1
    assert await log.head() == EVENTS_LIMIT


async def test_a_fact_and_an_intent_can_share_an_append(log: EventLog, stream: Stream) -> None:
    """Ids are made for each by its kind."""
    receipt = await log.append(stream, [placed(), filled("1")], expected=NO_STREAM)
    assert [one.outcome for one in receipt.events] == [Outcome.APPENDED] * 2
    assert receipt.events[1].event_id == UUID(bytes=filled("1").fact_id_bytes())
