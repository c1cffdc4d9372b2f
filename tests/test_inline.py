"""Projecting in the transaction of the append: rows and events become visible together."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
import sqlalchemy as sa

from byjy_events import NO_STREAM, Entry, Receipt, VersionConflict, new_event_id
from byjy_events.errors import LogClosed
from byjy_events.identifiers import new_order_id
from byjy_events.log import EventLog
from byjy_events.stream import order_stream
from projections import TRADING, Projector, Queries, catch_up
from projections.inline import inline
from projections.rebuilding import rebuild
from tests.crash_projector.child import projecting
from tests.inline_child import appending
from tests.lifecycles import lifecycles
from tests.own_groups import create_tables, placings_group
from tests.replay import assert_rows_are_the_log, checkpoint
from tests.sample_events import filled, placed
from tests.schema import execute
from tests.story import place, tell, tell_lives


@pytest.fixture
async def log(database: str) -> AsyncIterator[EventLog]:
    async with EventLog.open(database) as log:
        yield log


async def is_at_the_head(log: EventLog) -> bool:
    """Whether the rows are the log's, all of it, without anybody having waited."""
    head = await log.head()
    return await assert_rows_are_the_log(log) == head


async def test_rows_are_there_when_append_returns(log: EventLog) -> None:
    """Nobody waits for anything, and the projector knows at once."""
    async with Projector(log, TRADING, inline=True) as projector:
        for number in range(20):
            order = new_order_id()
            receipt = await log.append(order_stream(order), [placed(), filled(str(number))])
            assert projector.position >= receipt.position
            row = await projector.queries.order(order)
            assert row is not None
            assert row.last_position == receipt.position
            await projector.wait_for(receipt.position, timeout_seconds=0)
        assert await is_at_the_head(log)


async def test_a_thousand_appends_at_once_are_all_there(log: EventLog) -> None:
    """Batches of many callers, each with its own rows when it returns."""
    async with Projector(log, TRADING, inline=True) as projector:

        async def trade(number: int) -> None:
            order = new_order_id()
            await log.append(order_stream(order), [placed(), filled(str(number))])
            assert await projector.queries.order(order) is not None

        await asyncio.gather(*(trade(number) for number in range(1000)))
        assert await is_at_the_head(log)


async def test_lives_of_orders_make_the_rows_of_the_log(log: EventLog) -> None:
    """Rows kept in memory from batch to batch are those of the tables."""
    async with Projector(log, TRADING, inline=True):
        for seed in range(3):
            await tell_lives(log, seed=seed, orders=30)
            assert await is_at_the_head(log)


async def test_nobody_sees_an_event_without_its_row_or_a_row_without_its_event(log: EventLog) -> None:
    """Asked again and again, in one snapshot each time, while many append."""
    done = asyncio.Event()
    counted = sa.text("SELECT (SELECT count(*) FROM events), (SELECT count(*) FROM orders)")

    async def look() -> set[int]:
        seen = set()
        async with log.engine.connect() as connection:
            while not done.is_set():
                (events, orders) = (await connection.execute(counted)).one()
                await connection.rollback()
                assert events == orders
                seen.add(events)
        return seen

    async with Projector(log, TRADING, inline=True):
        looking = asyncio.create_task(look())
        for _ in range(20):
            await asyncio.gather(*(place(log) for _ in range(20)))
        done.set()
        assert len(await looking) > 5


async def test_a_conflict_of_one_caller_touches_neither_events_nor_rows_of_its_neighbours(log: EventLog) -> None:
    """Every third of a batch expects a wrong version: no event, no row; the others have both."""
    orders = [new_order_id() for _ in range(90)]
    async with Projector(log, TRADING, inline=True) as projector:
        await place(log)
        answers = await asyncio.gather(
            *(
                log.append(order_stream(order), [placed()], expected=7 if number % 3 == 1 else NO_STREAM)
                for number, order in enumerate(orders)
            ),
            return_exceptions=True,
        )
        for number, (order, answer) in enumerate(zip(orders, answers, strict=True)):
            refused = number % 3 == 1
            assert isinstance(answer, VersionConflict if refused else Receipt)
            assert (await projector.queries.order(order) is None) is refused
        assert await is_at_the_head(log)


