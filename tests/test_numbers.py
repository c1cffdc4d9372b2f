"""Exact numbers: one value, one spelling, nothing lost and nothing let through."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from byjy_events.numbers import PRECISION, SCALE, InexactNumber, canonical, rounded, spelled

LARGEST = Decimal("9" * 20 + "." + "9" * 18)
TINIEST = Decimal("0.000000000000000001")


def exact(digits: int, exponent: int) -> Decimal:
    return Decimal((int(digits < 0), tuple(map(int, str(abs(digits)))), exponent))


values = st.builds(exact, st.integers(-(10**38) + 1, 10**38 - 1), st.just(-SCALE))
spellings = st.builds(exact, st.integers(-(10**15), 10**15), st.integers(-SCALE, 4))


@given(values | spellings)
def test_a_canonical_number_is_the_same_number(value: Decimal) -> None:
    """Nothing is rounded on the way, whatever the number of digits."""
    assert canonical(value) == value


@given(values | spellings)
def test_a_canonical_number_is_spelled_in_plain_digits(value: Decimal) -> None:
    """No exponent, no trailing zero behind the point, no leading zero, no negative zero."""
    text = spelled(canonical(value))
    whole, _, fraction = text.lstrip("-").partition(".")
    assert whole.isdigit()
    assert whole == "0" or not whole.startswith("0")
    assert not fraction.endswith("0")
    assert len(fraction) <= SCALE
    assert len(whole) <= PRECISION - SCALE
    assert text != "-0"


@given(spellings, st.integers(0, 6))
def test_equal_numbers_have_one_spelling(value: Decimal, zeros: int) -> None:
    """1.1, 1.10 and 1.100 are the same bytes."""
    sign, digits, exponent = value.as_tuple()
    assert isinstance(exponent, int)
    padded = Decimal((sign, (*digits, *([0] * zeros)), exponent - zeros))
    assert str(canonical(padded)) == str(canonical(value))
    assert spelled(canonical(padded)) == spelled(canonical(value))


@given(values | spellings)
def test_canonical_twice_is_canonical_once(value: Decimal) -> None:
    """What is canonical already stays as it is, digit by digit."""
    once = canonical(value)
    assert canonical(once).as_tuple() == once.as_tuple()


@pytest.mark.parametrize("precision", [3, 28])
def test_the_callers_decimal_context_does_not_matter(precision: int) -> None:
    """A program that works with few digits elsewhere stores all of them here."""
    with localcontext() as context:
        context.prec = precision
        assert spelled(canonical(Decimal("12345678901234567890.123456789012345678"))) == (
            "12345678901234567890.123456789012345678"
        )


@pytest.mark.parametrize(
    "value", [LARGEST, LARGEST.copy_negate(), TINIEST, -TINIEST, Decimal("1E+19"), Decimal("1E-18")]
)
def test_the_bounds_themselves_fit(value: Decimal) -> None:
    """NUMERIC(38, 18) is closed: its largest and smallest numbers can be kept."""
    assert canonical(value) == value


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("NaN", "not a finite number"),
        ("sNaN", "not a finite number"),
        ("Infinity", "not a finite number"),
        ("-Infinity", "not a finite number"),
        ("1E+20", "20 digits before the decimal point"),
        ("100000000000000000000", "20 digits before the decimal point"),
        ("-1e400", "20 digits before the decimal point"),
        ("1E-19", "18 decimals"),
        ("0.0000000000000000001", "18 decimals"),
        ("1.0000000000000000001", "18 decimals"),
        ("12345678901234567890.1234567890123456789", "18 decimals"),
        ("0." + "1" * 70, "18 decimals"),
        ("1." + "0" * 70 + "1", "18 decimals"),
    ],
)
def test_what_does_not_fit_is_refused_and_never_rounded(value: str, reason: str) -> None:
    """Finite, at most 20 digits before and 18 behind the point: else an error that says which."""
    with pytest.raises(InexactNumber, match=reason):
        canonical(Decimal(value))


@pytest.mark.parametrize("value", [1, 1.5, "1.5", True, None, b"1"])
def test_only_a_decimal_is_a_number(value: object) -> None:
    """A float has lost digits already, and a text is not checked yet."""
    with pytest.raises(InexactNumber, match="expected a Decimal"):
        canonical(value)  # type: ignore[arg-type]


@given(st.builds(exact, st.integers(-(10**45), 10**45), st.integers(-40, -26)))
def test_a_derived_number_is_rounded_half_even_to_the_scale(value: Decimal) -> None:
    """The same as decimal's own quantize with room enough."""
    with localcontext() as context:
        context.prec = 100
        expected = value.quantize(TINIEST, rounding=ROUND_HALF_EVEN)
    assert rounded(value) == expected


@pytest.mark.parametrize("value", ["NaN", "Infinity", "1E+20", "99999999999999999999.9999999999999999999"])
def test_a_derived_number_that_is_too_large_is_an_error(value: str) -> None:
    """Also when only the rounding makes it too large."""
    with pytest.raises(InexactNumber):
        rounded(Decimal(value))
