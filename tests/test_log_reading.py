"""Reading: every filter, bound and direction equals the same choice made in Python over the whole log."""

from __future__ import annotations

import itertools
import random
from collections.abc import AsyncIterator, Callable
from typing import Any
from uuid import UUID

import pytest

from byjy_events import (
    Event,
    EventLog,
    OrderCanceled,
    OrderFilled,
    OrderPlaced,
    PairDelisted,
    PairListed,
    Recorded,
    Stream,
    new_order_id,
    order_stream,
    pair_stream,
)
from byjy_events.query import query_of, select
from tests.sample_events import PAIR, SAMPLES, filled, placed
from tests.test_query_plans import EXPLAIN, sorts_or_scans

ORDERS = [order_stream(new_order_id()) for _ in range(3)]
PAIRS = [pair_stream("binance", "BTCUSDT"), Stream("pair", ORDERS[0].id)]
UNKNOWN = order_stream(new_order_id())

PLACEHOLDERS: dict[str, Callable[[int], str]] = {"sqlite": lambda _: "?", "postgresql": "${}".format}
UUID_OF: dict[str, Callable[[bytes], Any]] = {"sqlite": bytes, "postgresql": lambda raw: UUID(bytes=raw)}


@pytest.fixture
async def log(database: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[EventLog]:
    """Sixty events on five streams, read in chunks of seven."""
    monkeypatch.setattr("byjy_events.log.CHUNK", 7)
    chance = random.Random(7)
    async with EventLog.open(database) as log:
        for number in range(30):
            if chance.random() < 0.6:
                events: list[Event] = [placed(), filled(str(number))]
                await log.append(chance.choice(ORDERS), events)
            else:
                await log.append(chance.choice(PAIRS), [PairListed(pair=PAIR), PairDelisted(pair=PAIR)])
        yield log


async def read(log: EventLog, **choice: Any) -> list[Recorded]:
    return [recorded async for recorded in log.read(**choice)]


BOUNDS: list[tuple[dict[str, Any], Callable[[Recorded], bool]]] = [
    ({}, lambda one: True),
    ({"after": 13}, lambda one: one.position > 13),
    ({"upto": 41}, lambda one: one.position <= 41),
    ({"after": 7, "upto": 21}, lambda one: 7 < one.position <= 21),
    ({"after": 20, "upto": 20}, lambda one: False),
    ({"after": 1000}, lambda one: False),
    ({"upto": 0}, lambda one: False),
]
CHOICES: list[tuple[dict[str, Any], Callable[[Recorded], bool]]] = [
    ({}, lambda one: True),
    ({"stream": ORDERS[0]}, lambda one: one.stream == ORDERS[0]),
    ({"stream": PAIRS[1]}, lambda one: one.stream == PAIRS[1]),
    ({"stream": UNKNOWN}, lambda one: False),
    ({"streams": ORDERS}, lambda one: one.category == "order"),
    ({"streams": [PAIRS[0], UNKNOWN]}, lambda one: one.stream == PAIRS[0]),
    ({"streams": []}, lambda one: False),
    ({"stream": ORDERS[0], "streams": [ORDERS[1]]}, lambda one: one.stream in ORDERS[:2]),
    ({"categories": ["order"]}, lambda one: one.category == "order"),
    ({"categories": ["order", "pair"]}, lambda one: True),
    ({"categories": ["planet"]}, lambda one: False),
    ({"types": [OrderFilled]}, lambda one: one.type == "OrderFilled"),
    ({"types": [OrderFilled, "PairListed"]}, lambda one: one.type in ("OrderFilled", "PairListed")),
    ({"types": [OrderCanceled]}, lambda one: False),
    ({"types": []}, lambda one: False),
    (
        {"streams": ORDERS[:2], "categories": ["order"], "types": [OrderPlaced]},
        lambda one: one.stream in ORDERS[:2] and one.type == "OrderPlaced",
    ),
]


async def test_every_choice_and_bound_in_both_directions(log: EventLog) -> None:
    """All combinations of bounds, filters, direction and limit, in order, without anything missing or double."""
    everything = await read(log)
    assert [one.position for one in everything] == list(range(1, 61))
    for (bounds, within), (choice, wanted), backward, limit in itertools.product(
        BOUNDS, CHOICES, (False, True), (None, 1, 7, 10)
    ):
        expected = [one for one in everything if within(one) and wanted(one)]
        if backward:
            expected.reverse()
        found = await read(log, **bounds, **choice, backward=backward, limit=limit)
        assert found == expected[:limit], (bounds, choice, backward, limit)


async def test_thousands_of_streams_are_read_at_once(log: EventLog) -> None:
    """As many as a read names, whatever nesting of conditions the database allows."""
    many = [order_stream(new_order_id()) for _ in range(3_000)]
    some = await read(log, streams=[*many, ORDERS[0], PAIRS[0]])
    assert some == [one for one in await read(log) if one.stream in (ORDERS[0], PAIRS[0])] != []


async def test_a_stream_is_read_in_the_order_of_its_versions(log: EventLog) -> None:
    """From 1 on, without gaps."""
    versions = [recorded.stream_version async for recorded in log.read(stream=ORDERS[1])]
    assert versions == list(range(1, len(versions) + 1))


async def test_the_last_event_of_a_stream_is_one_read_away(log: EventLog) -> None:
    """Backward with a limit of one, as one asks for a stream's version."""
    versions = [recorded.stream_version async for recorded in log.read(stream=ORDERS[2])]
    (last,) = await read(log, stream=ORDERS[2], backward=True, limit=1)
    assert last.stream_version == max(versions)


async def test_a_limit_of_none_at_all_reads_nothing(log: EventLog) -> None:
    """Zero is a limit, not the absence of one."""
    assert await read(log, limit=0) == []


async def test_a_position_before_the_first_is_the_beginning(log: EventLog) -> None:
    """Nothing lies there, so nothing is missing."""
    assert len(await read(log, after=-5)) == 60


async def test_events_appended_while_a_reader_is_under_way_are_read_or_not_but_in_order(log: EventLog) -> None:
    """Each chunk is as of its own moment; an open reader holds nobody up."""
    positions = []
    async for recorded in log.read():
        positions.append(recorded.position)
        if len(positions) == 5:
            await log.append(ORDERS[0], [placed()] * 3)
    assert positions == list(range(1, 64))


async def test_chunks_hold_every_event_once(log: EventLog) -> None:
    """Of at most the size asked for, and only the last one is shorter."""
    chunks = [[one.position for one in chunk] async for chunk in log.read_chunks(after=3, upto=50, size=10)]
    assert [len(chunk) for chunk in chunks] == [10, 10, 10, 10, 7]
    assert list(itertools.chain(*chunks)) == list(range(4, 51))


async def test_many_readers_at_once_do_not_disturb_each_other(log: EventLog) -> None:
    """Interleaved chunk by chunk over one log."""
    readers = [log.read(types=[OrderPlaced]), log.read(), log.read(backward=True)]
    expected = [await read(log, types=[OrderPlaced]), await read(log), await read(log, backward=True)]
    found: list[list[Recorded]] = [[], [], []]
    for _ in range(60):
        for reader, events in zip(readers, found, strict=True):
            if (one := await anext(reader, None)) is not None:
                events.append(one)
    assert found == expected


async def test_an_empty_log_is_empty(database: str) -> None:
    """Not an error."""
    async with EventLog.open(database) as log:
        assert await log.head() == 0
        assert await read(log) == []
        assert await read(log, backward=True, limit=5) == []
        assert [chunk async for chunk in log.read_chunks()] == []


async def test_what_a_reader_of_another_log_sees_is_the_same(log: EventLog, database: str) -> None:
    """Every field of every type, through a connection of its own."""
    await log.append(ORDERS[0], list(SAMPLES.values()))
    async with EventLog.open(database) as other:
        assert await read(other) == await read(log)


async def test_a_long_read_can_leave_types_out(log: EventLog) -> None:
    """What is left comes in order, in full lists, from the position asked for."""
    chunks = [chunk async for chunk in log.read_chunks(after=5, without_types=[OrderPlaced, "PairListed"], size=4)]
    events = await read(log, after=5)
    wanted = [one for one in events if type(one.event) in (OrderFilled, PairDelisted)]
    assert [one for chunk in chunks for one in chunk] == wanted
    assert {len(chunk) for chunk in chunks[:-1]} == {4}
    assert await read(log, after=5, without_types=[OrderPlaced, "PairListed"]) == wanted
    assert [chunk async for chunk in log.read_chunks(without_types=SAMPLES)] == []


@pytest.mark.parametrize("backward", [False, True])
async def test_an_end_of_one_stream_is_read_without_the_rest(log: EventLog, backend: str, backward: bool) -> None:
    """The index has its events in order, so that none is sorted; of several streams they have to be."""
    for streams, sorts in ((ORDERS[:1], False), (ORDERS[:2], True)):
        query = query_of(0, None, None, streams, None, [OrderFilled], (), backward, False)
        statement, parameters = select(query, 1, PLACEHOLDERS[backend], UUID_OF[backend])
        async with log.engine.connect() as connection:
            if backend == "postgresql":
                await connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
                await connection.exec_driver_sql("SET LOCAL enable_bitmapscan = off")
            found = await connection.exec_driver_sql(f"{EXPLAIN[backend]} {statement}", tuple(parameters))
            plan = "\n".join(str(row[-1]) for row in found)
        assert bool(sorts_or_scans(plan)) is sorts, plan
