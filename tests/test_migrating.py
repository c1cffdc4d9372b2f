"""What migrating guarantees: one at a time, all or nothing, no row lost, nothing of others touched."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext

from byjy_events import migrating
from byjy_events.database import display, parse_url
from byjy_events.errors import NotAByjyDatabase, SchemaMismatch
from byjy_events.schema import SCHEMA_REVISION
from projections.tables import trading_pairs
from tests.rows import counts, insert_a_row_everywhere, writable_engine
from tests.schema import ROOT, ensure, execute, inside, revision, tables

OPEN_AT_ONCE = """
import asyncio, sys
from byjy_events import migrating
from byjy_events.database import create_sqlite_file, is_sqlite, open_engine, parse_url, sqlite_path

async def main():
    url = parse_url(sys.argv[1])
    if is_sqlite(url):
        create_sqlite_file(sqlite_path(url))
    engine = open_engine(url)
    print("ready", flush=True)
    sys.stdin.readline()
    await migrating.ensure_schema(engine)
    await engine.dispose()

asyncio.run(main())
"""


async def test_processes_that_open_a_new_database_at_once_all_succeed(empty_database: str) -> None:
    """One of them migrates; the others wait, and find the work done."""
    processes = [
        await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", OPEN_AT_ONCE, empty_database),
            cwd=ROOT,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        for _ in range(2)
    ]
    for process in processes:
        assert process.stdout is not None
        assert await process.stdout.readline() == b"ready\n"
    results = await asyncio.gather(*(process.communicate(b"\n") for process in processes))
    assert [process.returncode for process in processes] == [0, 0], results
    assert await revision(empty_database) == SCHEMA_REVISION


async def test_tasks_that_open_new_databases_at_once_all_succeed(empty_database: str, tmp_path: Path) -> None:
    """Alembic keeps its state in module globals; migrations of one process take turns."""
    others = [f"sqlite:///{tmp_path / f'{number}.db'}" for number in range(3)]
    await asyncio.gather(ensure(empty_database), ensure(empty_database), *map(ensure, others))
    for url in (empty_database, *others):
        assert await revision(url) == SCHEMA_REVISION


async def test_an_empty_database_gets_the_schema(empty_database: str) -> None:
    """Opening is all the set-up there is; a second opening changes nothing."""
    await ensure(empty_database)
    await ensure(empty_database)
    assert await revision(empty_database) == SCHEMA_REVISION


async def test_a_database_without_tables_but_with_a_version_table_is_empty(database: str) -> None:
    """A downgrade to base leaves the empty table of Alembic behind."""
    await migrating.downgrade(database, "base")
    await ensure(database)
    assert await revision(database) == SCHEMA_REVISION


@pytest.mark.parametrize(("found", "advice"), [("0000", "byjy --database"), ("9999", "upgrade byjy-events")])
async def test_another_revision_is_refused_and_left_as_it_is(database: str, found: str, advice: str) -> None:
    """An older schema is not migrated behind the user's back, a newer one not misread."""
    await execute(database, f"UPDATE alembic_version SET version_num = '{found}'")
    with pytest.raises(SchemaMismatch, match=advice) as caught:
        await ensure(database)
    assert (caught.value.found, caught.value.expected) == (found, SCHEMA_REVISION)
    assert caught.value.database == display(parse_url(database))
    assert await revision(database) == found


@pytest.mark.parametrize("versioned", [False, True])
async def test_somebody_elses_database_is_refused_and_left_as_it_is(empty_database: str, versioned: bool) -> None:
    """Also when the other program has events, and uses Alembic too, with revisions of its own."""
    await execute(empty_database, "CREATE TABLE events (id INTEGER PRIMARY KEY)")
    if versioned:
        await execute(
            empty_database,
            "CREATE TABLE alembic_version (version_num VARCHAR(32) PRIMARY KEY)",
            "INSERT INTO alembic_version VALUES ('a1b2c3d4e5f6')",
        )
    before = await tables(empty_database)
    with pytest.raises(NotAByjyDatabase):
        await ensure(empty_database)
    assert await tables(empty_database) == before


async def test_rebuilding_a_parent_table_keeps_its_children(database: str) -> None:
    """Alembic changes a SQLite table by copying and dropping it; ON DELETE CASCADE must not see that.

    The same operation with foreign keys on deletes every order, trade and position.
    """
    engine = writable_engine(database)
    await insert_a_row_everywhere(engine)
    before = await counts(engine)
    await engine.dispose()

    def rebuild(connection: sa.Connection) -> None:
        operations = Operations(MigrationContext.configure(connection))
        sqlite = connection.dialect.name == "sqlite"
        with operations.batch_alter_table(trading_pairs.name, recreate="always" if sqlite else "never") as batch:
            batch.add_column(sa.Column("lot", sa.Integer))

    await inside(database, rebuild)
    engine = writable_engine(database)
    assert await counts(engine) == before
    await engine.dispose()


async def test_a_migration_that_fails_leaves_everything_as_it_was(database: str) -> None:
    """Creating, dropping and filling tables are one transaction, on SQLite too."""
    before = await tables(database)

    def fail(connection: sa.Connection) -> None:
        connection.exec_driver_sql("DROP TABLE anomalies")
        connection.exec_driver_sql("CREATE TABLE half (id INTEGER)")
        connection.exec_driver_sql("INSERT INTO half VALUES (1)")
        raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        await inside(database, fail)
    assert await tables(database) == before


async def test_a_migration_that_breaks_references_is_rolled_back(database: str, backend: str) -> None:
    """Foreign keys are off while SQLite is migrated, so they are checked before the commit."""
    engine = writable_engine(database)
    await insert_a_row_everywhere(engine)
    before = await counts(engine)
    await engine.dispose()
    expected = migrating.BrokenReferences if backend == "sqlite" else sa.exc.DBAPIError
    breaking = "DELETE FROM trading_pairs" if backend == "sqlite" else "TRUNCATE trading_pairs"
    with pytest.raises(expected):
        await execute(database, breaking)
    engine = writable_engine(database)
    assert await counts(engine) == before
    await engine.dispose()
