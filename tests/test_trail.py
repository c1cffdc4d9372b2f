"""The audit trail: one row for every event, and the same answers as a look at the whole log would give."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any
from uuid import UUID

import msgspec
import pytest
import sqlalchemy as sa

from byjy_events import EventLog, new_order_id, order_stream
from byjy_events.event import EVENT_TYPES, Event, Intent, UnknownEvent, event_type
from byjy_events.recorded import Recorded
from byjy_events.vocabulary.orders import OrderFilled, OrderPlaced
from projections import EVERY_EVENT, TRADING, TRAIL, Group, Key, Projector, Trail, TrailRow, catch_up, rebuild, verify
from projections.folding import Fold, FoldFailed
from projections.past import projections_as_of
from projections.projection import Projection, on
from projections.statements import PAGE_LIMIT
from projections.trail import Trails, trail, trail_page
from tests.folding import recorded
from tests.lifecycles import lifecycles
from tests.own_groups import PlacingRow, placings
from tests.replay import assert_rows_are_the_log, checkpoint, events_of, stored
from tests.rows import writable_engine
from tests.sample_events import placed
from tests.story import place

ACTORS = ("strategy:mm-1", "import:lobster", "ops")
SIGNAL = UUID("019a0000-0000-7000-8000-0000000000aa")


@pytest.fixture
def from_the_future() -> Iterator[Intent]:
    """An event of a type that is forgotten as soon as the test wishes."""

    class StrategyDreamtOf(Intent, frozen=True, kw_only=True):
        """Of a type that only a newer program knows."""

    event_type()(StrategyDreamtOf)
    yield StrategyDreamtOf()
    EVENT_TYPES.pop("StrategyDreamtOf", None)


async def told(log: EventLog, orders: int = 8) -> None:
    """A story of several actors."""
    for number, (stream, event) in enumerate(lifecycles(6, orders)):
        correlation = SIGNAL if number % 3 == 0 else None
        await log.append(stream, [event], actor=ACTORS[number % len(ACTORS)], correlation_id=correlation)


def row_of(event: Recorded) -> TrailRow:
    return TrailRow(
        position=event.position,
        recorded_at=event.recorded_at,
        actor=event.actor,
        category=event.category,
        stream_id=event.stream_id,
        type=event.type,
        correlation_id=event.correlation_id,
    )


@pytest.mark.parametrize("chunk", [1, 7, 2000])
async def test_every_event_has_its_row(
    database: str, from_the_future: Intent, monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    """Whatever its type and version, known to this program or not; the rows say what the log says."""
    monkeypatch.setattr("projections.runner.CHUNK_EVENTS", chunk)
    async with EventLog.open(database) as log:
        await told(log)
        with monkeypatch.context() as newer:
            newer.setattr(OrderPlaced, "schema_version", 99)
            await place(log)
        await log.append(order_stream(new_order_id()), [from_the_future])
        del EVENT_TYPES["StrategyDreamtOf"]
        events = await events_of(log)
        assert [type(one.event) for one in events[-2:]] == [UnknownEvent, UnknownEvent]
        assert await catch_up(log, TRAIL) == len(events)
        assert (await stored(log, TRAIL))["trail"] == {one.position: row_of(one) for one in events}
        assert (await checkpoint(log, TRAIL)).passed_over == 0
        assert (await verify(log, TRAIL)).differences == 0


async def test_a_trail_that_was_tampered_with_is_found_out_and_mended(database: str) -> None:
    """As any table: the log is the proof."""
    async with EventLog.open(database) as log:
        await told(log)
        await catch_up(log, TRAIL)
        engine = writable_engine(database)
        async with engine.begin() as vandal:
            await vandal.execute(sa.update(trail).where(trail.c.position == 3).values(actor="somebody else"))
            await vandal.execute(sa.delete(trail).where(trail.c.position == 5))
        await engine.dispose()
        assert (await verify(log, TRAIL)).differences == 2
        await rebuild(log, TRAIL)
        assert (await verify(log, TRAIL)).differences == 0
        await assert_rows_are_the_log(log, TRAIL)


async def test_the_trail_has_a_past(database: str) -> None:
    """As far as a position of the log, and no farther."""
    async with EventLog.open(database) as log:
        await told(log)
        async with projections_as_of(log, 17, group=TRAIL) as past:
            rows = await past.fetch(trail_page(limit=100))
        assert [row.position for row in rows] == list(range(1, 18))


@pytest.mark.parametrize("inline", [False, True])
async def test_a_projector_keeps_it_like_any_group(database: str, inline: bool) -> None:
    """Beside that of the trading tables, which does not wait for it."""
    async with EventLog.open(database) as log, Projector(log, TRADING) as trading:
        async with Projector(log, TRAIL, inline=inline) as projector:
            await told(log, 3)
            head = await log.head()
            await projector.wait_for(head, timeout_seconds=10)
        assert [row.position for row in await Trail(log.engine).page()] == list(range(1, head + 1))
        position = await place(log)
        await trading.wait_for(position, timeout_seconds=10)
        assert (await checkpoint(log, TRAIL)).position == head


async def test_questions_are_answered_as_the_whole_log_would(database: str) -> None:
    """Every combination of filters, page by page, either way round."""
    async with EventLog.open(database) as log:
        await told(log)
        await catch_up(log, TRAIL)
        every = [row_of(one) for one in await events_of(log)]
        middle = every[len(every) // 2]
        filters: dict[str, tuple[Any, ...]] = {
            "actor": (None, ACTORS[1], "nobody"),
            "category": (None, "pair"),
            "stream_id": (None, middle.stream_id),
            "event_type": (None, middle.type),
            "since": (None, middle.recorded_at, every[-1].recorded_at + 1),
        }
        for values in product(*filters.values()):
            given = dict(zip(filters, values, strict=True))
            expected = [row for row in every if _fits(row, given)]
            for newest in (False, True):
                found = await _paged(Trail(log.engine), newest_first=newest, **given)
                assert found == (expected[::-1] if newest else expected), given


async def test_a_connection_answers_in_its_own_transaction(database: str) -> None:
    """So several questions may see one and the same moment."""
    async with EventLog.open(database) as log:
        await told(log, 3)
        await catch_up(log, TRAIL)
        async with log.engine.connect() as connection:
            assert len(await Trail(connection).page(limit=3)) == 3


@pytest.mark.parametrize("limit", [0, -1, PAGE_LIMIT + 1])
async def test_a_page_has_its_bounds(database: str, limit: int) -> None:
    """As any listing of the read side."""
    async with EventLog.open(database) as log:
        with pytest.raises(ValueError, match=f"limit {limit} is not between"):
            await Trail(log.engine).page(limit=limit)


def _fits(row: TrailRow, given: dict[str, Any]) -> bool:
    same = all(given[name] in (None, getattr(row, name)) for name in ("actor", "category", "stream_id"))
    return same and given["event_type"] in (None, row.type) and row.recorded_at >= (given["since"] or 0)


async def _paged(asked: Trail, **given: Any) -> list[TrailRow]:
    found: list[TrailRow] = []
    while page := await asked.page(after=found[-1] if found else None, limit=25, **given):
        found += page
    return found


# --- what handles every event ------------------------------------------------------------------------------


class Everything(Projection[PlacingRow]):
    """One row for every event."""

    name = "everything"
    table = placings
    row_type = PlacingRow
    handles = EVERY_EVENT

    def keys(self, recorded: Recorded) -> tuple[Key, ...]:
        return (recorded.stream_id,)

    def evolve(self, row: PlacingRow | None, recorded: Recorded, key: Key) -> PlacingRow:
        return PlacingRow(id=key, position=recorded.position, note=recorded.type[:8])


def test_a_projection_of_every_event_shares_a_group_with_others() -> None:
    """It sees all, they see theirs."""
    both = Group("both", [Everything(), Trails(), Others()])
    seen = [one.name for one in both.by_event[OrderPlaced]], [one.name for one in both.by_event[Event]]
    assert seen == (["everything", "trail", "others"], ["everything", "trail"])
    assert rows_of(both, recorded(placed(), 1, order_stream(ID))) == {"everything": 1, "trail": 1, "others": 1}
    assert rows_of(both, recorded(filled(), 1, order_stream(ID))) == {"everything": 1, "trail": 1}


def test_nothing_is_passed_over_by_a_group_that_handles_everything() -> None:
    """An unknown type concerns it like any other; one who handles some passes it over, and counts it."""
    dream = unknown("DreamtOf", 1)
    assert Fold(TRAIL).plan([dream])[2] == 0
    assert Fold(Group("some", [Others()])).plan([dream])[2] == 1
    assert rows_of(Group("both", [Others(), Trails()]), dream) == {"trail": 1}


def test_a_newer_version_stops_only_who_looks_into_it() -> None:
    """The trail does not; a projection beside it that handles the type does, and stops the group of both."""
    newer = unknown("OrderPlaced", 99)
    assert rows_of(TRAIL, newer) == {"trail": 1}
    with pytest.raises(FoldFailed, match="OrderPlaced"):
        Fold(Group("both", [Others(), Trails()])).plan([newer])


def test_an_event_type_called_event_is_no_other_than_the_rest() -> None:
    """What stands for every type in ``handles`` is a class, and not a name in the log."""
    assert rows_of(TRAIL, unknown("Event", 7)) == {"trail": 1}


class OtherRow(PlacingRow, frozen=True, kw_only=True):
    """The same columns, in another table."""


class Others(Projection[OtherRow]):
    """One row for every order placed."""

    name = "others"
    table = placings.to_metadata(sa.MetaData(), name="others")
    row_type = OtherRow

    def keys(self, recorded: Recorded) -> tuple[Key, ...]:
        return (recorded.stream_id,)

    @on(OrderPlaced)
    def placed(self, row: OtherRow | None, event: OrderPlaced, recorded: Recorded, key: UUID) -> OtherRow:
        return OtherRow(id=key, position=recorded.position, note="")


ID = new_order_id()


def filled() -> OrderFilled:
    return next(event for _, event in lifecycles(3, 200) if isinstance(event, OrderFilled))


def unknown(name: str, version: int) -> Recorded:
    known = recorded(placed(), 1, order_stream(ID))
    event = UnknownEvent(name, version, b"{}")
    return msgspec.structs.replace(known, type=name, schema_version=version, event=event)


def rows_of(group: Group, event: Recorded) -> dict[str, int]:
    """How many rows one event makes, by projection."""
    fold = Fold(group)
    fold.forget(empty=True)
    work, _, _ = fold.plan([event])
    fold.go(work)
    return {one.projection.name: len(one.rows) for one in fold.take()}
