"""Writing a copy on SQLite: through the write lane, so that no process writes in between."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from uuid import UUID

import sqlalchemy as sa

from byjy_events.chunk import Chunk
from byjy_events.copying.destination import HeadMoved, Row
from byjy_events.query import COLUMNS
from byjy_events.sealing.sqlite_writer import SqliteKeyWriter
from byjy_events.sqlite.backend import SqliteBackend

_HEAD = "SELECT coalesce(max(position), 0) FROM events"
_CHANGE_KEY = """
    UPDATE key_store SET key_encryption_key_id = ?, wrapped_key = ?, erased_at = ?
    WHERE id = ? AND erased_at IS NULL"""


class SqliteDestination:
    """See :class:`byjy_events.copying.destination.Destination`."""

    def __init__(self, backend: SqliteBackend) -> None:
        self._backend = backend

    async def refused(self, tables: Sequence[str]) -> tuple[str, str] | None:
        return None  # SQLite has no roles

    async def add_events(self, after: int, chunk: Chunk) -> None:
        statement = _insert("events", COLUMNS.split(", "))

        def add(connection: sqlite3.Connection) -> object:
            (head,) = connection.execute(_HEAD).fetchone()
            if head != after:
                raise HeadMoved(head)
            return connection.executemany(statement, zip(*chunk, strict=True))

        await self._transact(add)

    async def add(self, table: sa.Table, rows: Sequence[Row]) -> None:
        statement = _insert(table.name, table.columns.keys())
        values = [[value.bytes if isinstance(value, UUID) else value for value in row] for row in rows]
        await self._transact(lambda connection: connection.executemany(statement, values))

    async def change_keys(self, rows: Sequence[Row]) -> None:
        values = [(key_id, wrapped, erased_at, one.bytes) for one, *_, key_id, wrapped, _, erased_at in rows]
        await self._transact(lambda connection: connection.executemany(_CHANGE_KEY, values))
        await SqliteKeyWriter(self._backend).empty_wal()

    async def settle(self) -> None:
        """SQLite plans as well without having looked."""

    async def _transact(self, function: Callable[[sqlite3.Connection], object]) -> None:
        """What was queued is done even if the copy is cancelled: it is waited for, so that the next one finds it."""
        task = asyncio.ensure_future(self._backend.transact(function))
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            await asyncio.wait([task])
            if not task.cancelled():
                task.exception()  # which nobody wants to know any more
            raise


def _insert(table: str, columns: Sequence[str]) -> str:
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"  # noqa: S608
