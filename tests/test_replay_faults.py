"""When a rebuild, a verification or a look at the past is disturbed: by cancellation, by others, by impossible rows."""

from __future__ import annotations

import asyncio
import multiprocessing
import random
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from byjy_events.log import EventLog
from projections import (
    TRADING,
    Group,
    GroupRebuilding,
    GroupState,
    ProjectionStopped,
    Projector,
    RebuildRunning,
    ReplayFailed,
    catch_up,
    projections_as_of,
    rebuild,
    rebuilding,
    verify,
)
from projections.checkpoints import projection_checkpoints
from projections.tables import orders, trading_pairs
from tests.leftovers import left_behind
from tests.lifecycles import BTC, ETH, lifecycles
from tests.own_groups import Placings, create_tables, placings, placings_group, raising_at
from tests.replay import assert_rows_are_the_log, checkpoint, events_of, folded, stored
from tests.rows import writable_engine
from tests.story import place, tell, tell_lives
from tests.tampering import tamper, wipe

CANCELLATIONS = 12
LONGEST_SECONDS = 0.15


@pytest.fixture(autouse=True)
def nothing_is_left_behind(tmp_path: Path) -> Iterator[None]:
    """No file, no thread; that no connection to PostgreSQL is, each database's end sees to."""
    yield
    assert left_behind(tmp_path) == []


@pytest.fixture
def small_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Merging takes many slices, and time."""
    monkeypatch.setattr(rebuilding, "AT_ONCE_ROWS", 0)
    monkeypatch.setattr(rebuilding, "FIRST_SLICE_ROWS", 5)
    monkeypatch.setattr(rebuilding, "PAUSE_SECONDS", 0.005)


async def look_back(log: EventLog) -> int:
    """Ask the past for everything."""
    async with projections_as_of(log, await log.head()) as past:
        return len(await past.fetch(sa.select(orders.c.id)))


# --- cancellation ---------------------------------------------------------------------------------


@pytest.mark.usefixtures("small_slices")
async def test_a_rebuild_can_be_cancelled_at_any_instant(database: str) -> None:
    """Rows and checkpoint are as they were, or marked; another rebuild works at once, and finishes it."""
    chance = random.Random(1)
    found_marked = 0
    async with EventLog.open(database) as log:
        await tell_lives(log, seed=21, orders=40)
        await catch_up(log, TRADING)
        for number in range(CANCELLATIONS):
            at_work = number % 2 == 0
            await wipe(database)
            before = await checkpoint(log)
            task = asyncio.create_task(rebuild(log, TRADING))
            while at_work and not (task.done() or await marked(log)):  # noqa: ASYNC110
                await asyncio.sleep(0.001)
            await cancel(task, chance.random() * LONGEST_SECONDS)
            after, rows = await checkpoint(log), await stored(log)
            if after.status is GroupState.REBUILDING:
                found_marked += 1
            else:
                assert (after.status, after.position) == (GroupState.RUNNING, before.position)
                assert not any(rows.values()) or await assert_rows_are_the_log(log)
            await rebuild(log, TRADING)
            await assert_rows_are_the_log(log)
    assert found_marked > 0


async def marked(log: EventLog) -> bool:
    return (await checkpoint(log)).status is GroupState.REBUILDING


async def test_verifying_and_looking_back_can_be_cancelled_at_any_instant(database: str) -> None:
    """Nothing is changed, and both work right after."""
    chance = random.Random(2)
    async with EventLog.open(database) as log:
        await tell_lives(log, seed=22, orders=60)
        await catch_up(log, TRADING)
        before = await checkpoint(log)
        for _ in range(CANCELLATIONS):
            await cancel(asyncio.create_task(verify(log, TRADING)), chance.random() * LONGEST_SECONDS)
            await cancel(asyncio.create_task(look_back(log)), chance.random() * LONGEST_SECONDS)
        assert await checkpoint(log) == before
        assert (await verify(log, TRADING)).differences == 0
        assert await look_back(log) == 60


async def cancel(task: asyncio.Task[Any], after_seconds: float) -> None:
    """Twice, as an impatient operator does; a task that was quicker has its result."""
    await asyncio.sleep(after_seconds)
    task.cancel()
    await asyncio.sleep(0)
    task.cancel()
    async with asyncio.timeout(20):
        await asyncio.gather(task, return_exceptions=True)
    assert task.cancelled() or task.exception() is None


# --- rows that stand in each other's way ----------------------------------------------------------


@pytest.mark.parametrize("at_once", [5_000, 0])
@pytest.mark.parametrize("missing", [False, True])
async def test_unique_values_that_were_exchanged_are_put_right(
    database: str, monkeypatch: pytest.MonkeyPatch, at_once: int, missing: bool
) -> None:
    """Two rows that hold each other's, or one that holds that of a missing row: none can be written before the other.

    What goes with them by its foreign keys comes back.
    """
    monkeypatch.setattr(rebuilding, "AT_ONCE_ROWS", at_once)
    monkeypatch.setattr(rebuilding, "FIRST_SLICE_ROWS", 7)
    async with EventLog.open(database) as log:
        head = await tell_lives(log, seed=23, orders=40)
        await catch_up(log, TRADING)
        before = await stored(log)
        await exchange_symbols(database, missing=missing)
        done = await rebuild(log, TRADING)
        assert done.differences == 2 or missing
        assert (await verify(log, TRADING)).differences == 0
        assert await stored(log) == before
        assert await assert_rows_are_the_log(log) == head
        assert (await checkpoint(log)).status is GroupState.RUNNING


async def exchange_symbols(database: str, *, missing: bool) -> None:
    c = trading_pairs.c
    engine = writable_engine(database)
    async with engine.begin() as connection:

        async def rename(old: str, exchange: str, symbol: str) -> None:
            renamed = trading_pairs.update().where(c.symbol == old).values(exchange=exchange, symbol=symbol)
            await connection.execute(renamed)

        if missing:
            await connection.execute(trading_pairs.delete().where(c.symbol == BTC.symbol))
        await rename(BTC.symbol, "nowhere", "-")
        await rename(ETH.symbol, BTC.exchange, BTC.symbol)
        await rename("-", ETH.exchange, ETH.symbol)
    await engine.dispose()


# --- poison ---------------------------------------------------------------------------------------


class Fixed(Placings):
    """The next version."""

    version = 2


async def test_a_stopped_group_resumes_by_a_projector_that_rebuilds(database: str) -> None:
    """Another group of the same process goes on meanwhile."""
    await create_tables(database)
    broken, fixed = placings_group(raising_at(4, ValueError("poison"))), Group("placings", [Fixed()])
    async with EventLog.open(database) as log, Projector(log, TRADING) as trading:
        async with Projector(log, broken) as projector:
            for _ in range(6):
                head = await place(log)
            with pytest.raises(ProjectionStopped):
                await projector.wait_for(head, timeout_seconds=20)
        assert (await checkpoint(log, broken)).status is GroupState.STOPPED
        async with Projector(log, fixed, rebuild=True) as projector:
            await projector.wait_for(head, timeout_seconds=20)
            await projector.wait_for(await place(log), timeout_seconds=20)
        await trading.wait_for(head + 1, timeout_seconds=20)
        assert await assert_rows_are_the_log(log, fixed) == await assert_rows_are_the_log(log) == head + 1


async def test_a_stopped_group_whose_rebuild_was_cut_short_is_finished_where_it_stood(database: str) -> None:
    """The event that it cannot fold lies beyond, and stops it again; with the fix it goes on."""
    await create_tables(database)
    broken = placings_group(raising_at(4, ValueError("poison")))
    async with EventLog.open(database) as log:
        for _ in range(6):
            await place(log)
        with pytest.raises(ProjectionStopped):
            await catch_up(log, broken)
        engine = writable_engine(database)
        async with engine.begin() as connection:
            await connection.execute(projection_checkpoints.update().values(status="REBUILDING", generation=5))
            await connection.execute(placings.delete())
        await engine.dispose()
        with pytest.raises(ProjectionStopped):
            await catch_up(log, broken)
        assert await assert_rows_are_the_log(log, placings_group()) == 3
        assert (await checkpoint(log, broken)).status is GroupState.STOPPED
        with pytest.raises(ReplayFailed):
            await rebuild(log, Group("placings", [Fixed(raising_at(2, ValueError("worse")))]))
        assert (await checkpoint(log, broken)).error_position == 4
        assert await catch_up(log, placings_group()) == 6


# --- several processes ----------------------------------------------------------------------------

ROUNDS = 6


async def test_processes_rebuild_verify_and_look_back_at_once(database: str) -> None:
    """While events are appended and projected: who rebuilds is alone, whoever looks sees the log's rows or is told."""
    context = multiprocessing.get_context("forkserver")
    async with EventLog.open(database) as log, Projector(log, TRADING) as projector:
        await tell_lives(log, seed=24, orders=30)
        loop = asyncio.get_running_loop()
        with ProcessPoolExecutor(4, mp_context=context) as pool:
            works = (rebuild_often, rebuild_often, verify_often, look_back_often)
            ends = [loop.run_in_executor(pool, at_work, work.__name__, database) for work in works]
            while not all(end.done() for end in ends):
                await tell(log, lifecycles(seed=25, orders=3)[2:])
            one, other, verified, looked = [await end for end in ends]
        assert set(one + other) <= {"rebuilt", "refused"}
        assert "rebuilt" in one + other
        assert set(verified) <= {0, "rebuilding"}
        assert 0 in verified
        for position, number in looked:
            assert number == len(folded(await events_of(log, position))["orders"])
        await projector.wait_for(await log.head(), timeout_seconds=30)
        await assert_rows_are_the_log(log)


