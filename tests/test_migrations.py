"""The migrations make exactly the schema that the program works with, on both databases."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.script import ScriptDirectory

from byjy_events import migrating, revisions
from byjy_events.columns import NAMING
from byjy_events.schema import SCHEMA_REVISION, events
from projections.tables import metadata
from tests.rows import counts, every_table, insert_a_row_everywhere, writable_engine
from tests.schema import ROOT, execute, inside, revision, tables


async def alembic(*arguments: str, **environment: str) -> str:
    """Run Alembic's own command from the root of the repository, as a developer would."""
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "alembic", *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_program_and_the_migrations_agree_on_the_newest_revision() -> None:
    """SCHEMA_REVISION is the head of the one lineage, so ``EventLog.open`` accepts what ``migrate`` makes."""
    script = ScriptDirectory.from_config(revisions.alembic_config())
    assert script.get_heads() == [SCHEMA_REVISION]


def test_every_constraint_and_index_of_the_schema_has_a_name() -> None:
    """What has no name cannot be dropped or altered by a later migration."""
    for table in every_table():
        assert table.metadata.naming_convention == NAMING
        assert all(constraint.name for constraint in table.constraints)
        assert all(index.name for index in table.indexes)


async def test_every_constraint_in_a_migrated_database_has_a_name(database: str) -> None:
    """The migrations name what they create; nothing is left to the database."""

    def names(connection: sa.Connection) -> list[str | None]:
        inspector = sa.inspect(connection)
        found: list[str | None] = []
        for table in inspector.get_table_names():
            found.append(inspector.get_pk_constraint(table)["name"])
            found.extend(check["name"] for check in inspector.get_check_constraints(table))
            found.extend(unique["name"] for unique in inspector.get_unique_constraints(table))
            found.extend(reference["name"] for reference in inspector.get_foreign_keys(table))
        return found

    found = await inside(database, names)
    assert len(found) > 30
    assert [name for name in found if not re.match(r"(pk|uq|ck|fk)_|alembic_version_pkc$", name or "")] == []


async def test_autogenerate_finds_nothing_to_do(database: str) -> None:
    """An upgraded database equals the metadata in every table, column, type, default, index and foreign key."""
    checked = await alembic("-x", f"url={database}", "check")
    assert "No new upgrade operations detected" in checked


async def test_autogenerate_would_find_a_difference(database: str) -> None:
    """The check above is not blind: a column, an index or a type that differs is reported."""
    await execute(
        database,
        "DROP INDEX ix_orders_status",
        "ALTER TABLE trades ADD COLUMN surprise INTEGER",
    )
    with pytest.raises(AssertionError, match=r"add_index.*ix_orders_status") as caught:
        await alembic("-x", f"url={database}", "check")
    assert "surprise" in str(caught.value)


async def test_the_migrations_create_what_the_metadata_would(database: str, empty_database: str) -> None:
    """Also what autogenerate does not look at: CHECKs, STRICT, WITHOUT ROWID, the columns of every constraint."""
    engine = writable_engine(empty_database)
    async with engine.begin() as connection:
        await connection.run_sync(events.metadata.create_all)
        await connection.run_sync(metadata.create_all)
    await engine.dispose()
    migrated = await inside(database, definitions)
    assert migrated == await inside(empty_database, definitions)
    assert set(migrated) >= {table.name for table in every_table()}


def definitions(connection: sa.Connection) -> dict[str, Any]:
    """Every table as the database itself would print it, the order of its constraints left aside."""
    found: dict[str, Any] = {}
    if connection.dialect.name == "sqlite":
        schema = "SELECT name, sql FROM sqlite_master WHERE type IN ('table', 'index') AND sql IS NOT NULL"
        for name, text in connection.exec_driver_sql(schema):
            plain = " ".join(text.replace('"', "").split())  # a table that was renamed has its name in quotes
            found[name] = pieces(plain) if plain.startswith("CREATE TABLE") else plain
    else:
        columns = """
            SELECT table_name, column_name, data_type, character_maximum_length, numeric_precision, numeric_scale,
                   is_nullable, column_default
            FROM information_schema.columns WHERE table_schema = 'public'"""
        constraints = """
            SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid)
            FROM pg_constraint WHERE connamespace = 'public'::regnamespace"""
        indexes = "SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'"
        for statement in (columns, constraints, indexes):
            for table, *facts in connection.exec_driver_sql(statement):
                found.setdefault(table, []).append(tuple(facts))
        found = {table: sorted(facts, key=str) for table, facts in found.items()}
    found.pop("alembic_version", None)
    return found


def pieces(definition: str) -> list[str]:
    """What SQLite tells of a table, and its columns and constraints; a column that was added later comes last."""
    head, _, rest = definition.partition("(")
    body, _, tail = rest.rpartition(")")
    found, depth = [""], 0
    for character in body:
        depth += (character == "(") - (character == ")")
        if character == "," and not depth:
            found.append("")
        else:
            found[-1] += character
    return [head, *sorted(one.strip() for one in found), tail]


