"""What stops a group, where exactly, and what does not."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa

from byjy_events.identifiers import new_order_id
from byjy_events.log import EventLog
from byjy_events.recorded import Recorded
from byjy_events.stream import order_stream
from byjy_events.vocabulary.orders import OrderPlaced, OrderSubmitted
from projections import (
    TRADING,
    Evolved,
    Group,
    GroupOutdated,
    GroupState,
    Key,
    Projection,
    ProjectionStopped,
    Projector,
    catch_up,
    runner,
)
from tests.own_groups import PlacingRow, Placings, create_tables, placings, placings_group, telling_at
from tests.replay import assert_rows_are_the_log, checkpoint, stored
from tests.sample_events import placed
from tests.schema import execute
from tests.story import place

ROW = PlacingRow(id=UUID(int=1), position=1, note="fine")


async def place_many(log: EventLog, number: int) -> int:
    """Append orders in one go, so that one chunk holds them all."""
    receipt = await log.append(order_stream(new_order_id()), [placed()])
    for _ in range(number - 1):
        receipt = await log.append(order_stream(new_order_id()), [placed()])
    return receipt.position


async def test_a_projection_that_raises_stops_its_own_group_only(database: str) -> None:
    """What came before is projected, the reason is kept, the other group and the log go on."""
    await create_tables(database)
    broken = placings_group(telling_at(3, ZeroDivisionError("by nothing")))
    async with EventLog.open(database) as log, Projector(log, TRADING) as trading, Projector(log, broken) as mine:
        await place_many(log, 5)
        with pytest.raises(ProjectionStopped) as caught:
            await mine.wait_for(5, timeout_seconds=10)
        facts = caught.value
        assert (facts.group, facts.position, facts.event_type) == ("placings", 3, "OrderPlaced")
        assert facts.error == "ZeroDivisionError: by nothing"

        await trading.wait_for(await place(log))
        assert await assert_rows_are_the_log(log, TRADING) == 6
        assert await assert_rows_are_the_log(log, broken) == 2
        status = await checkpoint(log, broken)
        assert (status.status, status.error_position, status.error_event_type, status.error) == (
            GroupState.STOPPED,
            3,
            "OrderPlaced",
            "ZeroDivisionError: by nothing",
        )
        assert status.stopped_at is not None
        assert (await checkpoint(log, TRADING)).status is GroupState.RUNNING
        with pytest.raises(ProjectionStopped):
            await mine.wait_for(5)


async def test_a_group_that_was_mended_goes_on_where_it_stopped(database: str) -> None:
    """The next start tries the event again; when that works, the status is as if nothing had been."""
    await create_tables(database)
    async with EventLog.open(database) as log:
        await place_many(log, 4)
        with pytest.raises(ProjectionStopped):
            await catch_up(log, placings_group(telling_at(2, ValueError("bad"))))
        async with Projector(log, placings_group()) as projector:
            await projector.wait_for(4)
        status = await checkpoint(log, placings_group())
        assert status.status is GroupState.RUNNING
        assert (status.error_position, status.error_event_type, status.error, status.stopped_at) == (None,) * 4
        assert await assert_rows_are_the_log(log, placings_group()) == 4


@pytest.mark.parametrize("chunk", [1, 4, 2000])
async def test_catching_up_stops_behind_the_last_good_event(
    database: str, monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    """Also while the chunk before is still being stored."""
    monkeypatch.setattr(runner, "CHUNK_EVENTS", chunk)
    await create_tables(database)
    broken = placings_group(telling_at(14, ValueError("bad")))
    async with EventLog.open(database) as log:
        await place_many(log, 30)
        with pytest.raises(ProjectionStopped) as caught:
            await catch_up(log, broken)
        assert caught.value.position == 14
        assert await assert_rows_are_the_log(log, placings_group()) == 13
        assert (await checkpoint(log, broken)).error_position == 14


async def test_a_group_stops_again_when_nothing_was_mended(database: str) -> None:
    """At the same event, each time."""
    await create_tables(database)
    broken = placings_group(telling_at(1, ValueError("bad")))
    async with EventLog.open(database) as log:
        await place_many(log, 2)
        for _ in range(2):
            async with Projector(log, broken) as projector:
                with pytest.raises(ProjectionStopped) as caught:
                    await projector.wait_for(1)
                assert caught.value.position == 1
        assert (await checkpoint(log, broken)).position == 0


WRONG_NOTES = {
    "a broken constraint": "bad",
    "a missing value": None,
    "another type": 7,
    "a lone surrogate": "\ud800",
    "a number with a point": 1.5,
}


@pytest.mark.parametrize("note", WRONG_NOTES.values(), ids=WRONG_NOTES.keys())
@pytest.mark.parametrize(("at", "chunk"), [(1, 2000), (57, 2000), (57, 20), (150, 20)])
async def test_a_row_that_the_table_refuses_is_traced_to_its_event(
    database: str, note: Any, at: int, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the middle of a chunk of many, or of many chunks: everything before it is projected, nothing from it on."""
    monkeypatch.setattr(runner, "CHUNK_EVENTS", chunk)
    await create_tables(database)
    group = placings_group(telling_at(at, note))
    async with EventLog.open(database) as log:
        await place_many(log, 150)
        with pytest.raises(ProjectionStopped) as caught:
            await catch_up(log, group)
        assert caught.value.position == at
        positions = {row.position for row in (await stored(log, group))["placings"].values()}  # type: ignore[attr-defined]
        assert positions == set(range(1, at))
        status = await checkpoint(log, group)
        assert (status.status, status.position, status.error_position) == (GroupState.STOPPED, at - 1, at)
        assert await catch_up(log, placings_group()) == 150


