"""The groups that are installed: our own, and those that other packages announce.

A package announces its groups by entry points of the group :data:`ENTRY_POINTS`, in its ``pyproject.toml``::

    [project.entry-points."byjy_events.groups"]
    daily_volume = "daily_volume:DAILY_VOLUME"

The object named is a :class:`~projections.Group`, several of them in a list or tuple, or a function without arguments
that returns either.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib.metadata import EntryPoint, entry_points
from itertools import combinations
from typing import NamedTuple

from byjy_events.errors import ByjyError
from byjy_events.grants import HEARTBEATS, KEY_STORE, SYSTEM_LOGS, THE_LOG, THE_TREE
from projections.checkpoints import projection_checkpoints
from projections.configuration.projection import CONFIGURATION
from projections.errors import BrokenEntryPoint, GroupsCollide, UnknownGroup
from projections.ownership import OWNERSHIP
from projections.projection import Group
from projections.trading import TRADING
from projections.trail import TRAIL

ENTRY_POINTS = "byjy_events.groups"
"""The group of entry points that packages announce their groups in."""

OWN_PACKAGE = "byjy-events"

OWN_GROUPS = (TRADING, OWNERSHIP, CONFIGURATION, TRAIL)
"""Whose tables come with the schema."""

MACHINERY = frozenset({*THE_LOG, *THE_TREE, projection_checkpoints.name, SYSTEM_LOGS, HEARTBEATS, KEY_STORE})
"""Tables that no group may own."""


class Found(NamedTuple):
    """What looking for groups gave.

    Attributes:
        groups: those that can be used, our own first.
        errors: what is wrong with the others.
    """

    groups: tuple[Group, ...]
    errors: tuple[ByjyError, ...]


class _Announced(NamedTuple):
    group: Group
    package: str

    @property
    def described(self) -> str:
        return f"group {self.group.name} of package {self.package}"


def installed_groups() -> tuple[Group, ...]:
    """All installed groups, our own first, then by package and entry point.

    Raises:
        BrokenEntryPoint, GroupsCollide: some of them cannot be used; :func:`found_groups` gives the others.
    """
    found = found_groups()
    if found.errors:
        raise found.errors[0]
    return found.groups


def group_named(name: str) -> Group:
    """The installed group of this name, whatever is wrong with others.

    Raises:
        UnknownGroup: there is none.
        GroupsCollide: there are two.
    """
    found = found_groups()
    for group in found.groups:
        if group.name == name:
            return group
    for error in found.errors:
        if isinstance(error, GroupsCollide) and (error.what, error.value) == ("name", name):
            raise error
    raise UnknownGroup(name, [group.name for group in found.groups], found.errors)


def found_groups() -> Found:
    """The groups that can be used, and what is wrong with the others. A broken package takes no other with it."""
    announced = [_Announced(group, OWN_PACKAGE) for group in OWN_GROUPS]
    errors: list[ByjyError] = []
    for entry_point in sorted(entry_points(group=ENTRY_POINTS), key=lambda one: (_package(one), one.name)):
        try:
            new = [_Announced(group, _package(entry_point)) for group in _loaded(entry_point)]
        except BrokenEntryPoint as error:
            errors.append(error)
        else:
            announced += [one for one in new if all(one.group is not known.group for known in announced)]
    collisions = list(_collisions(announced))
    refused = {id(one.group) for pair, _ in collisions for one in pair if one.package != OWN_PACKAGE}
    groups = tuple(one.group for one in announced if id(one.group) not in refused)
    return Found(groups, (*errors, *(error for _, error in collisions)))


def _loaded(entry_point: EntryPoint) -> Sequence[Group]:
    try:
        value = entry_point.load()
        if callable(value):
            value = value()
    except Exception as error:
        raise _broken(entry_point, f"{type(error).__name__}: {error}") from error
    groups = value if isinstance(value, list | tuple) else [value]
    for group in groups:
        if not isinstance(group, Group):
            raise _broken(entry_point, f"gives {type(group).__name__}, not a Group")
        if taken := MACHINERY.intersection(table.name for table in group.tables):
            raise _broken(entry_point, f"group {group.name}: table {min(taken)} is one of byjy-events itself")
    return groups


def _collisions(announced: Sequence[_Announced]) -> Iterator[tuple[tuple[_Announced, _Announced], GroupsCollide]]:
    for one, other in combinations(announced, 2):
        both = one.described, other.described
        if one.group.name == other.group.name:
            yield (one, other), GroupsCollide("name", one.group.name, both)
        for table in sorted({table.name for table in one.group.tables} & {table.name for table in other.group.tables}):
            yield (one, other), GroupsCollide("table", table, both)


def _broken(entry_point: EntryPoint, reason: str) -> BrokenEntryPoint:
    return BrokenEntryPoint(f"{entry_point.name} = {entry_point.value}", _package(entry_point), reason)


def _package(entry_point: EntryPoint) -> str:
    return entry_point.dist.name if entry_point.dist is not None else "unknown"
