"""Roles of PostgreSQL: each does its job through the real API with its grants alone, and is refused everything else.

The refusals are the server's, statement by statement and table by table, so no trigger or program has to catch them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import NamedTuple

import asyncpg
import pytest
import pytest_asyncio

from byjy_events import EventLog, LogUnavailable
from byjy_events.backup import BackupFailed, Backups, State
from byjy_events.grants import (
    EVERY_TABLE,
    GRANTS,
    HEARTBEATS,
    KEY_STORE,
    SYSTEM_LOGS,
    THE_LOG,
    THE_TREE,
    WRITTEN_BY_PROJECTORS,
    Kind,
)
from projections import (
    TRADING,
    TRAIL,
    Projector,
    Queries,
    TablesUnusable,
    Trail,
    catch_up,
    projections_as_of,
    rebuild,
    verify,
)
from projections.registry import OWN_GROUPS
from tests.cli import byjy
from tests.copies import filled
from tests.postgres import Server
from tests.rows import insert_a_row_everywhere, writable_engine
from tests.story import place, tell_lives

pytestmark = pytest.mark.parametrize("backend", ["postgresql"])

READ, INSERT, UPDATE, DELETE, TRUNCATE = "SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE"
CHANGES = {INSERT, UPDATE, DELETE}
ALLOWED: dict[Kind, dict[str, set[str]]] = {
    Kind.ENGINE: {
        **{key: {READ} for key in THE_LOG},
        **{key: {READ, INSERT} for key in THE_TREE},
        **{key: {READ, *CHANGES} for key in WRITTEN_BY_PROJECTORS},
        SYSTEM_LOGS: {READ, INSERT, DELETE},
        HEARTBEATS: {READ, *CHANGES},
        KEY_STORE: {READ, INSERT, UPDATE},
    },
    Kind.PROJECTOR: {
        **{key: {READ} for key in (*THE_LOG, *THE_TREE)},
        **{key: {READ, *CHANGES} for key in WRITTEN_BY_PROJECTORS},
    },
    Kind.AUDITOR: {key: {READ} for key in (*THE_LOG, *THE_TREE, *WRITTEN_BY_PROJECTORS, SYSTEM_LOGS, HEARTBEATS)},
    Kind.BACKUP: {key: {READ} for key in (*THE_LOG, *THE_TREE, SYSTEM_LOGS, KEY_STORE)},
}
"""All that each may do to tables."""

NOTHING = ", ".join(["'{}'"] * 15)
APPEND = f"SELECT first_position FROM append_events({NOTHING})"


class Roles(NamedTuple):
    """Login roles with their grants, by kind, and the URL for each."""

    urls: dict[Kind, str]
    names: dict[Kind, str]


@pytest_asyncio.fixture
async def roles(database: str, postgresql: Server) -> AsyncIterator[Roles]:
    """One role of each kind, on a database that grants strangers nothing, not even temporary tables."""
    owner = await asyncpg.connect(database)
    name = await owner.fetchval("SELECT current_database()")
    names = {kind: f'The "{kind}\'s" role' for kind in Kind}
    await owner.execute(f"REVOKE ALL ON DATABASE {name} FROM PUBLIC")
    for kind, role in names.items():
        await owner.execute(f"CREATE ROLE {_quoted(role)} LOGIN")
        for _ in range(2):  # doing it again does no harm
            async with owner.transaction():
                for statement in GRANTS[kind](role, database=name):
                    await owner.execute(statement)
    yield Roles({kind: postgresql.url(name, role) for kind, role in names.items()}, names)
    for role in names.values():
        await owner.execute(f"DROP OWNED BY {_quoted(role)}")
        await owner.execute(f"DROP ROLE {_quoted(role)}")
    await owner.close()


def _quoted(role: str) -> str:
    return '"{}"'.format(role.replace('"', '""'))


# --- what they may -----------------------------------------------------------------------------------------


async def test_an_engine_appends_and_projects(roles: Roles) -> None:
    """Also inline, in the transaction of the append; and it rebuilds and verifies what it projected."""
    async with EventLog.open(roles.urls[Kind.ENGINE]) as log:
        async with Projector(log, TRADING, inline=True) as trading, Projector(log, TRAIL) as trail:
            position = await tell_lives(log, 3, 5)
            await trading.wait_for(position, timeout_seconds=20)
            await trail.wait_for(position, timeout_seconds=20)
            assert await trading.queries.orders()
        await rebuild(log, TRADING)
        assert (await verify(log, TRADING)).differences == (await verify(log, TRAIL)).differences == 0


async def test_a_projector_projects_and_appends_nothing(database: str, roles: Roles) -> None:
    """Live, from nothing, and by a rebuild; an append of it is refused by the server."""
    async with EventLog.open(database) as engine, EventLog.open(roles.urls[Kind.PROJECTOR]) as log:
        await tell_lives(engine, 3, 5)
        await catch_up(log, TRAIL)
        async with Projector(log, TRADING) as projector:
            position = await place(engine)
            await projector.wait_for(position, timeout_seconds=20)
        await rebuild(log, TRADING)
        assert (await verify(log, TRADING)).differences == 0
        with pytest.raises(LogUnavailable, match="permission denied for function append_events"):
            await place(log)
        assert await engine.head() == position


async def test_an_auditor_reads_verifies_and_travels_in_time(database: str, roles: Roles) -> None:
    """And what it finds is what the owner finds."""
    async with EventLog.open(database) as engine:
        await tell_lives(engine, 3, 5)
        half = await engine.head() // 2
        await catch_up(engine, TRADING)
        await catch_up(engine, TRAIL)
        async with EventLog.open(roles.urls[Kind.AUDITOR]) as log:
            assert [one async for one in log.read(checked=True)] == [one async for one in engine.read()]
            assert await Queries(log.engine).orders() == await Queries(engine.engine).orders()
            assert len(await Trail(log.engine).page(limit=10_000)) == await engine.head()
            assert (await verify(log, TRADING)).differences == (await verify(log, TRAIL)).differences == 0
            async with projections_as_of(engine, half) as past, projections_as_of(log, half) as theirs:
                assert await theirs.queries.orders() == await past.queries.orders()
            with pytest.raises(LogUnavailable, match="permission denied for function append_events"):
                await place(log)
            with pytest.raises(TablesUnusable, match="permission denied for table projection_checkpoints"):
                await rebuild(log, TRADING)


async def test_an_auditor_verifies_a_group_that_never_ran(database: str, roles: Roles) -> None:
    """Its tables are those of position 0, and nobody has to write that down first."""
    async with EventLog.open(database) as engine, EventLog.open(roles.urls[Kind.AUDITOR]) as log:
        await place(engine)
        found = await verify(log, TRAIL)
        assert (found.position, found.differences) == (0, 0)


async def test_an_auditor_has_the_commands_that_look(database: str, roles: Roles) -> None:
    """Every one of them; those that change are refused in a line."""
    async with EventLog.open(database) as engine:
        await tell_lives(engine, 3, 5)
        for group in OWN_GROUPS:
            await catch_up(engine, group)
        order = (await Queries(engine.engine).orders())[0].id
    auditor = roles.urls[Kind.AUDITOR]
    for command in (
        ["status"],
        ["events"],
        ["history", str(order)],
        ["trail"],
        ["orders"],
        ["positions"],
        ["verify"],
        ["as-of", "5", "orders"],
    ):
        done = byjy(*command, database=auditor)
        assert (done.returncode, done.stderr) == (0, ""), command
    for command in (["rebuild"], ["grants", "--apply", "--role", f"engine={roles.names[Kind.AUDITOR]}"]):
        done = byjy(*command, database=auditor)
        assert done.returncode == 2, command
        assert done.stderr.count("\n") <= len(OWN_GROUPS)
        assert "permission denied" in done.stderr or "only 'postgres', who owns the tables" in done.stderr


async def test_a_role_for_backups_makes_one(database: str, roles: Roles, tmp_path: Path) -> None:
    """Of a log with keys, a tree and system logs; the auditor's, which may not read the keys, makes none."""
    size = (await filled(database, orders=4)).size
    with pytest.raises(BackupFailed, match="permission denied for table key_store"):
        await Backups(tmp_path).create(roles.urls[Kind.AUDITOR])
    for kind in (Kind.BACKUP, Kind.ENGINE):
        made = await Backups(tmp_path).create(roles.urls[kind])
        assert (made.state, made.known().facts.head) == (State.VERIFIED, size)


