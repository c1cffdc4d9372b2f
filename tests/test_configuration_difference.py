"""The difference of two JSON values: every place where they differ, once, and none where they do not."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from projections.configuration.difference import Change, ChangeKind, differences

ADDED, REMOVED, CHANGED = ChangeKind.ADDED, ChangeKind.REMOVED, ChangeKind.CHANGED

values = st.recursive(
    st.none() | st.booleans() | st.integers(0, 3) | st.sampled_from([0.0, 1.0]) | st.sampled_from("ab"),
    lambda inside: (
        st.lists(inside, max_size=4) | st.dictionaries(st.sampled_from(["a", "b", "c.d"]), inside, max_size=3)
    ),
    max_leaves=12,
)


@pytest.mark.parametrize(
    ("before", "after", "changes"),
    [
        (1, 2, [Change("$", CHANGED, 1, 2)]),
        (1, 1.0, [Change("$", CHANGED, 1, 1.0)]),
        (1, True, [Change("$", CHANGED, 1, True)]),
        ({}, [], [Change("$", CHANGED, {}, [])]),
        ({"a": None}, {}, [Change("$.a", REMOVED, None, None)]),
        ({"a": {"b.c": 1}}, {"a": {"b.c": 2}}, [Change('$.a["b.c"]', CHANGED, 1, 2)]),
        ([1, 2, 3], [1, 3], [Change("$[1]", REMOVED, 2, None)]),
        ([1, 3], [1, 2, 3], [Change("$[1]", ADDED, None, 2)]),
        ([1, 1], [1, 1, 1], [Change("$[2]", ADDED, None, 1)]),
        ([{"a": 1}, 5], [{"a": 2}, 5], [Change("$[0].a", CHANGED, 1, 2)]),
        ([1, 2, 9], [3, 9], [Change("$[0]", CHANGED, 1, 3), Change("$[1]", REMOVED, 2, None)]),
    ],
)
def test_places_are_named_by_their_path(before: Any, after: Any, changes: list[Change]) -> None:
    """In the way of the errors about a value."""
    assert list(differences(before, after)) == changes


@given(values, values)
def test_there_is_a_difference_when_the_texts_differ_and_only_then(before: Any, after: Any) -> None:
    """No place twice; and what was removed is what would be added the other way round."""
    found = list(differences(before, after))
    assert bool(found) == (json.dumps(before, sort_keys=True) != json.dumps(after, sort_keys=True))
    places = [(one.path, one.kind) for one in found]
    assert len(places) == len(set(places))
    back = list(differences(after, before))
    assert len(back) == len(found)
    other = {ADDED: REMOVED, REMOVED: ADDED, CHANGED: CHANGED}
    assert {(one.path, other[one.kind]) for one in back} == set(places)


def test_long_arrays_take_no_longer_than_they_are_long() -> None:
    """One that fills a value: 100,000 numbers."""
    before = list(range(100_000))
    after = [*before[:50_000], -1, *before[50_000:]]
    assert list(differences(before, after)) == [Change("$[50000]", ADDED, None, -1)]
