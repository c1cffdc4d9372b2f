"""How usernames and email addresses are spelled so that those that count as the same are the same.

Both are compared without regard to case and Unicode form: Unicode's compatibility caseless match (The Unicode Standard,
3.13, D146), with NFKC in the end. What only looks alike, such as a Cyrillic and a Latin letter, stays different.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

from byjy_events.event import storable
from byjy_events.sealing import BlindIndex
from byjy_events.secret import Secret
from byjy_events.stream import Stream, reservation_stream
from byjy_events.vocabulary.users import USERNAME_CHARACTERS
from projections.users.errors import InvalidEmail, InvalidUsername

USERNAME = "username"
EMAIL = "email"
"""Kinds of reservations."""

EMAIL_PURPOSE = "user.email"
"""What the keyed hashes of email addresses are for; see :meth:`byjy_events.sealing.Vault.blind_index`."""

EMAIL_CHARACTERS = 254
"""The longest address that mail can be sent to (RFC 5321, with its erratum 1690)."""

MOST_SHRUNK = 4
"""NFKC makes one character of at most so many. What is too long all the same is not normalised: that takes a time that
grows with the square of the marks behind one letter."""

LONGEST = MOST_SHRUNK * 255
"""Characters of what may have a canonical spelling that fits a column."""

_ID = re.compile(r"[0-9a-f]{32}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)

_UNSTORABLE = "holds a NUL character or a lone surrogate"

_INVISIBLE = frozenset(
    "\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u3164\uffa0\u2800"
    + "".join(map(chr, [*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)]))
)
"""Characters that take part in text and show nothing, beside those of a format or control category."""


class Name:
    """A username.

    Attributes:
        shown: in NFKC, as people read it.
        key: its canonical spelling.
    """

    def __init__(self, given: str) -> None:
        """
        Raises:
            InvalidUsername: not 1 to 64 characters, an @, a UUID, blanks at an end, or characters that are not seen.
        """
        if not isinstance(given, str):
            raise InvalidUsername(f"expected a text, not {type(given).__name__}")  # type: ignore[unreachable, unused-ignore]
        if not storable(given):
            raise InvalidUsername(_UNSTORABLE)
        if len(given) > MOST_SHRUNK * USERNAME_CHARACTERS:
            raise InvalidUsername(f"{len(given)} characters, not 1 to {USERNAME_CHARACTERS}")
        self.shown = unicodedata.normalize("NFKC", given)
        for reason in _wrong_with(given, self.shown):
            raise InvalidUsername(reason)
        self.key = canonical(self.shown)


class Email:
    """An email address.

    Attributes:
        shown: as it was given, without blanks around it.
        key: its canonical spelling. Of an address the part before the @ counts without regard to case too: hosts where
            it does not are a thing of theory, and nobody remembers how it was spelled.
    """

    def __init__(self, given: Secret[str]) -> None:
        """
        Raises:
            InvalidEmail: it has not the form of an address.
        """
        reason = _no_email(given)
        if reason is not None:
            raise InvalidEmail(reason)
        self.shown = Secret(given.reveal().strip())
        self.key = Secret(canonical(self.shown.reveal()))

    def hash_in(self, index: BlindIndex) -> bytes:
        """The keyed hash that it is found by."""
        return index.of(self.key)


def username_reservation(username_key: str) -> Stream:
    """What whoever is called so has reserved."""
    return reservation_stream(USERNAME, username_key)


def email_reservation(email_hash: bytes) -> Stream:
    """What whoever has the address has reserved; the stream tells the address no more than its hash does."""
    return reservation_stream(EMAIL, email_hash.hex())


def canonical(text: str) -> str:
    """The one spelling of all texts that differ only by case and Unicode form. Of itself it is itself.

    A text of more than :data:`LONGEST` characters comes back as it is: no name is so long, in any spelling.
    """
    if len(text) > LONGEST:
        return text
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFD", text).casefold())
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFD", folded).casefold())


def _wrong_with(given: str, name: str) -> Iterator[str]:
    if not 1 <= len(name) <= USERNAME_CHARACTERS:
        yield f"{len(name)} characters, not 1 to {USERNAME_CHARACTERS}"
    if given != given.strip() or name != name.strip():
        yield "white space at an end"
    if "@" in name:
        yield "an @ makes it an email address"
    if _ID.fullmatch(name):
        yield "a UUID makes it an id"
    # As it was given too: a format character may vanish in NFKC, and names may not differ by what nobody sees.
    if not (name.isprintable() and _INVISIBLE.isdisjoint(name) and _INVISIBLE.isdisjoint(given)):
        yield "characters that are not seen"


def _no_email(given: Secret[str]) -> str | None:
    if not isinstance(given, Secret) or not isinstance(given.reveal(), str):
        return "expected a Secret text"
    if not storable(given.reveal()):
        return _UNSTORABLE
    address = Secret(given.reveal().strip())
    length = len(address.reveal())
    if not 3 <= length <= EMAIL_CHARACTERS:
        return f"{length} characters, not 3 to {EMAIL_CHARACTERS}"
    if not address.reveal().isprintable() or " " in address.reveal():
        return "holds blanks or characters that are not seen"
    local, _, domain = address.reveal().rpartition("@")
    return None if local and domain and "@" not in local else "not of the form name@domain"
