"""Rows and checkpoints on SQLite: reads on a connection of their own, every step through the log's write lane."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from itertools import chain
from typing import Any, TypeVar

import msgspec
from sqlalchemy.dialects.sqlite.aiosqlite import dialect as sqlite_dialect

from byjy_events import collector
from byjy_events.backend import NotStorable, NotStored
from byjy_events.chunk import Chunk, chunk_of
from byjy_events.query import Query
from byjy_events.sqlite.backend import SqliteBackend, chunk_select
from byjy_events.sqlite.transaction import REFUSED_DATA
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
from projections.sqlite_upsert import Upsert
from projections.sqlite_values import column_inward, inward
from projections.store import Step, fitting

T = TypeVar("T")

PARAMETERS = 9_000
"""Parameters of one statement; SQLite takes 32,766."""

SLAB_ROWS = (256, 32)
"""Rows that one statement stores, largest first; what is left has a statement for just so many. A slab costs half of
what a statement for each row does; and the driver has to get the interpreter lock back after each statement, for which
a busy event loop lets it wait: a live projector has a few rows for each table, and no time for a dozen statements."""

_DIALECT = sqlite_dialect()


class SqliteStore:
    """See :class:`projections.store.Store`."""

    def __init__(self, backend: SqliteBackend) -> None:
        self._backend = backend
        self._reader = backend.reader()

    async def close(self) -> None:
        await self._reader.close()

    async def checkpoint(self, group: str, version: str) -> Checkpoint:
        found = await self._fetch(READ_GROUP, (group,))
        if not found:
            await self._transact(lambda connection: connection.execute(BEGIN_GROUP, beginning(group, version)))
            found = await self._fetch(READ_GROUP, (group,))
        return Checkpoint(*found[0])

    async def load(self, projection: Projection[Any], keys: Sequence[Key]) -> Mapping[Key, Any]:
        found = [await self._fetch(*select) for select in selects_of(projection, keys)]
        return rows_of(projection, chain.from_iterable(found))

    async def find(self, projection: Projection[Any], ask: Ask) -> Sequence[Any]:
        return found_rows(projection, await self._fetch(*found_by(projection, ask)))

    async def advance(self, step: Step) -> bool:
        # Made here, not in the lane: its thread would have to wait for the interpreter lock with appends behind it.
        with collector.paused():
            statements = [one for changes in step.changes for one in statements_of(changes)]
        return await self._transact(lambda connection: _taken(connection, step, statements))

    async def stop(self, before: Checkpoint, position: int, event_type: str, error: str) -> bool:
        parameters = stopping(before, position, event_type, error)
        return await self._transact(lambda connection: connection.execute(STOP_GROUP, parameters).rowcount == 1)

    async def _fetch(self, statement: str, parameters: Sequence[Any]) -> list[Sequence[Any]]:
        try:
            return await self._reader.fetch(statement, parameters)
        except REFUSED_DATA as error:
            raise NotStorable(str(error)) from error
        except sqlite3.Error as error:
            raise unusable(error) or NotStored(str(error)) from error

    async def _transact(self, function: Callable[[sqlite3.Connection], T]) -> T:
        try:
            # Rows follow from the log: losing the last steps with the power is no loss, so nobody waits for the disk.
            return await self._backend.transact(function, durable=False)
        except NotStored as error:
            raise unusable(error.__cause__) or error from error.__cause__


class SqliteTransaction:
    """The rows and the checkpoints as a transaction sees them that somebody else began and ends. Nothing suspends.

    See :class:`projections.inline.Transaction`.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    async def checkpoint(self, group: str, *, wait: bool) -> Checkpoint | None:
        found = self._connection.execute(READ_GROUP, (group,)).fetchone()
        return None if found is None else Checkpoint(*found)

    async def events(self, query: Query, limit: int) -> Chunk:
        return chunk_of(self._connection.execute(*chunk_select(query, limit)).fetchall())

    async def load(self, projection: Projection[Any], keys: Sequence[Key]) -> Mapping[Key, Any]:
        found = [self._connection.execute(*select).fetchall() for select in selects_of(projection, keys)]
        return rows_of(projection, chain.from_iterable(found))

    async def find(self, projection: Projection[Any], ask: Ask) -> Sequence[Any]:
        return found_rows(projection, self._connection.execute(*found_by(projection, ask)).fetchall())

    async def advance(self, step: Step) -> bool:
        return _taken(self._connection, step, (one for changes in step.changes for one in statements_of(changes)))


def _taken(connection: sqlite3.Connection, step: Step, statements: Iterable[tuple[str, Sequence[Any]]]) -> bool:
    moved = connection.execute(ADVANCE_GROUP, advancing(step.before, step.position, step.passed_over))
    if moved.rowcount != 1:
        return False
    for statement, parameters in statements:
        connection.execute(statement, parameters)
    return True


def unusable(error: BaseException | None) -> TablesUnusable | None:
    """SQLite has one code for everything that is wrong with a statement, and others for all trouble besides."""
    code = getattr(error, "sqlite_errorcode", None)  # the driver's own errors have none
    mistaken = isinstance(error, sqlite3.OperationalError) and code == sqlite3.SQLITE_ERROR
    return TablesUnusable(str(error)) if mistaken else None


