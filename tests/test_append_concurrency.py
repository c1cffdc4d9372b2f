"""Many callers at once: nobody's trouble is anybody else's, and what was queued is stored exactly once."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence

import pytest

from byjy_events import (
    NO_STREAM,
    Entry,
    Event,
    EventLog,
    InvalidEvent,
    LogClosed,
    LogUnavailable,
    OrderSubmitted,
    Outcome,
    Receipt,
    VenueMessageUnusable,
    VersionConflict,
    Write,
    new_event_id,
    new_order_id,
    order_stream,
)
from byjy_events.backend import Committed, Turn
from byjy_events.leaf import content_hash
from byjy_events.plan import Part
from tests.sample_events import filled, placed


@pytest.fixture
async def log(database: str) -> AsyncIterator[EventLog]:
    async with EventLog.open(database) as log:
        yield log


async def positions(log: EventLog) -> list[int]:
    return [recorded.position async for recorded in log.read()]


# --- neighbours -----------------------------------------------------------------------------------


async def test_a_thousand_callers_share_a_few_commits(log: EventLog) -> None:
    """Group commit: all that waits is one transaction, and everybody has a receipt of his own."""
    receipts = await asyncio.gather(*(log.append(order_stream(new_order_id()), [placed()]) for _ in range(1000)))
    assert sorted(receipt.position for receipt in receipts) == list(range(1, 1001))
    assert len({receipt.events[0].recorded_at for receipt in receipts}) < 20


async def test_a_conflict_in_the_middle_of_a_batch_touches_no_neighbour(log: EventLog) -> None:
    """Every third caller expects a version that is wrong; all others are stored, in order, without a gap."""
    streams = [order_stream(new_order_id()) for _ in range(300)]
    answers = await asyncio.gather(
        *(
            log.append(stream, [placed(), placed()], expected=7 if number % 3 == 1 else NO_STREAM)
            for number, stream in enumerate(streams)
        ),
        return_exceptions=True,
    )
    for number, answer in enumerate(answers):
        assert isinstance(answer, VersionConflict if number % 3 == 1 else Receipt)
    stored = [recorded.stream async for recorded in log.read()]
    assert stored == [stream for number, stream in enumerate(streams) if number % 3 != 1 for _ in range(2)]
    assert await positions(log) == list(range(1, 401))


async def test_of_many_who_expect_the_same_version_one_wins(log: EventLog) -> None:
    """In the same batch too; everybody else is told the version that he can see now."""
    stream = order_stream(new_order_id())
    answers = await asyncio.gather(
        *(log.append(stream, [placed()], expected=NO_STREAM) for _ in range(100)), return_exceptions=True
    )
    assert sum(isinstance(answer, Receipt) for answer in answers) == 1
    assert {answer.actual for answer in answers if isinstance(answer, VersionConflict)} == {1}
    assert await log.head() == 1


async def test_in_one_batch_a_version_may_follow_upon_another(log: EventLog) -> None:
    """Versions count through the batch: 0, 1, 2, … queued at once all hold."""
    stream = order_stream(new_order_id())
    receipts = await asyncio.gather(*(log.append(stream, [placed()], expected=number) for number in range(50)))
    assert [receipt.events[0].stream_version for receipt in receipts] == list(range(1, 51))


async def test_bad_appends_and_good_ones_mixed_at_random(log: EventLog) -> None:
    """Conflicts, invalid events, duplicates, contradictions and new events in one burst; the good ones all stand."""
    stream = order_stream(new_order_id())
    await log.append(stream, [filled("known")])

    async def one(number: int) -> object:
        kinds: list[tuple[list[Event | Entry], object]] = [
            ([placed()], "any"),
            ([placed()], 10**6),
            ([filled("known")], "any"),
            ([filled("known", price=str(number + 1000))], "any"),
            ([filled(f"new-{number}")], "any"),
        ]
        events, expected = kinds[number % len(kinds)]
        if expected == "any":
            return await log.append(stream, events)
        return await log.append(stream, events, expected=10**6)

    answers = await asyncio.gather(*(one(number) for number in range(200)), return_exceptions=True)
    outcomes = Counter(
        type(answer).__name__ if isinstance(answer, Exception) else answer.events[0].outcome  # type: ignore[attr-defined]
        for answer in answers
    )
    assert outcomes == {
        Outcome.APPENDED: 80, "VersionConflict": 40, Outcome.DUPLICATE: 40, Outcome.CONFLICTED: 40,
    }  # fmt: skip
    assert await positions(log) == list(range(1, 1 + 80 + 40 + 1))


async def test_every_caller_sees_his_own_events_in_order(log: EventLog) -> None:
    """Twenty tasks, each appending one after the other: each task's events keep their order in the log."""

    async def produce(name: str) -> list[int]:
        return [
            (await log.append(order_stream(new_order_id()), [placed(str(number))], actor=name)).position
            for number in range(1, 26)
        ]

    names = [f"task-{number}" for number in range(20)]
    acknowledged = dict(zip(names, await asyncio.gather(*map(produce, names)), strict=True))
    stored: dict[str, list[int]] = {name: [] for name in names}
    async for recorded in log.read():
        stored[recorded.actor].append(recorded.position)
    assert stored == acknowledged


