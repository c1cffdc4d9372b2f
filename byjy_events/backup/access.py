"""What gives access to a target, kept out of what is shown."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from urllib.parse import unquote

from byjy_events.redaction import Redactor
from byjy_events.secret import MASK

LONGEST = 500
"""Characters of what a library says."""

_BEFORE = r"(?<=://)(?<!abfs://)(?<!abfss://)"  # in those it is a container
_USER_INFO = re.compile(_BEFORE + r"(?:[^/?#]*@|[^/?#@:]*:.*@)", re.DOTALL)
_USER_INFO_IN_TEXT = re.compile(_BEFORE + r"(?:[^\s/?#]*@|[^\s/?#@:]*:\S*@)")
_QUERY = re.compile(r"(://[^\s?#'\"]*)[?#][^\s'\"]*")
_NAMES = frozenset({"key", "secret", "token", "password", "passphrase"})
_REDACTOR = Redactor()


def shown(url: str) -> str:
    """A URL without user name, password and query."""
    return _QUERY.sub(r"\1", _USER_INFO.sub("", url))


def user_info(url: str) -> str:
    """What stands before the host of a URL, or nothing."""
    found = _USER_INFO.search(url)
    return found[0][:-1] if found else ""


def secrets_in(url: str, options: Mapping[str, object]) -> tuple[str, ...]:
    """What must not be shown, the longest first."""
    found = set(_named(options))
    password = user_info(url).partition(":")[2]
    found |= {user_info(url), password, unquote(password)}
    return tuple(sorted(found - {""}, key=len, reverse=True))


def scrubbed(text: str, secrets: tuple[str, ...]) -> str:
    """What a library says, in one line, without secrets."""
    for secret in secrets:
        text = text.replace(secret, MASK)
    plain = _QUERY.sub(r"\1", _USER_INFO_IN_TEXT.sub("", " ".join(text.split())))
    return _REDACTOR.text(plain[:LONGEST])


def _named(options: Mapping[str, object]) -> Iterator[str]:
    for name, value in options.items():
        if isinstance(value, Mapping):
            yield from _named(value)
        elif isinstance(value, str) and (name in _NAMES or _REDACTOR.is_secret_name(name)):
            yield value
