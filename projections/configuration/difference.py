"""The difference between two JSON values, by paths."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import Any

import msgspec

from byjy_events.json_text import step


class ChangeKind(StrEnum):
    """What became of one place in a value."""

    ADDED = "ADDED"
    REMOVED = "REMOVED"
    CHANGED = "CHANGED"


class Change(msgspec.Struct, frozen=True):
    """One place in which two values differ.

    Attributes:
        path: ``$`` is the value itself, ``$.limits[2].size`` a place in it. In arrays that differ in length it is the
            place in the older one for what was removed, and in the newer one for what was added.
        before, after: None where there was nothing, and for null; ``kind`` tells which.
    """

    path: str
    kind: ChangeKind
    before: Any
    after: Any


def differences(before: Any, after: Any, path: str = "$") -> Iterator[Change]:
    """Where two JSON values differ, each place once, objects by key in sorted order, arrays from the front.

    Numbers that are written differently differ: 1 is not 1.0. In arrays, what both begin or end with is the same; what
    lies between is compared place by place.
    """
    if isinstance(before, dict) and isinstance(after, dict):
        yield from _of_objects(before, after, path)
    elif isinstance(before, list) and isinstance(after, list):
        yield from _of_arrays(before, after, path)
    elif not _same(before, after):
        yield Change(path, ChangeKind.CHANGED, before, after)


def _of_objects(before: dict[str, Any], after: dict[str, Any], path: str) -> Iterator[Change]:
    for key in sorted(before.keys() | after.keys()):
        place = path + step(key)
        if key not in after:
            yield Change(place, ChangeKind.REMOVED, before[key], None)
        elif key not in before:
            yield Change(place, ChangeKind.ADDED, None, after[key])
        else:
            yield from differences(before[key], after[key], place)


def _of_arrays(before: Sequence[Any], after: Sequence[Any], path: str) -> Iterator[Change]:
    shorter = min(len(before), len(after))
    start = 0
    while start < shorter and _same(before[start], after[start]):
        start += 1
    end = 0
    while end < shorter - start and _same(before[-1 - end], after[-1 - end]):
        end += 1
    before_end, after_end = len(before) - end, len(after) - end
    paired = min(before_end, after_end)
    for index in range(start, paired):
        yield from differences(before[index], after[index], f"{path}[{index}]")
    for index in range(max(start, paired), before_end):
        yield Change(f"{path}[{index}]", ChangeKind.REMOVED, before[index], None)
    for index in range(max(start, paired), after_end):
        yield Change(f"{path}[{index}]", ChangeKind.ADDED, None, after[index])


def _same(one: Any, other: Any) -> bool:
    """Python takes True for 1, and 1 for 1.0."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_same(value, other[key]) for key, value in one.items())
    if isinstance(one, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return bool(one == other)
