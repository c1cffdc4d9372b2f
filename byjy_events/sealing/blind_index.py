"""Finding what is sealed: a keyed hash of the plain value, stored beside the ciphertext.

Without the key nobody can try values: not from the database, its backups or the log. With it, equal values are told to
be equal and nothing else.

The key is derived, by HKDF-SHA256, from a root key of 256 random bits that lies wrapped in the key store like a data
key. Rotating the key-encryption key wraps the root anew and leaves it as it is, so no hash changes.
"""

from __future__ import annotations

import hmac
from typing import Any

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from byjy_events.identifiers import derived_id
from byjy_events.sealing.place import Place, framed
from byjy_events.secret import Secret
from byjy_events.stream import Stream

ROOT_ID = derived_id("sealing", "blind index root")
"""The same in every database, so that of two processes that find no root only one makes it."""

ROOT_PLACE = Place(Stream("sealing", ROOT_ID), "blind_index_root")

Part = Secret[str] | Secret[bytes] | str | bytes


class BlindIndex:
    """Keyed hashes for one purpose, e.g. ``user.email``. Those of different purposes have nothing in common."""

    __slots__ = ("_key", "purpose")

    def __init__(self, root: Secret[bytes], purpose: str) -> None:
        self.purpose = purpose
        info = b"byjy-events blind index 1" + framed(purpose.encode())
        derivation = HKDF(algorithm=SHA256(), length=32, salt=None, info=info)
        self._key = Secret(derivation.derive(root.reveal()))

    def __repr__(self) -> str:
        return f"BlindIndex({self.purpose!r})"

    def of(self, *parts: Part) -> bytes:
        """HMAC-SHA256 over the parts, 32 bytes. The parts are framed: ("a", "bc") is not ("ab", "c").

        Text counts as its UTF-8. Spell values that shall be found by each other alike first, e.g. in lower case. Parts
        besides the value itself keep equal values of different owners from being told to be equal.

        Raises:
            ValueError: text with a lone surrogate; the error does not show it.
        """
        digest = hmac.new(self._key.reveal(), digestmod="sha256")
        secrets: list[Secret[Any]] = [part if isinstance(part, Secret) else _secret(part) for part in parts]
        del parts  # plain text, perhaps, and tracebacks may show this frame
        for secret in secrets:
            digest.update(framed(_bytes(secret)))
        return digest.digest()


def _secret(part: Any) -> Secret[Any]:
    return Secret(part)


def _bytes(part: Secret[Any]) -> bytes:
    plain: str | bytes = part.reveal()
    if isinstance(plain, bytes):
        return plain
    try:
        return plain.encode()
    except UnicodeEncodeError as error:  # which holds the text
        wrong = error.start + 1
    del plain
    raise ValueError(f"character {wrong} is a lone surrogate")
