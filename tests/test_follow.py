"""Following: every event once, in order, from any process, whatever the burst."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import AsyncIterator

import msgspec
import pytest

from byjy_events import (
    EventLog,
    OrderFilled,
    OrderPlaced,
    PairListed,
    VenueMessageUnusable,
    new_order_id,
    order_stream,
    pair_stream,
    usable_or_kept,
)
from byjy_events.tail import Tail
from byjy_events.testing import recorded as as_recorded
from tests.sample_events import PAIR, filled, placed


@pytest.fixture
async def log(database: str) -> AsyncIterator[EventLog]:
    async with EventLog.open(database) as log:
        yield log


async def followed(log: EventLog, upto: int, after: int = 0, pause: float = 0) -> list[int]:
    """The positions that a follower sees until it has seen one of them."""
    positions = []
    async with asyncio.timeout(30):
        async for recorded in log.follow(after=after):
            positions.append(recorded.position)
            if recorded.position >= upto:
                break
            if pause and recorded.position % 50 == 0:
                await asyncio.sleep(pause)
    return positions


async def burst(log: EventLog, appends: int, size: int = 1) -> None:
    await asyncio.gather(*(log.append(order_stream(new_order_id()), [placed()] * size) for _ in range(appends)))


async def test_a_follower_sees_the_past_and_then_the_present(log: EventLog) -> None:
    """Without a seam between what was stored before and what comes now."""
    await burst(log, 100)
    following = asyncio.create_task(followed(log, upto=300))
    for _ in range(20):
        await burst(log, 10)
    assert await following == list(range(1, 301))


@pytest.mark.parametrize("after", [0, 5, 10, 15])
async def test_a_follower_begins_after_the_position_it_names(log: EventLog, after: int) -> None:
    """Behind the head, at it, and before events that are yet to come."""
    await burst(log, 10)
    following = asyncio.create_task(followed(log, upto=20, after=after))
    await asyncio.sleep(0.01)
    await burst(log, 10)
    assert await following == list(range(after + 1, 21))


async def test_several_followers_each_see_everything(log: EventLog) -> None:
    """Quick ones, slow ones, and one that comes late."""
    quick = [asyncio.create_task(followed(log, upto=1000)) for _ in range(3)]
    slow = [asyncio.create_task(followed(log, upto=1000, pause=0.005)) for _ in range(2)]
    for _ in range(5):
        await burst(log, 200)
    late = asyncio.create_task(followed(log, upto=1000, after=500))
    for positions in await asyncio.gather(*quick, *slow):
        assert positions == list(range(1, 1001))
    assert await late == list(range(501, 1001))


@pytest.mark.parametrize("buffer", [1, 7, 100])
async def test_a_follower_that_falls_behind_reads_what_it_missed(
    log: EventLog, monkeypatch: pytest.MonkeyPatch, buffer: int
) -> None:
    """Its buffer overflows in the middle of bursts; not one event is missing or double."""
    monkeypatch.setattr("byjy_events.tail.BUFFER_EVENTS", buffer)
    slow = asyncio.create_task(followed(log, upto=1200, pause=0.003))
    chance = random.Random(buffer)
    for _ in range(30):
        await burst(log, 10, size=4)
        await asyncio.sleep(chance.choice((0, 0.002)))
    assert await slow == list(range(1, 1201))


def test_large_events_fill_the_buffer_of_a_follower_sooner(monkeypatch: pytest.MonkeyPatch) -> None:
    """So a follower that does not keep up costs bounded memory, whatever a venue sends."""
    monkeypatch.setattr("byjy_events.tail.BUFFER_EVENTS", 100)
    tail = Tail()
    subscription = tail.subscribe()
    tail.publish([as_recorded(placed())])
    assert subscription.take(0) == [as_recorded(placed())]
    message = usable_or_kept("binance", "main", b"\xff" * 500_000, msgspec.json.decode)
    assert isinstance(message, VenueMessageUnusable)
    tail.publish([as_recorded(message, position=2)])
    assert (subscription.take(1), tail.head) == (None, 2)


async def test_a_follower_in_another_process_hears_of_every_event(database: str) -> None:
    """Two logs on one database stand for two processes: nothing is handed over between them."""
    async with EventLog.open(database) as writer, EventLog.open(database) as reader:
        following = asyncio.create_task(followed(reader, upto=300))
        for _ in range(30):
            await burst(writer, 10)
            await asyncio.sleep(0.001)
        assert await following == list(range(1, 301))


async def test_events_of_two_processes_are_followed_in_one_order(database: str) -> None:
    """Own events by hand-over, the other's by reading: in the order of position all the same."""
    async with EventLog.open(database) as one, EventLog.open(database) as other:
        following = [asyncio.create_task(followed(log, upto=400)) for log in (one, other)]
        for _ in range(20):
            await asyncio.gather(burst(one, 10), burst(other, 10))
        for positions in await asyncio.gather(*following):
            assert positions == list(range(1, 401))


