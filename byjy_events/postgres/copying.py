"""Writing a copy on PostgreSQL: with COPY, under the lock of the appends.

``append_events`` keeps nothing beside the table: it looks up head and stream versions under its lock. So rows that were
put there under the same lock are followed by the next append as if it had stored them.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any

import sqlalchemy as sa
from asyncpg.pgproto.pgproto import UUID as DriverUuid

from byjy_events.chunk import Chunk
from byjy_events.copying.destination import HeadMoved, Row
from byjy_events.postgres.backend import PostgresBackend, translated
from byjy_events.query import COLUMNS

APPEND_LOCK_KEY = int.from_bytes(b"byjy-log")
"""Of the advisory lock that ``append_events`` takes; a test holds it against the function."""

_LOCK = f"SELECT pg_advisory_xact_lock({APPEND_LOCK_KEY})"
_HEAD = "SELECT coalesce(max(position), 0) FROM events"
_MAY_WRITE = """
    SELECT current_user, has_table_privilege($1, 'INSERT') AND ($1 <> 'key_store' OR has_table_privilege($1, 'UPDATE'))
"""
_CHANGE_KEY = """
    UPDATE key_store SET key_encryption_key_id = $2, wrapped_key = $3, erased_at = $4
    WHERE id = $1 AND erased_at IS NULL"""

_UUIDS = frozenset(
    place
    for place, name in enumerate(COLUMNS.split(", "))
    if name in ("event_id", "stream_id", "correlation_id", "causation_id")
)


class PostgresDestination:
    """See :class:`byjy_events.copying.destination.Destination`."""

    def __init__(self, backend: PostgresBackend) -> None:
        self._backend = backend

    async def refused(self, tables: Sequence[str]) -> tuple[str, str] | None:
        with translated():
            async with self._backend.connection() as connection:
                for table in tables:
                    role, may_write = await connection.fetchrow(_MAY_WRITE, table)
                    if not may_write:
                        return role, table
        return None

    async def add_events(self, after: int, chunk: Chunk) -> None:
        columns = [
            [value and DriverUuid(value) for value in column] if place in _UUIDS else column
            for place, column in enumerate(chunk)
        ]
        async with self._transaction() as connection:
            await connection.execute(_LOCK)
            head = await connection.fetchval(_HEAD)
            if head != after:
                raise HeadMoved(head)
            await connection.copy_records_to_table(
                "events", records=zip(*columns, strict=True), columns=COLUMNS.split(", ")
            )

    async def add(self, table: sa.Table, rows: Sequence[Row]) -> None:
        async with self._transaction() as connection:
            await connection.copy_records_to_table(table.name, records=rows, columns=table.columns.keys())

    async def change_keys(self, rows: Sequence[Row]) -> None:
        values = [(one, key_id, wrapped, erased_at) for one, *_, key_id, wrapped, _, erased_at in rows]
        async with self._transaction() as connection:
            await connection.executemany(_CHANGE_KEY, values)

    async def settle(self) -> None:
        async with self._transaction() as connection:
            await connection.execute("ANALYZE events")

    @contextlib.asynccontextmanager
    async def _transaction(self) -> AsyncIterator[Any]:
        with translated():
            async with self._backend.connection() as connection:
                # Whatever the server's default: the head has to be read after the lock was granted.
                transaction = connection.transaction(isolation="read_committed")
                await transaction.start()
                try:
                    yield connection
                except BaseException:
                    if not connection.is_closed():  # else that would be told, in place of why it was closed
                        await transaction.rollback()
                    raise
                await transaction.commit()
