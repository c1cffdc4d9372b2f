"""Writing ``system_logs`` on SQLite: through the lane, behind all appends."""

from __future__ import annotations

import sqlite3

from byjy_events.log_entry import Batch
from byjy_events.sqlite.backend import SqliteBackend

_NEWEST = "SELECT id FROM system_logs ORDER BY id DESC LIMIT 1"
_IS_STORED = "SELECT 1 FROM system_logs WHERE id = ?"
_INSERT = (
    "INSERT INTO system_logs (id, level, logger, event, context, correlation_id, event_position, created_at)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
)
_PRUNE_AGED = (
    "DELETE FROM system_logs WHERE id IN"
    " (SELECT id FROM system_logs WHERE created_at < ? ORDER BY created_at, id LIMIT ?)"
)
_PRUNE_SURPLUS = "DELETE FROM system_logs WHERE id IN (SELECT id FROM system_logs WHERE id <= ? ORDER BY id LIMIT ?)"


class SqliteLogStore:
    """See :class:`byjy_events.log_store.LogStore`."""

    def __init__(self, backend: SqliteBackend) -> None:
        self._backend = backend

    async def write(self, batch: Batch) -> None:
        await self._backend.transact(lambda connection: _write(connection, batch), durable=False)

    async def prune(self, before: int | None, upto: bytes | None, limit: int) -> int:
        return await self._backend.transact(lambda connection: _prune(connection, before, upto, limit), durable=False)

    async def close(self) -> None:
        """The lane is the log's."""


def _write(connection: sqlite3.Connection, batch: Batch) -> None:
    if batch.first_id is not None and connection.execute(_IS_STORED, (batch.first_id,)).fetchone():
        return
    newest = connection.execute(_NEWEST).fetchone()
    ids = batch.numbered(newest[0] if newest else None)
    connection.executemany(_INSERT, [(one, *entry) for one, entry in zip(ids, batch.entries, strict=True)])


def _prune(connection: sqlite3.Connection, before: int | None, upto: bytes | None, limit: int) -> int:
    pruned = 0
    if before is not None:
        pruned += connection.execute(_PRUNE_AGED, (before, limit)).rowcount
    if upto is not None and pruned < limit:
        pruned += connection.execute(_PRUNE_SURPLUS, (upto, limit - pruned)).rowcount
    return pruned
