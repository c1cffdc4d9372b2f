"""Writing the key store on PostgreSQL: on connections of the pool, each call a transaction.

Two calls that update several rows take turns: in different orders they would wait for each other's rows for ever.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any
from uuid import UUID

from byjy_events.backend import NotStored, Unclear
from byjy_events.postgres.backend import PostgresBackend, translated
from byjy_events.sealing.errors import KeyStoreUnavailable
from byjy_events.sealing.key_store import Rewrapped, StoredKey
from byjy_events.stream import Stream

_ADD = """
    INSERT INTO key_store
        (id, subject_kind, subject_id, field, key_encryption_key_id, wrapped_key, created_at, erased_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (id) DO NOTHING"""
_REWRAP = """
    UPDATE key_store SET wrapped_key = changed.wrapped, key_encryption_key_id = $4
    FROM unnest($1::uuid[], $2::text[], $3::bytea[]) AS changed (id, before, wrapped)
    WHERE key_store.id = changed.id AND key_encryption_key_id = changed.before AND erased_at IS NULL"""
_ERASE = """
    UPDATE key_store SET wrapped_key = NULL, erased_at = $1
    WHERE subject_id = $2 AND subject_kind = $3 AND erased_at IS NULL AND field = coalesce($4, field)"""
_ERASE_SOME = """
    UPDATE key_store SET wrapped_key = NULL, erased_at = $1
    WHERE id = ANY($4::uuid[]) AND subject_id = $2 AND subject_kind = $3 AND erased_at IS NULL"""

_TURN = f"SELECT pg_advisory_xact_lock({int.from_bytes(b'byjykeys')})"


class PostgresKeyWriter:
    """See :class:`byjy_events.sealing.key_store.KeyWriter`."""

    def __init__(self, backend: PostgresBackend) -> None:
        self._backend = backend

    async def add(self, keys: Sequence[StoredKey]) -> None:
        rows = [_row(key) for key in keys]
        async with self._transaction() as connection:
            await connection.executemany(_ADD, rows)

    async def rewrap(self, keys: Sequence[Rewrapped], key_id: str) -> int:
        columns = list(zip(*keys, strict=True)) or [(), (), ()]
        return await self._update(_REWRAP, *columns, key_id)

    async def erase(self, subject: Stream, field: str | None, erased_at: int) -> int:
        return await self._update(_ERASE, erased_at, subject.id, subject.category, field)

    async def erase_some(self, subject: Stream, ids: Sequence[UUID], erased_at: int) -> int:
        return await self._update(_ERASE_SOME, erased_at, subject.id, subject.category, list(ids))

    async def _update(self, statement: str, *parameters: Any) -> int:
        async with self._transaction() as connection:
            await connection.execute(_TURN)
            said: str = await connection.execute(statement, *parameters)
        return int(said.removeprefix("UPDATE "))

    @contextlib.asynccontextmanager
    async def _transaction(self) -> AsyncIterator[Any]:
        try:
            with translated():
                async with self._backend.connection() as connection, connection.transaction():
                    yield connection
        except (NotStored, Unclear) as error:
            raise KeyStoreUnavailable(str(error)) from None


def _row(key: StoredKey) -> tuple[object, ...]:
    (kind, subject_id), field = key.place
    return key.id, kind, subject_id, field, key.key_id, key.wrapped, key.created_at, key.erased_at
