"""A log that was damaged behind its back says where."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa

from byjy_events import (
    CorruptLog,
    EventLog,
    Intent,
    OrderPlaced,
    OrderSubmitted,
    UnknownEvent,
    new_order_id,
    order_stream,
)
from byjy_events.database import open_engine, parse_url
from byjy_events.event import EVENT_TYPES, event_type
from tests.sample_events import placed

EVENTS = 20


async def damage(database: str, *statements: str) -> None:
    """Change stored events as only a superuser with time on his hands can: without the triggers."""
    engine = open_engine(parse_url(database), writable=True)
    async with engine.begin() as connection:
        if connection.dialect.name == "sqlite":
            for trigger in ("events_no_update", "events_no_delete"):
                await connection.execute(sa.text(f"DROP TRIGGER {trigger}"))
        else:
            await connection.execute(sa.text("ALTER TABLE events DISABLE TRIGGER ALL"))
        for statement in statements:
            await connection.execute(sa.text(statement))
    await engine.dispose()


@pytest.fixture
async def filled_database(database: str) -> str:
    async with EventLog.open(database) as log:
        await log.append(order_stream(new_order_id()), [placed(str(number)) for number in range(1, EVENTS + 1)])
    return database


@pytest.mark.parametrize("gone", [1, 7, 8, 19])
@pytest.mark.parametrize("chunk", [3, 100])
async def test_a_missing_event_is_noticed_by_whoever_reads_past_it(
    filled_database: str, monkeypatch: pytest.MonkeyPatch, gone: int, chunk: int
) -> None:
    """At the edge of a chunk and inside one; readers, chunk readers and followers alike."""
    monkeypatch.setattr("byjy_events.log.CHUNK", chunk)
    await damage(filled_database, f"DELETE FROM events WHERE position = {gone}")
    async with EventLog.open(filled_database) as log:
        for reading in (log.read(), log.follow()):
            with pytest.raises(CorruptLog, match="missing") as found:
                async for _ in reading:
                    pass
            assert found.value.position == gone
        with pytest.raises(CorruptLog):
            async for _ in log.read_chunks(size=chunk):
                pass


async def test_an_event_missing_elsewhere_does_not_keep_the_rest_from_being_read(filled_database: str) -> None:
    """What lies behind the gap, and single streams, stay readable: damage is confined."""
    await damage(filled_database, "DELETE FROM events WHERE position = 7")
    async with EventLog.open(filled_database) as log:
        assert [one.position async for one in log.read(after=7)] == list(range(8, EVENTS + 1))
        assert len([one async for one in log.read(types=[OrderPlaced])]) == EVENTS - 1


@pytest.mark.parametrize(
    "payload",
    ["", "5b5d", "7b7d", "7b227061697222", "ff", "7b226163636f756e74223a22ff227d"],
    ids=lambda hex_: hex_ or "none",
)
async def test_a_payload_that_cannot_be_decoded_names_its_position(filled_database: str, payload: str) -> None:
    """Cut short, of another type, or no text at all."""
    literal = f"x'{payload}'" if "sqlite" in filled_database else f"decode('{payload}', 'hex')"
    await damage(filled_database, f"UPDATE events SET payload = {literal} WHERE position = 5")
    async with EventLog.open(filled_database) as log:
        with pytest.raises(CorruptLog, match="OrderPlaced version 1") as found:
            async for _ in log.read():
                pass
        assert found.value.position == 5
        assert [one.position async for one in log.read(after=5)] == list(range(6, EVENTS + 1))


async def test_events_of_other_programs_and_of_newer_versions_come_back_undecoded(filled_database: str) -> None:
    """With everything else about them, and without stopping anybody."""
    await damage(
        filled_database,
        "UPDATE events SET type = 'MoonPhaseChanged' WHERE position = 3",
        "UPDATE events SET schema_version = 2 WHERE position = 4",
    )
    async with EventLog.open(filled_database) as log:
        stored = [one async for one in log.read()]
    assert stored[2].event == UnknownEvent("MoonPhaseChanged", 1, stored[2].payload)
    assert stored[3].event == UnknownEvent("OrderPlaced", 2, stored[3].payload)
    assert all(isinstance(one.event, OrderPlaced) for one in stored[4:])
    assert [one.position for one in stored] == list(range(1, EVENTS + 1))


@pytest.fixture
def register() -> Iterator[None]:
    before = dict(EVENT_TYPES)
    yield
    EVENT_TYPES.clear()
    EVENT_TYPES.update(before)


@pytest.mark.usefixtures("register")
async def test_old_events_are_brought_up_when_they_are_read(database: str) -> None:
    """Stored as version 1, read as version 2; the payload stays what it was. A failing step names the position."""

    @event_type()
    class TraderHired(Intent, frozen=True, kw_only=True):
        name: str

    stream = order_stream(new_order_id())
    async with EventLog.open(database) as log:
        await log.append(stream, [TraderHired(name="Ada Lovelace"), TraderHired(name="Ada"), OrderSubmitted()])

        def split(old: dict[str, Any]) -> dict[str, Any]:
            first, last = old["name"].split(" ")
            return {"first": first, "last": last}

        fields = {"__annotations__": {"first": str, "last": str}, "__module__": __name__}
        class_of_today = type("TraderHired", (Intent,), fields, frozen=True)
        event_type(version=2, upcasters={1: split})(class_of_today)

        (one,) = [recorded async for recorded in log.read(upto=1)]
        assert one.event == class_of_today(first="Ada", last="Lovelace")
        assert (one.schema_version, one.payload) == (1, b'{"name":"Ada Lovelace"}')
        with pytest.raises(CorruptLog) as found:
            async for _ in log.read():
                pass
        assert found.value.position == 2
