"""How values are spelled in text: one spelling for each value, and the way back."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any, NamedTuple
from uuid import UUID

from byjy_events.numbers import canonical, spelled
from byjy_ops.exporting.columns import ColumnType

_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - UTC throughout; without it isoformat says no offset
_INSTANT = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})\.([0-9]{9})Z", re.ASCII)
_INTEGER = re.compile(r"-?[0-9]{1,19}", re.ASCII)
_DECIMAL = re.compile(r"-?[0-9]{1,20}(?:\.[0-9]{1,18})?", re.ASCII)
_HASH = re.compile(r"[0-9a-f]{64}", re.ASCII)
_INT64 = 2**63


class Spelling(NamedTuple):
    """Of one type of column.

    Attributes:
        text: of a value.
        value: of a text, ValueError if it is none. More than one text may be taken for a value; only one is ``text``.
    """

    text: Callable[[Any], str]
    value: Callable[[str], Any]


def instant_text(nanoseconds: int) -> str:
    """An instant as ``2012-06-21T13:30:00.004241176Z``, always with nine digits."""
    seconds, fraction = divmod(nanoseconds, 10**9)
    return f"{_second(seconds)}.{fraction:09}Z"


def instant_value(text: str) -> int:
    """The nanoseconds of such a text; ValueError if it is none."""
    match = _INSTANT.fullmatch(text)
    if match is None:
        raise ValueError(f"{_short(text)} is no instant such as 2012-06-21T13:30:00.004241176Z")
    since = datetime.fromisoformat(match[1]) - _EPOCH
    return in_range((since.days * 86_400 + since.seconds) * 10**9 + int(match[2]))


def in_range(number: int) -> int:
    """The same number, ValueError if 64 bits do not hold it."""
    if not -_INT64 <= number < _INT64:
        raise ValueError(f"{number} does not fit 64 bits")
    return number


@lru_cache(maxsize=4096)
def _second(seconds: int) -> str:
    return (_EPOCH + timedelta(seconds=seconds)).isoformat(timespec="seconds")


def _integer(text: str) -> int:
    if not _INTEGER.fullmatch(text):
        raise ValueError(f"{_short(text)} is no whole number")
    return in_range(int(text))


def _decimal(text: str) -> Decimal:
    if not _DECIMAL.fullmatch(text):
        raise ValueError(f"{_short(text)} is no decimal of 38 digits, 18 of them behind the point")
    try:
        return canonical(Decimal(text))
    except InvalidOperation as error:
        raise ValueError(f"{_short(text)} is no decimal") from error


def _flag(text: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError(f"{_short(text)} is neither true nor false")
    return text == "true"


def _uuid(text: str) -> str:
    try:
        return str(UUID(text))
    except ValueError:
        raise ValueError(f"{_short(text)} is no UUID") from None


def _hash(text: str) -> str:
    if not _HASH.fullmatch(text):
        raise ValueError(f"{_short(text)} is no hash of 64 hexadecimal digits")
    return text


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:60] + "…")


def _same(text: str) -> str:
    return text


SPELLINGS = {
    ColumnType.INTEGER: Spelling(str, _integer),
    ColumnType.TEXT: Spelling(_same, _same),
    ColumnType.UUID: Spelling(_same, _uuid),
    ColumnType.INSTANT: Spelling(instant_text, instant_value),
    ColumnType.DECIMAL: Spelling(spelled, _decimal),
    ColumnType.FLAG: Spelling(lambda value: "true" if value else "false", _flag),
    ColumnType.HASH: Spelling(_same, _hash),
}
