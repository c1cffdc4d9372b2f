"""Wrapping all data keys anew, under another key-encryption key.

In slices, in order of the data keys' ids, each slice a transaction. What is wrapped by the new key is passed over, so a
rotation that was killed goes on where it ended when it is started again. Each key is replaced only if it is still
wrapped as it was when it was read: what was erased meanwhile stays erased.

A slice asks the old provider for every key and then the new one, some at a time, since they may be services far away.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from uuid import UUID

import msgspec

from byjy_events.sealing.errors import SealingError
from byjy_events.sealing.key_store import KeyStore, Rewrapped, StoredKey
from byjy_events.sealing.wrapping import Wrapping

SLICE = 500
"""Data keys that one transaction wraps anew."""

AT_ONCE = 20
"""Data keys that the providers are asked for at once."""

_FIRST = UUID(int=0)


class Rotation(msgspec.Struct, frozen=True):
    """What a rotation did.

    Attributes:
        key_id: the key-encryption key that wraps from now on.
        rewrapped: how many data keys it wraps that it did not wrap before.
        refused: why others were left as they were.
        remaining: how many data keys other key-encryption keys wrap still: those that were refused, and those that
            processes added meanwhile that wrap with another key. The old key is needed until this is 0.
    """

    key_id: str
    rewrapped: int
    refused: tuple[SealingError, ...]
    remaining: int


async def rotated(store: KeyStore, wrapping: Wrapping) -> Rotation:
    """Wrap everything under the current key."""
    key_id = await wrapping.current.key_id()
    rewrapped, refused, last = 0, list[SealingError](), _FIRST
    while slice_ := await store.wrapped_otherwise(key_id, last, SLICE):
        last = slice_[-1].id
        outcomes = await _outcomes(wrapping, slice_)
        changes = [outcome for outcome in outcomes if isinstance(outcome, Rewrapped)]
        refused += [outcome for outcome in outcomes if isinstance(outcome, SealingError)]
        rewrapped += await store.writer.rewrap(changes, key_id) if changes else 0
    in_use = await store.in_use()
    return Rotation(key_id, rewrapped, tuple(refused), sum(in_use.values()) - in_use.get(key_id, 0))


async def _outcomes(wrapping: Wrapping, slice_: Sequence[StoredKey]) -> list[Rewrapped | SealingError]:
    outcomes: list[Rewrapped | SealingError] = []
    for start in range(0, len(slice_), AT_ONCE):
        some = slice_[start : start + AT_ONCE]
        outcomes += await asyncio.gather(*(_rewrapped(wrapping, stored) for stored in some))
    return outcomes


async def _rewrapped(wrapping: Wrapping, stored: StoredKey) -> Rewrapped | SealingError:
    """One key that cannot be opened does not keep all others from being wrapped anew."""
    try:
        data_key = await wrapping.unwrapped(stored)
    except SealingError as error:
        return error
    return Rewrapped(stored.id, stored.key_id, await wrapping.current.wrap(data_key, stored.place.binding(stored.id)))
