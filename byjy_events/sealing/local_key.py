"""Key-encryption keys that this process holds itself: 256 random bits, written as Base64.

Wrapped with AES-256-GCM: ``01 ‖ nonce (12) ‖ ciphertext (32) ‖ tag (16)``.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from byjy_events.sealing.errors import InvalidKey, NotUnwrapped
from byjy_events.sealing.sealed import KEY_BYTES, NONCE_BYTES
from byjy_events.secret import Secret

_VERSION = b"\1"


class LocalKey:
    """A key in memory. Two of the same bits have the same id, wherever they come from: a key may move house.

    Attributes:
        id: ``local-`` and 16 hexadecimal digits, derived from the key; it tells nothing of it.
    """

    def __init__(self, key: Secret[bytes]) -> None:
        self._key = key
        self.id = f"local-{hmac.digest(key.reveal(), b'byjy-events key id', 'sha256')[:8].hex()}"

    def __repr__(self) -> str:
        return f"LocalKey({self.id})"

    async def key_id(self) -> str:
        return self.id

    async def wrap(self, data_key: Secret[bytes], context: bytes) -> bytes:
        nonce = os.urandom(NONCE_BYTES)
        return _VERSION + nonce + AESGCM(self._key.reveal()).encrypt(nonce, data_key.reveal(), context)

    async def unwrap(self, wrapped: bytes, context: bytes) -> Secret[bytes]:
        nonce, ciphertext = wrapped[1 : 1 + NONCE_BYTES], wrapped[1 + NONCE_BYTES :]
        if wrapped[:1] == _VERSION and len(nonce) == NONCE_BYTES:
            try:
                return Secret(AESGCM(self._key.reveal()).decrypt(nonce, ciphertext, context))
            except InvalidTag:
                pass
        raise NotUnwrapped(self.id)


def new_key_text() -> Secret[str]:
    """A new key as it is written into a file, a variable or a keyring: 44 characters."""
    return Secret(base64.b64encode(os.urandom(KEY_BYTES)).decode())


def key_of(source: str, text: Secret[str]) -> LocalKey:
    """The key that a text spells. White space around it does not matter.

    Raises:
        InvalidKey: it spells none. The error does not show it.
    """
    try:
        key = Secret(base64.b64decode(text.reveal().strip(), validate=True))
    except (binascii.Error, ValueError):
        raise InvalidKey(source, f"not Base64 of {KEY_BYTES} bytes") from None
    if len(key.reveal()) != KEY_BYTES:
        raise InvalidKey(source, f"{len(key.reveal())} bytes, a key has {KEY_BYTES}")
    return LocalKey(key)
