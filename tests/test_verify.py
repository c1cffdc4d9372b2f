"""Verifying proves, row by row, that tables and log are equal, or says where they are not."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest
import sqlalchemy as sa

from byjy_events.errors import CorruptLog
from byjy_events.log import EventLog
from projections import TRADING, GroupRebuilding, Projector, TablesUnusable, catch_up, rebuild, verify
from projections.checkpoints import projection_checkpoints
from tests.lifecycles import lifecycles
from tests.own_groups import placings_group
from tests.replay import checkpoint
from tests.rows import writable_engine
from tests.story import place, tell, tell_lives
from tests.tampering import KINDS, TABLES, tamper


async def test_tables_that_follow_the_log_equal_it(database: str) -> None:
    """No difference, at the checkpoint, and the checkpoint is where it was."""
    async with EventLog.open(database) as log:
        head = await tell_lives(log, seed=1, orders=60)
        await catch_up(log, TRADING)
        found = await verify(log, TRADING)
        assert (found.differences, found.position, found.events) == (0, head, head)
        assert [table.table for table in found.tables] == TABLES
        assert (await checkpoint(log)).position == head


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("kind", KINDS)
async def test_one_row_is_enough(database: str, table: str, kind: str) -> None:
    """One flipped value, one missing or one surplus row, in any table: found, alone, with its key and its columns."""
    async with EventLog.open(database) as log:
        await tell_lives(log, seed=2, orders=60)
        await catch_up(log, TRADING)
        await tamper(database, table, kind)
        found = await verify(log, TRADING)
        assert found.differences == 1
        (one,) = [row for each in found.tables for row in each.rows]
        assert (one.table, one.kind) == (table, kind)
        assert list(one.key) == [column.name for column in _table(table).primary_key]
        if kind == "DIFFERENT":
            assert len(one.columns) == 1
        stored, due = zip(*one.columns.values(), strict=True)
        assert kind != "MISSING" or set(stored) == {None}
        assert kind != "SURPLUS" or set(due) == {None}


def _table(name: str) -> sa.Table:
    (table,) = [table for table in TRADING.tables if table.name == name]
    return table


async def test_every_difference_comes_back_unless_fewer_are_asked_for(database: str) -> None:
    """The counts tell of all of them either way."""
    async with EventLog.open(database) as log:
        await tell_lives(log, seed=3, orders=40)
        await catch_up(log, TRADING)
        engine = writable_engine(database)
        async with engine.begin() as connection:
            changed = await connection.execute(_table("orders").update().values(price=Decimal("1.23")))
        await engine.dispose()
        every, some = [
            next(table for table in (await verify(log, TRADING, examples=examples)).tables if table.table == "orders")
            for examples in (None, 3)
        ]
        assert (len(every.rows), len(some.rows)) == (changed.rowcount, 3)
        assert every.different == some.different == changed.rowcount
        assert all(row.columns["price"][0] == Decimal("1.23") for row in every.rows)


async def test_projectors_go_on_meanwhile(database: str) -> None:
    """While events flow and a projector follows, every verification finds tables and log equal, ever further on."""
    async with EventLog.open(database) as log, Projector(log, TRADING) as projector:
        flow = asyncio.create_task(tell(log, lifecycles(seed=4, orders=400), at_once=5))
        positions = []
        while not flow.done():
            found = await verify(log, TRADING)
            assert found.differences == 0
            positions.append(found.position)
        head = await flow
        await projector.wait_for(head, timeout_seconds=20)
        assert positions == sorted(positions)
        assert len(set(positions)) > 1


async def test_an_event_that_was_altered_is_found_by_its_leaf_hash(database: str) -> None:
    """Tables that follow from a forged log are not proved by it."""
    async with EventLog.open(database) as log:
        await tell_lives(log, seed=5, orders=5)
        await catch_up(log, TRADING)
    engine = writable_engine(database)
    async with engine.begin() as connection:
        for statement in _DISARM[engine.dialect.name]:
            await connection.exec_driver_sql(statement)
        await connection.exec_driver_sql("UPDATE events SET actor = 'somebody else' WHERE position = 7")
    await engine.dispose()
    async with EventLog.open(database) as log:
        with pytest.raises(CorruptLog) as raised:
            await verify(log, TRADING)
        assert raised.value.position == 7


_DISARM = {
    "sqlite": ["DROP TRIGGER events_no_update"],
    "postgresql": ["ALTER TABLE events DISABLE TRIGGER ALL"],
}


async def test_rows_that_are_being_mended_cannot_be_verified(database: str) -> None:
    """They are of no one position."""
    async with EventLog.open(database) as log:
        await tell_lives(log, seed=6, orders=5)
        await catch_up(log, TRADING)
        engine = writable_engine(database)
        async with engine.begin() as connection:
            await connection.execute(projection_checkpoints.update().values(status="REBUILDING"))
        await engine.dispose()
        with pytest.raises(GroupRebuilding):
            await verify(log, TRADING)


async def test_a_table_that_is_not_there_is_named(database: str) -> None:
    """By verifying and by rebuilding; neither creates it."""
    async with EventLog.open(database) as log:
        await place(log)
        for attempt in (verify, rebuild):
            with pytest.raises(TablesUnusable, match="placings"):
                await attempt(log, placings_group())
