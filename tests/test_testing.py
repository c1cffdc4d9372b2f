"""What we offer for the tests of others: it has to behave as the log does."""

from __future__ import annotations

import os
import subprocess
import sys
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from byjy_events import (
    Entry,
    Event,
    EventLog,
    Fact,
    InvalidEvent,
    OrderFilled,
    OrderPlaced,
    OrderSubmitted,
    Recorded,
    new_order_id,
    order_stream,
)
from byjy_events.testing import History, appended, event_log, given, recorded, temporary_log
from projections.projection import Evolved
from tests.sample_events import ID, SAMPLES, filled, placed
from tests.test_leaf import leaf_of

__all__ = ["event_log"]


class Volume:
    """A projection by hand: quantity filled for each order, forgotten when it gets to ten."""

    handles = frozenset({OrderFilled})

    def keys(self, one: Recorded) -> list[Any]:
        return [one.stream_id]

    def evolve(self, row: Decimal | None, one: Recorded, key: Any) -> Decimal | Evolved | None:
        assert isinstance(one.event, OrderFilled)
        volume = (row or Decimal(0)) + one.event.quantity
        if volume >= 10:
            return None
        return Evolved(volume, ()) if volume > 5 else volume


ONE, OTHER = order_stream(new_order_id()), order_stream(new_order_id())


# --- histories ------------------------------------------------------------------------------------


def test_a_history_folds_into_rows() -> None:
    """Given, when, then: by key, other types passed over, and a fact told twice counted once."""
    history = given((ONE, placed()), (ONE, filled("1", "2")), (OTHER, filled("2", "3")), (ONE, filled("1", "2")))
    assert history.rows(Volume()) == {ONE.id: 2, OTHER.id: 3}
    assert history.when((ONE, filled("3", "4"))).rows(Volume()) == {ONE.id: 6, OTHER.id: 3}
    assert history.when((ONE, filled("3", "8"))).rows(Volume()) == {OTHER.id: 3}
    assert history.rows(Volume()) == {ONE.id: 2, OTHER.id: 3}, "when() made a history of its own"


def test_a_history_counts_as_the_log_does() -> None:
    """Positions over all, versions within each stream, clocks that rise."""
    history = given((ONE, placed()), (OTHER, placed()), (ONE, filled("1")), OrderSubmitted())
    assert [(one.position, one.stream_version) for one in history] == [(1, 1), (2, 1), (3, 2), (4, 1)]
    assert [one.recorded_at for one in history] == sorted({one.recorded_at for one in history})
    assert len({one.event_id for one in history}) == len(history) == 4
    assert history[0].stream == ONE


def test_an_empty_history_has_no_rows() -> None:
    """And is a sequence like any other."""
    assert given().rows(Volume()) == {}
    assert list(History()) == []


async def test_a_history_recorded_by_a_log_is_the_same_history(event_log: EventLog) -> None:
    """All fields but the log's own clock, ids of its own making, and the hash that covers them."""
    history = given(*((ONE if number % 2 else OTHER, event) for number, event in enumerate(SAMPLES.values())))
    await history.append_to(event_log)
    stored = [one async for one in event_log.read()]
    assert [_told(one) for one in stored] == [_told(one) for one in history]
    await given((ONE, placed())).append_to(event_log)
    assert await event_log.head() == len(stored) + 1


def _told(one: Recorded) -> Recorded:
    event_id = one.event_id_bytes if isinstance(one.event, Fact) else b""
    return msgspec.structs.replace(one, recorded_at=0, leaf_hash=b"", event_id_bytes=event_id)


# --- single events --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_a_recorded_event_is_whole(name: str) -> None:
    """Payload, id and a leaf hash that fits."""
    one = recorded(SAMPLES[name], stream=ONE, position=7, stream_version=3, correlation_id=ID, causation_id=ID)
    assert (one.event, one.type, one.position, one.stream_version) == (SAMPLES[name], name, 7, 3)
    assert one.correlation_id == one.causation_id == ID
    assert one.leaf_hash == leaf_of(one)


def test_what_is_known_of_an_event_can_be_given() -> None:
    """Clocks and id by an Entry, the log's clock and the actor by name; what is not given is always the same."""
    one = recorded(Entry(placed(), occurred_at=1, received_at=2, event_id=ID), recorded_at=3, actor="me")
    assert (one.occurred_at, one.received_at, one.recorded_at, one.event_id, one.actor) == (1, 2, 3, ID, "me")
    assert recorded(placed(), position=5) == recorded(placed(), position=5)


def test_what_the_log_would_refuse_cannot_be_recorded_here_either() -> None:
    """A test must not pass with events that can never be."""
    with pytest.raises(InvalidEvent):
        recorded(msgspec.structs.replace(placed(), price=None))


# --- a log of one's own ---------------------------------------------------------------------------


async def test_news_are_what_was_appended_in_the_block(event_log: EventLog) -> None:
    """Neither what was there before nor what comes after."""
    await event_log.append(ONE, [placed()])
    async with appended(event_log) as news:
        assert news == []
        await event_log.append(ONE, [OrderSubmitted(), filled("1")])
    await event_log.append(ONE, [placed()])
    events: list[Event] = [OrderSubmitted(), filled("1")]
    assert [one.event for one in news] == events


@pytest.mark.parametrize("turn", [1, 2])
async def test_every_test_has_a_log_of_its_own(event_log: EventLog, turn: int) -> None:
    """It is empty whatever other tests did."""
    assert await event_log.head() == 0
    await event_log.append(ONE, [placed()] * turn)


async def test_temporary_logs_do_not_know_each_other_and_leave_nothing() -> None:
    """Two at once are two; their files are gone with them."""
    async with temporary_log(actor="a") as one, temporary_log() as other:
        await one.append(ONE, [placed()])
        assert [recorded.actor async for recorded in one.read(types=[OrderPlaced])] == ["a"]
        assert await other.head() == 0
        paths = [log.url.removeprefix("sqlite:///") for log in (one, other)]
    assert not any(os.access(path, os.F_OK) for path in paths)


def test_the_module_works_without_pytest() -> None:
    """A program may use a temporary log for a dry run; only the fixture needs the test library."""
    program = """
import sys, asyncio
sys.modules["pytest_asyncio"] = None
from byjy_events import testing

async def main():
    async with testing.temporary_log() as log:
        assert await log.head() == 0

asyncio.run(main())
assert not hasattr(testing, "event_log") and "pytest" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=30)
