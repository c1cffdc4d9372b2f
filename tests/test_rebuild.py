"""Rebuilding makes the tables equal to the log, whatever they were, while everybody else goes on."""

from __future__ import annotations

import asyncio

import pytest
import sqlalchemy as sa
from msgspec.structs import replace

from byjy_events.log import EventLog
from projections import (
    TRADING,
    Group,
    GroupOutdated,
    GroupState,
    Projector,
    RebuildRunning,
    ReplayFailed,
    catch_up,
    rebuild,
    rebuilding,
    verify,
)
from projections.checkpoints import projection_checkpoints
from tests.lifecycles import lifecycles
from tests.own_groups import Placings, create_tables, placings, placings_group, raising_at, telling_at
from tests.replay import assert_rows_are_the_log, checkpoint, stored
from tests.rows import writable_engine
from tests.story import place, tell, tell_lives
from tests.tampering import KINDS, TABLES, tamper, wipe


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("kind", KINDS)
async def test_one_wrong_row_is_mended_and_named(database: str, table: str, kind: str) -> None:
    """In any table; nothing else is written, the report shows the row, and then the tables equal the log."""
    async with EventLog.open(database) as log:
        head = await tell_lives(log, seed=1, orders=60)
        await catch_up(log, TRADING)
        await tamper(database, table, kind)
        done = await rebuild(log, TRADING)
        assert (done.differences, done.rows, done.position) == (1, 1, head)
        (one,) = [row for each in done.tables for row in each.rows]
        assert (one.table, one.kind) == (table, kind)
        assert await assert_rows_are_the_log(log) == head
        assert (await verify(log, TRADING)).differences == 0


async def test_nothing_is_written_where_nothing_differs(database: str) -> None:
    """Only the generation rises, so that no projector with rows in memory goes on unawares."""
    async with EventLog.open(database) as log:
        await tell_lives(log, seed=2, orders=20)
        await catch_up(log, TRADING)
        before = await checkpoint(log)
        done = await rebuild(log, TRADING)
        after = await checkpoint(log)
        assert (done.differences, done.rows) == (0, 0)
        assert (after.status, after.position) == (GroupState.RUNNING, before.position)
        assert after.generation == before.generation + 1


@pytest.mark.parametrize("at_once", [5_000, 3])
async def test_wiped_tables_come_back(database: str, monkeypatch: pytest.MonkeyPatch, at_once: int) -> None:
    """In one transaction or in slices, whatever refers to what."""
    monkeypatch.setattr(rebuilding, "AT_ONCE_ROWS", at_once)
    monkeypatch.setattr(rebuilding, "FIRST_SLICE_ROWS", 7)
    async with EventLog.open(database) as log:
        head = await tell_lives(log, seed=3, orders=80)
        await catch_up(log, TRADING)
        before = await stored(log)
        await wipe(database)
        done = await rebuild(log, TRADING)
        assert done.differences == done.rows == sum(map(len, before.values()))
        assert await stored(log) == before
        assert await assert_rows_are_the_log(log) == head


async def test_a_group_that_never_ran_is_brought_to_the_head(database: str) -> None:
    """There is nothing to compare with; the rows are all there in the end."""
    async with EventLog.open(database) as log:
        head = await tell_lives(log, seed=4, orders=30)
        done = await rebuild(log, TRADING)
        assert (done.position, done.differences) == (head, 0)
        assert await assert_rows_are_the_log(log) == head


async def test_what_is_not_projected_yet_is_brought_along(database: str) -> None:
    """Behind the checkpoint nothing differs; beyond it the rows are new."""
    async with EventLog.open(database) as log:
        await tell_lives(log, seed=5, orders=10)
        await catch_up(log, TRADING)
        head = await tell(log, lifecycles(seed=6, orders=40)[2:])
        done = await rebuild(log, TRADING)
        assert (done.position, done.differences) == (head, 0)
        assert await assert_rows_are_the_log(log) == head


async def test_an_empty_log_is_rebuilt_at_once(database: str) -> None:
    """To position 0, with what should not be there gone."""
    async with EventLog.open(database) as log:
        done = await rebuild(log, TRADING)
        assert (done.position, done.rows) == (0, 0)


