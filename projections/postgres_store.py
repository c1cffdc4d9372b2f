"""Rows and checkpoints on PostgreSQL: whole columns as arrays, one statement for each table and step."""

from __future__ import annotations

import contextlib
import re
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from functools import cache
from itertools import count
from typing import Any

import asyncpg
import msgspec
from sqlalchemy.dialects import postgresql

from byjy_events.backend import NotStored
from byjy_events.chunk import Chunk
from byjy_events.columns import Money
from byjy_events.numbers import canonical
from byjy_events.postgres.backend import KeptConnection, PostgresBackend, fetched, translated
from byjy_events.query import Query
from projections.checkpoints import (
    ADVANCE_GROUP,
    BEGIN_GROUP,
    READ_GROUP,
    STOP_GROUP,
    Checkpoint,
    advancing,
    beginning,
    stopping,
)
from projections.errors import TablesUnusable
from projections.folding import Changes
from projections.projection import Key, Projection
from projections.revision import Ask, select_of
from projections.store import Step, fitting

_DIALECT = postgresql.dialect()  # type: ignore[no-untyped-call]


class PostgresStore:
    """See :class:`projections.store.Store`."""

    def __init__(self, backend: PostgresBackend) -> None:
        self._reading = backend.kept_connection()
        # Rows follow from the log: losing the last steps with the power is no loss, so nobody waits for the disk.
        self._stepping = backend.kept_connection("SET synchronous_commit = off")

    async def close(self) -> None:
        self._reading.discard()
        self._stepping.discard()

    async def checkpoint(self, group: str, version: str) -> Checkpoint:
        async with _connected(self._stepping) as connection:
            found = await connection.fetchrow(_numbered(READ_GROUP), group)
            if found is None:
                await connection.execute(_numbered(BEGIN_GROUP), *beginning(group, version))
                found = await connection.fetchrow(_numbered(READ_GROUP), group)
        return Checkpoint(*found)

    async def load(self, projection: Projection[Any], keys: Sequence[Key]) -> Mapping[Key, Any]:
        async with _connected(self._reading) as connection:
            return await loaded(connection, projection, keys)

    async def find(self, projection: Projection[Any], ask: Ask) -> Sequence[Any]:
        async with _connected(self._reading) as connection:
            return await found(connection, projection, ask)

    async def advance(self, step: Step) -> bool:
        async with _connected(self._stepping) as connection, connection.transaction():
            return await _taken(connection, step)

    async def stop(self, before: Checkpoint, position: int, event_type: str, error: str) -> bool:
        async with _connected(self._stepping) as connection:
            stopped = await connection.execute(_numbered(STOP_GROUP), *stopping(before, position, event_type, error))
        return bool(stopped == "UPDATE 1")


class PostgresTransaction:
    """The rows and the checkpoints as a transaction sees them that somebody else began and ends.

    See :class:`projections.inline.Transaction`.
    """

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def checkpoint(self, group: str, *, wait: bool) -> Checkpoint | None:
        # Locked before the rows are read: whoever is in the midst of a step is waited for, nobody begins another.
        locked = "FOR UPDATE" if wait else "FOR UPDATE SKIP LOCKED"
        found = await self._connection.fetchrow(f"{_numbered(READ_GROUP)} {locked}", group)
        return None if found is None else Checkpoint(*found)

    async def events(self, query: Query, limit: int) -> Chunk:
        return await fetched(self._connection, query, limit)

    async def load(self, projection: Projection[Any], keys: Sequence[Key]) -> Mapping[Key, Any]:
        return await loaded(self._connection, projection, keys)

    async def find(self, projection: Projection[Any], ask: Ask) -> Sequence[Any]:
        return await found(self._connection, projection, ask)

    async def advance(self, step: Step) -> bool:
        return await _taken(self._connection, step)


async def loaded(connection: Any, projection: Projection[Any], keys: Sequence[Key]) -> dict[Key, Any]:
    """Those of these rows that exist."""
    shape = shape_of(projection)
    with fitting():
        wanted = shape.key_columns(keys)
    rows = map(shape.row, await connection.fetch(shape.select, *wanted))
    return {projection.key_of(row): row for row in rows}


async def found(connection: Any, projection: Projection[Any], ask: Ask) -> list[Any]:
    """The rows asked for."""
    statement, wanted = select_of(ask, projection.table, lambda number: f"${number}")
    return list(map(shape_of(projection).row, await connection.fetch(statement, *(value for _, value in wanted))))


