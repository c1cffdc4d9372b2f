"""Bringing a database to the schema of this program, with Alembic.

One process migrates at a time, the others wait and find the work done: on SQLite behind the turnstile that
every writer passes, on PostgreSQL behind an advisory lock. Everything that one call does is one transaction:
it happens as a whole or not at all, after a crash too.

On SQLite foreign keys are off meanwhile, from before the transaction, since inside one the switch does nothing.
Changing a table there means to copy and to drop it, and ON DELETE CASCADE would take every child row along.
Before the commit all references are checked instead.

On PostgreSQL a migration waits 10 seconds at most for a lock on a table: whoever asks for one after it would wait
behind it. Projectors lock their checkpoint first and then table after table, like a migration: so that the two do not
wait for each other, it locks the checkpoints first, too.

Alembic keeps the running migration in module globals, so within a process migrations take turns too, each
wholly in one thread.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from byjy_events.database import (
    SQLITE_PRAGMAS,
    create_sqlite_file,
    display,
    is_sqlite,
    open_engine,
    parse_url,
    sqlite_path,
)
from byjy_events.errors import ByjyError, NotAByjyDatabase, SchemaMismatch
from byjy_events.revisions import alembic_config, lineage
from byjy_events.schema import SCHEMA_REVISION, events
from byjy_events.sqlite.turnstile import Turnstile

T = TypeVar("T")
Database = AsyncEngine | sa.URL | str

CHECKPOINT_TABLE = "projection_checkpoints"
_VERSION_TABLE = "alembic_version"
LOCK_SECONDS = 10.0
"""PostgreSQL: as long a migration waits for a lock on a table."""

_OF_EVERY_LOG = {events.c.position.name, events.c.event_id.name, events.c.leaf_hash.name}
_LOCK_KEY = int.from_bytes(b"byjymigr")
_one_at_a_time = threading.Lock()


class BrokenReferences(ByjyError):
    """A migration left rows that refer to nothing. It was rolled back.

    Attributes:
        rows: up to ten of them, each as (table, rowid, referred table).
    """

    def __init__(self, rows: list[tuple[str, int | None, str]]) -> None:
        self.rows = rows
        named = ", ".join(f"{table} row {rowid} to {referred}" for table, rowid, referred in rows)
        super().__init__(f"the migration would break references and was rolled back: {named}")


class MigrationFailed(ByjyError):
    """A revision could not be applied, or taken back. Everything was rolled back: the database is as it was.

    Attributes:
        revision: the one at fault.
        cause: what it ran into.
        rehearsal: whether it happened to a copy, and the database was not touched at all.
        backup: a copy from before, if one was made.
    """

    def __init__(self, revision: str, cause: str, *, rehearsal: bool = False, backup: Path | None = None) -> None:
        self.revision = revision
        self.cause = cause
        self.rehearsal = rehearsal
        self.backup = backup
        what = "the rehearsal on a copy" if rehearsal else "the migration"
        kept = f"; a backup lies in {backup}" if backup else ""
        super().__init__(f"{what} failed at revision {revision}: {cause}; the database is as it was{kept}")


async def current_revision(engine: AsyncEngine) -> str | None:
    """The schema revision of the database; None: it has no schema, or was downgraded to none."""
    async with engine.connect() as connection:
        return await connection.run_sync(revision_of)


async def upgrade(database: Database, revision: str = "head") -> None:
    """Bring the schema forward to a revision. Does nothing where it is there already.

    Cancelling does not stop a migration under way. A pool whose schema changed below it keeps stale statements:
    dispose of engines that were open before.

    Raises:
        MigrationFailed: a revision could not be applied; nothing was changed.
        BrokenReferences: a row refers to nothing; nothing was changed. SQLite only, PostgreSQL raises its own.
    """
    await asyncio.to_thread(_run_alembic, _url_of(database), "upgrade", revision)


async def downgrade(database: Database, revision: str = "-1") -> None:
    """Take the schema back to a revision, or by so many steps. What only newer schemas hold is lost.

    Every group of projections wants a rebuild afterwards: nobody counted which of them lost rows.

    Raises:
        MigrationFailed, BrokenReferences: as in :func:`upgrade`.
    """
    await asyncio.to_thread(_run_alembic, _url_of(database), "downgrade", revision)


async def ensure_schema(engine: AsyncEngine, *, display_url: str | None = None) -> None:
    """Make sure that the database has the schema of this program: an empty database gets it.

    Any number of processes may do so at once. A database that holds anything is left untouched.

    Raises:
        SchemaMismatch: its schema is older or newer.
        NotAByjyDatabase: it holds tables, but none of ours.
    """
    found = await current_revision(engine)
    if found == SCHEMA_REVISION:
        return
    url = display_url or display(engine.url)
    async with engine.connect() as connection:
        tables = await connection.run_sync(lambda sync: set(sa.inspect(sync).get_table_names()))
        ours = await connection.run_sync(holds_log)
    if found is None and not tables - {_VERSION_TABLE}:
        await upgrade(engine)
        await engine.dispose()
    elif found is None or not ours:
        # Another process may have created everything between the two looks.
        if await current_revision(engine) != SCHEMA_REVISION:
            raise NotAByjyDatabase(url, SCHEMA_REVISION)
    else:
        # Revisions are numbered, and so compare as text.
        advice = "upgrade byjy-events" if found > SCHEMA_REVISION else None
        raise SchemaMismatch(url, found, SCHEMA_REVISION, advice)


def exclusively(url: sa.URL, work: Callable[[sa.Connection], T]) -> T:
    """Do something to the schema in one transaction, while no other process changes the schema. Blocks.

    Raises:
        BrokenReferences: as in :func:`upgrade`.
    """
    with _one_at_a_time:
        return _on_sqlite(url, work) if is_sqlite(url) else asyncio.run(_on_postgresql(url, work))


def _run_alembic(url: sa.URL, direction: str, revision: str) -> None:
    exclusively(url, lambda connection: migrate(connection, direction, revision))


def migrate(connection: sa.Connection, direction: str, revision: str, *, counted: bool = False) -> None:
    """Go up or down inside the transaction of :func:`exclusively`.

    Args:
        counted: the caller looks what becomes of the rows, and marks the groups of projections that lost some; else
            every group is marked on the way down, since one that went on would never miss them.

    Raises:
        MigrationFailed: as in :func:`upgrade`; the transaction is of no use any more.
    """
    from alembic import command

    reached = revision_of(connection)

    def applied(*, heads: Collection[str], **_told: Any) -> None:
        nonlocal reached
        reached = next(iter(heads), None)

    config = alembic_config(connection)
    config.attributes["on_version_apply"] = applied
    config.attributes["counted"] = counted
    try:
        keep_projectors_out(connection)
        getattr(command, direction)(config, revision)
    except Exception as error:
        raise MigrationFailed(_at_fault(direction, reached) or revision, cause_of(error)) from error


def keep_projectors_out(connection: sa.Connection) -> None:
    """PostgreSQL: wait for those in the middle of a step; the others wait for the end. Appends and queries go on."""
    if connection.dialect.name == "postgresql" and sa.inspect(connection).has_table(CHECKPOINT_TABLE):
        connection.exec_driver_sql(f"LOCK TABLE {CHECKPOINT_TABLE} IN EXCLUSIVE MODE")


def _at_fault(direction: str, reached: str | None) -> str | None:
    """The revision that was being applied, or taken back."""
    if direction == "downgrade":
        return reached
    return next((one for one in lineage() if reached is None or one > reached), None)


def cause_of(error: Exception) -> str:
    """What a database said, without what may show a row: that comes after the first line."""
    said = str(getattr(error, "orig", None) or error).strip().partition("\n")[0]
    return said or type(error).__name__


def _url_of(database: Database) -> sa.URL:
    return database.url if isinstance(database, AsyncEngine) else parse_url(database)


def revision_of(connection: sa.Connection) -> str | None:
    """As :func:`current_revision`."""
    if not sa.inspect(connection).has_table(_VERSION_TABLE):
        return None
    revision: str | None = connection.scalar(sa.text("SELECT max(version_num) FROM alembic_version"))
    return revision


def holds_log(connection: sa.Connection) -> bool:
    """Whether a log lies there, of whatever revision; other programs have tables of events, and revisions, too."""
    inspector = sa.inspect(connection)
    if not inspector.has_table(events.name):
        return False
    return {column["name"] for column in inspector.get_columns(events.name)} >= _OF_EVERY_LOG


def _on_sqlite(url: sa.URL, work: Callable[[sa.Connection], T]) -> T:
    path = sqlite_path(url)
    create_sqlite_file(path)
    turnstile = Turnstile(path)
    try:
        with turnstile, _sqlite_engine(path).connect() as connection, connection.begin():
            result = work(connection)
            _check_references(connection)
            return result
    finally:
        turnstile.close()


def _sqlite_engine(path: Path) -> sa.Engine:
    engine = sa.create_engine(sa.URL.create("sqlite", database=str(path)), poolclass=sa.NullPool)

    @sa.event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # the driver must not open transactions of its own
        for pragma in (*SQLITE_PRAGMAS, "PRAGMA foreign_keys = OFF"):
            connection.execute(pragma)

    @sa.event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def _check_references(connection: sa.Connection) -> None:
    broken = connection.exec_driver_sql("PRAGMA foreign_key_check").fetchmany(10)
    if broken:
        raise BrokenReferences([(row[0], row[1], row[2]) for row in broken])


async def _on_postgresql(url: sa.URL, work: Callable[[sa.Connection], T]) -> T:
    engine = open_engine(url)
    try:
        async with engine.begin() as connection:
            await connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK_KEY)))
            await connection.execute(sa.text(f"SET LOCAL lock_timeout = '{LOCK_SECONDS * 1000:.0f}ms'"))
            return await connection.run_sync(work)
    finally:
        await engine.dispose()
