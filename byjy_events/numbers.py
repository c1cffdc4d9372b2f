"""Exact numbers: what a money value may be, and the one way to write it.

Every money value in the log and in the tables fits NUMERIC(38, 18) and has one canonical spelling:
plain digits, no exponent, no trailing zeros, no ``-0``. So equal values are equal bytes.
"""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Context, Decimal

SCALE = 18
"""Digits behind the decimal point that a money value may have."""

PRECISION = 38
"""Digits that a money value may have in all."""

INTEGER_DIGITS = PRECISION - SCALE

CONTEXT = Context(prec=60, rounding=ROUND_HALF_EVEN)
"""The context of every derived number: wide enough that only the final rounding to the scale loses digits."""

ZERO = Decimal(0)
_QUANTUM = Decimal(1).scaleb(-SCALE)
_BOUND = Decimal(10) ** INTEGER_DIGITS
SHORT = INTEGER_DIGITS - 1
"""A plain number of so few characters is in range, whatever it says."""

_SIGNS_OF_NOTHING = ("0", "-0")


class InexactNumber(ValueError):
    """A number that cannot be kept exactly. The message says why."""


def canonical(value: Decimal) -> Decimal:
    """The same value in its canonical spelling.

    Raises:
        InexactNumber: not a Decimal, not finite, or it does not fit NUMERIC(38, 18).
    """
    if type(value) is not Decimal:
        raise InexactNumber(f"expected a Decimal, got {type(value).__name__} {value!r}")
    text = str(value)
    if len(text) <= SHORT:  # nearly every number is, and then it fits
        if "." in text:
            if "E" not in text:
                return value if text[-1] != "0" else stripped(text)
        elif text.isdigit() and (text[0] != "0" or text == "0"):
            return value
    return _respelled(value)


def stripped(text: str) -> Decimal:
    """The number that a text with a decimal point and without an exponent says, in its canonical spelling."""
    shorter = text.rstrip("0").rstrip(".")
    return Decimal(shorter) if shorter not in _SIGNS_OF_NOTHING else ZERO


def _respelled(value: Decimal) -> Decimal:
    if not value.is_finite():
        raise InexactNumber(f"{value} is not a finite number")
    if value.is_zero():
        return ZERO
    if value.adjusted() >= INTEGER_DIGITS:
        raise InexactNumber(f"{value} has more than {INTEGER_DIGITS} digits before the decimal point")
    if value.adjusted() < -SCALE:
        raise InexactNumber(f"{value} has more than {SCALE} decimals")
    try:
        rounded = value.quantize(_QUANTUM, context=CONTEXT)
    except ArithmeticError:  # more digits than the context holds
        raise InexactNumber(f"{value} has more than {PRECISION} digits") from None
    if rounded != value:
        raise InexactNumber(f"{value} has more than {SCALE} decimals")
    return Decimal(spelled(value))


def rounded(value: Decimal) -> Decimal:
    """A derived number, rounded half-even to the scale of money and spelled canonically.

    Raises:
        InexactNumber: the number is too large for NUMERIC(38, 18).
    """
    if not value.is_finite() or value.adjusted() >= INTEGER_DIGITS:
        raise InexactNumber(f"{value} has more than {INTEGER_DIGITS} digits before the decimal point")
    exact = value.quantize(_QUANTUM, context=CONTEXT)
    text = str(exact)
    if "E" in text or exact.adjusted() >= INTEGER_DIGITS:  # it is tiny, or nothing, or was rounded up to too much
        return canonical(exact)
    return exact if text[-1] != "0" else stripped(text)


def spelled(value: Decimal) -> str:
    """The canonical text of a finite value, e.g. ``0.0000001`` where ``str`` says ``1E-7``."""
    text = format(value, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text
