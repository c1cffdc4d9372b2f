"""The groups of projections that a command is about."""

from __future__ import annotations

from collections.abc import Sequence

from byjy_events import ByjyError
from byjy_ops.listing import tell
from projections import Group
from projections.registry import found_groups, group_named


def wanted_groups(name: str | None) -> tuple[tuple[Group, ...], list[ByjyError]]:
    """The group of this name, or all installed ones that can be used and what is wrong with the others.

    Raises:
        UnknownGroup, GroupsCollide: the named one cannot be had.
    """
    if name is not None:
        return (group_named(name),), []
    found = found_groups()
    return found.groups, list(found.errors)


def tell_errors(errors: Sequence[ByjyError]) -> None:
    """One line each."""
    for error in errors:
        tell(" ".join(str(error).split()))


def raise_first(errors: Sequence[ByjyError]) -> None:
    """Raise the first error, which is then said, after telling the others; without any, nothing."""
    tell_errors(errors[1:])
    if errors:
        raise errors[0]