async def test_triggers_and_functions_are_there(database: str, backend: str) -> None:
    """What no metadata describes is made by the migrations all the same."""

    def names(connection: sa.Connection) -> set[tuple[str, ...]]:
        if backend == "sqlite":
            rows = connection.exec_driver_sql("SELECT type, name FROM sqlite_master WHERE type = 'trigger'")
        else:
            # tgenabled: A stands for ALWAYS.
            rows = connection.exec_driver_sql("""
                SELECT 'trigger ' || tgenabled::text, tgname::text FROM pg_trigger WHERE NOT tgisinternal
                UNION ALL SELECT 'function', proname::text FROM pg_proc WHERE pronamespace = 'public'::regnamespace""")
        return {tuple(row) for row in rows}

    expected = {
        "sqlite": {
            ("trigger", f"{table}_{what}")
            for table in ("events", "merkle_nodes", "tree_checkpoints")
            for what in ("no_update", "no_delete", "append_only")
        },
        "postgresql": {
            ("trigger A", f"{table}_no_{what}")
            for table in ("events", "merkle_nodes", "tree_checkpoints")
            for what in ("update", "delete", "truncate")
        }
        | {("function", "append_events"), ("function", "events_refuse_change"), ("function", "refuse_change")},
    }
    assert await inside(database, names) == expected[backend]


async def test_up_down_up_with_rows_in_every_table(database: str) -> None:
    """Going back is possible from a database that is in use, and leaves nothing in the way of going forward."""
    engine = writable_engine(database)
    await insert_a_row_everywhere(engine)
    assert set((await counts(engine)).values()) == {1}
    await engine.dispose()

    await migrating.downgrade(database, "base")
    assert await tables(database) == {"alembic_version"}
    assert await revision(database) is None

    await migrating.upgrade(database)
    assert await revision(database) == SCHEMA_REVISION
    engine = writable_engine(database)
    assert set((await counts(engine)).values()) == {0}
    await insert_a_row_everywhere(engine)
    await engine.dispose()


async def test_a_step_back_and_forth_keeps_the_rows_of_tables_that_are_in_both(database: str) -> None:
    """Tables that are made anew take nothing along that refers to them, and lose nothing of their own."""
    engine = writable_engine(database)
    await insert_a_row_everywhere(engine)
    await engine.dispose()
    await migrating.downgrade(database, "0001")
    assert await inside(database, referring) == [1, 1, 1, 1]
    kept = await tables(database)
    await migrating.upgrade(database)
    engine = writable_engine(database)
    found = await counts(engine)
    await engine.dispose()
    assert {table for table, number in found.items() if number == 1} == kept - {"alembic_version"}
    assert await inside(database, referring) == [1, 1, 1, 1]


def referring(connection: sa.Connection) -> list[Any]:
    """Rows that lead to their parents still."""
    return [
        connection.exec_driver_sql(
            f"SELECT count(*) FROM {child} JOIN {parent} ON {child}.{column} = {parent}.id"
        ).scalar()
        for child, column, parent in (
            ("orders", "trading_pair_id", "trading_pairs"),
            ("trades", "order_id", "orders"),
            ("order_aliases", "order_id", "orders"),
            ("order_fees", "order_id", "orders"),
        )
    ]


async def test_alembic_itself_upgrades_and_downgrades(empty_database: str) -> None:
    """``alembic upgrade head`` and ``alembic downgrade -1`` work from the root of the repository."""
    await alembic("-x", f"url={empty_database}", "upgrade", "head")
    assert await revision(empty_database) == SCHEMA_REVISION
    await alembic("downgrade", "-1", BYJY_DATABASE_URL=empty_database)
    assert await revision(empty_database) not in (SCHEMA_REVISION, None)
    await alembic("downgrade", "base", BYJY_DATABASE_URL=empty_database)
    assert await tables(empty_database) == {"alembic_version"}


@pytest.mark.parametrize("url", ["sqlite:///nowhere.db", "postgresql://nowhere/none"])
async def test_alembic_writes_the_sql_without_a_database(url: str) -> None:
    """``--sql`` prints the whole upgrade, for those who hand it to somebody else."""
    written = await alembic("-x", f"url={url}", "upgrade", "head", "--sql")
    assert "CREATE TABLE events" in written
    assert ("CREATE FUNCTION public.append_events" in written) == url.startswith("postgresql")
    assert not (ROOT / "nowhere.db").exists()


async def test_upgrading_twice_does_nothing_the_second_time(database: str) -> None:
    """An upgrade of a current database touches no row."""
    engine = writable_engine(database)
    await insert_a_row_everywhere(engine)
    await engine.dispose()
    await migrating.upgrade(database)
    engine = writable_engine(database)
    assert set((await counts(engine)).values()) == {1}
    await engine.dispose()
