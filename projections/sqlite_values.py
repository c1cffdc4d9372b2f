"""The way of values from rows to SQLite's driver, a whole column at a time: that way nearly all of it runs in C."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from decimal import Decimal
from operator import attrgetter
from typing import Any

import sqlalchemy as sa

from byjy_events.columns import Flag, Money, Uuid
from byjy_events.numbers import spelled

Column = Sequence[Any]

_bytes_of = attrgetter("bytes")
_NOT_PLAIN = re.compile(r"E|-0(?:,|$)|\.\d*0(?:,|$)")
"""Among numbers with commas between them: one that is not spelled as it is stored."""


def inward(column_type: Any) -> Callable[[Any], Any] | None:
    """From a value to SQLite's; None: it is the same."""
    if isinstance(column_type, Uuid):
        return _bytes_of
    if isinstance(column_type, Money):
        return _amount
    if isinstance(column_type, Flag):
        return int
    if isinstance(column_type, (sa.String, sa.types.TypeDecorator)):
        return str.__str__  # an enum is a str too, which the driver would have to adapt
    return None


def column_inward(column_type: Any) -> Callable[[Column], Column] | None:
    """The same of a whole column, which may hold None."""
    change = inward(column_type)
    if change is None:
        return None
    return _amounts if change is _amount else lambda column: _changed(column, change)


def _changed(column: Column, change: Callable[[Any], Any]) -> Column:
    try:
        return list(map(change, column))
    except (TypeError, AttributeError):  # of None, or of what does not belong here, which raises again
        return [None if value is None else change(value) for value in column]


def _amounts(column: Column) -> Column:
    try:
        texts = list(map(Decimal.__str__, column))
    except TypeError:
        return [None if value is None else _amount(value) for value in column]
    return list(map(_amount, column)) if _NOT_PLAIN.search(",".join(texts)) else texts


def _amount(value: Decimal) -> str:
    text = str(value)
    return spelled(value) if _NOT_PLAIN.search(text) else text