async def test_what_is_told_twice_is_projected_once(log: EventLog) -> None:
    """A fact told again, in the same batch and later, and an intent repeated by its id."""
    stream, intent = order_stream(new_order_id()), Entry(placed(), event_id=new_event_id())
    async with Projector(log, TRADING, inline=True):
        for _ in range(3):
            await asyncio.gather(*(log.append(stream, [intent, filled("1")]) for _ in range(3)))
            assert await is_at_the_head(log)
        assert await log.head() == 2


async def test_streams_of_which_this_process_is_ignorant_are_projected_with_their_true_versions(
    database: str, log: EventLog
) -> None:
    """What the batch believed of a stream is not what it is: the plan is made again, and rows once."""
    stream = order_stream(new_order_id())
    async with Projector(log, TRADING, inline=True):
        await log.append(stream, [placed()])
        async with EventLog.open(database) as other:
            await other.append(stream, [filled("1"), filled("2")])
        appends = [
            log.append(stream, [filled("3")]),
            log.append(stream, [filled("4")], expected=3),
            log.append(order_stream(new_order_id()), [placed()], expected=NO_STREAM),
        ]
        await asyncio.gather(*appends, return_exceptions=True)
        assert await is_at_the_head(log)


async def test_two_groups_are_taken_along_by_the_same_appends(database: str, log: EventLog) -> None:
    """Each with its own checkpoint."""
    await create_tables(database)
    mine = placings_group()
    async with Projector(log, TRADING, inline=True), Projector(log, mine, inline=True):
        await tell_lives(log, seed=1, orders=10)
        assert await is_at_the_head(log)
        assert await assert_rows_are_the_log(log, mine) == await log.head()


async def test_one_group_inline_and_another_beside_it(database: str, log: EventLog) -> None:
    """The choice is each group's own."""
    await create_tables(database)
    mine = placings_group()
    async with Projector(log, TRADING) as trading, Projector(log, mine, inline=True):
        position = await tell_lives(log, seed=1, orders=10)
        assert await assert_rows_are_the_log(log, mine) == position
        await trading.wait_for(position)
        assert await is_at_the_head(log)


