"""The key store: wrapped data keys. It is no projection, since nothing that can be erased follows from the log.

A key that was erased leaves its row, without the key: so a value that cannot be opened any more is told from one that
never had a key, and a restored backup can be told what was erased since.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol
from uuid import UUID

import sqlalchemy as sa

from byjy_events.columns import Nanoseconds, Uuid, word
from byjy_events.log import EventLog
from byjy_events.schema import metadata
from byjy_events.sealing.errors import KeyStoreUnavailable
from byjy_events.sealing.place import FIELD_CHARACTERS, KIND_CHARACTERS, Place
from byjy_events.stream import Stream

KEY_ID_CHARACTERS = 255

key_store = sa.Table(
    "key_store",
    metadata,
    sa.Column("id", Uuid, primary_key=True),
    sa.Column("subject_kind", word(KIND_CHARACTERS), nullable=False),
    sa.Column("subject_id", Uuid, nullable=False),
    sa.Column("field", word(FIELD_CHARACTERS), nullable=False),
    sa.Column("key_encryption_key_id", word(KEY_ID_CHARACTERS), nullable=False),
    sa.Column("wrapped_key", sa.LargeBinary),
    sa.Column("created_at", Nanoseconds, nullable=False),
    sa.Column("erased_at", Nanoseconds),
    sa.CheckConstraint("(wrapped_key IS NULL) = (erased_at IS NOT NULL)", name="erased"),
    sa.Index("ix_key_store_subject", "subject_id", "subject_kind", "field"),
    sa.Index(
        "ix_key_store_wrapping",
        "key_encryption_key_id",
        "id",
        sqlite_where=sa.text("erased_at IS NULL"),
        postgresql_where=sa.text("erased_at IS NULL"),
    ),
    sqlite_strict=True,
)
"""One row for each data key: what it seals, and itself, wrapped."""

_c = key_store.c


class StoredKey(NamedTuple):
    """A row of the key store.

    Attributes:
        id: the data key's id, which begins every value that it seals.
        place: what it seals.
        key_id: the key-encryption key that wraps it.
        wrapped: the wrapped data key; None: it was erased.
        created_at: nanoseconds UTC.
        erased_at: nanoseconds UTC; None: it was not.
    """

    id: UUID
    place: Place
    key_id: str
    wrapped: bytes | None
    created_at: int
    erased_at: int | None = None


class Rewrapped(NamedTuple):
    """A data key that another key-encryption key wraps from now on.

    Attributes:
        id: the data key.
        before: the key-encryption key that wrapped it when it was read.
        wrapped: the data key, wrapped anew.
    """

    id: UUID
    before: str
    wrapped: bytes


class KeyWriter(Protocol):
    """How the key store is written on one database: each call is one durable transaction.

    Raises:
        KeyStoreUnavailable: nothing was written, or it is open whether it was.
    """

    async def add(self, keys: Sequence[StoredKey]) -> None:
        """Store keys; one whose id is there already changes nothing."""

    async def rewrap(self, keys: Sequence[Rewrapped], key_id: str) -> int:
        """Replace wrapped keys, each only if it is not erased and wrapped as it was. Returns how many were."""
        ...

    async def erase(self, subject: Stream, field: str | None, erased_at: int) -> int:
        """Forget the keys of a subject, or of one of its fields. Returns how many were there."""
        ...

    async def erase_some(self, subject: Stream, ids: Sequence[UUID], erased_at: int) -> int:
        """Forget these keys, as far as they are the subject's. Returns how many were there."""
        ...


class KeyStore:
    """The data keys of one database."""

    def __init__(self, log: EventLog, writer: KeyWriter) -> None:
        self._log = log
        self.writer = writer

    async def find(self, data_key_id: UUID) -> StoredKey | None:
        """One data key, erased or not."""
        found = await self._fetch(sa.select(key_store).where(_c.id == data_key_id))
        return _stored(found[0]) if found else None

    async def wrapped_otherwise(self, key_id: str, after: UUID, limit: int) -> list[StoredKey]:
        """Data keys that another key-encryption key wraps, in order of their ids."""
        live = _c.erased_at.is_(None) & (_c.key_encryption_key_id != key_id) & (_c.id > after)
        return [
            _stored(row) for row in await self._fetch(sa.select(key_store).where(live).order_by(_c.id).limit(limit))
        ]

    async def in_use(self) -> dict[str, int]:
        """How many data keys each key-encryption key wraps; erased ones do not count."""
        live = sa.select(_c.key_encryption_key_id, sa.func.count()).where(_c.erased_at.is_(None))
        rows = await self._fetch(live.group_by(_c.key_encryption_key_id).order_by(_c.key_encryption_key_id))
        return dict(map(tuple, rows))

    async def _fetch(self, statement: sa.Select[Any]) -> Sequence[Any]:
        try:
            async with self._log.engine.connect() as connection:
                return list(await connection.execute(statement))
        except (OSError, sa.exc.DBAPIError, sa.exc.TimeoutError) as error:
            raise KeyStoreUnavailable(str(getattr(error, "orig", None) or error)) from None


def _stored(row: Any) -> StoredKey:
    place = Place(Stream(row.subject_kind, row.subject_id), row.field)
    return StoredKey(row.id, place, row.key_encryption_key_id, row.wrapped_key, row.created_at, row.erased_at)