# --- what they may not -------------------------------------------------------------------------------------


def every_statement(table: str, column: str) -> Iterator[tuple[str, str]]:
    """What can be tried on a table, and the right that it takes; each changes something where it may."""
    yield READ, f"SELECT 1 FROM {table}"
    yield INSERT, f"INSERT INTO {table} SELECT (jsonb_populate_record(NULL::{table}, '{{}}')).* WHERE false"
    yield UPDATE, f"UPDATE {table} SET {column} = {column} WHERE false"
    yield DELETE, f"DELETE FROM {table} WHERE false"
    yield TRUNCATE, f"TRUNCATE {table} CASCADE"


@pytest.mark.parametrize("kind", list(Kind))
async def test_each_may_do_to_every_table_what_it_needs_and_no_more(database: str, roles: Roles, kind: Kind) -> None:
    """Table by table, right by right: the same answer as the table above; and the statement itself, tried."""
    owner = await asyncpg.connect(database)
    found = await owner.fetch("SELECT table_name, min(column_name) FROM information_schema.columns GROUP BY 1")
    columns: dict[str, str] = {row[0]: row[1] for row in found}
    connection = await asyncpg.connect(roles.urls[kind])
    for table in EVERY_TABLE:
        allowed = ALLOWED[kind].get(table, set())
        for right, statement in every_statement(table, columns[table]):
            refused = None
            try:
                await connection.execute(statement)
            except asyncpg.InsufficientPrivilegeError as error:
                refused = str(error)
            if right in allowed:
                assert refused is None, (table, right)
            else:
                assert refused == f"permission denied for table {table}", (table, right)
    await connection.close()
    await owner.close()


