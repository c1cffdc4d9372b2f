"""One line of a LOBSTER message file: ``time,type,order id,size,price,direction``.

Time is in seconds after midnight, the price in dollars times 10,000, the direction that of the resting order: 1 buys,
-1 sells. Numbers are read from their digits; no float is involved. But floats were, where the files were made:
some times carry noise behind the nanosecond (``35821.088778456004``), so they are rounded to it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import IntEnum
from typing import NamedTuple

SECONDS_A_DAY = 86_400
_BILLION = 1_000_000_000
_COLUMNS = ("time", "type", "order id", "size", "price", "direction")
_LINE = re.compile(rb"([0-9]{1,5})(?:\.([0-9]{1,18}))?,([0-9]),([0-9]{1,19}),([0-9]{1,18}),(-?[0-9]{1,18}),(-?1)\r?\n?")


class MessageType(IntEnum):
    """What a line tells."""

    SUBMISSION = 1
    PARTIAL_CANCEL = 2
    DELETION = 3
    EXECUTION = 4
    HIDDEN_EXECUTION = 5
    HALT = 7


_TYPES = {str(int(kind)).encode(): kind for kind in MessageType}
SKIPPED = frozenset({MessageType.HIDDEN_EXECUTION, MessageType.HALT})
"""Messages that belong to no visible order."""


class Message(NamedTuple):
    """One message.

    Attributes:
        nanoseconds: since midnight.
        size: in shares.
        price: in dollars times 10,000, as its digits.
    """

    nanoseconds: int
    type: MessageType
    order: str
    size: str
    price: str
    is_buy: bool


class Malformed(ValueError):
    """A line is no message.

    Attributes:
        field: the column at fault; None: the line as a whole.
    """

    def __init__(self, field: str | None, reason: str) -> None:
        self.field = field
        super().__init__(reason)


def parse(line: bytes) -> Message:
    """The message of a line, with or without its line end.

    Raises:
        Malformed: names the first column at fault.
    """
    match = _LINE.fullmatch(line)
    if match is None:
        raise _diagnosis(line)
    seconds, fraction, kind, order, size, price, direction = match.groups()
    message_type = _TYPES.get(kind)
    if message_type is None or int(seconds) >= SECONDS_A_DAY:
        raise _diagnosis(line)
    nanoseconds = int(seconds) * _BILLION + (0 if fraction is None else _nanoseconds(fraction))
    if message_type not in SKIPPED and not (price.isdigit() and int(price) and int(size) and int(order)):
        raise _diagnosis(line)
    return Message(nanoseconds, message_type, order.decode(), size.decode(), price.decode(), direction == b"1")


def _nanoseconds(fraction: bytes) -> int:
    """A fraction of a second, rounded."""
    if len(fraction) <= 9:
        return int(fraction.ljust(9, b"0"))
    return int(fraction[:9]) + (fraction[9] >= ord("5"))


def _diagnosis(line: bytes) -> Malformed:
    """What is wrong with a line that did not parse: slow, and only for the one that stops an import."""
    values = line.decode("utf-8", "backslashreplace").rstrip("\r\n").split(",")
    if len(values) != len(_COLUMNS):
        return Malformed(None, f"expected {len(_COLUMNS)} columns, found {len(values) if values != [''] else 0}")
    for column, value, check in zip(_COLUMNS, values, _CHECKS, strict=True):
        if reason := check(value):
            return Malformed(column, f"{reason}, found {value[:40]!r}")
    return Malformed(None, "not a message")


def _time(value: str) -> str | None:
    if not re.fullmatch(r"[0-9]+(\.[0-9]+)?", value, re.ASCII):
        return "expected seconds after midnight"
    whole, _, fraction = value.partition(".")
    if len(fraction) > 18:
        return "expected at most 18 decimals"
    return None if len(whole) <= 5 and int(whole) < SECONDS_A_DAY else f"expected less than {SECONDS_A_DAY} seconds"


def _type(value: str) -> str | None:
    return None if value.encode() in _TYPES else f"expected one of {', '.join(sorted(k.decode() for k in _TYPES))}"


def _whole(digits: int, least: int) -> Callable[[str], str | None]:
    def check(value: str) -> str | None:
        if not re.fullmatch(r"[0-9]+", value, re.ASCII) or int(value) < least:
            return f"expected a whole number of at least {least}"
        return None if len(value) <= digits else f"expected at most {digits} digits"

    return check


def _direction(value: str) -> str | None:
    return None if value in ("1", "-1") else "expected 1 or -1"


_CHECKS: tuple[Callable[[str], str | None], ...] = (
    _time,
    _type,
    _whole(19, 1),
    _whole(18, 1),
    _whole(18, 1),
    _direction,
)
