"""The key-encryption keys at hand: the first wraps new data keys, all of them unwrap."""

from __future__ import annotations

import hmac
from collections.abc import Collection, Sequence

from byjy_events.identifiers import new_event_id
from byjy_events.sealing.errors import DataKeyBroken, Erased, InvalidKey, NotUnwrapped, UnknownWrappingKey
from byjy_events.sealing.key_store import KEY_ID_CHARACTERS, StoredKey
from byjy_events.sealing.place import Place
from byjy_events.sealing.provider import KeyProvider
from byjy_events.sealing.sealed import KEY_BYTES, new_data_key
from byjy_events.secret import Secret
from byjy_events.stream import Stream


class Wrapping:
    """Key providers in order of preference. Immutable.

    Attributes:
        current: the one that wraps.
    """

    def __init__(self, providers: Sequence[KeyProvider]) -> None:
        self._providers = tuple(providers)
        self.current = self._providers[0]

    def preferring(self, provider: KeyProvider) -> Wrapping:
        """With another one in front; all others go on unwrapping."""
        return Wrapping((provider, *(one for one in self._providers if one is not provider)))

    async def unwrapped(self, stored: StoredKey) -> Secret[bytes]:
        """A data key of the key store, opened.

        Raises:
            Erased, UnknownWrappingKey, DataKeyBroken: see there.
            KeyUnavailable: a provider that was asked cannot get at its key.
        """
        if stored.wrapped is None:
            raise Erased(stored.place, stored.id, stored.erased_at or 0)
        provider = await self.holding((stored.key_id,))
        if provider is None:
            provided = [await one.key_id() for one in self._providers]
            raise UnknownWrappingKey(stored.place, stored.id, stored.key_id, provided)
        try:
            data_key = await provider.unwrap(stored.wrapped, stored.place.binding(stored.id))
        except NotUnwrapped:
            raise DataKeyBroken(stored.place, stored.id, stored.key_id) from None
        if len(data_key.reveal()) != KEY_BYTES:
            raise DataKeyBroken(stored.place, stored.id, stored.key_id)
        return data_key

    async def holding(self, key_ids: Collection[str]) -> KeyProvider | None:
        """The first provider of one of these keys; those behind it are not asked."""
        for provider in self._providers:
            if await provider.key_id() in key_ids:
                return provider
        return None


async def tried(provider: KeyProvider) -> str:
    """The id of a provider's key, once the provider has opened what it wrapped.

    Raises:
        InvalidKey: it does not give back what it was given, or its id is not one that can be stored.
    """
    key_id = await provider.key_id()
    if not (1 <= len(key_id) <= KEY_ID_CHARACTERS and key_id.isprintable()):
        raise InvalidKey(type(provider).__name__, f"a key id has 1 to {KEY_ID_CHARACTERS} printable characters")
    sample, sample_id = new_data_key(), new_event_id()
    context = Place(Stream("sealing", sample_id), "trial").binding(sample_id)
    try:
        returned = await provider.unwrap(await provider.wrap(sample, context), context)
    except NotUnwrapped:
        returned = None
    if returned is None or not hmac.compare_digest(returned.reveal(), sample.reveal()):
        raise InvalidKey(type(provider).__name__, f"key-encryption key {key_id} does not open what it wrapped")
    return key_id
