"""The vault: seals secrets for events, reveals them, and erases them for good.

A sealed value is bytes. It goes into the payload of an event like any other bytes, and so into the log, its hashes,
every projection and every backup; but what opens it lies in the key store alone, and can be erased there.

The order of things: the data key is durable before :meth:`Vault.seal` returns, and so before the event can be appended.
If the append fails, or the process dies between the two, a data key is left that opens nothing; it does no harm.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from byjy_events.backend import Backend
from byjy_events.identifiers import new_event_id
from byjy_events.log import EventLog
from byjy_events.sealing.blind_index import ROOT_ID, ROOT_PLACE, BlindIndex
from byjy_events.sealing.content import Sealable
from byjy_events.sealing.errors import SealedElsewhere, StrangeWrappingKey, UnknownDataKey
from byjy_events.sealing.key_store import KeyStore, KeyWriter, StoredKey
from byjy_events.sealing.place import place_of
from byjy_events.sealing.provider import KeyProvider
from byjy_events.sealing.rotation import Rotation, rotated
from byjy_events.sealing.sealed import data_key_id_of, new_data_key, opened, sealed, unpacked
from byjy_events.sealing.wrapping import Wrapping, tried
from byjy_events.secret import Secret
from byjy_events.stream import Stream


class Vault:
    """Secrets of one database. Any number of tasks may use it, and any number of processes their own.

    Every method raises :class:`KeyStoreUnavailable` when the database fails, and repeating the call is safe; and
    :class:`LogClosed` when the log was closed. None keeps a
    data key in memory after it returned, so what one process erases no other process reveals any more.

    ::

        vault = Vault(log, KeyFile("byjy.key"))
        email = await vault.seal(user_stream(user), "email", Secret("ada@example.org"))
        await log.append(user_stream(user), [UserRegistered(email=email, ...)])
    """

    def __init__(self, log: EventLog, key: KeyProvider, *, older: Sequence[KeyProvider] = ()) -> None:
        """A vault on an open log.

        Args:
            key: the key-encryption key that wraps new data keys.
            older: others, that data keys may still be wrapped by, in the midst of a rotation.
        """
        self._store = KeyStore(log, _writer(log.backend))
        self._wrapping = Wrapping((key, *older))
        self._trusted: str | None = None

    async def seal(self, subject: Stream, field: str, secret: Sealable) -> bytes:
        """Encrypt a secret for one field of a subject, under a data key of its own that is durable on return.

        The result is 46 bytes longer than the secret as UTF-8, and of another content each time. It opens for this
        subject and field only.

        Raises:
            InvalidSecret: longer than 1 MiB, a lone surrogate, or a name that cannot be stored.
            StrangeWrappingKey: the key store is in use with other key-encryption keys, and not with this one.
            KeyUnavailable: the key-encryption key cannot be had.
        """
        return (await self.seal_all(subject, {field: secret}))[field]

    async def seal_all(self, subject: Stream, secrets: Mapping[str, Sealable]) -> dict[str, bytes]:
        """Seal several fields, each as :meth:`seal` does, with one wait for the disk. By field."""
        made = {}
        keys = []
        for field, secret in secrets.items():
            place, data_key_id, data_key = place_of(subject, field), new_event_id(), new_data_key()
            made[field] = sealed(place, data_key_id, data_key, secret).packed()
            keys.append((StoredKey(data_key_id, place, "", None, time.time_ns()), data_key))
        await self._add(keys)
        return made

    async def reveal(self, subject: Stream, field: str, value: bytes) -> Secret[Any]:
        """What was sealed, as text or bytes as it was sealed.

        Raises:
            NotSealed, SealedElsewhere, SealBroken: the value is not what was sealed for this subject and field.
            Erased: the secret is gone.
            UnknownDataKey, UnknownWrappingKey, DataKeyBroken: it cannot be opened with the keys that there are.
            KeyUnavailable: a key-encryption key cannot be had.
        """
        place = place_of(subject, field)
        taken_apart = unpacked(place, value)
        stored = await self._store.find(taken_apart.data_key_id)
        if stored is None:
            raise UnknownDataKey(place, taken_apart.data_key_id)
        if stored.place != place:
            raise SealedElsewhere(place, stored.id, stored.place)
        return opened(place, await self._wrapping.unwrapped(stored), taken_apart)

    async def erase(self, subject: Stream, field: str | None = None) -> int:
        """Forget the data keys of a subject, or of one of its fields, and with them all that they sealed: in every
        event, table, replay, and copy of them. The log is untouched. Returns how many keys were erased.

        Durable on return, and not to be undone. What a :meth:`seal` that runs at the same time adds may stay. On SQLite
        the wrapped keys are overwritten in the file and its WAL. On PostgreSQL they may linger in dead rows and in its
        WAL, as they do in backups of both, until the key-encryption key is rotated and the old one destroyed.
        """
        return await self._store.writer.erase(subject, field, time.time_ns())

    async def erase_values(self, subject: Stream, values: Iterable[bytes]) -> int:
        """Forget the data keys of single values that were sealed for a subject, as :meth:`erase` does, and no others.

        For what was replaced. What is no sealed value, or one of another subject, is passed over.
        """
        ids = [one for one in map(data_key_id_of, values) if one is not None]
        return await self._store.writer.erase_some(subject, ids, time.time_ns()) if ids else 0

    async def rotate(self, new: KeyProvider) -> Rotation:
        """Wrap all data keys under another key-encryption key, and from now on the data keys that are added.

        Sealed values do not change, nor do blind indexes. Meanwhile values are sealed and revealed as always. Other
        processes have to hold both keys before: ``Vault(log, new, older=[old])``. If it is killed, or a provider
        fails, what was done stays, and calling it again does the rest.

        Raises:
            InvalidKey: the new key does not open what it wraps. Nothing was changed.
            KeyUnavailable: a key-encryption key cannot be had.
        """
        await tried(new)
        self._wrapping = self._wrapping.preferring(new)
        return await rotated(self._store, self._wrapping)

    async def in_use(self) -> dict[str, int]:
        """How many data keys each key-encryption key wraps."""
        return await self._store.in_use()

    async def blind_index(self, purpose: str) -> BlindIndex:
        """Keyed hashes to find sealed values by. The same for the same purpose, in every process and for ever.

        Raises:
            UnknownWrappingKey, DataKeyBroken, StrangeWrappingKey, KeyUnavailable: as in :meth:`seal`, :meth:`reveal`.
        """
        stored = await self._store.find(ROOT_ID)
        if stored is None:
            root = StoredKey(ROOT_ID, ROOT_PLACE, "", None, time.time_ns())
            await self._add([(root, new_data_key())])  # unless another process was faster
            stored = await self._store.find(ROOT_ID)
            assert stored is not None  # rows stay
        return BlindIndex(await self._wrapping.unwrapped(stored), purpose)

    async def _add(self, keys: Sequence[tuple[StoredKey, Secret[bytes]]]) -> None:
        provider = self._wrapping.current
        key_id = await provider.key_id()
        if key_id != self._trusted:
            await self._trust(provider)
        wrapped = []
        for key, data_key in keys:
            own = await provider.wrap(data_key, key.place.binding(key.id))
            wrapped.append(key._replace(key_id=key_id, wrapped=own))
        await self._store.writer.add(wrapped)

    async def _trust(self, provider: KeyProvider) -> None:
        """A key file that is made anew because its folder was not mounted, say, must not become the second key."""
        key_id = await tried(provider)
        in_use = await self._store.in_use()
        if in_use and await self._wrapping.holding(in_use) is None:
            raise StrangeWrappingKey(key_id, list(in_use))
        self._trusted = key_id


def _writer(backend: Backend) -> KeyWriter:
    from byjy_events.sqlite.backend import SqliteBackend

    if isinstance(backend, SqliteBackend):
        from byjy_events.sealing.sqlite_writer import SqliteKeyWriter

        return SqliteKeyWriter(backend)
    from byjy_events.postgres.backend import PostgresBackend
    from byjy_events.sealing.postgres_writer import PostgresKeyWriter

    assert isinstance(backend, PostgresBackend)
    return PostgresKeyWriter(backend)
