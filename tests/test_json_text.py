"""JSON that people hand over: one spelling comes in, and nothing that two readers could read differently."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from byjy_events.json_text import DEPTH, InvalidJson, json_text, json_text_of

LIMIT = 1_000

texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inside: st.lists(inside, max_size=4) | st.dictionaries(texts, inside, max_size=4),
    max_leaves=20,
)


@given(values)
def test_every_value_comes_back_and_has_one_spelling(value: Any) -> None:
    """Whatever spacing, order of keys and escapes it came with."""
    spelled = json_text("it", json.dumps(value, indent=2), limit=100_000)
    assert json.loads(spelled) == value
    assert json_text("it", spelled, limit=100_000) == spelled
    assert json_text_of("it", json.loads(spelled), limit=100_000) == spelled


def test_the_same_is_spelled_alike() -> None:
    """So that two texts can be compared."""
    assert json_text("it", ' {"b": 1.50, "a": "\\u00e9"} ', limit=LIMIT) == '{"a":"é","b":1.5}'
    assert json_text("it", b'{"a":"\xc3\xa9","b":15e-1}', limit=LIMIT) == '{"a":"é","b":1.5}'


@pytest.mark.parametrize(
    ("text", "path", "reason"),
    [
        ("", "$", "not JSON"),
        ("{", "$", "not JSON"),
        ("[1] 2", "$", "not JSON"),
        ('{"a": 1, "a": 1}', "$", "'a' stands in it twice"),
        ('{"a": [{}, {"b": 1, "c": 2, "b": 3}]}', "$.a[1]", "'b' stands in it twice"),
        ('{"a": NaN}', "$.a", "NaN is no number"),
        ("[-Infinity]", "$[0]", "-Infinity is no number"),
        ('{"a": 1e999}', "$.a", "more exact or larger"),
        ('{"a": 0.12345678901234567890}', "$.a", "more exact or larger"),
        ('{"a": "\\u0000"}', "$.a", "NUL"),
        ('{"a": "\\ud800"}', "$.a", "lone surrogate"),
        ('{"\\ud800": 1}', "$", "lone surrogate"),
        ('"\ud800"', "$", "not UTF-8"),
        (b'"\xff"', "$", "not UTF-8"),
        ("[" * (DEPTH + 1) + "]" * (DEPTH + 1), f"${'[0]' * DEPTH}", "nested deeper"),
        ("[" * 400_000, "$", "bytes, more than 1000"),
        ('"' + "é" * 600 + '"', "$", "1202 bytes, more than 1000"),
        ("1" * 999, "$", ""),
    ],
    ids=lambda value: repr(value[:20]),
)
def test_a_text_that_cannot_be_stored_is_refused_and_the_error_says_where(
    text: str | bytes, path: str, reason: str
) -> None:
    """The path, in the way of msgspec's errors; and the field that it was meant for."""
    if not reason:
        assert json_text("limits", text, limit=LIMIT) == text  # a whole number may have any length
        return
    with pytest.raises(InvalidJson, match=r"^limits: ") as refused:
        json_text("limits", text, limit=LIMIT)
    assert refused.value.field == "limits"
    assert refused.value.path == path
    assert reason in refused.value.reason


def test_deep_nesting_within_the_limit_does_not_break_the_parser() -> None:
    """100,000 brackets are an answer, not a crash."""
    with pytest.raises(InvalidJson, match="nested deeper"):
        json_text("it", "[" * 100_000 + "]" * 100_000, limit=10**6)


@pytest.mark.parametrize("value", [object(), {1: object()}, float("nan"), "\ud800"], ids=str)
def test_a_value_without_json_is_refused(value: Any) -> None:
    """Not made a null of, as msgspec would with NaN."""
    with pytest.raises(InvalidJson, match=r"^it: "):
        json_text_of("it", value, limit=LIMIT)


def test_what_msgspec_encodes_has_a_text() -> None:
    """A Struct, for one."""

    class Limits(msgspec.Struct):
        size: int

    assert json_text_of("it", {"limits": Limits(3)}, limit=LIMIT) == '{"limits":{"size":3}}'