async def _taken(connection: Any, step: Step) -> bool:
    moved = await connection.execute(_numbered(ADVANCE_GROUP), *advancing(step.before, step.position, step.passed_over))
    if moved != "UPDATE 1":
        return False
    for changes in step.changes:
        await write_changes(connection, changes)
    return True


@contextlib.asynccontextmanager
async def _connected(kept: KeptConnection) -> AsyncIterator[Any]:
    """The connection; one that failed, or was left in the middle of something, is not used again."""
    with usable():
        try:
            yield await kept.connected()
        except BaseException:
            kept.discard()
            raise


@contextlib.contextmanager
def usable() -> Iterator[None]:
    """What the driver raises inside, as what it means for the tables of the read side.

    Raises:
        TablesUnusable, NotStorable, NotStored, Unclear: see there.
    """
    try:
        with translated():
            yield
    except NotStored as error:
        if isinstance(error.__cause__, asyncpg.SyntaxOrAccessError):
            raise TablesUnusable(str(error)) from error.__cause__
        raise


async def write_changes(connection: Any, changes: Changes) -> None:
    """Store what became of the rows of one projection."""
    shape = shape_of(changes.projection)
    if changes.rows:
        await connection.execute(shape.upsert, *zip(*map(msgspec.structs.astuple, changes.rows), strict=True))
    if changes.gone:
        await connection.execute(shape.delete, *shape.key_columns(changes.gone))


class Shape(msgspec.Struct):
    """One projection's table as the driver sees it: statements, and the way of values in and out."""

    upsert: str
    delete: str
    select: str
    key_columns: Callable[[Sequence[Key]], list[Sequence[Any]]]
    row: Callable[[Sequence[Any]], Any]


@cache
def shape_of(projection: Projection[Any]) -> Shape:
    """How a projection's rows go into its table and come out of it."""
    table = projection.table
    columns = [column.name for column in table.columns]
    keys = projection.key_columns
    listed, key = ", ".join(columns), ", ".join(keys)
    settable = ", ".join(f"{name} = excluded.{name}" for name in columns if name not in keys)
    conflict = f"DO UPDATE SET {settable}" if settable and not projection.append_only else "DO NOTHING"
    all_arrays = _arrays([column.type for column in table.columns])
    key_arrays = _arrays([table.columns[name].type for name in keys])
    outward = [_outward(column.type) for column in table.columns]
    row_type = projection.row_type

    def key_columns(wanted: Sequence[Key]) -> list[Sequence[Any]]:
        return list(zip(*wanted, strict=True)) if len(keys) > 1 else [wanted]

    def row(values: Sequence[Any]) -> Any:
        changed = (
            value if change is None or value is None else change(value)
            for change, value in zip(outward, values, strict=True)
        )
        return row_type(**dict(zip(columns, changed, strict=True)))

    return Shape(
        f"INSERT INTO {table.name} ({listed}) SELECT * FROM unnest({all_arrays}) ON CONFLICT ({key}) {conflict}",  # noqa: S608
        f"DELETE FROM {table.name} WHERE ({key}) IN (SELECT * FROM unnest({key_arrays}))",  # noqa: S608
        f"SELECT {listed} FROM {table.name} WHERE ({key}) IN (SELECT * FROM unnest({key_arrays}))",  # noqa: S608
        key_columns,
        row,
    )


def _arrays(types: Sequence[Any]) -> str:
    return ", ".join(f"${number}::{_name(kind)}[]" for number, kind in enumerate(types, 1))


def _name(column_type: Any) -> str:
    """The type to hand values over in. Text without its length: a cast would cut what is too long, silently."""
    name: str = column_type.compile(_DIALECT)
    return "TEXT" if name.startswith("VARCHAR") else name


def _outward(column_type: Any) -> Callable[[Any], Any] | None:
    """From PostgreSQL's value to a row's."""
    if isinstance(column_type, Money):
        return canonical
    values = getattr(column_type, "values", None)
    return values if isinstance(values, type) else None


@cache
def _numbered(statement: str) -> str:
    """With PostgreSQL's placeholders."""
    number = count(1)
    return re.sub(r"\?", lambda _: f"${next(number)}", statement)