@pytest.mark.parametrize("at_once", [5_000, 3])
async def test_a_projector_with_rows_in_memory_never_writes_them_back(
    database: str, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    """Rows are wiped behind a projector that runs, events flow, and rebuilds repair: in the end all is the log's."""
    monkeypatch.setattr(rebuilding, "AT_ONCE_ROWS", at_once)
    async with EventLog.open(database) as log, Projector(log, TRADING) as projector:
        flow = asyncio.create_task(tell(log, lifecycles(seed=7, orders=300), at_once=2))
        rounds = 0
        while not flow.done():
            await tamper_somehow(database, rounds)
            await rebuild(log, TRADING)
            rounds += 1
        head = await flow
        await projector.wait_for(head, timeout_seconds=30)
        await rebuild(log, TRADING)
        assert await assert_rows_are_the_log(log) == head
        assert rounds > 1


async def tamper_somehow(database: str, number: int) -> None:
    if number % 3 == 2:
        await wipe(database)
        return
    with_rows = ("orders", "trading_pairs")
    try:
        await tamper(database, with_rows[number % 2], "DIFFERENT")
    except sa.exc.NoResultFound:
        return  # nothing was projected yet


async def test_two_rebuilds_do_not_meet(database: str) -> None:
    """The second is refused while the first is at work, and nothing is harmed."""
    async with EventLog.open(database) as log:
        await tell_lives(log, seed=8, orders=100)
        await catch_up(log, TRADING)
        results = await asyncio.gather(*(rebuild(log, TRADING) for _ in range(3)), return_exceptions=True)
        refused = [one for one in results if isinstance(one, BaseException)]
        assert 1 <= len(refused) <= 2
        assert {type(one) for one in refused} == {RebuildRunning}
        await assert_rows_are_the_log(log)


async def test_a_new_version_is_refused_until_it_is_rebuilt(database: str, own_table: None) -> None:
    """By projectors and by catching up; after the rebuild the rows are those of the new fold."""
    old, new = placings_group(), newer_group()
    async with EventLog.open(database) as log:
        for _ in range(5):
            await place(log)
        await catch_up(log, old)
        head = await place(log)
        for attempt in (lambda: catch_up(log, new), Projector(log, new).start):
            with pytest.raises(GroupOutdated):
                await attempt()
        done = await rebuild(log, new)
        assert (done.position, done.differences) == (head, 5)
        assert await notes(log) == ["new"] * 6
        assert await catch_up(log, new) == head
        with pytest.raises(GroupOutdated):
            await catch_up(log, old)


async def test_a_projector_may_rebuild_at_its_start(database: str, own_table: None) -> None:
    """Two programs start with the new version while one of the old version runs: that one ends, those follow."""
    old, new = placings_group(), newer_group()
    async with EventLog.open(database) as log, EventLog.open(database) as elsewhere:
        async with Projector(log, old) as before:
            await before.wait_for(await place(log), timeout_seconds=20)
            first, second = Projector(log, new, rebuild=True), Projector(elsewhere, new, rebuild=True)
            await asyncio.gather(first.start(), second.start())
            head = await place(log)
            await first.wait_for(head, timeout_seconds=20)
            await second.wait_for(head, timeout_seconds=20)
            with pytest.raises(GroupOutdated):
                await before.wait_for(head, timeout_seconds=20)
        await first.close()
        await second.close()
        assert await notes(log) == ["new"] * 2


async def test_an_event_that_cannot_be_folded_leaves_everything_as_it_was(database: str, own_table: None) -> None:
    """The error names it; the group runs on."""
    group = placings_group()
    async with EventLog.open(database) as log:
        for _ in range(4):
            await place(log)
        await catch_up(log, group)
        before = await checkpoint(log, group)
        with pytest.raises(ReplayFailed) as raised:
            await rebuild(log, placings_group(raising_at(3, ValueError("no"))))
        assert (raised.value.position, raised.value.event_type) == (3, "OrderPlaced")
        assert raised.value.error == "ValueError: no"
        assert await checkpoint(log, group) == before
        assert await catch_up(log, group) == 4


async def test_a_row_that_the_table_refuses_is_named_by_its_event(database: str, own_table: None) -> None:
    """The scratch table has the same CHECK."""
    async with EventLog.open(database) as log:
        for _ in range(4):
            await place(log)
        with pytest.raises(ReplayFailed) as raised:
            await rebuild(log, placings_group(telling_at(3, "bad")))
        assert raised.value.position == 3
        assert await notes(log) == []


async def test_a_stopped_group_is_mended_where_it_stands_and_runs_again(database: str, own_table: None) -> None:
    """A rebuild with the fixed fold clears the stop; the next projector takes it from there."""
    group = placings_group(raising_at(4, ValueError("poison")))
    async with EventLog.open(database) as log:
        for _ in range(6):
            await place(log)
        with pytest.raises(Exception, match="poison"):
            await catch_up(log, group)
        assert (await checkpoint(log, group)).status == GroupState.STOPPED
        fixed = placings_group()
        done = await rebuild(log, fixed)
        assert done.position == 3
        after = await checkpoint(log, fixed)
        assert (after.status, after.error, after.error_position) == (GroupState.RUNNING, None, None)
        assert await catch_up(log, fixed) == 6


async def test_a_rebuild_that_was_cut_short_is_finished_by_the_next_start(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mark is there, the rows are half done, nobody is behind it: a projector mends them before it runs."""
    monkeypatch.setattr("projections.beginning.PATIENCE_SECONDS", 0.1)
    async with EventLog.open(database) as log:
        await tell_lives(log, seed=9, orders=40)
        await catch_up(log, TRADING)
        await wipe(database)
        engine = writable_engine(database)
        async with engine.begin() as connection:
            await connection.execute(projection_checkpoints.update().values(status="REBUILDING", generation=5))
        await engine.dispose()
        head = await tell(log, lifecycles(seed=10, orders=10)[2:])
        async with Projector(log, TRADING) as projector:
            await projector.wait_for(head, timeout_seconds=20)
        assert await assert_rows_are_the_log(log) == head
        assert (await checkpoint(log)).status == GroupState.RUNNING


async def test_projectors_wait_for_the_end_of_a_rebuild(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the mark stands and somebody is behind it, nothing is projected; then everything is."""
    monkeypatch.setattr("projections.beginning.PATIENCE_SECONDS", 0.05)
    monkeypatch.setattr(rebuilding, "AT_ONCE_ROWS", 0)
    monkeypatch.setattr(rebuilding, "PAUSE_SECONDS", 0.3)
    async with EventLog.open(database) as log, EventLog.open(database) as elsewhere:
        await tell_lives(log, seed=11, orders=10)
        await catch_up(log, TRADING)
        await wipe(database)
        work = asyncio.create_task(rebuild(log, TRADING))
        while (await checkpoint(log)).status != GroupState.REBUILDING:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        head = await place(log)
        assert await catch_up(elsewhere, TRADING) == head
        assert work.done()
        assert (await work).rows > 0
        assert await assert_rows_are_the_log(log) == head


async def test_a_rebuild_cancelled_before_it_merges_leaves_everything_as_it_was(database: str) -> None:
    """At any moment of the replay: rows and checkpoint are those of before."""
    async with EventLog.open(database) as log:
        await tell_lives(log, seed=12, orders=200)
        await catch_up(log, TRADING)
        await tamper(database, "orders", "DIFFERENT")
        before, rows = await checkpoint(log), await stored(log)
        for wait in (0.0, 0.002, 0.01, 0.03):
            task = asyncio.create_task(rebuild(log, TRADING))
            await asyncio.sleep(wait)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            after = await checkpoint(log)
            assert replace(after, generation=0, updated_at=0) == replace(before, generation=0, updated_at=0)
            assert await stored(log) == rows
        assert (await rebuild(log, TRADING)).differences == 1
        await assert_rows_are_the_log(log)


async def test_appends_and_readers_go_on_while_tables_are_rebuilt(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Events are acknowledged and rows can be read between any two slices."""
    monkeypatch.setattr(rebuilding, "AT_ONCE_ROWS", 0)
    monkeypatch.setattr(rebuilding, "FIRST_SLICE_ROWS", 10)
    async with EventLog.open(database) as log:
        await tell_lives(log, seed=13, orders=200)
        await catch_up(log, TRADING)
        await wipe(database)
        work = asyncio.create_task(rebuild(log, TRADING))
        appended = read = 0
        while not work.done():
            await place(log)
            appended += 1
            async with log.engine.connect() as connection:
                await connection.execute(sa.select(sa.func.count()).select_from(TRADING.tables[0]))
            read += 1
        assert (await work).rows > 200
        assert min(appended, read) > 3
        assert await catch_up(log, TRADING) == await log.head()
        await assert_rows_are_the_log(log)


class Newer(Placings):
    """The next version."""

    version = 2


def newer_group() -> Group:
    """The group of ``placings`` as the next version of the program has it."""
    return Group("placings", [Newer(lambda recorded: "new")])


@pytest.fixture
async def own_table(database: str) -> None:
    """The table of the user's own projection is there."""
    await create_tables(database)


async def notes(log: EventLog) -> list[str]:
    async with log.engine.connect() as connection:
        return list((await connection.scalars(sa.select(placings.c.note).order_by(placings.c.position))).all())
