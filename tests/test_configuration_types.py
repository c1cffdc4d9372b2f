"""Types for keys: a wrong value is refused with the path of the field, and values come as what they are."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any

import msgspec
import pytest

from byjy_events import EventLog
from projections import Configuration, Json
from projections.configuration.errors import ValueMisfit
from projections.configuration.keys import RegisteredTypes

KEY = "risk.limits"


class Limit(msgspec.Struct, frozen=True):
    """Part of a type."""

    max: Decimal
    pairs: list[str] = []


class RiskLimits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A type that a program registers."""

    daily: Limit
    ratio: Annotated[float, msgspec.Meta(gt=0, le=1)]


GOOD: dict[str, Any] = {"daily": {"max": "1.50", "pairs": ["BTCUSDT"]}, "ratio": 0.5}


MISFITS: list[tuple[Any, str, str]] = [
    ({**GOOD, "ratio": "0.5"}, "$.ratio", "expected `float`, got `str`"),
    ({**GOOD, "ratio": 2}, "$.ratio", "expected `float` <= 1"),
    ({**GOOD, "daily": {"max": None}}, "$.daily.max", "expected `decimal`, got `null`"),
    ({**GOOD, "daily": {"max": "1", "pairs": ["a", 5]}}, "$.daily.pairs[1]", "expected `str`, got `int`"),
    ({"daily": GOOD["daily"]}, "$", "object missing required field `ratio`"),
    ({**GOOD, "more": 1}, "$", "object contains unknown field `more`"),
    ([], "$", "expected `object`, got `array`"),
]


async def test_a_value_that_does_not_fit_is_refused(database: str) -> None:
    """On every write, also of JSON text and of an old version; nothing is stored."""
    async with EventLog.open(database) as log:
        config = Configuration(log, types={"risk.*": RiskLimits})
        for number, (value, path, fault) in enumerate(MISFITS, 1):
            key = f"risk.limits{number}"
            await Configuration(log).set(key, value)  # a program that knows no types
            for attempt in (
                config.set(key, value, change_type=True, description="new"),
                config.set(key, Json(msgspec.json.encode(value).decode())),
                config.rollback(key, 1),
                config.get(key),
            ):
                with pytest.raises(ValueMisfit) as misfit:
                    await attempt
                assert (misfit.value.key, misfit.value.path) == (key, path)
                assert misfit.value.fault.startswith(fault)
            assert await log.head() == number


async def test_values_come_as_their_type(database: str) -> None:
    """The registered one, or another that is asked for; the text stays as it was given."""
    limits = RiskLimits(Limit(Decimal("1.50"), ["BTCUSDT"]), 0.5)
    async with EventLog.open(database) as log:
        config = Configuration(log, types={KEY: RiskLimits})
        made = await config.set(KEY, limits)
        assert made.value == GOOD
        assert await config.get(KEY) == limits
        assert await config.get(KEY, type=dict) == GOOD
        assert made.to(RiskLimits) == limits
        assert await Configuration(log).get(KEY) == GOOD
        with pytest.raises(ValueMisfit, match=r"expected `int`, got `object`$"):
            await config.get(KEY, type=int)
        assert await config.get("never.set", type=int, default=3) == 3


@pytest.mark.parametrize(
    ("key", "found"),
    [
        ("risk", None),
        ("risk.max", "beneath"),
        ("risk.limits", "exact"),
        ("risk.limits.daily", "beneath"),
        ("risk.venue", "beneath"),
        ("risk.venue.binance", "deeper"),
        ("risk.venue.binance.main", "deeper"),
        ("risk-free.max", None),
    ],
)
def test_the_nearest_type_counts(key: str, found: str | None) -> None:
    """That of the key itself, else the one for all that is beneath the longest of its parents."""
    types = RegisteredTypes({"risk.*": "beneath", "risk.limits": "exact", "risk.venue.*": "deeper"})
    assert types.of(key) == found