ROUNDABOUT = [
    "ALTER TABLE events DISABLE TRIGGER ALL",
    "DROP TABLE trail",
    "ALTER TABLE orders ADD COLUMN mine int",
    "CREATE TABLE mine (id int)",
    "CREATE INDEX mine ON events (actor)",
    "CREATE OR REPLACE FUNCTION append_events() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "DROP FUNCTION events_refuse_change CASCADE",
    "SET session_replication_role = replica",
    "CREATE ROLE mine SUPERUSER",
    "SET ROLE postgres",
]


@pytest.mark.parametrize("kind", list(Kind))
async def test_nobody_gets_round_it(roles: Roles, kind: Kind) -> None:
    """Neither by the schema, nor by settings, nor by other roles."""
    connection = await asyncpg.connect(roles.urls[kind])
    for statement in ROUNDABOUT:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(statement)
    await connection.close()


@pytest.mark.parametrize("kind", list(Kind))
async def test_nobody_hands_rights_on(roles: Roles, kind: Kind) -> None:
    """PostgreSQL only warns of such a GRANT; what counts is that it gave nothing."""
    connection = await asyncpg.connect(roles.urls[kind])
    before = await connection.fetch("SELECT relname, relacl FROM pg_class ORDER BY 1")
    await connection.execute("GRANT ALL ON events TO PUBLIC")
    assert await connection.fetch("SELECT relname, relacl FROM pg_class ORDER BY 1") == before
    await connection.close()


@pytest.mark.parametrize("kind", list(Kind))
async def test_only_an_engine_may_call_the_function(roles: Roles, kind: Kind) -> None:
    """The one way into the log."""
    connection = await asyncpg.connect(roles.urls[kind])
    if kind is Kind.ENGINE:
        assert await connection.fetchval(APPEND) == 1
    else:
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="permission denied for function append_events"):
            await connection.fetchval(APPEND)
    await connection.close()


async def test_a_role_that_becomes_less_loses_what_it_had(database: str, roles: Roles) -> None:
    """An engine that is made an auditor can write nothing any more."""
    role = roles.names[Kind.ENGINE]
    done = byjy("grants", "--apply", "--role", f"auditor={role}", database=database)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{role}: may read, verify and travel in time now, and change nothing\n"
    connection = await asyncpg.connect(roles.urls[Kind.ENGINE])
    for statement in (APPEND, "DELETE FROM orders", "SELECT 1 FROM key_store", "DELETE FROM system_logs"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(statement)
    assert await connection.fetchval("SELECT count(*) FROM events") == 0
    await connection.close()


async def test_the_key_store_and_the_logs_are_written_by_engines(database: str, roles: Roles) -> None:
    """Logs are pruned, keys are wrapped anew; the auditor sees the logs and no key."""
    owner = writable_engine(database)
    await insert_a_row_everywhere(owner)
    await owner.dispose()
    auditor = await asyncpg.connect(roles.urls[Kind.AUDITOR])
    assert await auditor.fetchval("SELECT count(*) FROM system_logs") == 1
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="permission denied for table key_store"):
        await auditor.fetchval("SELECT count(*) FROM key_store")
    await auditor.close()
    engine = await asyncpg.connect(roles.urls[Kind.ENGINE])
    assert await engine.execute("DELETE FROM system_logs") == "DELETE 1"
    assert await engine.execute("UPDATE key_store SET id = id") == "UPDATE 1"
    await engine.close()
