"""A credential as an engine uses it: the plain secrets of an API key, that do not show themselves."""

from __future__ import annotations

from uuid import UUID

import msgspec

from byjy_events.secret import Secret
from byjy_events.vocabulary.api_keys import Permission


class Credential(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What an exchange gave a user to trade with, revealed.

    Attributes:
        permissions: what the key may do there, as far as whoever added it said.
        expires_at: from when on it is not to be used, nanoseconds UTC; None: never.
        key, secret, passphrase: as they were given; they print as a mask, and JSON and pickle refuse them.
    """

    api_key_id: UUID
    user_id: UUID
    exchange: str
    label: str
    permissions: tuple[Permission, ...]
    expires_at: int | None
    key: Secret[str]
    secret: Secret[str]
    passphrase: Secret[str] | None
