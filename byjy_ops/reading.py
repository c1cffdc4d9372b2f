"""Opening a log that has to be there: a command that only looks creates nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from byjy_events import EventLog
from byjy_events.database import display, is_sqlite, open_engine, parse_url, sqlite_path
from byjy_events.errors import NotAByjyDatabase
from byjy_events.migrating import current_revision, ensure_schema, holds_log
from byjy_events.schema import SCHEMA_REVISION
from byjy_ops.errors import NoLog

Fetch = Callable[[sa.Select[Any]], Awaitable[Sequence[sa.Row[Any]]]]
"""Answers a query, from the tables as they are or as they were. Between two calls no snapshot is held."""


@asynccontextmanager
async def existing_database(database: str) -> AsyncIterator[AsyncEngine]:
    """The database, whatever its schema.

    Raises:
        InvalidDatabaseUrl: the URL names no database.
        NoLog: there is no such file.
    """
    url = parse_url(database)
    refuse_missing(url)
    engine = open_engine(url)
    try:
        yield engine
    finally:
        await engine.dispose()


@asynccontextmanager
async def existing_tables(database: str) -> AsyncIterator[AsyncEngine]:
    """The database with the schema of this program, for queries.

    Raises:
        NoLog: it is empty.
        NotAByjyDatabase: it holds tables of something else.
        SchemaMismatch: its schema is older or newer.
    """
    async with existing_database(database) as engine:
        if await own_revision(engine) is None:
            raise NoLog(display(engine.url), "is empty")
        await ensure_schema(engine)
        yield engine


@asynccontextmanager
async def live_rows(database: str) -> AsyncIterator[Fetch]:
    """Queries of the tables as they are. Raises as :func:`existing_tables`."""
    async with existing_tables(database) as engine, engine.connect() as connection:

        async def fetch(statement: sa.Select[Any]) -> Sequence[sa.Row[Any]]:
            rows: Sequence[sa.Row[Any]] = (await connection.execute(statement)).all()
            await connection.rollback()  # ends the snapshot
            return rows

        yield fetch


@asynccontextmanager
async def existing_log(database: str, *, actor: str = "byjy", read_only: bool = False) -> AsyncIterator[EventLog]:
    """The log of a database that has one. Raises as :func:`existing_tables`."""
    async with existing_tables(database):
        pass
    async with EventLog.open(database, actor=actor, read_only=read_only) as log:
        yield log


def refuse_missing(url: sa.URL) -> None:
    """
    Raises:
        NoLog: the file of a SQLite URL is not there.
    """
    if is_sqlite(url) and not sqlite_path(url).is_file():
        raise NoLog(display(url), "does not exist")


async def own_revision(engine: AsyncEngine) -> str | None:
    """The schema revision of a database that is ours; None: it is empty.

    Raises:
        NotAByjyDatabase: it holds tables of something else.
    """
    found = await current_revision(engine)
    if found is None:
        ours = not await table_names(engine)
    else:
        async with engine.connect() as connection:
            ours = await connection.run_sync(holds_log)
    if not ours:
        raise NotAByjyDatabase(display(engine.url), SCHEMA_REVISION)
    return found


async def table_names(engine: AsyncEngine) -> set[str]:
    """The tables of a database, but for the one that says which schema it has."""
    async with engine.connect() as connection:
        names = await connection.run_sync(lambda sync: sa.inspect(sync).get_table_names())
    return set(names) - {"alembic_version"}