async def test_starting_catches_up_first(log: EventLog, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was appended before is projected when the projector has started, further back than an append folds too."""
    monkeypatch.setattr("projections.inline.GAP_EVENTS", 10)
    await tell_lives(log, seed=1, orders=40)
    async with Projector(log, TRADING, inline=True):
        assert await is_at_the_head(log)
        await place(log)
        assert await is_at_the_head(log)


@pytest.mark.parametrize("chunk", [3, 2000])
async def test_what_others_appended_is_folded_first(
    database: str, log: EventLog, monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    """Another process appends and does not project: this one's next append brings its events along, in order."""
    monkeypatch.setattr("projections.inline.CHUNK_EVENTS", chunk)
    steps = lifecycles(4, orders=30)
    await catch_up(log, TRADING)
    companion = inline(log, TRADING)
    companion.attach()  # without the projector that follows beside it
    async with EventLog.open(database) as other:
        for start in range(0, len(steps), 10):
            await tell(other, steps[start : start + 10], at_once=4)
            await place(log)
            assert await is_at_the_head(log)


async def test_a_group_far_behind_is_left_to_its_projector(
    database: str, log: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An append does not wait for thousands of events of others; soon all of them are projected, and it goes on."""
    async with EventLog.open(database) as other, Projector(log, TRADING, inline=True) as projector:
        monkeypatch.setattr("projections.inline.GAP_EVENTS", -1)
        await tell_lives(other, seed=2, orders=20)
        await projector.wait_for(await place(log), timeout_seconds=20)
        monkeypatch.undo()
        await place(log)
        assert await is_at_the_head(log)


async def test_events_of_others_are_projected_although_nothing_is_appended_here(database: str, log: EventLog) -> None:
    """The projector's own task sees to it, and waiting works."""
    async with EventLog.open(database) as other, Projector(log, TRADING, inline=True) as projector:
        for seed in range(3):
            await projector.wait_for(await tell_lives(other, seed=seed, orders=5), timeout_seconds=20)
            assert await is_at_the_head(log)
            await place(log)
            assert await is_at_the_head(log)


async def test_two_inline_projectors_of_two_logs_take_turns(database: str, log: EventLog) -> None:
    """Each append finds what the other's made: neither uses rows of before."""
    steps = lifecycles(7, orders=40)
    async with (
        EventLog.open(database) as other,
        Projector(log, TRADING, inline=True),
        Projector(other, TRADING, inline=True),
    ):
        for start in range(0, len(steps), 10):
            await asyncio.gather(tell(log, steps[start : start + 5]), tell(other, steps[start + 5 : start + 10]))
            assert await is_at_the_head(log)


async def test_a_second_inline_projector_of_a_group_adds_nothing_until_the_first_closes(log: EventLog) -> None:
    """So that one can be replaced by the next without a gap."""
    first = await Projector(log, TRADING, inline=True).start()
    await place(log)
    second = await Projector(log, TRADING, inline=True).start()
    await tell_lives(log, seed=1, orders=5)
    assert await is_at_the_head(log)
    await first.close()
    await tell_lives(log, seed=2, orders=5)
    assert await is_at_the_head(log)
    await second.close()


@pytest.mark.parametrize("kinds", [(True, False), (False, True)])
async def test_inline_and_asynchronous_projectors_of_a_group_share_its_checkpoint(
    log: EventLog, kinds: tuple[bool, bool]
) -> None:
    """Whoever comes first projects; with an inline one among them the rows are there at once."""
    async with contextlib.AsyncExitStack() as opened:
        for kind in kinds:
            await opened.enter_async_context(Projector(log, TRADING, inline=kind))
        for seed in range(4):
            await tell_lives(log, seed=seed, orders=20)
            assert await is_at_the_head(log)


@pytest.mark.parametrize("overlap", [True, False])
async def test_the_kind_is_switched_while_appends_go_on(log: EventLog, overlap: bool) -> None:
    """To and fro, in either order: nothing is lost or doubled, and while one is inline the rows are there at once."""
    done = asyncio.Event()

    async def produce(number: int) -> int:
        turns = 0
        while not done.is_set():
            for stream, event in lifecycles(100 * number + turns, orders=3):
                await log.append(stream, [event])
            turns += 1
        return turns

    producers = [asyncio.create_task(produce(number)) for number in range(4)]
    running = await Projector(log, TRADING).start()
    for kind in (True, False, True, False, True):
        if not overlap:
            await running.close()
        successor = await Projector(log, TRADING, inline=kind).start()
        if overlap:
            await running.close()
        running = successor
        for _ in range(5):
            position = await place(log)
            if kind:
                assert running.position >= position
            await running.wait_for(position, timeout_seconds=20)
    done.set()
    assert min(await asyncio.gather(*producers)) > 0
    await running.wait_for(await log.head(), timeout_seconds=20)
    assert await is_at_the_head(log)
    await running.close()


async def test_an_asynchronous_projector_of_another_process_competes(database: str, log: EventLog) -> None:
    """Exactly once, and still the rows are there when an append of this process returns."""
    with projecting(database):
        async with Projector(log, TRADING, inline=True):
            for seed in range(4):
                await tell_lives(log, seed=seed, orders=15)
                assert await is_at_the_head(log)


async def test_a_process_that_projects_inline_and_one_that_does_not_append_side_by_side(
    database: str, log: EventLog
) -> None:
    """Two processes append as fast as they can, one with its rows and one without: all rows are the log's."""
    async with Projector(log, TRADING) as projector:
        with appending(database, inline=True), appending(database, inline=False):
            for seed in range(5):
                await tell_lives(log, seed=seed, orders=10)
                await asyncio.sleep(0.1)
        await projector.wait_for(await log.head(), timeout_seconds=20)
        assert await is_at_the_head(log)


async def test_a_cancelled_append_has_its_rows_all_the_same(log: EventLog) -> None:
    """It is stored, as always; the rows go with it."""
    async with Projector(log, TRADING, inline=True):
        await place(log)
        for _ in range(10):
            cancelled = [asyncio.create_task(place(log)) for _ in range(5)]
            await asyncio.sleep(0)
            for task in cancelled:
                task.cancel()
            await place(log)
            assert await is_at_the_head(log)
        assert await log.head() > 11


async def test_after_the_projector_is_closed_appends_are_bare_again(log: EventLog) -> None:
    """Closing twice is allowed, and starting again too."""
    projector = await Projector(log, TRADING, inline=True).start()
    position = await place(log)
    await projector.close()
    await projector.close()
    await place(log)
    assert (await checkpoint(log)).position == position
    with pytest.raises(LogClosed):
        await projector.wait_for(position + 1)
    async with projector:
        assert await is_at_the_head(log)
        await place(log)
        assert await is_at_the_head(log)


async def test_the_log_may_be_closed_first(database: str) -> None:
    """What was queued is stored with its rows, and the projector closes without an error."""
    log = await EventLog.open(database).start()
    projector = await Projector(log, TRADING, inline=True).start()
    appending = [asyncio.create_task(place(log)) for _ in range(50)]
    await asyncio.sleep(0)
    await log.close()
    await asyncio.gather(*appending)
    await projector.close()
    async with EventLog.open(database) as log:
        assert await is_at_the_head(log)
        assert await log.head() == 50


async def test_rows_dropped_from_memory_are_read_again(log: EventLog, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is bounded; what was dropped is in the tables."""
    monkeypatch.setattr("projections.folding.ROWS_KEPT", 5)
    async with Projector(log, TRADING, inline=True):
        await tell(log, lifecycles(1, orders=30), at_once=7)
        assert await is_at_the_head(log)


async def test_a_rebuild_elsewhere_is_noticed_by_its_generation(database: str, log: EventLog) -> None:
    """Rows kept in memory are never written over repaired ones; while a rebuild is under way nothing is written."""
    order = order_stream(new_order_id())
    async with Projector(log, TRADING, inline=True) as projector:
        await log.append(order, [placed()])
        await execute(database, "UPDATE projection_checkpoints SET generation = 1, status = 'REBUILDING'")
        position = (await log.append(order, [filled("1")])).position
        assert (await checkpoint(log)).position == position - 1
        await execute(
            database,
            "UPDATE orders SET reject_reason = 'repaired'",
            "UPDATE projection_checkpoints SET generation = 2, status = 'RUNNING'",
        )
        await projector.wait_for((await log.append(order, [filled("2")])).position, timeout_seconds=10)
        row = await Queries(log.engine).order(order.id)
        assert row is not None
        assert (row.reject_reason, row.last_position) == ("repaired", position + 1)
        assert (await checkpoint(log)).generation == 2


async def test_a_rebuild_goes_on_beside_inline_appends(database: str, log: EventLog) -> None:
    """Wrong rows are mended, none of the appends is held up for good, and afterwards they carry their rows again."""
    async with Projector(log, TRADING, inline=True) as projector:
        await tell_lives(log, seed=1, orders=20)
        await execute(database, "UPDATE orders SET reject_reason = 'wrong'")
        telling = asyncio.create_task(tell(log, lifecycles(2, orders=40), at_once=5))
        assert (await rebuild(log, TRADING)).differences > 0
        await projector.wait_for(await telling, timeout_seconds=20)
        assert await is_at_the_head(log)
        await projector.wait_for(await place(log), timeout_seconds=20)
        await place(log)
        assert await is_at_the_head(log)


async def test_appends_without_inline_carry_nothing(log: EventLog) -> None:
    """Nobody is asked who did not come: the projection stands where it was."""
    await place(log)
    await catch_up(log, TRADING)
    await place(log)
    assert (await checkpoint(log)).position == 1
