"""Writing ``system_logs`` on PostgreSQL: on a connection of its own, so that neither appends nor readers wait for it.

Batches take turns at an advisory lock, of all processes together: ids rise in the order of commits only if they are
given under it. It is not the lock of the appends.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from asyncpg.pgproto.pgproto import UUID as DriverUuid

from byjy_events.log_entry import Batch
from byjy_events.postgres.backend import Connection, PostgresBackend, translated

SECONDS = 10.0
"""How long one transaction may take, its turn at the lock included."""

_LOCK_KEY = int.from_bytes(b"byjylogs")
_LOCK = f"SELECT pg_advisory_xact_lock({_LOCK_KEY})"
_NEWEST = "SELECT id FROM system_logs ORDER BY id DESC LIMIT 1"
_IS_STORED = "SELECT 1 FROM system_logs WHERE id = $1"
_INSERT = (
    "INSERT INTO system_logs (id, level, logger, event, context, correlation_id, event_position, created_at)"
    " SELECT * FROM unnest("
    "$1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::uuid[], $7::bigint[], $8::bigint[])"
)
_PRUNE_AGED = (
    "DELETE FROM system_logs WHERE id IN"
    " (SELECT id FROM system_logs WHERE created_at < $1 ORDER BY created_at, id LIMIT $2)"
)
_PRUNE_SURPLUS = "DELETE FROM system_logs WHERE id IN (SELECT id FROM system_logs WHERE id <= $1 ORDER BY id LIMIT $2)"


class PostgresLogStore:
    """See :class:`byjy_events.log_store.LogStore`."""

    def __init__(self, backend: PostgresBackend) -> None:
        self._kept = backend.kept_connection("SET synchronous_commit = off")

    async def write(self, batch: Batch) -> None:
        async with self._transaction() as connection:
            await connection.execute(_LOCK)
            if batch.first_id is not None and await connection.fetchval(_IS_STORED, DriverUuid(batch.first_id)):
                return
            newest = await connection.fetchval(_NEWEST)
            ids = batch.numbered(None if newest is None else newest.bytes)
            levels, loggers, events, contexts, correlations, positions, instants = zip(*batch.entries, strict=True)
            await connection.execute(
                _INSERT, [DriverUuid(one) for one in ids], levels, loggers, events, contexts,
                [one and DriverUuid(one) for one in correlations], positions, instants,
            )  # fmt: skip

    async def prune(self, before: int | None, upto: bytes | None, limit: int) -> int:
        pruned = 0
        async with self._transaction() as connection:
            if before is not None:
                pruned += _deleted(await connection.execute(_PRUNE_AGED, before, limit))
            if upto is not None and pruned < limit:
                pruned += _deleted(await connection.execute(_PRUNE_SURPLUS, DriverUuid(upto), limit - pruned))
        return pruned

    async def close(self) -> None:
        self._kept.discard()

    @contextlib.asynccontextmanager
    async def _transaction(self) -> AsyncIterator[Connection]:
        try:
            with translated():
                async with asyncio.timeout(SECONDS):
                    connection = await self._kept.connected()
                    await connection.execute("BEGIN")
                    yield connection
                    await connection.execute("COMMIT")
        except BaseException:
            self._kept.discard()  # in whatever state it is: the next transaction begins on another one
            raise


def _deleted(tag: str) -> int:
    """From a command tag such as ``DELETE 17``."""
    return int(tag.rpartition(" ")[2])
