"""What sealing raises. No error ever holds a key or a secret.

::

    ByjyError
    ├── SealingError             about one secret: names the place (subject and field) and, where known, the data key
    │   ├── InvalidSecret        it cannot be sealed: too long, text that is no Unicode, a field without a name
    │   ├── NotSealed            the bytes are no sealed value: truncated, or of a version this program does not know
    │   ├── SealedElsewhere      sealed for another row or field
    │   ├── SealBroken           altered: the sealed value does not open with its data key
    │   ├── UnknownDataKey       the key store has no such data key
    │   ├── Erased               the data key was erased, and the secret with it
    │   ├── UnknownWrappingKey   the data key is wrapped by a key-encryption key that nobody provides
    │   └── DataKeyBroken        the wrapped data key is altered, or wrapped by another key of the same id
    ├── StrangeWrappingKey       the key-encryption key is not the one that the key store is used with
    ├── KeyUnavailable           a key-encryption key cannot be had                   (names where it was looked for)
    │   ├── InvalidKey           what is there is no key
    │   └── InsecureKeyFile      others may read or write the file
    ├── NotUnwrapped             what a provider raises when bytes do not open with its key
    └── KeyStoreUnavailable      the key store cannot be read or written
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import TYPE_CHECKING
from uuid import UUID

from byjy_events.errors import ByjyError

if TYPE_CHECKING:
    from byjy_events.sealing.place import Place


class SealingError(ByjyError):
    """Something is wrong with one secret.

    Attributes:
        place: the subject and the field of the secret.
        data_key_id: its data key, where that is known.
        reason: what is wrong.
    """

    def __init__(self, place: Place, reason: str, data_key_id: UUID | None = None) -> None:
        self.place = place
        self.reason = reason
        self.data_key_id = data_key_id
        super().__init__(f"{place}: {reason}")


class InvalidSecret(SealingError):
    """It cannot be sealed. Nothing was stored."""


class NotSealed(SealingError):
    """The bytes are no sealed value: truncated, or of a version that this program does not know."""


class SealedElsewhere(SealingError):
    """The value was sealed for another row or field.

    Attributes:
        sealed_for: the place that it was sealed for.
    """

    def __init__(self, place: Place, data_key_id: UUID, sealed_for: Place) -> None:
        self.sealed_for = sealed_for
        super().__init__(place, f"this value was sealed for {sealed_for}", data_key_id)


class SealBroken(SealingError):
    """The sealed value was altered: it does not open with its data key."""

    def __init__(self, place: Place, data_key_id: UUID) -> None:
        super().__init__(place, f"altered: does not open with data key {data_key_id}", data_key_id)


class UnknownDataKey(SealingError):
    """The key store has no such data key: the value was altered, or the key store is of another database."""

    def __init__(self, place: Place, data_key_id: UUID) -> None:
        super().__init__(place, f"the key store has no data key {data_key_id}", data_key_id)


class Erased(SealingError):
    """The data key was erased: nobody can open the value any more.

    Attributes:
        erased_at: when, in nanoseconds UTC.
    """

    def __init__(self, place: Place, data_key_id: UUID, erased_at: int) -> None:
        self.erased_at = erased_at
        when = dt.datetime.fromtimestamp(erased_at // 10**9, dt.UTC).isoformat()
        super().__init__(place, f"erased at {when}", data_key_id)


class UnknownWrappingKey(SealingError):
    """The data key is wrapped by a key-encryption key that nobody provides.

    Attributes:
        key_id: the key-encryption key that is needed.
        provided: those that there are.
    """

    def __init__(self, place: Place, data_key_id: UUID, key_id: str, provided: Sequence[str]) -> None:
        self.key_id = key_id
        self.provided = tuple(provided)
        reason = f"needs key-encryption key {key_id}, provided is {', '.join(self.provided)}"
        super().__init__(place, reason, data_key_id)


class DataKeyBroken(SealingError):
    """The wrapped data key was altered or moved, or was wrapped by another key of the same id.

    Attributes:
        key_id: the key-encryption key that it does not open with.
    """

    def __init__(self, place: Place, data_key_id: UUID, key_id: str) -> None:
        self.key_id = key_id
        reason = f"data key {data_key_id} does not open with key-encryption key {key_id}"
        super().__init__(place, reason, data_key_id)


class StrangeWrappingKey(ByjyError):
    """The key-encryption key has wrapped none of the data keys that are there: most likely it is the wrong one.

    Nothing was sealed. If the key is meant to be used from now on, rotate to it.

    Attributes:
        key_id: the key-encryption key that was provided.
        in_use: those that the key store is used with.
    """

    def __init__(self, key_id: str, in_use: Sequence[str]) -> None:
        self.key_id = key_id
        self.in_use = tuple(in_use)
        super().__init__(f"key-encryption key {key_id} is not in use here, {', '.join(self.in_use)} is: rotate to it")


class KeyUnavailable(ByjyError):
    """A key-encryption key cannot be had.

    Attributes:
        source: where it was looked for, e.g. a file or an environment variable.
        reason: why it cannot be had.
    """

    def __init__(self, source: str, reason: str) -> None:
        self.source = source
        self.reason = reason
        super().__init__(f"{source}: {reason}")


class InvalidKey(KeyUnavailable):
    """What is there is no key. The error does not show it."""


class InsecureKeyFile(KeyUnavailable):
    """Others than the owner may read or write the key file.

    Attributes:
        mode: its permission bits.
    """

    def __init__(self, source: str, mode: int) -> None:
        self.mode = mode
        super().__init__(source, f"others may use it (mode {mode:04o}): chmod 600")


class NotUnwrapped(ByjyError):
    """What a key provider raises when bytes do not open with its key.

    Attributes:
        key_id: the provider's key.
    """

    def __init__(self, key_id: str) -> None:
        self.key_id = key_id
        super().__init__(f"does not open with key-encryption key {key_id}")


class KeyStoreUnavailable(ByjyError):
    """The key store cannot be read or written, or it is open whether it was written. Repeating the call is safe.

    Attributes:
        cause: what the database said.
    """

    def __init__(self, cause: str) -> None:
        self.cause = cause
        super().__init__(f"key store unavailable: {cause}")
