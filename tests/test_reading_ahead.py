"""Long reads: chunks that travel as one row are what the rows are, and the next one is fetched ahead."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import pytest

from byjy_events import CorruptLog, Entry, EventLog, new_order_id, order_stream
from byjy_events.query import Query
from byjy_events.sqlite.backend import PACKED_FROM
from tests.sample_events import SAMPLES, placed
from tests.test_log_corruption import damage

STRANGE = ('"\\', "naïve ☃ \U0001f600", "a,b;[]{}", "x" * 255)


async def whole(log: EventLog, limit: int) -> list[list[Any]]:
    """Every column of the log, read so many events at a time."""
    columns: list[list[Any]] = [[] for _ in range(15)]
    after = 0
    while chunk := await log.backend.fetch(Query(after=after), limit):
        for column, part in zip(columns, chunk, strict=True):
            column.extend(part)
        after = columns[0][-1]
    return columns


async def fill(log: EventLog) -> None:
    """Every type of event, with and without ids and clocks, in many sizes."""
    for number, event in enumerate(SAMPLES.values()):
        entry = Entry(event, occurred_at=None if number % 2 else number, event_id=None if number % 3 else uuid.uuid4())
        await log.append(
            order_stream(new_order_id()),
            [entry],
            actor=STRANGE[number % len(STRANGE)],
            correlation_id=None if number % 2 else uuid.uuid4(),
            causation_id=uuid.uuid4() if number % 5 else None,
        )


async def test_a_large_chunk_is_what_small_ones_are(database: str) -> None:
    """Value by value and type by type, whatever the text, and with nothing in the optional columns."""
    async with EventLog.open(database) as log:
        assert not await log.backend.fetch(Query(), PACKED_FROM)
        await fill(log)
        small, large = await whole(log, 7), await whole(log, PACKED_FROM)
        assert small == large
        assert [list(map(type, column)) for column in small] == [list(map(type, column)) for column in large]
        assert await whole(log, 2 * len(SAMPLES)) == large


@pytest.mark.parametrize(
    ("statement", "cause"),
    [
        ("UPDATE events SET payload = x'7b0022' WHERE position = 9", "altered"),
        ("UPDATE events SET payload = x'ff00ff' WHERE position = 9", "altered"),
        ("UPDATE events SET event_id = x'0102' WHERE position = 9", "altered"),
        ("UPDATE events SET correlation_id = x'' WHERE position = 9", "altered"),
        ("UPDATE events SET leaf_hash = zeroblob(32) WHERE position = 9", "altered"),
        ("DELETE FROM events WHERE position = 9", "missing"),
    ],
)
@pytest.mark.parametrize("backend", ["sqlite"])
async def test_damage_is_named_however_the_chunk_travels(database: str, statement: str, cause: str) -> None:
    """Also where the damaged value cannot be packed."""
    async with EventLog.open(database) as log:
        await log.append(order_stream(new_order_id()), [placed(str(number)) for number in range(1, 21)])
    await damage(database, statement)
    async with EventLog.open(database) as log:
        for size in (5, PACKED_FROM):
            with pytest.raises(CorruptLog, match=cause) as found:
                async for _ in log.read_chunks(size=size, checked=True):
                    pass
            assert found.value.position == 9


async def test_what_lies_before_the_damage_is_handed_over_first(database: str) -> None:
    """Fetching ahead reports nothing early."""
    async with EventLog.open(database) as log:
        await log.append(order_stream(new_order_id()), [placed(str(number)) for number in range(1, 21)])
    await damage(database, "DELETE FROM events WHERE position = 9")
    async with EventLog.open(database) as log:
        chunks = log.read_chunks(size=4)
        for first in (1, 5):
            assert [one.position for one in await anext(chunks)] == list(range(first, first + 4))
        with pytest.raises(CorruptLog):
            await anext(chunks)


async def only(before: set[asyncio.Task[Any]]) -> None:
    """Wait until no other task is left: a driver tells the server by one of its own that a query was given up."""
    if others := asyncio.all_tasks() - before:
        await asyncio.wait(others, timeout=20)
    assert asyncio.all_tasks() <= before


async def test_a_reader_that_stops_early_leaves_nothing_behind(database: str) -> None:
    """Closed or cancelled in the midst of a fetch; the log goes on."""
    async with EventLog.open(database) as log:
        await log.append(order_stream(new_order_id()), [placed(str(number)) for number in range(1, 21)])
        before = asyncio.all_tasks()
        for _ in range(20):
            chunks = log.read_chunks(size=3)
            await anext(chunks)
            await chunks.aclose()
        await only(before)

        async def read() -> None:
            async for _ in log.read_chunks(size=1):
                pass

        for turns in range(20):
            reading = asyncio.create_task(read())
            for _ in range(turns):
                await asyncio.sleep(0)
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
        await only(before)
        assert len([one async for one in log.read()]) == 20
