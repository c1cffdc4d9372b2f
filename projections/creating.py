"""Creating the tables of a group of one's own."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Mapping, Set
from typing import NamedTuple

import asyncpg
import sqlalchemy as sa

from byjy_events.backend import NotStored, Unclear
from byjy_events.errors import LogUnavailable
from byjy_events.log import EventLog
from byjy_events.sqlite.backend import SqliteBackend
from projections.errors import TablesUnusable
from projections.projection import Group

_LOCK_KEY = int.from_bytes(b"byjytabl")
"""Of the advisory lock that PostgreSQL's creators take turns by: IF NOT EXISTS alone fails when two are at it."""


async def create_tables(log: EventLog, group: Group) -> list[str]:
    """Create the tables of a group, with their indexes, where they are missing, and return their names.

    All of it or nothing, and any number of processes may do it at once. A table that exists is looked at and left
    alone, its indexes too: for a change of columns write a migration, or drop the table and let the group be
    rebuilt. The tables of ``TRADING`` come with the schema, so there is nothing to do for them.

    On PostgreSQL, while a table is missing, the role needs CREATE on the schema, as its owner has it; a role with the
    rights of :func:`~byjy_events.grants.engine_grants` has not. So let the role for migrations call this once, and then
    grant SELECT, INSERT, UPDATE and DELETE on the new tables to the engine's role. Where the tables exist, any role may
    call it.

    Raises:
        TablesUnusable: a table exists with other columns or another primary key, or may not be created.
        LogUnavailable: the database failed.
    """
    backend = log.backend
    try:
        if isinstance(backend, SqliteBackend):
            return await backend.transact(lambda connection: _create_on_sqlite(connection, group))
        async with backend.engine.begin() as connection:
            await connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK_KEY)))
            return await connection.run_sync(_create_on_postgresql, group)
    except (NotStored, Unclear, sa.exc.DBAPIError, OSError) as error:
        raise _translated(error) from error


class _Shape(NamedTuple):
    """What has to agree, in whatever order: names of columns, and those of the primary key."""

    columns: Set[str]
    key: Set[str]


def _create_on_sqlite(connection: sqlite3.Connection, group: Group) -> list[str]:
    def found(table: sa.Table) -> _Shape | None:
        rows = connection.execute(f"SELECT name, pk FROM pragma_table_xinfo('{table.name}')").fetchall()  # noqa: S608
        return _Shape({name for name, _ in rows}, {name for name, pk in rows if pk}) if rows else None

    missing = _missing(group, found)
    for statement in _sqlite_statements(missing):
        connection.execute(statement)
    return [table.name for table in missing]


def _sqlite_statements(tables: Iterable[sa.Table]) -> list[str]:
    """What SQLAlchemy would execute; the lane's connection is not one of its own."""
    statements: list[str] = []

    def note(element: sa.schema.ExecutableDDLElement, *_: object, **__: object) -> None:
        statements.append(str(element.compile(dialect=engine.dialect)))

    engine = sa.create_mock_engine("sqlite://", note)
    for table in tables:
        table.create(engine, checkfirst=False)
    return statements


def _create_on_postgresql(connection: sa.Connection, group: Group) -> list[str]:
    inspector = sa.inspect(connection)

    def found(table: sa.Table) -> _Shape | None:
        if not inspector.has_table(table.name):
            return None
        key = inspector.get_pk_constraint(table.name)["constrained_columns"]
        return _Shape({column["name"] for column in inspector.get_columns(table.name)}, set(key))

    missing = _missing(group, found)
    for table in missing:
        table.create(connection, checkfirst=False)
    return [table.name for table in missing]


def _missing(group: Group, found: Callable[[sa.Table], _Shape | None]) -> list[sa.Table]:
    shapes: Mapping[sa.Table, _Shape | None] = {table: found(table) for table in group.tables}
    for table, shape in shapes.items():
        if shape is not None:
            _refuse_other(table, shape)
    return [table for table, shape in shapes.items() if shape is None]


def _refuse_other(table: sa.Table, shape: _Shape) -> None:
    columns = {column.name for column in table.columns}
    key = {column.name for column in table.primary_key.columns}
    wrong = [f"lacks column {name}" for name in sorted(columns - shape.columns)]
    wrong += [f"has a column {name} besides" for name in sorted(shape.columns - columns)]
    if not wrong and key != shape.key:
        wrong = [f"has primary key ({', '.join(sorted(shape.key))}), not ({', '.join(sorted(key))})"]
    if wrong:
        raise TablesUnusable(f"table {table.name} {' and '.join(wrong)}")


def _translated(error: Exception) -> TablesUnusable | LogUnavailable:
    cause = getattr(error, "orig", None) or error.__cause__
    cause = getattr(cause, "__cause__", None) or cause  # SQLAlchemy's adapter wraps asyncpg's own
    mistaken = getattr(cause, "sqlite_errorcode", None) == sqlite3.SQLITE_ERROR
    if mistaken or isinstance(cause, asyncpg.SyntaxOrAccessError):
        return TablesUnusable(str(cause))
    return LogUnavailable(str(cause or error))