async def test_news_from_another_process_come_soon(database: str) -> None:
    """Well within the second after which PostgreSQL is asked anyway."""
    async with EventLog.open(database) as writer, EventLog.open(database) as reader:
        following = reader.follow()
        await writer.append(order_stream(new_order_id()), [placed()])
        await anext(following)
        waits = []
        for _ in range(5):
            waiting = asyncio.ensure_future(anext(following))
            await asyncio.sleep(0.05)
            await writer.append(order_stream(new_order_id()), [placed()])
            acknowledged = asyncio.get_running_loop().time()
            await waiting
            waits.append(asyncio.get_running_loop().time() - acknowledged)
        assert min(waits) < 0.5
        await following.aclose()  # type: ignore[attr-defined]


async def test_a_follower_gets_only_the_kinds_it_asks_for(log: EventLog) -> None:
    """By category and by type, past and present."""
    pairs, fills = log.follow(categories=["pair"]), log.follow(types=[OrderFilled, "OrderDenied"])
    for number in range(5):
        await log.append(order_stream(new_order_id()), [placed(), filled(str(number))])
        await log.append(pair_stream("binance", "BTCUSDT"), [PairListed(pair=PAIR)])
        assert (await anext(pairs)).event == PairListed(pair=PAIR)
        assert (await anext(fills)).event == filled(str(number))
    for following in (pairs, fills):
        await following.aclose()  # type: ignore[attr-defined]


async def test_chunks_of_a_follower_are_the_batches_as_they_come(log: EventLog) -> None:
    """What was committed together arrives together."""
    chunks = log.follow_chunks()
    await log.append(order_stream(new_order_id()), [placed()])
    await anext(chunks)
    for size in (1, 10, 100):
        await log.append(order_stream(new_order_id()), [placed()] * size)
        assert len(await anext(chunks)) == size
    await chunks.aclose()


async def test_all_followers_end_when_the_log_is_closed(database: str) -> None:
    """Waiting ones and busy ones, without an error."""
    log = await EventLog.open(database).start()
    await burst(log, 3000)

    async def follow_to_the_end(pause: float, begun: asyncio.Event) -> int:
        last = 0
        async for recorded in log.follow():
            begun.set()
            assert recorded.position == last + 1
            last = recorded.position
            if last % 100 == 0:
                await asyncio.sleep(pause)
        return last

    begun = [asyncio.Event() for _ in range(3)]
    following = [
        asyncio.create_task(follow_to_the_end(pause, one)) for pause, one in zip((0, 0, 0.02), begun, strict=True)
    ]
    async with asyncio.timeout(10):
        await asyncio.gather(*(one.wait() for one in begun))
    await log.close()
    async with asyncio.timeout(5):
        assert all(position > 0 for position in await asyncio.gather(*following))


async def test_followers_cancelled_at_any_moment_leave_nothing_behind(log: EventLog) -> None:
    """No subscription that the writer would go on filling, no connection that stays busy."""
    chance = random.Random(3)
    for _ in range(30):
        following = [asyncio.create_task(followed(log, upto=10**9)) for _ in range(3)]
        await burst(log, 5)
        await asyncio.sleep(chance.choice((0, 0.001, 0.005)))
        for task in following:
            task.cancel()
        await asyncio.gather(*following, return_exceptions=True)
    await asyncio.sleep(0)
    assert not log._tail.followed
    assert await followed(log, upto=150) == list(range(1, 151))


async def test_a_follower_that_appends_what_it_sees_does_not_stand_in_its_own_way(log: EventLog) -> None:
    """As a process manager does: an order placed for every fill."""
    await log.append(order_stream(new_order_id()), [filled(str(number)) for number in range(20)])
    numbers = itertools.count(1)
    async with asyncio.timeout(10):
        async for recorded in log.follow():
            if recorded.type == "OrderFilled":
                await log.append(order_stream(recorded.event_id), [placed()])
            elif next(numbers) == 20:
                break
    assert len([one async for one in log.read(types=[OrderPlaced])]) == 20


@pytest.mark.parametrize("backend", ["postgresql"])
async def test_a_false_announcement_misleads_nobody(database: str) -> None:
    """Whoever may connect may notify: nonsense and positions that do not exist change nothing."""
    async with EventLog.open(database) as log:
        following = asyncio.create_task(followed(log, upto=20))
        await burst(log, 10)
        async with log.backend.connection() as connection:  # type: ignore[attr-defined]
            for payload in ("1000000", "", "x", "-1"):
                await connection.execute("SELECT pg_notify('byjy_events', $1)", payload)
        await asyncio.sleep(0.05)
        await burst(log, 10)
        assert await following == list(range(1, 21))
