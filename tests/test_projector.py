"""A projector that follows live: read your writes, wait, stop waiting, close."""

from __future__ import annotations

import asyncio
import contextlib
import threading

import pytest

from byjy_events.errors import LogClosed
from byjy_events.identifiers import new_order_id
from byjy_events.log import EventLog
from byjy_events.stream import order_stream
from projections import TRADING, Projector, WaitTimeout, catch_up, group_statuses, runner
from tests.replay import assert_rows_are_the_log, checkpoint
from tests.sample_events import placed
from tests.story import place, tell_lives


async def test_what_was_appended_is_there_once_it_was_waited_for(database: str) -> None:
    """Read your writes, each order right after its own append."""
    async with EventLog.open(database) as log, Projector(log, TRADING) as projector:
        for _ in range(5):
            order = new_order_id()
            receipt = await log.append(order_stream(order), [placed()])
            await projector.wait_for(receipt.position)
            row = await projector.queries.order(order)
            assert row is not None
            assert row.last_position == receipt.position
            assert projector.position >= receipt.position


async def test_many_tasks_wait_each_for_its_own_order(database: str) -> None:
    """Waiting is private: nobody is woken before his own position."""

    async def trade(log: EventLog, projector: Projector) -> bool:
        order = new_order_id()
        receipt = await log.append(order_stream(order), [placed()])
        await projector.wait_for(receipt.position)
        return await projector.queries.order(order) is not None

    async with EventLog.open(database) as log, Projector(log, TRADING) as projector:
        assert all(await asyncio.gather(*(trade(log, projector) for _ in range(50))))


async def test_a_position_that_is_projected_is_not_waited_for(database: str) -> None:
    """Not even by a timeout of nothing."""
    async with EventLog.open(database) as log, Projector(log, TRADING) as projector:
        position = await place(log)
        await projector.wait_for(position)
        await projector.wait_for(position, timeout_seconds=0)
        await projector.wait_for(0, timeout_seconds=0)


async def test_a_timeout_says_what_was_waited_for(database: str) -> None:
    """The projector goes on, and the wait leaves nothing behind."""
    async with EventLog.open(database) as log, Projector(log, TRADING) as projector:
        position = await place(log)
        await projector.wait_for(position)
        with pytest.raises(WaitTimeout) as caught:
            await projector.wait_for(position + 1, timeout_seconds=0.05)
        facts = caught.value
        assert (facts.group, facts.position, facts.projected) == ("trading", position + 1, position)
        assert facts.timeout_seconds == 0.05
        assert isinstance(facts, TimeoutError)
        await projector.wait_for(await place(log))


async def test_a_cancelled_wait_harms_nobody(database: str) -> None:
    """The other tasks get what they wait for, and so does the projector."""
    async with EventLog.open(database) as log, Projector(log, TRADING) as projector:
        gives_up, waits = (asyncio.create_task(projector.wait_for(1)) for _ in range(2))
        await asyncio.sleep(0)
        gives_up.cancel()
        await place(log)
        await waits
        with pytest.raises(asyncio.CancelledError):
            await gives_up


async def test_whoever_waits_while_the_projector_closes_is_told(database: str) -> None:
    """The wait ends with LogClosed; so does one that begins afterwards, unless the position is projected."""
    async with EventLog.open(database) as log:
        projector = await Projector(log, TRADING).start()
        position = await place(log)
        await projector.wait_for(position)
        waiting = asyncio.create_task(projector.wait_for(position + 1))
        await asyncio.sleep(0)
        await projector.close()
        with pytest.raises(LogClosed):
            await waiting
        with pytest.raises(LogClosed):
            await projector.wait_for(position + 1)
        await projector.wait_for(position)
        await projector.close()


async def test_a_projector_that_was_not_started_or_not_needed_closes(database: str) -> None:
    """Closing is always allowed."""
    async with EventLog.open(database) as log:
        projector = Projector(log, TRADING)
        with pytest.raises(LogClosed):
            await projector.wait_for(1)
        await projector.close()


async def test_a_closed_projector_can_start_again(database: str) -> None:
    """It goes on from its checkpoint."""
    async with EventLog.open(database) as log:
        projector = await Projector(log, TRADING).start()
        await projector.wait_for(await place(log))
        await projector.close()
        position = await place(log)
        await projector.start()
        await projector.wait_for(position)
        await projector.close()
        assert await assert_rows_are_the_log(log) == position


