"""Sealed values: AES-256-GCM under a data key of their own, bound to their place.

::

    01 ‖ data key id (16) ‖ nonce (12) ‖ ciphertext (n) ‖ tag (16)

The data key encrypts this one value and nothing else. The format and its test vectors: ``docs/reference/sealing.md``.
"""

from __future__ import annotations

import os
from typing import Any, NamedTuple
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from byjy_events.identifiers import uuid_of
from byjy_events.sealing.content import Sealable, content_of, secret_of
from byjy_events.sealing.errors import NotSealed, SealBroken
from byjy_events.sealing.place import Place
from byjy_events.secret import Secret

KEY_BYTES = 32
NONCE_BYTES = 12
TAG_BYTES = 16

_VERSION = b"\1"
_HEADER_BYTES = 1 + 16 + NONCE_BYTES
_LEAST_BYTES = _HEADER_BYTES + 1 + TAG_BYTES  # the content begins with its kind


class Sealed(NamedTuple):
    """A sealed value, taken apart.

    Attributes:
        data_key_id: the data key that opens it.
        nonce: 96 random bits.
        ciphertext: the encrypted content, and the tag of 16 bytes.
    """

    data_key_id: UUID
    nonce: bytes
    ciphertext: bytes

    def packed(self) -> bytes:
        """As it is stored."""
        return _VERSION + self.data_key_id.bytes + self.nonce + self.ciphertext


def unpacked(place: Place, value: bytes) -> Sealed:
    """A stored value, taken apart.

    Raises:
        NotSealed: it is shorter than any sealed value, or of another version.
    """
    if not isinstance(value, bytes):
        raise NotSealed(place, f"a sealed value is bytes, not {type(value).__name__}")
    if value[:1] not in (b"", _VERSION):
        raise NotSealed(place, f"version {value[0]} of sealed values, this program knows {_VERSION[0]}")
    if len(value) < _LEAST_BYTES:
        raise NotSealed(place, f"truncated: {len(value)} bytes, the shortest sealed value has {_LEAST_BYTES}")
    return Sealed(uuid_of(value[1:17]), value[17:_HEADER_BYTES], value[_HEADER_BYTES:])


def data_key_id_of(value: bytes) -> UUID | None:
    """The data key that opens a stored value; None: it is no sealed value."""
    return uuid_of(value[1:17]) if value[:1] == _VERSION and len(value) >= _LEAST_BYTES else None


def new_data_key() -> Secret[bytes]:
    """256 random bits."""
    return Secret(os.urandom(KEY_BYTES))


def sealed(
    place: Place, data_key_id: UUID, data_key: Secret[bytes], secret: Sealable, *, nonce: bytes | None = None
) -> Sealed:
    """Seal a secret with a data key that sealed nothing before.

    Args:
        nonce: for test vectors only.

    Raises:
        InvalidSecret: see :func:`byjy_events.sealing.content.content_of`.
    """
    nonce = os.urandom(NONCE_BYTES) if nonce is None else nonce
    content = content_of(place, secret)
    cipher = AESGCM(data_key.reveal())
    return Sealed(data_key_id, nonce, cipher.encrypt(nonce, content.reveal(), place.binding(data_key_id)))


def opened(place: Place, data_key: Secret[bytes], value: Sealed) -> Secret[Any]:
    """The secret, text or bytes as it was sealed.

    Raises:
        SealBroken: it does not open: a byte was altered, or it was sealed for another place.
    """
    try:
        cipher = AESGCM(data_key.reveal())
        content = Secret(cipher.decrypt(value.nonce, value.ciphertext, place.binding(value.data_key_id)))
    except InvalidTag:
        raise SealBroken(place, value.data_key_id) from None
    return secret_of(place, content)
