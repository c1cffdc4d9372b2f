"""Scratch tables: the tables of a group once more, in the temporary schema of one connection.

Both databases look up a table's name in the temporary schema first. So on this connection ``orders`` is the scratch
table, and what writes and queries the live tables works on it unchanged; a live table is named with its schema. The
connection is thrown away in the end, and never goes back to a pool: left-over scratch tables would hide the live ones.

Scratch tables have every CHECK, NOT NULL and key of the live ones, so that a row that the live table would refuse is
refused here; but no foreign keys, which the fold keeps, and no further indexes until somebody asks for them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol, TypeVar

import sqlalchemy as sa
from sqlalchemy.schema import CreateIndex, CreateTable

from projections.folding import Changes
from projections.projection import Group, Key, Projection
from projections.revision import Ask
from projections.stretches import Source

T = TypeVar("T")


class Scratch(Source, Protocol):
    """One connection with a temporary schema, for one task at a time."""

    live_schema: str
    """Where the live tables are."""

    async def run(self, function: Callable[[sa.Connection], T]) -> T:
        """Run a function with the connection: every statement for itself, or in the snapshot that is open.

        Raises:
            NotStorable: the database refused data.
            NotStored, Unclear: it failed; the temporary schema may be gone.
        """
        ...

    def snapshot(self) -> AbstractAsyncContextManager[None]:
        """Inside, every read of a live table sees the same moment. No lock is held.

        What raises inside leaves nothing to do but :meth:`close`.
        """
        ...

    async def write(self, function: Callable[[sa.Connection], T]) -> T:
        """Run a function as one transaction that may change live tables, taking turns with all other writers.

        Raises:
            NotStorable, NotStored: nothing was changed.
            Unclear: it is open whether it was.
        """
        ...

    async def load(self, projection: Projection[Any], keys: Sequence[Key]) -> Mapping[Key, Any]:
        """Those of these rows that the scratch table has."""
        ...

    async def find(self, projection: Projection[Any], ask: Ask) -> Sequence[Any]:
        """The rows of the scratch table that are asked for."""
        ...

    async def store(self, changes: Sequence[Changes]) -> None:
        """Put rows into the scratch tables, all of them or none."""
        ...

    async def require_space(self) -> None:
        """Refuse to begin with what would fill the disk, as far as that can be known.

        Raises:
            TemporarySpaceShort: see there.
        """
        ...

    async def alone(self) -> bool:
        """Take the right to rebuild, which one process has at a time, until it closes or dies. False: another has."""
        ...

    async def close(self) -> None:
        """Throw the connection away, and the scratch tables with it. Safe to call twice."""
        ...


def scratch_schema(dialect: sa.Dialect) -> str:
    """What the database calls the temporary schema."""
    return "temp" if dialect.name == "sqlite" else "pg_temp"


def tables_in(group: Group, schema: str) -> dict[Projection[Any], sa.Table]:
    """The group's tables by their full names, parents first; for statements, not to be created."""
    metadata = sa.MetaData()
    return {one: one.table.to_metadata(metadata, schema=schema) for one in group.projections}


def create(connection: sa.Connection, group: Group) -> None:
    """Make the scratch tables of a group, without further indexes."""
    for table in group.tables:
        connection.execute(
            CreateTable(table, include_foreign_key_constraints=[]), execution_options=_in_scratch(connection)
        )


def create_indexes(connection: sa.Connection, tables: Iterable[sa.Table]) -> None:
    """Give scratch tables the indexes that the live ones have, and let the planner know them. Harmless when they do."""
    for table in tables:
        for index in table.indexes:
            connection.execute(CreateIndex(index, if_not_exists=True), execution_options=_in_scratch(connection))
        connection.exec_driver_sql(f"ANALYZE {scratch_schema(connection.dialect)}.{table.name}")


async def to_its_end(work: Coroutine[Any, Any, T]) -> T:
    """Whoever waits may be cancelled; a statement cut off in the middle would take the connection with it."""
    task = asyncio.ensure_future(work)
    task.add_done_callback(looked_at)
    return await asyncio.shield(task)


async def awaited(work: asyncio.Future[Any]) -> None:
    """Wait for the end of something that must not be left half done, however often whoever waits is cancelled."""
    cancelled: asyncio.CancelledError | None = None
    while not work.done():
        try:
            await asyncio.wait([work])
        except asyncio.CancelledError as error:
            cancelled = error
    looked_at(work)
    if cancelled is not None:
        raise cancelled


def looked_at(task: asyncio.Future[Any]) -> None:
    """A callback: what became of a task is no news when nobody waits for it any more."""
    if not task.cancelled():
        task.exception()


def _in_scratch(connection: sa.Connection) -> dict[str, Any]:
    return {"schema_translate_map": {None: scratch_schema(connection.dialect)}}
