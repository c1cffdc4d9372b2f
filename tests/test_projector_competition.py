"""Several projectors of one group: each event is folded exactly once, whoever folds it."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from byjy_events.log import EventLog
from projections import TRADING, Projector, catch_up, group_statuses, runner
from tests.crash_projector.child import projecting
from tests.lifecycles import lifecycles
from tests.replay import assert_rows_are_the_log
from tests.story import place, tell, tell_lives


async def writing(log: EventLog, seeds: range) -> None:
    """Several writers at once, each with orders of its own, as far as the seeds differ."""
    await asyncio.gather(*(tell(log, lifecycles(seed, orders=25), at_once=5) for seed in seeds))


@pytest.mark.parametrize("projectors", [2, 4])
async def test_projectors_of_one_process_share_the_work(
    database: str, monkeypatch: pytest.MonkeyPatch, projectors: int
) -> None:
    """On two logs of one process, while several tasks append: every row equals a fresh fold, none is doubled."""
    monkeypatch.setattr(runner, "CHUNK_EVENTS", 11)
    async with contextlib.AsyncExitStack() as opened:
        logs = [await opened.enter_async_context(EventLog.open(database)) for _ in range(2)]
        competing = [
            await opened.enter_async_context(Projector(logs[number % 2], TRADING)) for number in range(projectors)
        ]
        await asyncio.gather(writing(logs[0], range(2)), writing(logs[1], range(2, 4)))
        head = await logs[0].head()
        for projector in competing:
            await projector.wait_for(head, timeout_seconds=20)
        assert await assert_rows_are_the_log(logs[0]) == head


@pytest.mark.parametrize("processes", [1, 3])
async def test_projectors_of_several_processes_share_the_work(database: str, processes: int) -> None:
    """Together with one of this process, two or four compete; all are killed in the end, with nothing half done."""
    async with EventLog.open(database) as log:
        with contextlib.ExitStack() as running:
            for _ in range(processes):
                running.enter_context(projecting(database))
            async with Projector(log, TRADING) as projector:
                await writing(log, range(4))
                head = await log.head()
                await projector.wait_for(head, timeout_seconds=20)
        assert await assert_rows_are_the_log(log) == head


async def test_a_projector_of_another_process_follows_live(database: str) -> None:
    """Nobody here projects; what is appended here is projected there."""
    async with EventLog.open(database) as log:
        with projecting(database):
            head = await tell_lives(log, seed=3, orders=20)
            async with asyncio.timeout(20):
                while (await group_statuses(log))[0].position < head:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
        assert await assert_rows_are_the_log(log) == head


async def test_a_loser_takes_over_when_the_winner_leaves(database: str) -> None:
    """Rows kept in memory while another projector was at work are not used again."""
    async with EventLog.open(database) as log:
        for seed in range(4):
            first = await Projector(log, TRADING).start()
            second = await Projector(log, TRADING).start()
            head = await tell_lives(log, seed=seed, orders=5)
            await first.wait_for(head, timeout_seconds=20)
            await first.close()
            head = await tell(log, lifecycles(seed, orders=6))
            await second.wait_for(head, timeout_seconds=20)
            await second.close()
        await assert_rows_are_the_log(log)


async def test_catching_up_beside_a_live_projector_reaches_the_head(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both end where the log ends, and neither folds what the other did."""
    monkeypatch.setattr(runner, "CHUNK_EVENTS", 13)
    async with EventLog.open(database) as log:
        await tell_lives(log, seed=1, orders=60)
        async with Projector(log, TRADING):
            reached = await asyncio.gather(*(catch_up(log, TRADING) for _ in range(3)))
        assert set(reached) == {await log.head()}
        assert await assert_rows_are_the_log(log) == await log.head()
        await place(log)
