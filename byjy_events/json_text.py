"""JSON from people, as it may be stored: checked, without ambiguity, spelled in one way only.

Readers of JSON differ on what a repeated key means and how exact a number is. Here neither comes in, but for whole
numbers beyond 2**53, which readers keep that have whole numbers at all: Python and msgspec do, JavaScript does not.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from typing import Any, NoReturn

import msgspec

from byjy_events.errors import ByjyError

DEPTH = 32
"""Objects and arrays inside each other."""

_SHOWN = 40
_PLAIN_KEY = re.compile(rf"[A-Za-z0-9_-]{{1,{_SHOWN}}}")


class InvalidJson(ByjyError):
    """A text is no JSON, or none that can be stored. Nothing was.

    Attributes:
        field: what it was given for, e.g. ``parameters``.
        path: where in it, e.g. ``$.limits[2].size``; ``$``: as a whole.
        reason: what is wrong.
    """

    def __init__(self, field: str, path: str, reason: str) -> None:
        self.field = field
        self.path = path
        self.reason = reason
        super().__init__(f"{field}: {reason}" + ("" if path == "$" else f" - at {path}"))


def json_text(field: str, text: str | bytes, *, limit: int) -> str:
    """The one spelling of a JSON text: keys sorted, no white space, characters as themselves.

    Args:
        field: what to call it in errors.
        limit: bytes of UTF-8 that it may have, as given and as spelled.

    Raises:
        InvalidJson: it is no JSON; it is longer, or nested deeper than :data:`DEPTH`; an object has a key twice; a
            number with a fraction or an exponent is more exact or larger than a double; a whole one has more than 4,300
            digits; a text holds NUL or a lone surrogate.
    """
    plain = _plain(field, text, limit)
    try:
        value = json.loads(plain, object_pairs_hook=_pairs, parse_float=_number, parse_int=_whole, parse_constant=_Odd)
    except RecursionError:
        raise InvalidJson(field, "$", f"nested deeper than {DEPTH}") from None
    except ValueError as error:
        raise InvalidJson(field, "$", f"not JSON: {error}") from None
    for path, reason in _oddities(value, "$", DEPTH):
        raise InvalidJson(field, path, reason)
    spelled = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"), sort_keys=True)
    _refuse_long(field, len(spelled.encode()), limit)
    return spelled


def json_text_of(field: str, value: Any, *, limit: int) -> str:
    """The same for a value: mappings, sequences, Structs, and what else msgspec encodes.

    Raises:
        InvalidJson: as :func:`json_text`, and for what has no JSON.
    """
    try:
        # In two steps: msgspec alone spells a number that is none as null. And it keeps one of two keys that it spells
        # alike, as 1 and "1"; json.dumps writes both, so that it is found out.
        encoded = json.dumps(msgspec.to_builtins(value), ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidJson(field, "$", f"has no JSON: {error}") from None
    return json_text(field, encoded, limit=limit)


def step(key: str) -> str:
    """One step of a path into an object: ``.size``, and ``["a.b"]`` for what could be taken for something else."""
    if _PLAIN_KEY.fullmatch(key):
        return f".{key}"
    return f"[{json.dumps(key if len(key) <= _SHOWN else key[:_SHOWN] + '…')}]"


class _Odd:
    """What stands in place of a value that may not come in."""

    def __init__(self, found: str, reason: str = "is no number") -> None:
        shown = found if len(found) <= _SHOWN else found[:_SHOWN] + "…"
        self.reason = f"{shown} {reason}"


def _plain(field: str, text: str | bytes, limit: int) -> str:
    if isinstance(text, str) and len(text) > limit:
        _too_long(field, len(text), limit)
    try:
        encoded = text.encode() if isinstance(text, str) else bytes(text)
        _refuse_long(field, len(encoded), limit)
        return encoded.decode()
    except UnicodeError as error:
        raise InvalidJson(field, "$", f"not UTF-8: {error.reason}") from None  # type: ignore[attr-defined]


def _refuse_long(field: str, size: int, limit: int) -> None:
    if size > limit:
        _too_long(field, size, limit)


def _too_long(field: str, size: int, limit: int) -> NoReturn:
    raise InvalidJson(field, "$", f"{size} bytes, more than {limit}")


def _pairs(pairs: list[tuple[str, Any]]) -> Any:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                return _Odd(repr(key), "stands in it twice")
            seen.add(key)
    return found


def _number(text: str) -> Any:
    number = float(text)
    try:
        exact = number not in (float("inf"), float("-inf")) and Decimal(repr(number)) == Decimal(text)
    except InvalidOperation:  # an exponent beyond what even decimals have
        exact = False
    return number if exact else _Odd(text, "is more exact or larger than every reader keeps: write it as a text")


def _whole(text: str) -> Any:
    try:
        return int(text)
    except ValueError:  # Python bounds the digits, since reading them takes the square of their number
        return _Odd(text, "has too many digits: write it as a text")


def _oddities(value: Any, path: str, depth: int) -> Iterator[tuple[str, str]]:
    if isinstance(value, _Odd):
        yield path, value.reason
    elif isinstance(value, str):
        yield from _unstorable(value, path)
    elif isinstance(value, dict | list):
        if depth == 0:
            yield path, f"nested deeper than {DEPTH}"
            return
        if isinstance(value, dict):
            for key in value:
                yield from _unstorable(key, path)
            inside: Any = ((path + step(key), item) for key, item in value.items())
        else:
            inside = ((f"{path}[{index}]", item) for index, item in enumerate(value))
        for where, item in inside:
            yield from _oddities(item, where, depth - 1)


def _unstorable(text: str, path: str) -> Iterator[tuple[str, str]]:
    if "\0" in text:
        yield path, "holds a NUL character"
    elif any("\ud800" <= character <= "\udfff" for character in text):
        yield path, "holds a lone surrogate"
