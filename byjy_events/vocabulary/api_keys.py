"""API keys: what an exchange gave a user to trade with. Every secret is sealed for the stream of its API key."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated
from uuid import UUID

import msgspec

from byjy_events.errors import InvalidEvent
from byjy_events.event import Id, Intent, Text, VenueName, event_type


class Permission(StrEnum):
    """What the exchange lets a key do."""

    READ = "READ"
    TRADE = "TRADE"
    MARGIN = "MARGIN"
    FUTURES = "FUTURES"
    TRANSFER = "TRANSFER"
    WITHDRAW = "WITHDRAW"


class SecretField(StrEnum):
    """The secrets of an API key, called as the fields that they are sealed for."""

    KEY = "key"
    SECRET = "secret"
    PASSPHRASE = "passphrase"


Fingerprint = Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
Sealed = Annotated[bytes, msgspec.Meta(min_length=1)]


class _Permitted(Intent, frozen=True, kw_only=True):
    permissions: tuple[Permission, ...]

    def _check(self) -> None:
        if list(self.permissions) != sorted(set(self.permissions)):
            raise InvalidEvent(type(self).__name__, "permissions", "not in order, or one of them twice")


@event_type()
class ApiKeyAdded(_Permitted, frozen=True, kw_only=True):
    """A user's key to an exchange was stored, and is active. The stream's id is the API key's.

    Attributes:
        fingerprint: the keyed hash of user, exchange and key; tells whether the same key is there already.
        key, secret, passphrase: sealed for the API key's stream, under these names. Not every exchange has passphrases.
        permissions: in alphabetical order, none twice.
        expires_at: from when on the key is not to be used, nanoseconds UTC; None: never.
    """

    user_id: UUID
    exchange: VenueName
    label: Id
    fingerprint: Fingerprint
    key: Sealed
    secret: Sealed
    passphrase: Sealed | None = None
    expires_at: int | None = None


@event_type()
class ApiKeyChanged(_Permitted, frozen=True, kw_only=True):
    """What is known about a key besides its secrets: all of it, as it is from now on."""

    label: Id
    expires_at: int | None = None


@event_type()
class ApiKeyReplaced(Intent, frozen=True, kw_only=True):
    """The exchange gave out a new key in place of the old one, whose secrets are erased after this.

    Attributes:
        fingerprint, key, secret, passphrase, expires_at: of the new one, as in :class:`ApiKeyAdded`.
    """

    fingerprint: Fingerprint
    key: Sealed
    secret: Sealed
    passphrase: Sealed | None = None
    expires_at: int | None = None


@event_type()
class ApiKeyRevoked(Intent, frozen=True, kw_only=True):
    """A key is not to be used any more. It can be reactivated."""

    reason: Text = ""


@event_type()
class ApiKeyReactivated(Intent, frozen=True, kw_only=True):
    """A revoked key may be used again."""

    reason: Text = ""


@event_type()
class ApiKeyRevealed(Intent, frozen=True, kw_only=True):
    """Secrets were given out in plain text, to the actor. Stored before they were.

    Attributes:
        fields: which of them.
        reason: what for.
    """

    fields: tuple[SecretField, ...]
    reason: Annotated[str, msgspec.Meta(min_length=1, max_length=4096)]


@event_type()
class ApiKeyUsed(Intent, frozen=True, kw_only=True):
    """A key was used with the exchange. Told at most once in a while, not for every request."""


@event_type()
class ApiKeyErased(Intent, frozen=True, kw_only=True):
    """The secrets of a key are gone for good: its data keys are erased after this."""

    reason: Text = ""
