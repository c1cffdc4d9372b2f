"""What goes wrong while a group is projected inline: it never harms the log, and in the end the rows are the log's."""

from __future__ import annotations

import asyncio
import contextlib
import random
import sqlite3
from collections.abc import AsyncIterator, Callable
from typing import Any

import asyncpg
import pytest
import sqlalchemy as sa
import structlog

from byjy_events.errors import LogUnavailable, OutcomeUnknown
from byjy_events.identifiers import new_order_id
from byjy_events.log import EventLog
from byjy_events.recorded import Recorded
from byjy_events.sqlite import lane
from byjy_events.stream import order_stream
from byjy_events.vocabulary.orders import OrderSubmitted
from projections import (
    TRADING,
    Group,
    GroupOutdated,
    GroupState,
    ProjectionStopped,
    Projector,
    TablesUnusable,
    catch_up,
    group_statuses,
)
from projections.inline import inline
from tests.inline_child import appending
from tests.lifecycles import lifecycles
from tests.own_groups import Placings, create_tables, placings, placings_group, raising_at, telling_at
from tests.replay import assert_rows_are_the_log, checkpoint
from tests.sample_events import filled, placed
from tests.schema import execute
from tests.story import place, tell, tell_lives
from tests.test_append_faults_sqlite import Between, Fault, committed_but_failed, failed_and_not_committed
from tests.test_inline import is_at_the_head
from tests.test_runner_stops import WRONG_NOTES

only_postgresql = pytest.mark.parametrize("backend", ["postgresql"])
only_sqlite = pytest.mark.parametrize("backend", ["sqlite"])

KILLS = 20


@pytest.fixture
async def log(database: str) -> AsyncIterator[EventLog]:
    async with EventLog.open(database) as log:
        yield log


# --- events and rows that cannot be projected -----------------------------------------------------


async def test_an_event_that_cannot_be_folded_is_stored_and_stops_its_group_only(database: str, log: EventLog) -> None:
    """Every append is acknowledged; the group stops before the event, the other one has its rows at once."""
    await create_tables(database)
    broken = placings_group(raising_at(3, ZeroDivisionError("by nothing")))
    async with Projector(log, TRADING, inline=True), Projector(log, broken, inline=True) as mine:
        assert [await place(log) for _ in range(5)] == [1, 2, 3, 4, 5]
        assert await is_at_the_head(log)
        with pytest.raises(ProjectionStopped) as caught:
            await mine.wait_for(5, timeout_seconds=10)
        assert (caught.value.position, caught.value.error) == (3, "ZeroDivisionError: by nothing")
        assert await assert_rows_are_the_log(log, broken) == 2
        status = await checkpoint(log, broken)
        assert (status.status, status.error_position, status.error_event_type, status.error) == (
            GroupState.STOPPED,
            3,
            "OrderPlaced",
            "ZeroDivisionError: by nothing",
        )
        await place(log)
        assert await is_at_the_head(log)
        assert (await checkpoint(log, broken)).position == 2


async def test_a_stopped_group_that_was_mended_is_inline_again(database: str, log: EventLog) -> None:
    """Not mended, it does not start; mended, it catches up and is taken along again."""
    await create_tables(database)
    broken, mended = placings_group(raising_at(2, ValueError("bad"))), placings_group()
    async with Projector(log, broken, inline=True):
        for _ in range(3):
            await place(log)
    with pytest.raises(ProjectionStopped):
        await Projector(log, broken, inline=True).start()
    await place(log)
    async with Projector(log, mended, inline=True):
        assert await assert_rows_are_the_log(log, mended) == 4
        await place(log)
        assert await assert_rows_are_the_log(log, mended) == 5
        assert (await checkpoint(log, mended)).status is GroupState.RUNNING


async def test_a_projector_that_has_ended_takes_no_more_part(database: str, log: EventLog) -> None:
    """A mended one takes over while the broken one is still about: all further rows are the mended one's."""
    await create_tables(database)

    def noted(recorded: Recorded) -> str:
        if recorded.position == 2:
            raise ValueError("bad")
        return "fine" if recorded.position == 1 else "broken"

    mended = placings_group()
    async with Projector(log, placings_group(noted), inline=True) as broken:
        await place(log)
        position = await place(log)
        with pytest.raises(ProjectionStopped):
            await broken.wait_for(position, timeout_seconds=10)
        async with Projector(log, mended, inline=True):
            for _ in range(3):
                await place(log)
            assert await assert_rows_are_the_log(log, mended) == 5