def at_work(name: str, url: str) -> list[Any]:
    """What a process does."""

    async def often() -> list[Any]:
        async with EventLog.open(url) as log:
            return [await globals()[name](log) for _ in range(ROUNDS)]

    return asyncio.run(often())


async def rebuild_often(log: EventLog) -> str:
    try:
        await rebuild(log, TRADING)
    except RebuildRunning:
        return "refused"
    return "rebuilt"


async def verify_often(log: EventLog) -> object:
    try:
        return (await verify(log, TRADING)).differences
    except GroupRebuilding:
        return "rebuilding"


async def look_back_often(log: EventLog) -> tuple[int, int]:
    async with projections_as_of(log, await log.head()) as past:
        return past.position, len(await past.fetch(sa.select(orders.c.id)))


async def test_whoever_only_looks_for_a_mark_is_in_nobodys_way(database: str) -> None:
    """A row is mended while others ask again and again whether there is something to finish."""
    async with EventLog.open(database) as log:
        await tell_lives(log, seed=26, orders=5)
        await catch_up(log, TRADING)
        looking = asyncio.create_task(look_for_marks(log))
        for _ in range(10):
            await tamper(database, "orders", "DIFFERENT")
            assert (await rebuild(log, TRADING)).differences == 1
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)


async def look_for_marks(log: EventLog) -> None:
    while True:
        assert not await rebuilding.finish_rebuild(log, TRADING)
