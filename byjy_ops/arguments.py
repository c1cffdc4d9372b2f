"""What can be written on the command line, and what it means."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, NamedTuple, TypeVar
from uuid import UUID

import typer

E = TypeVar("E", bound=StrEnum)

LIMIT = 100
"""Rows that a listing shows where ``--limit`` says nothing."""

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_RELATIVE = re.compile(r"([0-9]+(?:\.[0-9]{1,9})?)([smhdw])", re.ASCII)
_FRACTION = re.compile(r"(.*:[0-9]{2})[.,]([0-9]{1,9})(.*)", re.ASCII)
_PLAIN = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)", re.ASCII)
_INT64 = 2**63


class ClockName(StrEnum):
    """Clocks, as they are called on the command line."""

    RECORDED = "recorded"
    VENUE = "venue"


class Moment(NamedTuple):
    """A moment of the past, by the one or the other.

    Attributes:
        position: in the log.
        nanoseconds: UTC, of an instant.
    """

    position: int | None = None
    nanoseconds: int | None = None


SEALED = Moment()
"""Of no clock and no number: the last position that a signed checkpoint covers."""


class Mark(NamedTuple):
    """A price of a trading pair.

    Attributes:
        pair: its symbol, or exchange and symbol, as for ``--pair``.
    """

    pair: str
    price: Decimal


def instant(text: str, *, now: int | None = None) -> int:
    """Nanoseconds UTC of an ISO 8601 instant or date, of nanoseconds, or of a time ago such as ``2h``.

    Without an offset it is UTC. Eight digits are a date (``20120621``), more are nanoseconds.

    Raises:
        typer.BadParameter: it is none of these.
    """
    text = text.strip()
    if match := _RELATIVE.fullmatch(text):
        return (time.time_ns() if now is None else now) - _nanoseconds(match[1]) * _UNITS[match[2]]
    if re.fullmatch(r"-?[0-9]{9,19}", text, re.ASCII):
        return _stored(int(text), text)
    examples = "2012-06-21, 2012-06-21T13:30:00Z, 1340285400000000000 or 2h"
    moment, fraction = _iso(text, examples)
    return _stored(_since_epoch(moment if moment.tzinfo else moment.replace(tzinfo=UTC), fraction), text)


def span(text: str) -> timedelta:
    """A span of time such as ``30d``, ``12h`` or ``90s``.

    Raises:
        typer.BadParameter: it is none.
    """
    match = _RELATIVE.fullmatch(text.strip())
    try:
        if match:
            return timedelta(microseconds=_nanoseconds(match[1]) * _UNITS[match[2]] // 1_000)
    except OverflowError:
        raise typer.BadParameter(f"{text!r} is out of range") from None
    raise typer.BadParameter(f"{text!r} is no span of time; try 30d, 12h or 90s")


def expiry(text: str) -> int:
    """Nanoseconds UTC of an instant as :func:`instant` takes it, or of a span from now such as ``90d``.

    Raises:
        typer.BadParameter: it is neither.
    """
    if _RELATIVE.fullmatch(text.strip()):
        return _stored(time.time_ns() + span(text) // timedelta(microseconds=1) * 1_000, text)
    return instant(text)


def moment(text: str) -> Moment:
    """A position in the log, of digits alone, or an instant of the past: ISO 8601 with its offset from UTC.

    Raises:
        typer.BadParameter: it is neither, or says no offset: whose clock was looked at is not ours to guess.
    """
    text = text.strip()
    if re.fullmatch(r"[0-9]+", text, re.ASCII):
        return Moment(position=position(text))
    found, fraction = _iso(text, "a position such as 1200, or an instant such as 2012-06-21T10:00:00Z")
    if found.tzinfo is None:
        plain = f"{found:%Y-%m-%dT%H:%M:%S}" + (f".{fraction:09}".rstrip("0") if fraction else "")
        raise typer.BadParameter(f"{text!r} says no time zone; write {plain}Z, or an offset, as in {plain}+02:00")
    return Moment(nanoseconds=_stored(_since_epoch(found, fraction), text))


def sealed_or_moment(text: str) -> Moment:
    """``sealed``, or what :func:`moment` takes."""
    return SEALED if text.strip() == "sealed" else moment(text)


def _stored(value: int, text: str) -> int:
    if not -_INT64 <= value < _INT64:
        raise typer.BadParameter(f"{text!r} is out of range")
    return value


def _nanoseconds(seconds: str) -> int:
    whole, _, fraction = seconds.partition(".")
    return int(whole) * 10**9 + int(fraction.ljust(9, "0"))


def _iso(text: str, examples: str) -> tuple[datetime, int]:
    """To the second, and the nanoseconds beyond."""
    fraction = 0
    if re.search(r"[.,][0-9]{10}", text, re.ASCII):
        raise typer.BadParameter(f"{text!r} is finer than a nanosecond")
    if match := _FRACTION.fullmatch(text):  # datetime would cut it to microseconds
        text, fraction = match[1] + match[3], int(match[2].ljust(9, "0"))
    try:
        return datetime.fromisoformat(text), fraction
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no instant; try {examples}") from None


def _since_epoch(moment: datetime, fraction: int) -> int:
    since_epoch = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (since_epoch.days * 86_400 + since_epoch.seconds) * 10**9 + fraction


def trading_date(text: str) -> date:
    """A date, ``YYYY-MM-DD``.

    Raises:
        typer.BadParameter: it is none.
    """
    try:
        return datetime.strptime(text, "%Y-%m-%d").date()  # noqa: DTZ007
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no date; expected YYYY-MM-DD") from None


def position(text: str) -> int:
    """A position in the log.

    Raises:
        typer.BadParameter: it is none.
    """
    if not re.fullmatch(r"[0-9]{1,19}", text, re.ASCII) or int(text) >= _INT64:
        raise typer.BadParameter(f"{text!r} is no position in a log")
    return int(text)


def mark(text: str) -> Mark:
    """A price of a trading pair, ``[EXCHANGE:]SYMBOL=PRICE``, in plain digits; it may be zero or negative.

    Raises:
        typer.BadParameter: it is none, or does not fit NUMERIC(38, 18).
    """
    from byjy_events.numbers import InexactNumber, canonical

    pair, _, price = text.strip().rpartition("=")  # a symbol may hold an equals sign itself
    if not pair:
        raise typer.BadParameter(f"{text!r} names no pair and price; expected [EXCHANGE:]SYMBOL=PRICE")
    if not _PLAIN.fullmatch(price):
        raise typer.BadParameter(f"{text!r}: {price!r} is no price; expected plain digits such as 61000.5")
    try:
        return Mark(pair, canonical(Decimal(price)))
    except InexactNumber as error:
        raise typer.BadParameter(f"{text!r}: {error}") from None


def uuid(text: str) -> UUID:
    """A UUID.

    Raises:
        typer.BadParameter: it is none.
    """
    try:
        return UUID(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no UUID") from None


def choices(values: type[E], option: str, given: Iterable[str] | None) -> list[E]:
    """The members of an enum that were named, in upper or lower case.

    Raises:
        InvalidArgument: one of them is none.
    """
    from byjy_ops.errors import InvalidArgument

    known = {str(value): value for value in values}
    for text in given or ():
        if text.upper() not in known:
            raise InvalidArgument(option, f"{text!r} is unknown; expected one of {', '.join(known)}")
    return [known[text.upper()] for text in given or ()]


AsJson = Annotated[bool, typer.Option("--json", help="One JSON object a line; decimals are strings.")]
PairName = Annotated[
    str | None,
    typer.Option("--pair", metavar="[EXCHANGE:]SYMBOL", help="Only this trading pair, e.g. binance:BTCUSDT."),
]
Account = Annotated[str | None, typer.Option("--account", metavar="NAME", help="Only this account.")]
Since = Annotated[
    int | None,
    typer.Option(
        "--since",
        metavar="INSTANT",
        parser=instant,
        help="Only from then on: ISO 8601 (UTC unless it says otherwise), nanoseconds, or a time ago such as 2h.",
    ),
]
Limit = Annotated[int, typer.Option("--limit", min=0, help="At most so many; 0: all.")]
OrderOption = Annotated[
    UUID | None, typer.Option("--order", metavar="ORDER_ID", parser=uuid, help="Only this order, or what is of it.")
]
ExecutionOption = Annotated[
    UUID | None,
    typer.Option("--execution", metavar="EXECUTION_ID", parser=uuid, help="Only of this execution of a strategy."),
]
Statuses = Annotated[
    list[str] | None, typer.Option("--status", metavar="STATUS", help="Only in this status; may be repeated.")
]
Kinds = Annotated[list[str] | None, typer.Option("--kind", metavar="KIND", help="Only of this kind; may be repeated.")]
OpenOnly = Annotated[bool, typer.Option("--open", help="Only orders that may still trade.")]
Marks = Annotated[
    list[Mark] | None,
    typer.Option(
        "--mark",
        metavar="[EXCHANGE:]SYMBOL=PRICE",
        parser=mark,
        help="What a pair is worth, e.g. BTCUSDT=61000: shows unrealised profit at that price; may be repeated.",
    ),
]
GroupName = Annotated[
    str | None, typer.Argument(metavar="[GROUP]", help="Only this group of projections; else all installed.")
]
