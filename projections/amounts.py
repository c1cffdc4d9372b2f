"""Derived amounts, rounded at every event: half-even to 18 decimals, computed with 60 digits.

Rounding when storing instead would make a row depend on how many events were folded at once. A result
that does not fit NUMERIC(38, 18) is None: a venue may say anything, and a fold never raises for it.
"""

from __future__ import annotations

from decimal import Decimal

from byjy_events.numbers import CONTEXT, SHORT, InexactNumber, canonical, rounded, stripped

_add = CONTEXT.add
_multiply = CONTEXT.multiply
_divide = CONTEXT.divide


def settled(value: Decimal) -> Decimal | None:
    """A derived value as it is kept in a row; None: out of range."""
    text = str(value)
    if len(text) > SHORT:
        return _rounded(value)
    if "." in text and "E" not in text:
        return value if text[-1] != "0" else stripped(text)
    try:
        return canonical(value)
    except InexactNumber:
        return _rounded(value)


def total(value: Decimal, added: Decimal) -> Decimal | None:
    """``value + added``, exact; None: out of range."""
    return settled(_add(value, added))


def notional(quantity: Decimal, price: Decimal) -> Decimal | None:
    """``quantity × price``, rounded; None: out of range."""
    return settled(_multiply(quantity, price))


def ratio(value: Decimal, by: Decimal) -> Decimal | None:
    """``value ÷ by``, rounded; None: out of range, or division by zero."""
    return settled(_divide(value, by)) if by else None


def _rounded(value: Decimal) -> Decimal | None:
    try:
        return rounded(value)
    except InexactNumber:
        return None