async def test_the_log_may_be_closed_first(database: str) -> None:
    """Whoever waits is told; the projector closes without a word, and no connection's thread stays behind."""
    before = threading.active_count()
    log = await EventLog.open(database).start()
    projector = await Projector(log, TRADING).start()
    await projector.wait_for(await place(log))
    waiting = asyncio.create_task(projector.wait_for(1000))
    await asyncio.sleep(0)
    await log.close()
    with pytest.raises(LogClosed):
        await waiting
    with pytest.raises(LogClosed):
        await projector.wait_for(1000)
    await projector.close()
    async with asyncio.timeout(5):
        while threading.active_count() > before + 1:  # one may be the loop's own helper  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_a_projector_starts_on_a_log_that_is_there(database: str) -> None:
    """It takes what it finds, and then what comes."""
    async with EventLog.open(database) as log:
        head = await tell_lives(log, seed=1, orders=50)
        async with Projector(log, TRADING) as projector:
            await projector.wait_for(head)
            await projector.wait_for(await place(log))
        assert await assert_rows_are_the_log(log) == head + 1


async def test_an_empty_log_is_projected_at_once(database: str) -> None:
    """There is a checkpoint, at 0."""
    async with EventLog.open(database) as log:
        assert await group_statuses(log) == []
        assert await catch_up(log, TRADING) == 0
        async with Projector(log, TRADING) as projector:
            await projector.wait_for(0)
            assert projector.position == 0
        assert (await checkpoint(log)).position == 0


async def test_catching_up_reports_how_far_it_is(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """After each step, ever closer to the head of the beginning; a second time there is nothing to do."""
    monkeypatch.setattr(runner, "CHUNK_EVENTS", 30)
    async with EventLog.open(database) as log:
        head = await tell_lives(log, seed=2, orders=20)
        seen: list[tuple[int, int]] = []
        assert await catch_up(log, TRADING, progress=lambda position, aim: seen.append((position, aim))) == head
        assert [position for position, _ in seen] == [*range(30, head, 30), head]
        assert {aim for _, aim in seen} == {head}
        seen.clear()
        assert await catch_up(log, TRADING, progress=lambda position, aim: seen.append((position, aim))) == head
        assert seen == []
        assert await assert_rows_are_the_log(log) == head


@pytest.mark.parametrize("more", [-1, 0, 1])
async def test_a_log_may_end_anywhere_in_a_chunk(database: str, monkeypatch: pytest.MonkeyPatch, more: int) -> None:
    """One event less than two chunks, two chunks exactly, one event more; caught up, then live."""
    monkeypatch.setattr(runner, "CHUNK_EVENTS", 8)
    async with EventLog.open(database) as log:
        for _ in range(16 + more):
            await place(log)
        assert await catch_up(log, TRADING) == 16 + more
        async with Projector(log, TRADING) as projector:
            receipts = await asyncio.gather(
                *(log.append(order_stream(new_order_id()), [placed()]) for _ in range(16 + more))
            )
            await projector.wait_for(max(receipt.position for receipt in receipts))
        assert await assert_rows_are_the_log(log) == 2 * (16 + more)


async def test_one_append_larger_than_a_chunk_is_projected(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Handed over live in one piece, taken in several."""
    monkeypatch.setattr(runner, "CHUNK_EVENTS", 10)
    async with EventLog.open(database) as log, Projector(log, TRADING) as projector:
        receipt = await log.append(order_stream(new_order_id()), [placed() for _ in range(95)])
        await projector.wait_for(receipt.position)
        assert await assert_rows_are_the_log(log) == 95


async def test_closing_can_be_cancelled(database: str) -> None:
    """The cancellation is not swallowed, and no connection is left behind."""
    async with EventLog.open(database) as log:
        for turns in range(6):
            projector = await Projector(log, TRADING).start()
            await log.append(order_stream(new_order_id()), [placed()])
            closing = asyncio.create_task(projector.close())
            for _ in range(turns):
                await asyncio.sleep(0)
            cancelled = closing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await closing
            assert closing.cancelled() or not cancelled
            await projector.close()


async def test_a_projector_can_be_cancelled_at_any_moment(database: str) -> None:
    """Whole steps or none: the tables are the log's at the checkpoint, and the next projector finishes."""

    async def follow(log: EventLog) -> None:
        async with Projector(log, TRADING) as projector:
            await projector.wait_for(1_000_000)

    async with EventLog.open(database) as log:
        for turns in range(12):
            following = asyncio.create_task(follow(log))
            for _ in range(3 * turns):
                await asyncio.sleep(0)
            head = await tell_lives(log, seed=turns, orders=2)
            following.cancel()
            with pytest.raises(asyncio.CancelledError):
                await following
            if await group_statuses(log):
                await assert_rows_are_the_log(log)
        assert await catch_up(log, TRADING) == await log.head() >= head
        await assert_rows_are_the_log(log)
