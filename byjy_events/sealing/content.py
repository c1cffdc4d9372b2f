"""What is encrypted: the secret's bytes, and whether they are text, so that it is revealed as what it was sealed."""

from __future__ import annotations

from typing import Any

from byjy_events.sealing.errors import InvalidSecret, NotSealed
from byjy_events.sealing.place import Place
from byjy_events.secret import Secret

MAX_BYTES = 1024 * 1024
"""The longest secret, as bytes."""

Sealable = Secret[str] | Secret[bytes] | str | bytes

_BYTES, _TEXT = b"\0", b"\1"


def content_of(place: Place, secret: Sealable) -> Secret[bytes]:
    """A mark for the kind, and the bytes.

    Raises:
        InvalidSecret: neither text nor bytes, too long, or a lone surrogate. The error does not show it.
    """
    plain = secret if isinstance(secret, Secret) else _as_secret(place, secret)
    reason = None
    try:
        content = Secret(_marked(plain.reveal()))
    except UnicodeEncodeError as error:  # which holds the text
        reason = f"character {error.start + 1} is a lone surrogate"
    if reason is None and len(content.reveal()) - 1 > MAX_BYTES:
        reason = f"{len(content.reveal()) - 1} bytes, at most {MAX_BYTES} can be sealed"
    if reason is not None:
        raise InvalidSecret(place, reason)
    return content


def secret_of(place: Place, content: Secret[bytes]) -> Secret[Any]:
    """What :func:`content_of` was given.

    Raises:
        NotSealed: a newer program sealed it.
    """
    kind = content.reveal()[:1]
    if kind == _TEXT:
        return Secret(content.reveal()[1:].decode())
    if kind == _BYTES:
        return Secret(content.reveal()[1:])
    raise NotSealed(place, "a kind of content that this program does not know")


def _as_secret(place: Place, secret: str | bytes) -> Secret[Any]:
    if not isinstance(secret, str | bytes):
        raise InvalidSecret(place, f"{type(secret).__name__} cannot be sealed, only text and bytes can")
    return Secret(secret)


def _marked(plain: str | bytes) -> bytes:
    return _TEXT + plain.encode() if isinstance(plain, str) else _BYTES + plain