async def test_an_event_that_breaks_a_rule_of_the_database_takes_no_neighbour_with_it(
    log: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If ever something slips through the checks before it, only its own append fails."""
    from byjy_events import draft

    def broken(*content: object) -> bytes:
        return b"not 32 bytes" if content[4] == 1 and content[8] == "breaker" else real(*content)  # type: ignore[arg-type]

    real = content_hash
    monkeypatch.setattr(draft, "content_hash", broken)
    monkeypatch.setattr("byjy_events.sqlite.appender.leaf_hash", lambda content, *place: content)
    if log.backend.announces:
        monkeypatch.setattr(draft, "new_event_id_bytes", lambda: b"\x01" * 16)  # every own event has one id
    answers = await asyncio.gather(
        *(
            log.append(order_stream(new_order_id()), [filled(str(n))], actor="a")
            if n != 5
            else log.append(order_stream(new_order_id()), [placed()], actor="breaker")
            for n in range(10)
        ),
        return_exceptions=True,
    )
    if log.backend.announces:
        answers.append(await _again_with_the_same_id(log))
    assert sum(isinstance(answer, LogUnavailable) for answer in answers) == 1
    assert sum(isinstance(answer, Receipt) for answer in answers) == len(answers) - 1


async def _again_with_the_same_id(log: EventLog) -> Receipt | BaseException:
    try:
        return await log.append(order_stream(new_order_id()), [placed()])
    except LogUnavailable as refused:
        return refused


# --- back-pressure --------------------------------------------------------------------------------


@pytest.fixture
def small_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("byjy_events.writer.QUEUE_EVENTS", 10)
    monkeypatch.setattr("byjy_events.writer.BATCH_EVENTS", 7)


@pytest.mark.usefixtures("small_queue")
async def test_a_full_queue_makes_callers_wait_and_loses_none(log: EventLog) -> None:
    """Five hundred callers, room for ten: all are served, in the order in which they came."""
    receipts = await asyncio.gather(*(log.append(order_stream(new_order_id()), [placed()]) for _ in range(500)))
    assert [receipt.position for receipt in receipts] == list(range(1, 501))


@pytest.mark.usefixtures("small_queue")
async def test_the_queue_never_holds_more_than_its_bound(log: EventLog, monkeypatch: pytest.MonkeyPatch) -> None:
    """By more than the one append that filled it; no batch is larger than its bound either."""
    sizes: list[int] = []
    writer = log._writer
    assert writer is not None
    commit = log.backend.commit

    def measured(turn: Turn) -> asyncio.Future[Committed]:
        @contextlib.contextmanager
        def looked_at() -> Iterator[Sequence[Sequence[Part]]]:
            assert sum(waiting.size for waiting in writer._queue) <= 10 + 3
            with turn() as appends:
                sizes.append(sum(len(part.drafts) for append in appends for part in append))
                yield appends

        return commit(looked_at)

    monkeypatch.setattr(log.backend, "commit", measured)
    await asyncio.gather(*(log.append(order_stream(new_order_id()), [placed()] * 3) for _ in range(100)))
    assert sum(sizes) == 300
    assert max(sizes) <= 7
    assert writer._unanswered_events == 0


@pytest.mark.usefixtures("small_queue")
async def test_an_append_larger_than_queue_and_batch_is_served(log: EventLog) -> None:
    """It waits for its turn and is one transaction all the same; small ones around it are served too."""
    sizes = [1, 50, 1, 50, 1]
    receipts = await asyncio.gather(*(log.append(order_stream(new_order_id()), [placed()] * size) for size in sizes))
    assert [receipt.position for receipt in receipts] == [1, 51, 52, 102, 103]
    assert all(len({event.recorded_at for event in receipt.events}) == 1 for receipt in receipts)


@pytest.mark.usefixtures("small_queue")
async def test_callers_that_give_up_while_they_wait_for_room_leave_no_hole(log: EventLog) -> None:
    """Half of those who wait are cancelled; the others are served, and the queue is as roomy as before."""
    tasks = [asyncio.create_task(log.append(order_stream(new_order_id()), [placed()])) for _ in range(200)]
    await asyncio.sleep(0)
    for task in tasks[1::2]:
        task.cancel()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(answer, Receipt) for answer in answers[::2])
    writer = log._writer
    assert writer is not None
    assert (writer._unanswered_events, len(writer._room)) == (0, 0)
    assert (await log.append(order_stream(new_order_id()), [placed()])).position == await log.head()


# --- cancellation ---------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
async def test_callers_cancelled_at_any_moment_lose_and_double_nothing(log: EventLog, seed: int) -> None:
    """Whoever has a receipt is stored where it says; whoever was cancelled is stored once or not at all."""
    chance = random.Random(seed)
    ids = [new_event_id() for _ in range(300)]

    async def one(number: int) -> Receipt:
        await asyncio.sleep(chance.random() * 0.02)
        if number % 3:
            return await log.append(order_stream(ids[number]), [Entry(placed(), event_id=ids[number])])
        return await log.append(order_stream(ids[number]), [OrderSubmitted(), filled(f"{seed}-{number}")])

    tasks = [asyncio.create_task(one(number)) for number in range(len(ids))]
    while not all(task.done() for task in tasks):
        chance.choice(tasks).cancel()
        await asyncio.sleep(chance.choice((0, 0, 0.001)))
    answers = await asyncio.gather(*tasks, return_exceptions=True)

    receipt = await log.append(order_stream(new_order_id()), [placed()])  # usable, and all that was queued is in
    stored = [recorded async for recorded in log.read()]
    assert [recorded.position for recorded in stored] == list(range(1, receipt.position + 1))
    places = {recorded.event_id: recorded.position for recorded in stored}
    assert len(places) == len(stored)
    by_stream = Counter(recorded.stream_id for recorded in stored)
    for number, answer in enumerate(answers):
        assert by_stream[ids[number]] in ((0, 1) if number % 3 else (0, 2))
        if isinstance(answer, Receipt):
            assert all(places[event.event_id] == event.position for event in answer.events)
        else:
            assert isinstance(answer, asyncio.CancelledError)


async def test_a_cancelled_append_that_was_queued_is_stored(log: EventLog) -> None:
    """Cancelling the caller cancels the waiting, not the commit."""
    events: list[Event] = [placed(), filled("1")]
    tasks = [asyncio.create_task(log.append(order_stream(new_order_id()), [event])) for event in events]
    for _ in range(3):
        await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await log.append(order_stream(new_order_id()), [OrderSubmitted()])
    assert await positions(log) == [1, 2, 3]


async def test_a_contradiction_is_kept_although_its_caller_was_cancelled(log: EventLog) -> None:
    """It takes a second append, which nobody waits for any more."""
    stream = order_stream(new_order_id())
    await log.append(stream, [filled("1")])
    task = asyncio.create_task(log.append(stream, [filled("1", price="7")]))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    async with asyncio.timeout(5):
        kept = await anext(log.follow(after=1))
    assert kept.type == "FactConflicted"


async def test_readers_cancelled_at_any_moment_leave_the_log_readable(log: EventLog) -> None:
    """No connection is lost or left busy."""
    await log.append(order_stream(new_order_id()), [placed()] * 5000)

    async def read() -> None:
        async for _ in log.read():
            pass

    chance = random.Random(1)
    for _ in range(40):
        tasks = [asyncio.create_task(read()) for _ in range(3)]
        await asyncio.sleep(chance.random() * 0.01)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    assert len(await positions(log)) == 5000


# --- closing --------------------------------------------------------------------------------------


async def test_closing_commits_what_is_queued_and_answers_its_callers(database: str) -> None:
    """Intents and facts, new and known and contradicted: everybody queued before the close gets his receipt."""
    stream = order_stream(new_order_id())
    log = await EventLog.open(database).start()
    await log.append(stream, [filled("known")])
    events: list[list[Event]] = [
        [placed()],
        [filled("new")],
        [filled("known")],
        [filled("known"), filled("new too")],
        [filled("known", price="7")],
    ]
    tasks = [asyncio.create_task(log.append(stream, some)) for some in events * 20]
    for _ in range(2):
        await asyncio.sleep(0)
    await log.close()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(answer) for answer in answers] == [Receipt] * 100
    async with EventLog.open(database) as again:
        assert await again.head() == 1 + 20 + 1 + 1 + 1


@pytest.mark.usefixtures("small_queue")
async def test_closing_refuses_who_still_waits_for_room(database: str) -> None:
    """With an error that says that nothing of it was stored, which is true."""
    log = await EventLog.open(database).start()
    tasks = [asyncio.create_task(log.append(order_stream(new_order_id()), [placed()])) for _ in range(100)]
    await asyncio.sleep(0)
    await log.close()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert {type(answer) for answer in answers} == {Receipt, LogClosed}
    async with EventLog.open(database) as again:
        assert await again.head() == sum(isinstance(answer, Receipt) for answer in answers)


async def test_a_closed_log_says_that_it_is_closed(database: str) -> None:
    """To everything that is asked of it, and closing again does no harm."""
    log = await EventLog.open(database).start()
    await log.append(order_stream(new_order_id()), [placed()])
    await log.close()
    await log.close()
    with pytest.raises(LogClosed):
        await log.append(order_stream(new_order_id()), [placed()])
    with pytest.raises(LogClosed):
        await log.append(order_stream(new_order_id()), [filled("1")])
    with pytest.raises(LogClosed):
        await log.append_all([Write(order_stream(new_order_id()), [placed()])])
    with pytest.raises(LogClosed):
        await log.head()
    with pytest.raises(LogClosed):
        await positions(log)


async def test_a_log_that_was_never_opened_says_so(database: str) -> None:
    """Instead of waiting for ever."""
    log = EventLog.open(database)
    with pytest.raises(LogClosed):
        await log.append(order_stream(new_order_id()), [placed()])
    with pytest.raises(LogClosed):
        await log.head()
    await log.close()


async def test_a_close_that_is_cancelled_still_closes(database: str) -> None:
    """Whoever was queued has his receipt, and a second close waits for the first."""
    log = await EventLog.open(database).start()
    tasks = [asyncio.create_task(log.append(order_stream(new_order_id()), [placed()])) for _ in range(500)]
    await asyncio.sleep(0)
    closing = asyncio.create_task(log.close())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    closing.cancel()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    await asyncio.gather(closing, return_exceptions=True)
    await log.close()
    assert {type(answer) for answer in answers} == {Receipt}
    async with EventLog.open(database) as again:
        assert await again.head() == 500


async def test_closing_while_others_read_and_follow_ends_them_all(database: str) -> None:
    """A reader gets LogClosed or its last chunk, a follower ends; nothing hangs, no connection stays open."""
    log = await EventLog.open(database).start()
    await log.append(order_stream(new_order_id()), [placed()] * 9000)

    async def read() -> int:
        return len([one async for one in log.read()])

    async def follow() -> int:
        return len([one async for one in log.follow()])

    tasks = [asyncio.create_task(work()) for work in (read, follow) * 5]
    await asyncio.sleep(0.02)
    await log.close()
    async with asyncio.timeout(10):
        answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(answer, int | LogClosed) for answer in answers), answers


async def test_an_error_in_the_block_closes_the_log(database: str) -> None:
    """And comes out as it is."""
    with pytest.raises(InvalidEvent):
        async with EventLog.open(database) as log:
            filled("")
    with pytest.raises(LogClosed):
        await log.head()


async def test_a_large_message_of_a_venue_is_stored_whole(log: EventLog) -> None:
    """Payloads of half a megabyte, many at once."""
    messages = [
        VenueMessageUnusable(
            exchange="e", account="a", raw=bytes([n]) * 400_000, raw_length=400_000, raw_sha256=str(n), error=""
        )
        for n in range(20)
    ]
    await asyncio.gather(*(log.append(order_stream(new_order_id()), [message]) for message in messages))
    stored = [recorded.event async for recorded in log.read()]
    assert sorted(event.raw_sha256 for event in stored) == sorted(map(str, range(20)))  # type: ignore[union-attr]
