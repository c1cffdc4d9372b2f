"""Executions: one of a strategy at a time, started by rules, and ended whatever happens to the block that runs them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import msgspec
import pytest
import pytest_asyncio
import structlog

from byjy_events import EventLog, StrategyExecutionEnded, execution_stream, new_event_id
from byjy_events.errors import InvalidEvent, LogClosed
from byjy_events.heartbeat import Heartbeats
from byjy_events.json_text import InvalidJson
from byjy_events.secret import Secret
from byjy_events.vocabulary.strategies import ExecutionStatus
from projections import (
    ExecutionRefused,
    StrategyDesk,
    StrategyExecutionRow,
    StrategyQueries,
    StrategyRefused,
    StrategyRunning,
)
from projections.strategies.running import ERROR_LENGTH, error_text
from tests.engine_child import engines
from tests.schema import execute
from tests.strategies import active, assert_tables_are_the_log, user

RUNNING, COMPLETED, FAILED, STOPPED, LOST = ExecutionStatus


@pytest_asyncio.fixture
async def log(database: str) -> AsyncIterator[EventLog]:
    async with EventLog.open(database) as log:
        yield log


@pytest_asyncio.fixture
async def desk(log: EventLog) -> StrategyDesk:
    return StrategyDesk(log)


async def row_of(desk: StrategyDesk, execution_id: UUID) -> StrategyExecutionRow:
    row = await desk.execution(execution_id)
    assert row is not None
    return row


# --- starting and ending --------------------------------------------------------------------------


async def test_an_execution_runs_from_its_start_to_its_end(log: EventLog, desk: StrategyDesk) -> None:
    """The table follows, with the parameters that it ran with."""
    one = await active(desk, await user(log), parameters={"spread": 1})
    await desk.change_parameters(one, {"spread": 2})
    execution = await desk.start(one, process="host pid 7", is_test=True, actor="strategy:mm")
    assert (execution.parameters, execution.parameters_version, execution.is_test) == ({"spread": 2}, 2, True)
    await assert_tables_are_the_log(log)
    seen = await StrategyQueries(log.engine).execution(execution.id)
    assert seen is not None
    assert (seen.status, seen.process, seen.finished_at, seen.parameters_version) == (RUNNING, "host pid 7", None, 2)
    assert seen.beat_at is not None
    await desk.end(execution.id, FAILED, error="KeyError: 'BTC'")
    await assert_tables_are_the_log(log)
    seen = await StrategyQueries(log.engine).execution(execution.id)
    assert seen is not None
    assert (seen.status, seen.error, seen.stop_reason, seen.beat_at) == (FAILED, "KeyError: 'BTC'", None, None)
    assert seen.finished_at is not None
    assert seen.finished_at >= seen.started_at


async def test_only_what_is_active_is_run(log: EventLog, desk: StrategyDesk) -> None:
    """And nothing of the attempt is left, neither in the log nor beside it."""
    one = await desk.create(await user(log), "mm", "k")
    head, key = await log.head(), new_event_id()
    with pytest.raises(StrategyRefused, match="only what is ACTIVE is run"):
        await desk.start(one, execution_id=key)
    assert await log.head() == head
    assert await Heartbeats(log).last(key) is None


async def test_of_many_tasks_that_start_it_at_once_one_does(log: EventLog, desk: StrategyDesk) -> None:
    """The others are told which one, and it can be started again after its end."""
    one = await active(desk, await user(log))
    answers = await asyncio.gather(*(desk.start(one) for _ in range(8)), return_exceptions=True)
    (started,) = [answer for answer in answers if not isinstance(answer, BaseException)]
    refused = [answer for answer in answers if isinstance(answer, StrategyRunning)]
    assert {error.strategy_execution_id for error in refused} == {started.id}
    assert len(refused) == len(answers) - 1
    await desk.end(started.id)
    await desk.end((await desk.start(one)).id)
    await assert_tables_are_the_log(log)


async def test_of_two_processes_that_start_it_at_once_one_does(log: EventLog, database: str) -> None:
    """Each with connections of its own."""
    desk = StrategyDesk(log)
    one = await active(desk, await user(log))
    with engines(database, one, 2) as started:
        (winner,) = [engine.execution_id for engine in started if engine.execution_id is not None]
        assert (await row_of(desk, winner)).status is RUNNING


async def test_what_runs_is_not_archived(log: EventLog, desk: StrategyDesk) -> None:
    """It may be stopped, which ends no execution; and what is archived at the moment of a start is one or the other."""
    one = await active(desk, await user(log))
    execution = await desk.start(one)
    await desk.stop(one)
    with pytest.raises(StrategyRunning, match=f"refuses StrategyArchived: it runs as {execution.id}"):
        await desk.archive(one)
    await desk.end(execution.id)
    await desk.archive(one)
    await assert_tables_are_the_log(log)


async def test_a_start_and_a_stop_at_once_are_one_after_the_other(log: EventLog, desk: StrategyDesk) -> None:
    """Wherever an execution starts in the log, its strategy is ACTIVE there."""
    owner = await user(log)
    for number in range(6):
        one = await active(desk, owner, f"s{number}")
        attempts = (desk.start(one), desk.pause(one)) if number % 2 else (desk.pause(one), desk.start(one))
        await asyncio.gather(*attempts, return_exceptions=True)
        types = [event.type async for event in log.read() if one in (event.stream_id, _strategy_of(event.event))]
        if "StrategyExecutionStarted" in types:
            assert types.index("StrategyExecutionStarted") < types.index("StrategyPaused")
        else:
            assert types[-1] == "StrategyPaused"


def _strategy_of(event: Any) -> UUID | None:
    return getattr(event, "strategy_id", None)


async def test_a_start_that_is_repeated_starts_nothing_twice(log: EventLog, desk: StrategyDesk) -> None:
    """It answers with what was started then, whatever the strategy is now; one that has ended is not started again."""
    one, key = await active(desk, await user(log), parameters={"spread": 1}), new_event_id()
    first = await desk.start(one, is_test=True, execution_id=key)
    await desk.change_parameters(one, {"spread": 2})
    await desk.pause(one)
    head = await log.head()
    again = await desk.start(one, execution_id=key)
    assert vars(again) == vars(first)
    assert (again.parameters, again.parameters_version, again.is_test) == ({"spread": 1}, 1, True)
    assert await log.head() == head
    await desk.end(key)
    with pytest.raises(ExecutionRefused, match="it was started before"):
        await desk.start(one, execution_id=key)
    assert await Heartbeats(log).last(key) is None


async def test_a_start_is_repeated_by_its_own_process_only(log: EventLog, desk: StrategyDesk) -> None:
    """Two that share an id would both trade; nor does the refused one give a sign of life for the other."""
    one, key = await active(desk, await user(log)), new_event_id()
    await desk.start(one, execution_id=key, process="a")
    with pytest.raises(ExecutionRefused, match="it was started before, by a"):
        await desk.start(one, execution_id=key, process="b")
    beat = await Heartbeats(log).last(key)
    assert beat is not None
    assert beat.process == "a"


async def test_beats_are_some_time_apart(log: EventLog, desk: StrategyDesk) -> None:
    """Else they would fill the time; nothing is started."""
    one = await active(desk, await user(log))
    head = await log.head()
    for seconds in (0, -1, float("nan")):
        with pytest.raises(ValueError, match="beat_seconds"):
            async with desk.running(one, beat_seconds=seconds):
                pass
    assert await log.head() == head


async def test_an_execution_ends_once(log: EventLog, desk: StrategyDesk) -> None:
    """Of several who tell an end at once one is heard; what nobody knows does not end."""
    one = await active(desk, await user(log))
    execution = await desk.start(one)
    ends = [desk.end(execution.id, status) for status in (COMPLETED, FAILED, STOPPED)]
    answers = await asyncio.gather(*ends, return_exceptions=True)
    assert sum(isinstance(answer, ExecutionRefused) for answer in answers) == 2
    with pytest.raises(ExecutionRefused, match="there is no such execution"):
        await desk.end(new_event_id())
    for status in (RUNNING, LOST):
        with pytest.raises(InvalidEvent, match="is no end that an execution tells"):
            StrategyExecutionEnded(status=status)


class Spread(msgspec.Struct):
    """The parameters of a kind."""

    spread: float


async def test_parameters_that_do_not_fit_the_kind_start_nothing(log: EventLog, desk: StrategyDesk) -> None:
    """They may have come in where the type was not known; those that fit are handed over as the type."""
    typed = StrategyDesk(log, kinds={"market_maker": Spread})
    one = await active(desk, await user(log), parameters={"spread": "wide"})
    with pytest.raises(InvalidJson, match=r"expected `float`, got `str` - at \$.spread"):
        await typed.start(one)
    await typed.change_parameters(one, {"spread": 2})
    assert (await typed.start(one)).parameters == Spread(2.0)


# --- the block ------------------------------------------------------------------------------------


async def test_a_block_that_ends_has_completed(log: EventLog, desk: StrategyDesk) -> None:
    """Or was stopped, if it says so; with the actor that was given."""
    one = await active(desk, await user(log))
    async with desk.running(one, actor="strategy:mm") as execution:
        assert (await row_of(desk, execution.id)).status is RUNNING
    assert (await row_of(desk, execution.id)).status is COMPLETED
    assert [one.actor async for one in log.read(stream=execution_stream(execution.id))] == ["strategy:mm"] * 2
    async with desk.running(one) as execution:
        execution.stop("end of the day")
    row = await row_of(desk, execution.id)
    assert (row.status, row.stop_reason) == (STOPPED, "end of the day")
    assert await Heartbeats(log).last(execution.id) is None
    await assert_tables_are_the_log(log)


async def test_a_block_that_raises_has_failed(log: EventLog, desk: StrategyDesk) -> None:
    """With its error as a text that holds no secret; what is raised is the error itself."""
    one = await active(desk, await user(log))
    error = RuntimeError(f"venue refused: api_key='canary-4711' {Secret('canary-4712')}\0")
    with pytest.raises(RuntimeError) as caught:
        async with desk.running(one) as execution:
            raise error
    assert caught.value is error
    row = await row_of(desk, execution.id)
    assert row.status is FAILED
    assert row.error is not None
    assert row.error.startswith("RuntimeError: venue refused: api_key=")
    assert "canary" not in row.error
    await assert_tables_are_the_log(log)


async def test_a_block_that_is_cancelled_was_stopped(log: EventLog, desk: StrategyDesk) -> None:
    """Also if it is cancelled again while its end is being recorded."""
    one = await active(desk, await user(log))
    begun: asyncio.Future[UUID] = asyncio.get_running_loop().create_future()

    async def run() -> None:
        async with desk.running(one) as execution:
            begun.set_result(execution.id)
            await asyncio.sleep(3600)

    task = asyncio.create_task(run())
    key = await begun
    while not task.done():
        task.cancel()
        await asyncio.sleep(0)
    with pytest.raises(asyncio.CancelledError):
        await task
    row = await row_of(desk, key)
    assert (row.status, row.stop_reason) == (STOPPED, "cancelled")


@pytest.mark.parametrize("turns", [1, 3, 10, 40])
async def test_whoever_is_cancelled_while_starting_leaves_nothing_that_runs(
    log: EventLog, desk: StrategyDesk, turns: int
) -> None:
    """However far the start had come."""
    one = await active(desk, await user(log))
    context = desk.running(one)
    task = asyncio.create_task(context.__aenter__())
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
        await context.__aexit__(None, None, None)
    assert (await desk.start(one)).strategy_id == one


async def test_what_fails_in_a_beat_does_not_reach_the_block(database: str, log: EventLog, desk: StrategyDesk) -> None:
    """It is logged, and the execution ends as it would have."""
    one = await active(desk, await user(log))
    with structlog.testing.capture_logs() as logged:
        async with desk.running(one, beat_seconds=0.001) as execution:
            await execute(database, "ALTER TABLE strategy_execution_heartbeats RENAME TO gone")
            while not any(entry["event"] == "heartbeat_failed" for entry in logged):  # noqa: ASYNC110 - it cannot tell
                await asyncio.sleep(0.001)
    await execute(database, "ALTER TABLE gone RENAME TO strategy_execution_heartbeats")
    assert (await row_of(desk, execution.id)).status is COMPLETED
    assert logged[0]["strategy_execution_id"] == str(execution.id)


async def test_an_end_that_cannot_be_recorded_does_not_hide_an_error(database: str) -> None:
    """It is logged; of a block that ended well it is raised."""
    async with EventLog.open(database) as log:
        one = await active(StrategyDesk(log), await user(log))
    error = KeyError("BTC")
    with structlog.testing.capture_logs() as logged:
        for raised, expected in ((error, KeyError), (None, LogClosed)):
            with pytest.raises(expected):
                await _run_on_a_log_that_closes(database, one, raised)
    assert "execution_end_not_recorded" in [entry["event"] for entry in logged]


async def _run_on_a_log_that_closes(database: str, strategy_id: UUID, error: Exception | None) -> None:
    log = await EventLog.open(database).start()
    async with StrategyDesk(log).running(strategy_id, take_over=True):
        await log.close()
        if error is not None:
            raise error


async def test_an_end_that_somebody_else_told_stands(log: EventLog, desk: StrategyDesk) -> None:
    """And is no error of the block."""
    one = await active(desk, await user(log))
    async with desk.running(one) as execution:
        await desk.end(execution.id, STOPPED, "by hand")
    assert (await row_of(desk, execution.id)).stop_reason == "by hand"


def test_an_error_is_told_in_bounds() -> None:
    """Those of a group too; also one that cannot be told, or whose text cannot be stored."""

    class Untold(Exception):
        def __str__(self) -> str:
            raise ValueError

    assert error_text(ExceptionGroup("two", [KeyError("a"), Untold()])) == (
        "ExceptionGroup: two (2 sub-exceptions); KeyError: 'a'; Untold: (without a message)"
    )
    assert error_text(ValueError()) == "ValueError"
    assert error_text(ValueError("\ud800\0")) == "ValueError: \\ud800"
    assert len(error_text(ValueError("x" * 100_000))) <= ERROR_LENGTH
    StrategyExecutionEnded(status=FAILED, error=error_text(ValueError("ü" * 100_000)))