@pytest.mark.parametrize("note", [*WRONG_NOTES.values(), ValueError("bad")], ids=[*WRONG_NOTES, "an error"])
async def test_a_bad_event_among_many_of_a_batch_is_found(database: str, log: EventLog, note: Any) -> None:
    """All callers have their receipts; everything before the event is projected, nothing from it on."""
    await create_tables(database)
    group = placings_group(telling_at(57, note))
    async with Projector(log, group, inline=True) as projector:
        positions = await asyncio.gather(*(place(log) for _ in range(100)))
        assert sorted(positions) == list(range(1, 101))
        with pytest.raises(ProjectionStopped) as caught:
            await projector.wait_for(100, timeout_seconds=10)
        assert caught.value.position == 57
        assert await assert_rows_are_the_log(log, placings_group()) == 56


notes_metadata = sa.MetaData()
sa.Table("known_orders", notes_metadata, sa.Column("id", placings.c.id.type, primary_key=True), sqlite_strict=True)
referring = sa.Table(
    "referring",
    notes_metadata,
    *(column._copy() for column in placings.columns),
    sa.ForeignKeyConstraint(["id"], ["known_orders.id"], name="fk", deferrable=True, initially="DEFERRED"),
    sqlite_strict=True,
)


class Referring(Placings):
    """Rows that break a constraint, which the database looks at in the end of a transaction only."""

    name = "referring"
    table = referring


async def test_a_constraint_that_is_looked_at_in_the_end_fails_no_append(database: str, log: EventLog) -> None:
    """The commit is tried again without the rows, and the group stops at the event."""
    await create_tables(database, notes_metadata)
    group = Group("referring", [Referring()])
    async with Projector(log, TRADING, inline=True) as trading, Projector(log, group, inline=True) as mine:
        assert await place(log) == 1
        with pytest.raises(ProjectionStopped) as caught:
            await mine.wait_for(1, timeout_seconds=10)
        assert caught.value.position == 1
        assert await place(log) == 2
        await trading.wait_for(2, timeout_seconds=10)
        await place(log)
        assert await is_at_the_head(log)


async def test_a_table_that_is_gone_fails_no_append(database: str, log: EventLog) -> None:
    """The projector says what is wrong; the other group has its rows."""
    await create_tables(database)
    async with Projector(log, TRADING, inline=True), Projector(log, placings_group(), inline=True) as mine:
        await place(log)
        await execute(database, "DROP TABLE placings")
        position = await place(log)
        assert await is_at_the_head(log)
        with pytest.raises(TablesUnusable, match="placings"):
            await mine.wait_for(position, timeout_seconds=10)
        await place(log)
        assert await is_at_the_head(log)


async def test_rows_of_another_version_are_left_alone(database: str, log: EventLog) -> None:
    """Another program rebuilt the group: this one's appends go on without it, and its projector says why."""
    async with Projector(log, TRADING, inline=True) as projector:
        await place(log)
        await execute(database, "UPDATE projection_checkpoints SET version = 'orders=99'")
        position = await place(log)
        with pytest.raises(GroupOutdated):
            await projector.wait_for(position, timeout_seconds=10)
        assert (await checkpoint(log)).position == position - 1


# --- a database that fails --------------------------------------------------------------------------


@pytest.fixture
def faults(monkeypatch: pytest.MonkeyPatch) -> list[Fault]:
    """Of the lane's connection; to be used before the log is opened. The first of the list is in force."""
    faults: list[Fault] = []
    connect = lane.connect
    monkeypatch.setattr(lane, "connect", lambda path: Between(connect(path), faults))
    return faults


@only_sqlite
@pytest.mark.parametrize("kind", [committed_but_failed, failed_and_not_committed])
async def test_a_commit_whose_outcome_is_open_leaves_the_rows_of_the_log(
    faults: list[Fault], log: EventLog, kind: Callable[[list[Fault], int], Fault]
) -> None:
    """Whether it happened or not: rows kept in memory are forgotten, and what comes after rests on the tables."""
    async with Projector(log, TRADING, inline=True) as projector:
        for seed in range(3):
            faults[:] = [kind(faults, 1)]
            position = await tell(log, lifecycles(seed, orders=5), at_once=10)
            await projector.wait_for(position, timeout_seconds=10)
            assert await is_at_the_head(log)
        faults.clear()
        await place(log)
        assert await is_at_the_head(log)


@only_sqlite
async def test_rows_of_a_transaction_that_was_undone_are_forgotten(
    faults: list[Fault], database: str, log: EventLog
) -> None:
    """Also where others bring the group to the very same position, with other events."""
    stream = order_stream(new_order_id())
    async with EventLog.open(database) as other:
        await place(log)
        await catch_up(log, TRADING)
        for one in (log, other):
            inline(one, TRADING).attach()  # without the projector that follows beside it
        faults.append(failed_and_not_committed(faults, times=3))
        with pytest.raises(LogUnavailable):
            await log.append(stream, [placed()])
        faults.clear()
        await other.append(stream, [filled("1")])
        await log.append(stream, [filled("2")])
        assert await is_at_the_head(log)


