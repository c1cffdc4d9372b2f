"""The tables of a group of one's own: made where they are missing, left alone where they are there."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest
import sqlalchemy as sa
from msgspec import Struct

from byjy_events import EventLog, LogClosed
from byjy_events.columns import BigInt, Uuid, word
from byjy_events.grants import engine_grants
from byjy_events.recorded import Recorded
from byjy_events.vocabulary.orders import OrderPlaced
from projections import TRADING, Group, Key, Projection, TablesUnusable, catch_up, create_tables
from tests.own_groups import placings, placings_group
from tests.postgres import Server
from tests.replay import assert_rows_are_the_log
from tests.schema import execute, inside, tables
from tests.story import place

metadata = sa.MetaData()
parents = sa.Table("parents", metadata, sa.Column("id", Uuid, primary_key=True), sqlite_strict=True)
children = sa.Table(
    "children",
    metadata,
    sa.Column("parent_id", Uuid, sa.ForeignKey("parents.id"), primary_key=True),
    sa.Column("position", BigInt, primary_key=True, autoincrement=False),
    sa.Column("order", word(8), nullable=False, server_default="it's"),
    sa.CheckConstraint("position > 0", name="positive"),
    sa.CheckConstraint("typeof(position) = 'integer'", name="strict").ddl_if(dialect="sqlite"),
    sa.Index("ix_children_position", "position", unique=True),
    sa.Index(
        "ix_children_order", "order", sqlite_where=sa.text("position > 1"), postgresql_where=sa.text("position > 1")
    ),
    sqlite_strict=True,
)


class ParentRow(Struct, frozen=True):
    id: Any


class ChildRow(Struct, frozen=True):
    parent_id: Any
    position: int
    order: str


class Parents(Projection[ParentRow]):
    name = "parents"
    table = parents
    row_type = ParentRow
    handles = frozenset({OrderPlaced})

    def keys(self, recorded: Recorded) -> Sequence[Key]:
        return [recorded.stream_id]


class Children(Projection[ChildRow]):
    name = "children"
    table = children
    row_type = ChildRow
    handles = frozenset({OrderPlaced})

    def keys(self, recorded: Recorded) -> Sequence[Key]:
        return [(recorded.stream_id, recorded.position)]


FAMILY = Group("family", [Parents(), Children()])


def constraints(connection: sa.Connection) -> dict[str, Any]:
    inspector = sa.inspect(connection)
    return {
        "indexes": {(one["name"], bool(one["unique"])) for one in inspector.get_indexes("children")},
        "checks": {one["name"] for one in inspector.get_check_constraints("children")},
        "parents": [one["referred_table"] for one in inspector.get_foreign_keys("children")],
    }


async def test_tables_are_made_with_everything_that_belongs_to_them(database: str, backend: str) -> None:
    """Parents first; the second time there is nothing to do."""
    async with EventLog.open(database) as log:
        assert await create_tables(log, FAMILY) == ["parents", "children"]
        assert await create_tables(log, FAMILY) == []
    found = await inside(database, constraints)
    assert found["indexes"] == {("ix_children_position", True), ("ix_children_order", False)}
    assert found["checks"] == {"positive", "strict"} if backend == "sqlite" else {"positive"}
    assert found["parents"] == ["parents"]


async def test_a_group_runs_on_the_tables_that_were_made(database: str) -> None:
    """In the same process, at once."""
    async with EventLog.open(database) as log:
        position = await place(log)
        assert await create_tables(log, placings_group()) == ["placings"]
        await catch_up(log, placings_group())
        assert await assert_rows_are_the_log(log, placings_group()) == position


async def test_only_what_is_missing_is_made(database: str) -> None:
    """A table that exists stays as it is, with its rows, and without indexes that it has not."""
    key = "BLOB" if database.startswith("sqlite") else "uuid"
    await execute(
        database,
        f"CREATE TABLE parents (id {key} PRIMARY KEY)",
        f'CREATE TABLE children ("order" TEXT, position BIGINT, parent_id {key}, PRIMARY KEY (position, parent_id))',
    )
    async with EventLog.open(database) as log:
        assert await create_tables(log, FAMILY) == []
        await execute(database, "DROP TABLE parents")
        assert await create_tables(log, FAMILY) == ["parents"]
    assert (await inside(database, constraints))["indexes"] == set()


OTHERS = {
    "lacks a column": ("id BIGINT PRIMARY KEY, note TEXT", "table placings lacks column position"),
    "has one besides": (
        "id BIGINT PRIMARY KEY, position BIGINT, note TEXT, more BIGINT",
        "table placings has a column more besides",
    ),
    "has another name for one": (
        "id BIGINT PRIMARY KEY, positron BIGINT, note TEXT",
        "table placings lacks column position and has a column positron besides",
    ),
    "has another key": (
        "id BIGINT, position BIGINT, note TEXT, PRIMARY KEY (id, position)",
        "table placings has primary key (id, position), not (id)",
    ),
    "has no key": ("id BIGINT, position BIGINT, note TEXT", "table placings has primary key (), not (id)"),
}


@pytest.mark.parametrize("case", OTHERS.values(), ids=OTHERS.keys())
async def test_a_table_that_is_another_is_refused_and_nothing_is_made(database: str, case: tuple[str, str]) -> None:
    """Whoever owns it, it is not touched."""
    columns, reason = case
    await execute(database, f"CREATE TABLE placings ({columns})")
    async with EventLog.open(database) as log:
        before = await tables(database)
        with pytest.raises(TablesUnusable) as caught:
            await create_tables(log, Group("both", [Parents(), *placings_group().projections]))
        assert caught.value.reason == reason
        assert await tables(database) == before


async def test_a_table_that_cannot_be_made_leaves_the_others_unmade(database: str) -> None:
    """All of it or nothing: here an index's name is taken."""
    await execute(database, "CREATE INDEX ix_children_position ON orders (status)")
    async with EventLog.open(database) as log:
        with pytest.raises(TablesUnusable, match="ix_children_position"):
            await create_tables(log, FAMILY)
        assert not await tables(database) & {"parents", "children"}


