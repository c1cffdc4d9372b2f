"""Writing the key store on SQLite: through the write lane, and the disk is waited for."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from typing import TypeVar
from uuid import UUID

import structlog

from byjy_events.backend import NotStored, Unclear
from byjy_events.sealing.errors import KeyStoreUnavailable
from byjy_events.sealing.key_store import Rewrapped, StoredKey
from byjy_events.sqlite.backend import SqliteBackend
from byjy_events.stream import Stream

T = TypeVar("T")

_ADD = """
    INSERT INTO key_store
        (id, subject_kind, subject_id, field, key_encryption_key_id, wrapped_key, created_at, erased_at)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING"""
_REWRAP = """
    UPDATE key_store SET wrapped_key = ?, key_encryption_key_id = ?
    WHERE id = ? AND key_encryption_key_id = ? AND erased_at IS NULL"""
_ERASE = """
    UPDATE key_store SET wrapped_key = NULL, erased_at = ?
    WHERE subject_id = ? AND subject_kind = ? AND erased_at IS NULL AND field = coalesce(?, field)"""
_ERASE_SOME = """
    UPDATE key_store SET wrapped_key = NULL, erased_at = ?
    WHERE id = ? AND subject_id = ? AND subject_kind = ? AND erased_at IS NULL"""

EMPTYING_ATTEMPTS = 50
EMPTYING_PAUSE_SECONDS = 0.02

_log = structlog.get_logger("byjy_events")


class SqliteKeyWriter:
    """See :class:`byjy_events.sealing.key_store.KeyWriter`."""

    def __init__(self, backend: SqliteBackend) -> None:
        self._backend = backend

    async def add(self, keys: Sequence[StoredKey]) -> None:
        rows = [_row(key) for key in keys]
        await self._transact(lambda connection: connection.executemany(_ADD, rows).rowcount)

    async def rewrap(self, keys: Sequence[Rewrapped], key_id: str) -> int:
        rows = [(key.wrapped, key_id, key.id.bytes, key.before) for key in keys]
        return await self._transact(lambda connection: connection.executemany(_REWRAP, rows).rowcount)

    async def erase(self, subject: Stream, field: str | None, erased_at: int) -> int:
        """Also empties the WAL, which holds the keys too: ``secure_delete`` overwrites them in the file only."""
        parameters = (erased_at, subject.id.bytes, subject.category, field)
        return await self._erase(lambda connection: connection.execute(_ERASE, parameters).rowcount)

    async def erase_some(self, subject: Stream, ids: Sequence[UUID], erased_at: int) -> int:
        """See :meth:`erase`."""
        rows = [(erased_at, one.bytes, subject.id.bytes, subject.category) for one in ids]
        return await self._erase(lambda connection: connection.executemany(_ERASE_SOME, rows).rowcount)

    async def _erase(self, function: Callable[[sqlite3.Connection], int]) -> int:
        erased = await self._transact(function)
        await self.empty_wal()  # even if nothing was left to erase: whoever erased it may have died before this
        return erased

    async def _transact(self, function: Callable[[sqlite3.Connection], T]) -> T:
        try:
            return await self._backend.transact(function, durable=True)
        except (NotStored, Unclear) as error:
            raise KeyStoreUnavailable(str(error)) from None

    async def empty_wal(self) -> None:
        """See that nothing is left in the WAL of what was erased or replaced; a warning is logged where it may be."""
        for _ in range(EMPTYING_ATTEMPTS):  # a reader with an older snapshot may need it for a moment
            if await self._backend.lane.empty_wal():
                return
            await asyncio.sleep(EMPTYING_PAUSE_SECONDS)
        _log.warning("erased_key_in_wal", advice="a reader holds the WAL; whoever writes empties it within a minute")


def _row(key: StoredKey) -> tuple[object, ...]:
    (kind, subject_id), field = key.place
    return (
        key.id.bytes, kind, subject_id.bytes, field, key.key_id, key.wrapped, key.created_at, key.erased_at,
    )  # fmt: skip