@only_sqlite
@pytest.mark.parametrize("everything", [False, True])
async def test_rows_that_cannot_be_written_now_are_written_later(
    faults: list[Fault], log: EventLog, everything: bool
) -> None:
    """Also where the error takes the whole transaction with it, as a full disk may: the events are stored alone."""
    left = iter(range(1))

    def fault(connection: sqlite3.Connection, statement: str) -> None:
        if statement.startswith("INSERT INTO orders") and next(left, None) is not None:
            if everything:
                connection.execute("ROLLBACK")
            raise sqlite3.OperationalError("database or disk is full")

    async with Projector(log, TRADING, inline=True) as projector:
        await place(log)
        faults.append(fault)
        positions = await asyncio.gather(*(place(log) for _ in range(20)))
        assert next(left, None) is None
        await projector.wait_for(max(positions), timeout_seconds=10)
        await place(log)
        assert await is_at_the_head(log)


@only_postgresql
@pytest.mark.parametrize("function", ["pg_terminate_backend", "pg_cancel_backend"])
async def test_backends_that_are_shot_in_mid_append_leave_the_rows_of_the_log(
    database: str, log: EventLog, function: str
) -> None:
    """At whatever statement: appends are acknowledged or refused, nothing is lost or doubled."""
    chance = random.Random(function)
    done = asyncio.Event()
    acknowledged: list[int] = []

    async def produce(number: int) -> None:
        for turn in range(1000):
            for stream, event in lifecycles(1000 * number + turn, orders=2):
                with contextlib.suppress(LogUnavailable, OutcomeUnknown):  # shot three times in a row
                    acknowledged.append((await log.append(stream, [event])).position)
                if done.is_set():
                    return

    async with Projector(log, TRADING, inline=True) as projector:
        producers = [asyncio.create_task(produce(number)) for number in range(10)]
        other = await asyncpg.connect(database)
        for _ in range(30):
            await asyncio.sleep(chance.random() * 0.08)
            await other.execute(
                f"SELECT {function}(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        await other.close()
        done.set()
        await asyncio.gather(*producers)
        head = await log.head()
        assert set(acknowledged) <= set(range(1, head + 1))
        await projector.wait_for(head, timeout_seconds=20)
        assert await is_at_the_head(log)
        await place(log)
        assert await is_at_the_head(log)


@only_postgresql
async def test_a_checkpoint_that_is_locked_for_long_holds_up_an_append_for_a_bounded_time(
    database: str, log: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then the events are stored alone, and no other append waits; the rows follow when the lock is gone."""
    monkeypatch.setattr("byjy_events.postgres.backend.COMPANION_SECONDS", 0.2)
    async with Projector(log, TRADING, inline=True) as projector:
        await place(log)
        other = await asyncpg.connect(database)
        async with other.transaction():
            await other.execute("SELECT FROM projection_checkpoints FOR UPDATE")
            with structlog.testing.capture_logs() as told:
                for position in range(2, 7):
                    assert await asyncio.wait_for(place(log), 20) == position
            assert [one["event"] for one in told].count("companion_failed") == 1
            assert (await checkpoint(log)).position == 1
        await other.close()
        await projector.wait_for(6, timeout_seconds=20)
        await place(log)
        assert await is_at_the_head(log)


@only_postgresql
async def test_a_step_of_another_projector_that_is_under_way_is_waited_for(database: str, log: EventLog) -> None:
    """The append finds the checkpoint where that step leaves it, and its rows are there all the same."""
    await create_tables(database)
    group = placings_group()
    await catch_up(log, group)
    await log.append(order_stream(new_order_id()), [OrderSubmitted()])  # which makes no row
    inline(log, group).attach()  # without the projector that follows beside it
    other = await asyncpg.connect(database)
    async with other.transaction():
        await other.execute("UPDATE projection_checkpoints SET position = 1")
        appending = asyncio.create_task(place(log))
        await asyncio.sleep(0.3)
        assert not appending.done()
    await other.close()
    assert await appending == 2
    assert await assert_rows_are_the_log(log, group) == 2


async def test_a_process_killed_again_and_again_leaves_every_event_with_its_rows(database: str) -> None:
    """At whatever instant: the checkpoint is the head, and the rows are the log's."""
    chance = random.Random(database)
    async with EventLog.open(database) as log:
        for _ in range(KILLS):
            with appending(database, inline=True):
                await asyncio.sleep(chance.random() * 0.08)
            await log.backend.known([])  # under the append lock: what the dead left is through
            assert await is_at_the_head(log)
        assert await log.head() > KILLS
        assert (await group_statuses(log))[0].status is GroupState.RUNNING


async def test_a_process_that_is_killed_leaves_nothing_to_catch_up_beside_one_that_projects_otherwise(
    database: str,
) -> None:
    """The one that is left goes on from there, inline too."""
    async with EventLog.open(database) as log, Projector(log, TRADING, inline=True):
        for seed in range(4):
            with appending(database, inline=True):
                await tell_lives(log, seed=seed, orders=5)
            await place(log)
            assert await is_at_the_head(log)