async def test_ours_are_there_already(database: str) -> None:
    """They come with the schema."""
    async with EventLog.open(database) as log:
        assert await create_tables(log, TRADING) == []


async def test_many_may_make_them_at_once(database: str) -> None:
    """One does, the others find them there."""
    logs = [EventLog.open(database) for _ in range(8)]
    try:
        await asyncio.gather(*(log.start() for log in logs))
        made = await asyncio.gather(*(create_tables(log, FAMILY) for log in logs))
    finally:
        await asyncio.gather(*(log.close() for log in logs))
    assert sorted(made) == [[]] * 7 + [["parents", "children"]]


async def test_a_closed_log_makes_nothing(database: str) -> None:
    """And says that it is closed."""
    with pytest.raises(LogClosed):
        await create_tables(EventLog.open(database), FAMILY)


@pytest.mark.parametrize("backend", ["postgresql"])
async def test_an_engine_s_role_makes_no_tables_and_needs_none_that_are_there(
    database: str, postgresql: Server
) -> None:
    """The role for migrations makes them and grants their use, as the docstring says."""
    owner = await asyncpg.connect(database)
    await owner.execute("CREATE ROLE table_engine LOGIN")
    try:
        for statement in engine_grants("table_engine"):
            await owner.execute(statement)
        async with EventLog.open(postgresql.url(urlsplit(database).path.strip("/"), "table_engine")) as log:
            with pytest.raises(TablesUnusable, match="permission denied for schema public"):
                await create_tables(log, placings_group())
            async with EventLog.open(database) as owners:
                assert await create_tables(owners, placings_group()) == [placings.name]
            await owner.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON placings TO table_engine")
            assert await create_tables(log, placings_group()) == []
            position = await place(log)
            await catch_up(log, placings_group())
            assert await assert_rows_are_the_log(log, placings_group()) == position
    finally:
        await owner.execute("DROP OWNED BY table_engine")
        await owner.execute("DROP ROLE table_engine")
        await owner.close()