def selects_of(projection: Projection[Any], keys: Sequence[Key]) -> Iterator[tuple[str, Sequence[Any]]]:
    """What finds those of these rows that exist: statements and their parameters."""
    shape = shape_of(projection)
    at_once = PARAMETERS // shape.key_width
    for start in range(0, len(keys), at_once):
        some = keys[start : start + at_once]
        with fitting():
            parameters = [value for key in some for value in shape.key_values(key)]
        yield shape.select(len(some)), parameters


def rows_of(projection: Projection[Any], found: Iterable[Sequence[Any]]) -> dict[Key, Any]:
    """The rows by key, of what the database gave."""
    return {projection.key_of(row): row for row in found_rows(projection, found)}


def found_rows(projection: Projection[Any], found: Iterable[Sequence[Any]]) -> list[Any]:
    """The rows in the order in which the database gave them."""
    return list(map(shape_of(projection).row, found))


def found_by(projection: Projection[Any], ask: Ask) -> tuple[str, Sequence[Any]]:
    """What finds the rows asked for: a statement and its parameters."""
    statement, wanted = select_of(ask, projection.table, lambda number: "?")
    with fitting():
        changes = [(inward(projection.table.columns[name].type), value) for name, value in wanted]
        return statement, [value if change is None else change(value) for change, value in changes]


def statements_of(changes: Changes) -> Iterator[tuple[str, Sequence[Any]]]:
    """What stores the changes of one projection: statements and their parameters."""
    shape = shape_of(changes.projection)
    with fitting():
        columns = shape.columns(changes.rows)
        gone = list(map(shape.key_values, changes.gone))
    start, end = 0, len(changes.rows)
    for upsert in shape.upserts:
        while start + upsert.rows <= end:
            yield upsert.filled([column[start : start + upsert.rows] for column in columns])
            start += upsert.rows
    if start < end:
        yield shape.rest(end - start).filled([column[start:] for column in columns])
    for key in gone:
        yield shape.delete, key


class Shape(msgspec.Struct):
    """One projection's table as the driver sees it: statements, and the way of values in and out."""

    upserts: list[Upsert]
    """For ever fewer rows at once."""
    rest: Callable[[int], Upsert]
    """For a number of rows that is smaller than the smallest slab."""
    delete: str
    key_width: int
    select: Callable[[int], str]
    columns: Callable[[Sequence[Any]], list[Sequence[Any]]]
    """The columns of rows, as the driver takes their values."""
    key_values: Callable[[Key], tuple[Any, ...]]
    row: Callable[[Sequence[Any]], Any]


@cache
def shape_of(projection: Projection[Any]) -> Shape:
    """How a projection's rows go into its table and come out of it."""
    table = projection.table
    columns = [column.name for column in table.columns]
    keys = projection.key_columns
    listed, key = ", ".join(columns), ", ".join(keys)
    all_of_table = ", ".join(f"{table.name}.{name}" for name in columns)
    settable = ", ".join(f"{name} = excluded.{name}" for name in columns if name not in keys)
    conflict = f"DO UPDATE SET {settable}" if settable and not projection.append_only else "DO NOTHING"
    into, on_conflict = f"INSERT INTO {table.name} ({listed}) VALUES ", f" ON CONFLICT ({key}) {conflict}"  # noqa: S608
    one_key = f"({', '.join('?' * len(keys))})"
    changes = enumerate(column_inward(column.type) for column in table.columns)
    changed = [(index, change) for index, change in changes if change is not None]
    key_inward = [inward(table.columns[name].type) for name in keys]
    outward = [_outward(column.type) for column in table.columns]
    row_type = projection.row_type

    def by_column(rows: Sequence[Any]) -> list[Sequence[Any]]:
        values: list[Sequence[Any]] = list(zip(*map(msgspec.structs.astuple, rows), strict=True))
        for index, change in changed if values else ():
            values[index] = change(values[index])
        return values

    def key_values(key: Key) -> tuple[Any, ...]:
        parts = key if len(keys) > 1 else (key,)
        return tuple(
            [value if change is None else change(value) for change, value in zip(key_inward, parts, strict=True)]
        )

    def row(values: Sequence[Any]) -> Any:
        changed = (
            value if change is None or value is None else change(value)
            for change, value in zip(outward, values, strict=True)
        )
        return row_type(**dict(zip(columns, changed, strict=True)))

    def select(count: int) -> str:
        # A row value IN (VALUES …) would scan the whole table where the key has several columns.
        wanted = f"WITH wanted ({key}) AS (VALUES {', '.join([one_key] * count)})"
        return f"{wanted} SELECT {all_of_table} FROM wanted CROSS JOIN {table.name} USING ({key})"  # noqa: S608

    def upsert(rows: int) -> Upsert:
        return Upsert(into, on_conflict, rows, len(columns))

    fitting_rows = [rows for rows in SLAB_ROWS if rows * len(columns) <= PARAMETERS] or [1]
    return Shape(
        list(map(upsert, fitting_rows)),
        cache(upsert),
        f"DELETE FROM {table.name} WHERE ({key}) = {one_key}",  # noqa: S608
        len(keys),
        select,
        by_column,
        key_values,
        row,
    )


def _outward(column_type: Any) -> Callable[[Any], Any] | None:
    """From SQLite's value to a row's: SQLAlchemy's own way, so that queries and runner agree."""
    return column_type.dialect_impl(_DIALECT).result_processor(_DIALECT, None)  # type: ignore[no-any-return]
