"""Events of a user's own group that revise the past: what they may ask, and what becomes of a mistake in them."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar
from uuid import UUID

import pytest

from byjy_events.event import Event
from byjy_events.identifiers import new_order_id
from byjy_events.log import EventLog
from byjy_events.recorded import Recorded
from byjy_events.stream import order_stream
from byjy_events.vocabulary.orders import OrderDenied, OrderPlaced, OrderSubmitted
from projections import (
    Ask,
    Group,
    ProjectionStopped,
    Projector,
    Revised,
    Revising,
    catch_up,
    projections_as_of,
    rebuild,
    runner,
    verify,
)
from projections.rows import TradeRow
from tests.own_groups import PlacingRow, Placings, create_tables, placings
from tests.replay import assert_rows_are_the_log, stored
from tests.sample_events import placed

Revise = Callable[[Recorded], Revising]


def withdrawn(recorded: Recorded) -> Revising:
    """A denial takes away every placing before it but the newest."""
    found = yield Ask(row_type=PlacingRow, equal={"note": "fine"}, by=("position",), before=recorded.position)
    newest = yield Ask(row_type=PlacingRow, equal={}, by=("position", "id"), newest_first=True, limit=1)
    assert list(newest) == list(found[-1:])
    return Revised(newest, [(PlacingRow, one.id) for one in found[:-1]])


class Withdrawals:
    """Denials revise placings."""

    handles: ClassVar[frozenset[type[Event]]] = frozenset({OrderDenied})

    def __init__(self, revise: Revise = withdrawn) -> None:
        self.revise = revise


def group(revise: Revise = withdrawn) -> Group:
    return Group("placings", [Placings()], [Withdrawals(revise)])


async def tell(log: EventLog, kinds: str) -> None:
    """An order placed for each p, a denial of another one for each d."""
    for kind in kinds:
        await log.append(order_stream(new_order_id()), [placed() if kind == "p" else OrderDenied(reason="no")])


async def positions(log: EventLog, mine: Group) -> set[int]:
    """Of the placings that are left."""
    return {row.position for row in (await stored(log, mine))["placings"].values()}  # type: ignore[attr-defined]


@pytest.mark.parametrize("chunk", [1, 3, 1_000])
async def test_live_rebuilt_and_past_rows_are_the_same(
    database: str, monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    """However the log is cut, the revision sees the table as of the event before."""
    monkeypatch.setattr(runner, "CHUNK_EVENTS", chunk)
    await create_tables(database)
    mine = group()
    async with EventLog.open(database) as log:
        await tell(log, "dpppdppddpdp")
        await catch_up(log, mine)
        assert await positions(log, mine) == {10, 12}
        assert await assert_rows_are_the_log(log, mine) == 12
        assert (await verify(log, mine)).differences == 0
        assert (await rebuild(log, mine)).differences == 0
        async with projections_as_of(log, 7, group=mine) as past:
            found = await past.fetch(placings.select())
            assert {row.position for row in found} == {4, 6, 7}


async def test_a_projector_and_an_inline_one_take_the_same_way(database: str) -> None:
    """Event by event as they are appended."""
    await create_tables(database)
    mine = group()
    for inline in (False, True):
        async with EventLog.open(database) as log, Projector(log, mine, inline=inline) as projector:
            await tell(log, "ppdpd")
            await projector.wait_for(await log.head(), timeout_seconds=30)
            await assert_rows_are_the_log(log, mine)


def raising(recorded: Recorded) -> Revising:
    yield Ask(row_type=PlacingRow, equal={})
    raise ZeroDivisionError("by nothing")


def asking_elsewhere(recorded: Recorded) -> Revising:
    yield Ask(row_type=TradeRow, equal={})
    return Revised()


def answering_elsewhere(recorded: Recorded) -> Revising:
    yield Ask(row_type=PlacingRow, equal={})
    return Revised(gone=[(TradeRow, UUID(int=1))])


def answering_nothing(recorded: Recorded) -> Revising:
    yield Ask(row_type=PlacingRow, equal={})
    return None  # type: ignore[return-value]


def asking_for_no_column(recorded: Recorded) -> Revising:
    yield Ask(row_type=PlacingRow, equal={"nothing": 1})
    return Revised()


def answering_what_the_table_refuses(recorded: Recorded) -> Revising:
    (row,) = yield Ask(row_type=PlacingRow, equal={}, limit=1)
    return Revised([PlacingRow(id=row.id, position=row.position, note="bad")])


@pytest.mark.parametrize(
    "revise",
    [
        raising,
        asking_elsewhere,
        answering_elsewhere,
        answering_nothing,
        asking_for_no_column,
        answering_what_the_table_refuses,
    ],
)
async def test_a_mistake_stops_the_group_at_the_event(database: str, revise: Revise) -> None:
    """What came before is projected, and the error says which event it was."""
    await create_tables(database)
    mine = group(revise)
    async with EventLog.open(database) as log:
        await tell(log, "ppdp")
        with pytest.raises(ProjectionStopped) as stopped:
            await catch_up(log, mine)
        assert (stopped.value.position, stopped.value.event_type) == (3, "OrderDenied")
        assert await positions(log, mine) == {1, 2}


def test_a_type_of_event_has_one_revision() -> None:
    """Two would have to be put into an order that nothing tells."""
    with pytest.raises(TypeError, match="OrderDenied"):
        Group("placings", [Placings()], [Withdrawals(), Withdrawals()])
    assert group().handles == {OrderDenied, OrderPlaced}
    assert OrderSubmitted not in group().handles