async def test_a_text_that_is_too_long_is_never_cut(database: str) -> None:
    """It is kept whole where the column takes it, or stops the group; no database stores less than it was given."""
    await create_tables(database)
    group = placings_group(telling_at(2, "longer than eight"))
    async with EventLog.open(database) as log:
        await place_many(log, 3)
        with contextlib.suppress(ProjectionStopped):
            await catch_up(log, group)
        assert await assert_rows_are_the_log(log, group) in (1, 3)


class Odd(Placings):
    """Answers with whatever it was given."""

    answer: Any = None

    def evolve(self, row: PlacingRow | None, recorded: Recorded, key: Key) -> Any:
        return self.answer


class UnknownRow(PlacingRow, frozen=True, kw_only=True):
    """A row of no table of the group."""


WRONG_ANSWERS = {
    "not a row": "row",
    "a row of another table besides": Evolved(ROW, (UnknownRow(id=UUID(int=2), position=1, note="fine"),)),
    "no row besides": Evolved(ROW, ("row",)),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("answer", WRONG_ANSWERS.values(), ids=WRONG_ANSWERS.keys())
async def test_an_answer_that_is_none_stops_the_group(database: str, answer: Any) -> None:
    """A mistake in a projection is an error with a position, not the end of the projector without a word."""
    await create_tables(database)
    odd = Odd()
    odd.answer = answer
    async with EventLog.open(database) as log:
        await place_many(log, 2)
        async with Projector(log, Group("placings", [odd])) as projector:
            with pytest.raises(ProjectionStopped) as caught:
                await projector.wait_for(2, timeout_seconds=5)
        assert caught.value.position == 1
        assert (await checkpoint(log, placings_group())).status is GroupState.STOPPED


class BadKeys(Placings):
    """Has no keys for one event."""

    def keys(self, recorded: Recorded) -> Sequence[Key]:
        if recorded.position == 2:
            raise KeyError("no key")
        return super().keys(recorded)


class WrongKeys(Placings):
    """Names a key that is none for one event."""

    def keys(self, recorded: Recorded) -> Sequence[Key]:
        return ["no uuid"] if recorded.position == 2 else super().keys(recorded)


@pytest.mark.parametrize("projection", [BadKeys, WrongKeys])
async def test_a_key_that_is_none_stops_the_group(database: str, projection: type[Placings]) -> None:
    """At the event, whether naming the key fails or looking it up does."""
    await create_tables(database)
    async with EventLog.open(database) as log:
        await place_many(log, 3)
        async with Projector(log, Group("placings", [projection()])) as projector:
            with pytest.raises(ProjectionStopped) as caught:
                await projector.wait_for(3, timeout_seconds=5)
        assert caught.value.position == 2
        assert await assert_rows_are_the_log(log, placings_group()) == 1


async def test_an_error_may_say_anything(database: str) -> None:
    """NUL, lone surrogates and length are no reason to lose it."""
    await create_tables(database)
    broken = placings_group(telling_at(1, ValueError("\x00 \ud800 ß " + "x" * 100_000)))
    async with EventLog.open(database) as log:
        await place(log)
        with pytest.raises(ProjectionStopped):
            await catch_up(log, broken)
        error = (await checkpoint(log, broken)).error
        assert error is not None
        assert error.startswith("ValueError:  \\ud800 ß xxx")


async def test_rows_of_another_version_are_left_alone(database: str) -> None:
    """Running on would mix two versions, so nothing is touched until a rebuild."""
    await create_tables(database)

    class Newer(Placings):
        version = 2

    async with EventLog.open(database) as log:
        await place_many(log, 2)
        await catch_up(log, placings_group())
        before = await stored(log, placings_group())
        await place(log)
        newer = Group("placings", [Newer(lambda recorded: "new")])
        with pytest.raises(GroupOutdated) as caught:
            await catch_up(log, newer)
        assert (caught.value.group, caught.value.found, caught.value.expected) == (
            "placings",
            placings_group().version,
            newer.version,
        )
        assert (newer.declared_version, placings_group().declared_version) == ("placings=2", "placings=1")
        with pytest.raises(GroupOutdated):
            await Projector(log, newer).start()
        assert await stored(log, placings_group()) == before
        assert (await checkpoint(log, newer)).position == 2


async def test_a_running_projector_notices_that_its_version_is_out_of_date(database: str) -> None:
    """Another process made the rows anew with a newer program: this one ends, and says why."""
    await create_tables(database)
    async with EventLog.open(database) as log, Projector(log, placings_group()) as projector:
        await projector.wait_for(await place(log))
        await execute(database, "UPDATE projection_checkpoints SET version = 'placings=2'")
        position = await place(log)
        with pytest.raises(GroupOutdated):
            await projector.wait_for(position, timeout_seconds=5)
        assert set((await stored(log, placings_group()))["placings"]) != set()
        assert (await checkpoint(log, placings_group())).position == position - 1


async def test_a_rebuild_elsewhere_is_noticed_by_its_generation(database: str) -> None:
    """Rows kept in memory are never written over repaired ones."""
    order = order_stream(new_order_id())
    async with EventLog.open(database) as log, Projector(log, TRADING) as projector:
        await projector.wait_for((await log.append(order, [placed()])).position)
        await execute(
            database,
            "UPDATE projection_checkpoints SET generation = 1",
            "UPDATE orders SET reject_reason = 'repaired'",
        )
        await projector.wait_for((await log.append(order, [OrderSubmitted()])).position, timeout_seconds=5)
        row = await projector.queries.order(order.id)
        assert row is not None
        assert row.submitted_at is not None
        assert row.reject_reason == "repaired"
        assert (await checkpoint(log)).generation == 1


async def test_whoever_stops_behind_another_runner_goes_on_instead(database: str) -> None:
    """A group that a newer program took past the event is not stopped, whatever this program makes of it."""
    await create_tables(database)

    async with EventLog.open(database) as log:
        await place_many(log, 4)
        mine = runner.Runner(log, placings_group(telling_at(2, ValueError("bad"))))
        await mine.begin()
        events = [recorded async for recorded in log.read()]
        assert await catch_up(log, placings_group()) == 4
        assert not await mine.advance(events)
        assert not await mine.advance(events[1:2])
        await mine.close()
        assert (await checkpoint(log, placings_group())).status is GroupState.RUNNING


async def test_a_table_that_was_never_made_is_said_so(database: str) -> None:
    """The commonest mistake with a projection of one's own ends the wait instead of retrying for ever."""
    async with EventLog.open(database) as log, Projector(log, placings_group()) as projector:
        position = await place(log)
        with pytest.raises(Exception, match="placings") as caught:
            await projector.wait_for(position, timeout_seconds=5)
        assert not isinstance(caught.value, TimeoutError)


class FirstNote(Projection[PlacingRow]):
    """Inserts a row besides under a key of its own that comes again and again."""

    name = "noted"
    handles = frozenset({OrderPlaced})
    row_type = ROW_TYPE = UnknownRow
    table = sa.Table(
        "noted",
        sa.MetaData(),
        *(column._copy() for column in placings.columns),
    )

    def keys(self, recorded: Recorded) -> Sequence[Key]:
        return (recorded.stream_id,)

    def evolve(self, row: Any, recorded: Recorded, key: Key) -> Any:
        first = PlacingRow(id=UUID(int=1), position=recorded.position, note="first")
        return Evolved(UnknownRow(id=key, position=recorded.position, note="fine"), (first,))


class Firsts(Placings):
    """Owns the rows that are inserted besides."""

    append_only = True

    def evolve(self, row: PlacingRow | None, recorded: Recorded, key: Key) -> PlacingRow | None:
        return None


@pytest.mark.parametrize("size", [1, 3, 100])
async def test_of_several_rows_besides_the_first_one_counts(
    database: str, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    """However the log is cut into chunks."""
    monkeypatch.setattr(runner, "CHUNK_EVENTS", size)
    await create_tables(database)
    await create_tables(database, FirstNote.table.metadata)
    group = Group("firsts", [FirstNote(), Firsts()])
    async with EventLog.open(database) as log:
        await place_many(log, 7)
        await catch_up(log, group)
        (row,) = (await stored(log, group))["placings"].values()
        assert row.position == 1  # type: ignore[attr-defined]
