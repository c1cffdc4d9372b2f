"""Signs of life: a process that dies is seen as lost, by a table that does not grow and a log that does not either."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID

import pytest
import pytest_asyncio
import sqlalchemy as sa

from byjy_events import EventLog, LogUnavailable, new_event_id
from byjy_events.heartbeat import Heartbeats
from byjy_events.heartbeat_table import strategy_execution_heartbeats
from byjy_events.vocabulary.strategies import ExecutionStatus
from projections import OWNERSHIP, StrategyDesk, StrategyQueries, StrategyRunning, catch_up
from tests.engine_child import engines
from tests.rows import writable_engine
from tests.strategies import active, assert_tables_are_the_log, user

RUNNING, COMPLETED, LOST = ExecutionStatus.RUNNING, ExecutionStatus.COMPLETED, ExecutionStatus.LOST

SHORT = 0.3
"""Seconds of silence that are enough, for processes that beat every 0.02."""


@pytest_asyncio.fixture
async def log(database: str) -> AsyncIterator[EventLog]:
    async with EventLog.open(database) as log:
        yield log


async def seen(log: EventLog, execution_id: UUID, lost_after_seconds: float = 30.0) -> ExecutionStatus:
    """The status as it looks now."""
    await catch_up(log, OWNERSHIP)
    row = await StrategyQueries(log.engine, lost_after_seconds=lost_after_seconds).execution(execution_id)
    assert row is not None
    return row.status


async def silence(database: str, execution_id: UUID, seconds: float) -> None:
    """Let the last sign of life be older than it is."""
    c = strategy_execution_heartbeats.c
    engine = writable_engine(database)
    async with engine.begin() as connection:
        older = sa.update(strategy_execution_heartbeats).where(c.strategy_execution_id == execution_id)
        await connection.execute(older.values(beat_at=c.beat_at - round(seconds * 1e9)))
    await engine.dispose()


async def beats(log: EventLog) -> int:
    async with log.engine.connect() as connection:
        counted = sa.select(sa.func.count()).select_from(strategy_execution_heartbeats)
        return (await connection.execute(counted)).scalar_one()


# --- a process that dies --------------------------------------------------------------------------


async def test_an_engine_that_is_killed_is_lost(log: EventLog, database: str) -> None:
    """By kill -9: seen so after a silence; then declared, and started again."""
    desk = StrategyDesk(log, lost_after_seconds=SHORT)
    one = await active(desk, await user(log))
    with engines(database, one) as (engine,):
        key = engine.execution_id
        assert key is not None
        head = await log.head()
        assert await seen(log, key, 5.0) is RUNNING
        last = await Heartbeats(log).last(key)
        assert last is not None
        assert last.process.endswith(f" pid {engine.pid}")
        while (beat := await Heartbeats(log).last(key)) is None or beat.at == last.at:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
        engine.kill()
        while await seen(log, key, SHORT) is not LOST:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    assert await log.head() == head
    assert await beats(log) == 1
    queries = StrategyQueries(log.engine, lost_after_seconds=SHORT)
    assert [row.id for row in await queries.executions(status=LOST)] == [key]
    assert await desk.declare_lost() == [key]
    await assert_tables_are_the_log(log)
    assert await seen(log, key, 1e6) is LOST
    assert await beats(log) == 0
    assert (await desk.start(one)).id != key


# --- silence --------------------------------------------------------------------------------------


async def test_silence_is_seen_and_declared(log: EventLog, database: str) -> None:
    """Once; the row says LOST then, with its last sign of life and who said so in the log."""
    desk = StrategyDesk(log)
    one = await active(desk, await user(log))
    execution = await desk.start(one)
    assert await seen(log, execution.id) is RUNNING
    assert await desk.declare_lost() == []
    await silence(database, execution.id, 60)
    assert await seen(log, execution.id) is LOST
    assert await seen(log, execution.id, 120) is RUNNING
    answers = await asyncio.gather(*(desk.declare_lost("host is gone", actor="ops") for _ in range(3)))
    assert sorted(answers) == [[], [], [execution.id]]
    assert await desk.declare_lost() == []
    await assert_tables_are_the_log(log)
    row = await desk.execution(execution.id)
    assert row is not None
    assert (row.status, row.stop_reason) == (LOST, "host is gone")


async def test_what_beats_again_is_alive_and_may_tell_its_end(log: EventLog, database: str) -> None:
    """Also after somebody declared it lost: what it tells of itself counts more."""
    desk = StrategyDesk(log)
    one = await active(desk, await user(log))
    execution = await desk.start(one)
    await silence(database, execution.id, 60)
    assert await desk.beat(execution.id)
    assert await seen(log, execution.id) is RUNNING
    await silence(database, execution.id, 60)
    assert await seen(log, execution.id) is LOST
    assert await desk.declare_lost() == [execution.id]
    other = await desk.start(one)
    await desk.end(execution.id)
    assert await seen(log, execution.id) is COMPLETED
    with pytest.raises(StrategyRunning):
        await desk.start(one)
    await desk.end(other.id)
    await assert_tables_are_the_log(log)


async def test_what_lives_learns_that_it_was_declared_lost(log: EventLog) -> None:
    """As after a long sleep of the machine: it can stop trading before another one doubles its orders."""
    desk = StrategyDesk(log)
    one = await active(desk, await user(log))
    async with asyncio.timeout(30), desk.running(one, beat_seconds=0.01) as execution:
        assert not execution.declared_lost
        other = await desk.start(one, take_over=True)
        while not execution.declared_lost:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
    assert await seen(log, execution.id) is COMPLETED
    assert await seen(log, other.id) is RUNNING


async def test_the_next_start_declares_what_is_silent_lost(log: EventLog, database: str) -> None:
    """In the same append; one that is not silent is taken over only by whoever asks for it."""
    desk = StrategyDesk(log)
    one = await active(desk, await user(log))
    first = await desk.start(one)
    with pytest.raises(StrategyRunning) as caught:
        await desk.start(one)
    assert caught.value.silent_seconds is not None
    assert 0 <= caught.value.silent_seconds < 30
    await silence(database, first.id, 60)
    second = await desk.start(one)
    third = await desk.start(one, take_over=True)
    assert [await seen(log, each.id) for each in (first, second, third)] == [LOST, LOST, RUNNING]
    assert await beats(log) == 1
    await assert_tables_are_the_log(log)


async def test_of_many_who_take_over_at_once_each_takes_over_from_another(log: EventLog, database: str) -> None:
    """One of those that wait for silence gets it."""
    desk = StrategyDesk(log)
    one = await active(desk, await user(log))
    first = await desk.start(one)
    await silence(database, first.id, 60)
    answers = await asyncio.gather(*(desk.start(one) for _ in range(6)), return_exceptions=True)
    assert sum(isinstance(answer, StrategyRunning) for answer in answers) == 5
    await assert_tables_are_the_log(log)


async def test_an_end_that_is_not_projected_yet_is_no_silence(log: EventLog, database: str) -> None:
    """The table lags, the log knows better: neither shown nor declared as lost."""
    desk = StrategyDesk(log, lost_after_seconds=0)
    one = await active(desk, await user(log))
    execution = await desk.start(one)
    assert await seen(log, execution.id, 0) is LOST
    await desk.end(execution.id)
    queries = StrategyQueries(log.engine, lost_after_seconds=0)
    row = await queries.execution(execution.id)
    assert row is not None
    assert row.status is RUNNING
    assert await queries.silent() == []
    assert await desk.declare_lost() == []


async def test_without_any_beat_the_start_counts(log: EventLog, database: str) -> None:
    """As after a restore: heartbeats are beside the log, and no replay brings them back."""
    desk = StrategyDesk(log)
    one = await active(desk, await user(log))
    execution = await desk.start(one)
    await Heartbeats(log).forget(execution.id)
    assert await seen(log, execution.id) is RUNNING
    assert await seen(log, execution.id, 0) is LOST
    assert await desk.declare_lost() == []
    assert await StrategyDesk(log, lost_after_seconds=0).declare_lost() == [execution.id]


# --- the table ------------------------------------------------------------------------------------


async def test_a_hundred_beats_are_one_row_and_no_event(log: EventLog) -> None:
    """Each later than the one before, by the clock of the database."""
    key, hearts = new_event_id(), Heartbeats(log)
    seen_at = []
    for _ in range(100):
        assert await hearts.beat(key, "p")
        beat = await hearts.last(key)
        assert beat is not None
        assert beat.age_seconds >= 0
        seen_at.append(beat.at)
    assert seen_at == sorted(seen_at)
    assert (await beats(log), await log.head()) == (1, 0)
    assert abs(await hearts.now() - seen_at[-1]) < 60e9
    assert await hearts.forget(key)
    assert await hearts.last(key) is None


async def test_appends_go_on_beside_beats(log: EventLog) -> None:
    """Both at once, many of each, and none is lost."""
    hearts, keys = Heartbeats(log), [new_event_id() for _ in range(20)]
    answers = await asyncio.gather(*(hearts.beat(key, "p") for key in keys), *(user(log, f"u{n}") for n in range(20)))
    assert answers[:20] == [True] * 20
    assert (await beats(log), await log.head()) == (20, 20)


async def test_a_database_that_fails_is_told_as_one(log: EventLog, database: str) -> None:
    """To whoever looks; an execution that runs ends as if nothing was."""
    desk = StrategyDesk(log, lost_after_seconds=0)
    one = await active(desk, await user(log))
    async with desk.running(one, beat_seconds=0.01) as execution:
        await catch_up(log, OWNERSHIP)
        engine = writable_engine(database)
        async with engine.begin() as connection:
            await connection.exec_driver_sql("DROP TABLE strategy_execution_heartbeats")
        await engine.dispose()
        assert not await desk.beat(execution.id)
        for look in (desk.start(one), desk.declare_lost(), Heartbeats(log).last(execution.id)):
            with pytest.raises(LogUnavailable):
                await look
    row = await desk.execution(execution.id)
    assert row is not None
    assert row.status is COMPLETED


async def test_a_closed_log_takes_no_beat_and_raises_nothing(database: str) -> None:
    """As at the end of a program."""
    async with EventLog.open(database) as log:
        hearts = Heartbeats(log)
    assert not await hearts.beat(new_event_id(), "p")
