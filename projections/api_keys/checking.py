"""What people give for an API key, checked before anything is sealed or stored. No error shows a secret."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from byjy_events.event import storable
from byjy_events.secret import Secret
from byjy_events.vocabulary.api_keys import Permission, SecretField
from projections.api_keys.errors import InvalidCredential
from projections.users.spelling import canonical

EXCHANGE_CHARACTERS = 64
LABEL_CHARACTERS = 255
REASON_CHARACTERS = 4096

SECRET_BYTES = 16 * 1024
"""The longest key, secret or passphrase, as UTF-8: private keys in PEM have up to about 6 KiB."""

_LAST_INSTANT = 2**63 - 1

Given = Secret[str] | str
"""A secret as it is given: better as a :class:`Secret`, since tracebacks may show the caller's variables."""


def exchange_name(text: str) -> str:
    """The one spelling of an exchange: case folded, in Unicode form NFKC, without blanks around it.

    Raises:
        InvalidCredential: nothing is left, or it is too long or cannot be stored.
    """
    _refuse_other_than_text("exchange", text)
    return _storable("exchange", canonical(text.strip()), EXCHANGE_CHARACTERS)


def checked_label(label: str) -> str:
    """A label without blanks around it, which keys may share.

    Raises:
        InvalidCredential: nothing is left, or it is too long or cannot be stored.
    """
    _refuse_other_than_text("label", label)
    return _storable("label", label.strip(), LABEL_CHARACTERS)


def checked_reason(reason: str, *, required: bool = False) -> str:
    """A reason without blanks around it.

    Raises:
        InvalidCredential: it is missing, or it is too long or cannot be stored.
    """
    _refuse_other_than_text("reason", reason)
    return _storable("reason", reason.strip(), REASON_CHARACTERS, least=1 if required else 0)


def checked_permissions(permissions: Iterable[Permission | str]) -> tuple[Permission, ...]:
    """In alphabetical order, none twice.

    Raises:
        InvalidCredential: one of them is unknown.
    """
    if isinstance(permissions, str):
        raise InvalidCredential("permissions", "a text; expected several, e.g. a list")
    return tuple(sorted({_permission(one) for one in permissions}))


def checked_expiry(expires_at: int | None, now: int) -> int | None:
    """An instant of the future, or never.

    Raises:
        InvalidCredential: it is past, or no instant.
    """
    if expires_at is None:
        return None
    if not isinstance(expires_at, int) or isinstance(expires_at, bool):
        raise InvalidCredential("expires_at", f"{type(expires_at).__name__}, expected nanoseconds UTC")
    if not now < expires_at <= _LAST_INSTANT:
        raise InvalidCredential("expires_at", "it is past" if expires_at <= now else "more than 64 bits")
    return expires_at


class NotText(NamedTuple):
    """What was given in place of a secret, of which only the type is kept."""

    kind: str


def secrets_of(key: Given, secret: Given, passphrase: Given | None) -> dict[str, Secret[Any] | NotText]:
    """By field, so that they do not show themselves from here on; without a passphrase there is none. Never raises."""
    given = {SecretField.KEY: key, SecretField.SECRET: secret}
    if passphrase is not None:
        given[SecretField.PASSPHRASE] = passphrase
    return {str(field): _masked(value) for field, value in given.items()}


def checked_secrets(secrets: Mapping[str, Secret[Any] | NotText]) -> dict[str, Secret[str]]:
    """The same.

    Raises:
        InvalidCredential: one of them is no text, empty or too long, or cannot be stored; or white space surrounds the
            key, as it does when too much was copied.
    """
    checked = {field: _checked(field, secret) for field, secret in secrets.items()}
    key = checked[SecretField.KEY]
    if key.reveal().strip() != key.reveal():
        raise InvalidCredential(SecretField.KEY, "begins or ends with white space")
    return checked


def _masked(given: Given) -> Secret[Any] | NotText:
    if isinstance(given, Secret):
        return given
    return Secret(given) if isinstance(given, str | bytes) else NotText(type(given).__name__)


def _checked(field: str, secret: Secret[Any] | NotText) -> Secret[str]:
    reason = f"{secret.kind}, expected text" if isinstance(secret, NotText) else _wrong_with(secret)
    if reason is not None:
        raise InvalidCredential(field, reason)
    assert isinstance(secret, Secret)
    return secret


def _wrong_with(secret: Secret[Any]) -> str | None:
    if not isinstance(secret.reveal(), str):
        return "bytes, expected text"
    if not secret.reveal().strip():
        return "empty"
    # Counted in characters first: nothing is encoded that is far too long.
    size = len(secret.reveal())
    if size <= SECRET_BYTES:
        if not storable(secret.reveal()):
            return "holds a NUL character or a lone surrogate"
        size = len(secret.reveal().encode())
    return f"{size} bytes, at most {SECRET_BYTES} can be stored" if size > SECRET_BYTES else None


def _permission(given: Permission | str) -> Permission:
    try:
        return Permission(given)
    except ValueError:
        shown = f"{given!r}" if isinstance(given, str) and len(given) <= 32 else type(given).__name__
        raise InvalidCredential("permissions", f"{shown} is unknown; expected of {', '.join(Permission)}") from None


def _refuse_other_than_text(field: str, given: str) -> None:
    if not isinstance(given, str):
        raise InvalidCredential(field, f"{type(given).__name__}, expected text")


def _storable(field: str, text: str, most: int, *, least: int = 1) -> str:
    if not least <= len(text) <= most:
        raise InvalidCredential(field, f"{len(text)} characters, expected {least} to {most}")
    if not storable(text):
        raise InvalidCredential(field, "holds a NUL character or a lone surrogate")
    return text
