"""Events of a newer program: of unknown types they are passed over, of known types they stop the group."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from byjy_events.event import EVENT_TYPES, Intent, event_type
from byjy_events.identifiers import new_order_id
from byjy_events.log import EventLog
from byjy_events.stream import order_stream
from byjy_events.vocabulary.orders import OrderPlaced, OrderSubmitted
from projections import TRADING, GroupState, ProjectionStopped, Projector, catch_up
from tests.own_groups import create_tables, placings_group
from tests.replay import assert_rows_are_the_log, checkpoint
from tests.sample_events import placed
from tests.story import place


@pytest.fixture
def from_the_future() -> Iterator[Intent]:
    """An event of a type that can be appended while the test registers it."""

    class OrderDreamtOf(Intent, frozen=True, kw_only=True):
        """Of a type that only a newer program knows."""

    event_type()(OrderDreamtOf)
    yield OrderDreamtOf()
    EVENT_TYPES.pop("OrderDreamtOf", None)


async def test_unknown_types_are_passed_over_and_counted(
    database: str, from_the_future: Intent, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The group goes on; its status tells how many it did not understand, each once."""
    async with EventLog.open(database) as log:
        for _ in range(3):
            await place(log)
            await log.append(order_stream(new_order_id()), [from_the_future])
        del EVENT_TYPES["OrderDreamtOf"]
        monkeypatch.setattr("projections.runner.CHUNK_EVENTS", 2)
        assert await catch_up(log, TRADING) == 6
        assert await catch_up(log, TRADING) == 6
        status = await checkpoint(log)
        assert (status.status, status.passed_over) == (GroupState.RUNNING, 3)
        await assert_rows_are_the_log(log)


async def test_types_that_are_known_but_not_handled_are_not_counted(database: str) -> None:
    """They are no riddle, they only do not concern the group."""
    await create_tables(database)
    async with EventLog.open(database) as log:
        await log.append(order_stream(new_order_id()), [placed(), OrderSubmitted()])
        assert await catch_up(log, placings_group()) == 2
        assert (await checkpoint(log, placings_group())).passed_over == 0


async def test_a_newer_version_of_a_handled_type_stops_the_group(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Guessing would make wrong rows; the error says that an upgrade is needed, and which version was found."""
    async with EventLog.open(database) as log:
        await place(log)
        with monkeypatch.context() as newer:
            newer.setattr(OrderPlaced, "schema_version", 2)
            await place(log)
        await place(log)
        async with Projector(log, TRADING) as projector:
            with pytest.raises(ProjectionStopped) as caught:
                await projector.wait_for(3, timeout_seconds=10)
        assert caught.value.position == 2
        assert "UpgradeRequired" in caught.value.error
        assert "version 2" in caught.value.error
        status = await checkpoint(log)
        assert (status.status, status.position, status.error_event_type) == (GroupState.STOPPED, 1, "OrderPlaced")


async def test_a_newer_version_of_a_type_that_is_not_handled_is_passed_by(
    database: str, from_the_future: Intent, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What does not concern the group cannot stop it."""
    async with EventLog.open(database) as log:
        with monkeypatch.context() as newer:
            newer.setattr(type(from_the_future), "schema_version", 2)
            await log.append(order_stream(new_order_id()), [from_the_future])
        assert await catch_up(log, TRADING) == 1
        assert (await checkpoint(log)).passed_over == 0


async def test_catching_up_ends_at_the_head_whatever_the_last_events_are(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Events that do not concern the group are not read, and yet behind it; what follows them is read once."""
    await create_tables(database)
    monkeypatch.setattr("projections.runner.CHUNK_EVENTS", 2)
    group = placings_group()
    async with EventLog.open(database) as log:
        for _ in range(5):
            await log.append(order_stream(new_order_id()), [placed(), OrderSubmitted(), OrderSubmitted()])
            reported: list[tuple[int, int]] = []
            head = await log.head()
            assert await catch_up(log, group, progress=lambda *step, to=reported: to.append(step)) == head
            assert reported[-1] == (head, head)
            assert (await checkpoint(log, group)).position == head
