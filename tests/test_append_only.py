"""Nobody changes what the log holds: triggers stop the owner, and an engine's role has no right to begin with."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator

import asyncpg
import pytest
import sqlalchemy as sa

from byjy_events.database import parse_url
from byjy_events.grants import EVERY_TABLE, GRANTS, WRITTEN_BY_PROJECTORS, engine_grants
from projections.tables import metadata
from tests.postgres import Server
from tests.rows import every_table, insert_a_row_everywhere, writable_engine


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE events SET actor = 'somebody else'",
        "DELETE FROM events",
    ],
)
async def test_an_event_cannot_be_changed_by_the_owner_of_the_table(database: str, statement: str) -> None:
    """The database itself refuses, whoever asks."""
    engine = writable_engine(database)
    await insert_a_row_everywhere(engine)
    with pytest.raises(sa.exc.DBAPIError, match="events is append-only"):
        async with engine.begin() as connection:
            await connection.exec_driver_sql(statement)
    await engine.dispose()


@pytest.mark.parametrize("backend", ["postgresql"])
async def test_events_cannot_be_truncated_nor_changed_by_a_replica(database: str) -> None:
    """Row triggers do not see TRUNCATE, and ordinary triggers do not fire for replication."""
    engine = writable_engine(database)
    await insert_a_row_everywhere(engine)
    for role, statement in (("origin", "TRUNCATE events"), ("replica", "DELETE FROM events")):
        async with engine.connect() as connection:
            await connection.exec_driver_sql(f"SET LOCAL session_replication_role = {role}")
            with pytest.raises(sa.exc.DBAPIError, match="events is append-only"):
                await connection.exec_driver_sql(statement)
    await engine.dispose()


@pytest.mark.parametrize("backend", ["sqlite"])
async def test_a_stored_position_cannot_be_replaced_by_a_connection_with_default_settings(database: str) -> None:
    """INSERT OR REPLACE deletes without firing DELETE triggers unless the connection asks for it."""
    engine = writable_engine(database)
    await insert_a_row_everywhere(engine)
    await engine.dispose()
    connection = sqlite3.connect(str(parse_url(database).database))
    with pytest.raises(sqlite3.IntegrityError, match="events is append-only"):
        connection.execute("INSERT OR REPLACE INTO events SELECT * FROM events")
    with pytest.raises(sqlite3.IntegrityError, match="not the next position"):
        connection.execute(
            "INSERT INTO events SELECT 7, x'00', stream_category, stream_id, 2, type, schema_version, payload, "
            "occurred_at, received_at, recorded_at, actor, correlation_id, causation_id, leaf_hash FROM events"
        )
    connection.close()


def test_the_grants_cover_every_table_of_the_read_side() -> None:
    """A table that a projector writes and its role may not would stop the projector."""
    assert sorted(WRITTEN_BY_PROJECTORS) == sorted(metadata.tables)
    assert {*EVERY_TABLE} == {"alembic_version", *(table.name for table in every_table())}


def test_names_in_grants_are_quoted() -> None:
    """A role or schema named in bad faith is a name, not SQL."""
    for kind, grants in GRANTS.items():
        for statement in grants('a"; DROP TABLE events; --', 'my "schema"', database="d;"):
            assert statement.endswith((' TO "a""; DROP TABLE events; --"', ' FROM "a""; DROP TABLE events; --"')), kind
            assert '"my ""schema"""' in statement or ' ON DATABASE "d;" ' in statement


@pytest.mark.parametrize("name", ["public", "none"])
def test_no_right_is_granted_to_everybody(name: str) -> None:
    """PostgreSQL takes the word for everybody, even in quotes."""
    for grants in GRANTS.values():
        with pytest.raises(ValueError, match="no role of its own"):
            grants(name)


@pytest.fixture
async def engine_role(database: str, postgresql: Server) -> AsyncIterator[asyncpg.Connection]:
    """A connection as a login role that holds an engine's grants, to a log with one event."""
    role = 'The "engine"'
    owner = writable_engine(database)
    await insert_a_row_everywhere(owner)
    async with owner.begin() as granting:
        for statement in ('CREATE ROLE "The ""engine""" LOGIN', *engine_grants(role), *engine_grants(role)):
            await granting.exec_driver_sql(statement)
    connection = await asyncpg.connect(postgresql.url(str(owner.url.database), role))
    yield connection
    await connection.close()
    async with owner.begin() as cleaning:
        await cleaning.exec_driver_sql('DROP OWNED BY "The ""engine"""')
        await cleaning.exec_driver_sql('DROP ROLE "The ""engine"""')
    await owner.dispose()


@pytest.mark.parametrize("backend", ["postgresql"])
@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO events SELECT * FROM events",
        "UPDATE events SET actor = 'somebody else'",
        "DELETE FROM events",
        "TRUNCATE events",
        "ALTER TABLE events DISABLE TRIGGER ALL",
        "UPDATE alembic_version SET version_num = '0000'",
        "TRUNCATE orders CASCADE",
    ],
)
async def test_an_engine_may_not(engine_role: asyncpg.Connection, statement: str) -> None:
    """The role lacks the right, so that no trigger has to catch it."""
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await engine_role.execute(statement)


@pytest.mark.parametrize("backend", ["postgresql"])
async def test_an_engine_may_read_append_and_project(engine_role: asyncpg.Connection) -> None:
    """The grants are enough for all that an engine does."""
    assert await engine_role.fetchval("SELECT count(*) FROM events, alembic_version") == 1
    for table in WRITTEN_BY_PROJECTORS:
        await engine_role.execute(f"INSERT INTO {table} SELECT * FROM {table} ON CONFLICT DO NOTHING")
        await engine_role.execute(f"DELETE FROM {table}")
    await engine_role.execute("CREATE TEMPORARY TABLE replay (LIKE orders)")
    nothing = ", ".join(["'{}'"] * 15)
    assert await engine_role.fetchval(f"SELECT first_position FROM append_events({nothing})") == 2


@pytest.mark.parametrize("backend", ["postgresql"])
async def test_a_role_without_grants_may_do_nothing(database: str, postgresql: Server) -> None:
    """PUBLIC has no right to the log, not even to execute the function."""
    owner = writable_engine(database)
    async with owner.begin() as creating:
        await creating.exec_driver_sql("CREATE ROLE stranger LOGIN")
    connection = await asyncpg.connect(postgresql.url(str(owner.url.database), "stranger"))
    nothing = ", ".join(["'{}'"] * 15)
    for statement in ("SELECT 1 FROM events", f"SELECT append_events({nothing})"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(statement)
    await connection.close()
    async with owner.begin() as cleaning:
        await cleaning.exec_driver_sql("DROP ROLE stranger")
    await owner.dispose()
