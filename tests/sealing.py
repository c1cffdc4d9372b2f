"""Vaults for tests: keys in memory, subjects, and what lies in a SQLite database's files."""

from __future__ import annotations

import asyncio
import contextlib
import traceback
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import sqlalchemy as sa

from byjy_events import EventLog
from byjy_events.database import is_sqlite, parse_url, sqlite_path
from byjy_events.identifiers import new_event_id
from byjy_events.sealing import KeyProvider, Vault
from byjy_events.sealing.key_store import key_store
from byjy_events.sealing.local_key import LocalKey
from byjy_events.secret import Secret
from byjy_events.stream import Stream
from byjy_events.vocabulary.venue import VenueMessageUnusable
from tests.rows import writable_engine


def local_key(number: int = 1) -> LocalKey:
    """A key-encryption key; the same for the same number, in every process."""
    return LocalKey(Secret(bytes([number]) * 32))


def user(number: int | None = None) -> Stream:
    """A subject; a new one, or the same for the same number."""
    return Stream("user", new_event_id() if number is None else UUID(int=number))


@contextlib.asynccontextmanager
async def open_vault(url: str, key: KeyProvider | None = None, *older: KeyProvider) -> AsyncIterator[Vault]:
    async with EventLog.open(url) as log:
        yield Vault(log, key or local_key(), older=older)


async def stored_keys(url: str) -> dict[UUID, bytes | None]:
    """The wrapped data keys, by id."""
    engine = writable_engine(url)
    async with engine.connect() as connection:
        rows = await connection.execute(sa.select(key_store.c.id, key_store.c.wrapped_key))
        found = {row.id: row.wrapped_key for row in rows}
    await engine.dispose()
    return found


async def change_stored(url: str, data_key_id: UUID, **values: object) -> None:
    """What somebody does who can write the key store."""
    engine = writable_engine(url)
    async with engine.begin() as connection:
        await connection.execute(sa.update(key_store).where(key_store.c.id == data_key_id).values(values))
    await engine.dispose()


async def raw_bytes(url: str) -> bytes:
    """All bytes of a SQLite database: of the file and of its WAL."""
    parsed = parse_url(url)
    assert is_sqlite(parsed)
    return await asyncio.to_thread(_raw, sqlite_path(parsed))


def _raw(path: Path) -> bytes:
    wal = path.with_name(path.name + "-wal")
    return path.read_bytes() + (wal.read_bytes() if wal.exists() else b"")


def carrying(value: bytes) -> VenueMessageUnusable:
    """Some event with bytes in its payload."""
    return VenueMessageUnusable(
        exchange="binance",
        account="main",
        raw=value,
        raw_length=len(value),
        raw_sha256="0",
        error="none",
    )


def shown(error: BaseException) -> str:
    """All that an error shows of itself, and what it came from."""
    return "".join(traceback.format_exception(error)) + repr(error) + repr(error.args) + repr(vars(error))
