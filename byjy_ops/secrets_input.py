"""Reading secrets from whoever runs a command: from a hidden prompt, or as JSON from standard input."""

from __future__ import annotations

import getpass
import json
import sys
from typing import Any

from byjy_events.secret import Secret
from byjy_ops.errors import InvalidArgument

MOST_BYTES = 256 * 1024
"""What is read of standard input; three secrets, however they are escaped, are less."""

SOURCE = "standard input"


def read_secrets(required: tuple[str, ...], optional: tuple[str, ...] = ()) -> dict[str, Secret[str]]:
    """Secrets by name. On a terminal each is asked for, and is not shown; what is optional may be left empty.

    From elsewhere one JSON object is read whose fields are called so, e.g. ``{"key": "…", "secret": "…"}``.

    Raises:
        InvalidArgument: it is no such object. The error does not show what is in it.
    """
    if sys.stdin is not None and sys.stdin.isatty():
        return _asked(required, optional)
    return _parsed(_whole(), required, optional)


def _asked(required: tuple[str, ...], optional: tuple[str, ...]) -> dict[str, Secret[str]]:
    try:
        found = {name: Secret(getpass.getpass(f"{name}: ")) for name in required}
        found |= {name: Secret(getpass.getpass(f"{name} (empty: none): ")) for name in optional}
    except EOFError:
        raise InvalidArgument(SOURCE, "ended") from None
    return {name: secret for name, secret in found.items() if secret or name in required}


def _whole() -> Secret[bytes]:
    whole = Secret(sys.stdin.buffer.read(MOST_BYTES + 1)) if sys.stdin is not None else Secret(b"")
    if len(whole.reveal()) > MOST_BYTES:
        raise InvalidArgument(SOURCE, f"more than {MOST_BYTES} bytes")
    return whole


def _parsed(whole: Secret[bytes], required: tuple[str, ...], optional: tuple[str, ...]) -> dict[str, Secret[str]]:
    expected = ", ".join([*required, *(f"{name} if there is one" for name in optional)])
    fields = _fields(whole)
    if fields is None:
        raise InvalidArgument(SOURCE, f"not a JSON object; expected one with {expected}")
    names = [name for name, _ in fields]
    if sorted(names) != sorted(set(names)) or not set(required) <= set(names) <= {*required, *optional}:
        raise InvalidArgument(SOURCE, f"not the fields that were expected, each once: {expected}")
    for name, value in fields:
        if not isinstance(value, Secret) and (value is not None or name in required):
            raise InvalidArgument(SOURCE, f"{name}: expected a text")
    return {name: value for name, value in fields if value is not None}


def _fields(whole: Secret[bytes]) -> list[tuple[str, Any]] | None:
    """In their order, texts as secrets, and of what else was given no more than that; None: it is no object."""
    try:
        found = json.loads(whole.reveal(), object_pairs_hook=_masked)
    except (ValueError, RecursionError):  # which hold the text
        return None
    return found.pairs if isinstance(found, _Object) else None


class _Object:
    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        self.pairs = pairs


def _masked(pairs: list[tuple[str, Any]]) -> _Object:
    return _Object([(name, _masked_value(value)) for name, value in pairs])


def _masked_value(value: Any) -> Any:
    if isinstance(value, str):
        return Secret(value)
    return None if value is None else ...  # a number may be somebody's PIN
