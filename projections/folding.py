"""Folding a chunk of events over the rows of a group, in memory and without awaiting.

The rows that a chunk needs are named first (:meth:`Fold.plan`), brought in by the caller (:meth:`Fold.bring`), and then
every event is folded by every projection concerned, in order of position (:meth:`Fold.run`). What changed comes out as
one :class:`Changes` per projection, parents first. Live projection, rebuild and the past all pass here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from byjy_events import collector
from byjy_events.errors import UpgradeRequired
from byjy_events.event import EVENT_TYPES, UnknownEvent
from byjy_events.recorded import Recorded
from projections.projection import Evolved, Group, Key, Projection

ROWS_KEPT = 100_000
"""Rows that stay in memory between chunks."""


class Changes(msgspec.Struct):
    """What became of the rows of one projection: the new row by key, None where there is none any more."""

    projection: Projection[Any]
    rows: dict[Key, Any]


class Folded(msgspec.Struct):
    """A folded chunk.

    Attributes:
        changes: parents first; only projections with changes.
        passed_over: events of types that this program does not know.
    """

    changes: list[Changes]
    passed_over: int


class FoldFailed(Exception):
    """A projection raised, or an event needs a newer program.

    Attributes:
        recorded: the event at which it happened.
        cause: what was raised.
    """

    def __init__(self, recorded: Recorded, cause: Exception) -> None:
        self.recorded = recorded
        self.cause = cause
        super().__init__(f"position {recorded.position}: {cause}")


_Work = list[Any]
"""Event, projection and keys, again and again: flat, since a tuple for each would be one more object."""


class Fold:
    """The rows of a group in memory. They are right as long as nobody else writes them; else :meth:`forget`."""

    def __init__(self, group: Group) -> None:
        self._group = group
        self._known_versions = {event_type.__name__: event_type.schema_version for event_type in group.handles}
        self._rows: dict[str, dict[Key, Any]] = {one.name: {} for one in group.projections}

    @property
    def full(self) -> bool:
        """Whether so many rows are in memory that it is time to :meth:`forget` them."""
        return sum(map(len, self._rows.values())) > ROWS_KEPT

    def forget(self) -> None:
        """Drop every row: they may be out of date."""
        for rows in self._rows.values():
            rows.clear()

    def plan(self, events: Sequence[Recorded]) -> tuple[_Work, dict[Projection[Any], list[Key]], int]:
        """Which projections fold which events, which rows have to be brought in, and what is passed over.

        Raises:
            FoldFailed: an event needs a newer program, or ``keys`` raised.
        """
        work: _Work = []
        wanted: dict[Projection[Any], dict[Key, None]] = {}
        passed_over = 0
        by_event, all_rows = self._group.by_event, self._rows
        with collector.paused():
            for recorded in events:
                concerned = by_event.get(type(recorded.event))  # type: ignore[arg-type]
                if concerned is None:
                    passed_over += self._unknown(recorded)
                    continue
                for projection in concerned:
                    try:
                        keys = projection.keys(recorded)
                    except Exception as error:
                        raise FoldFailed(recorded, error) from error
                    if not keys:
                        continue
                    work += (recorded, projection, keys)
                    if not projection.append_only:
                        rows = all_rows[projection.name]
                        for key in keys:
                            if key not in rows:
                                wanted.setdefault(projection, {})[key] = None
        return work, {projection: list(keys) for projection, keys in wanted.items()}, passed_over

    def bring(self, projection: Projection[Any], keys: Sequence[Key], rows: Mapping[Key, Any]) -> None:
        """The rows that were asked for; a key without one has none."""
        kept = self._rows[projection.name]
        for key in keys:
            kept[key] = rows.get(key)

    def run(self, work: _Work) -> list[Changes]:
        """Fold. On failure the rows in memory are useless: :meth:`forget` them.

        Raises:
            FoldFailed: a projection raised.
        """
        changed: dict[str, dict[Key, Any]] = {one.name: {} for one in self._group.projections}
        steps = iter(work)
        with collector.paused():
            for recorded, projection, keys in zip(steps, steps, steps, strict=True):
                rows = self._rows[projection.name]
                touched = changed[projection.name]
                for key in keys:
                    row = rows.get(key)
                    try:
                        after = projection.evolve(row, recorded, key)
                        if type(after) is Evolved:
                            self._add(after, changed)
                            after = after.row
                        if after is row:
                            continue
                        if after is not None and type(after) is not projection.row_type:
                            raise TypeError(f"{projection.name} made a {type(after).__name__} of a row")
                    except Exception as error:
                        raise FoldFailed(recorded, error) from error
                    if projection.append_only:
                        touched.setdefault(key, after)
                    else:
                        touched[key] = rows[key] = after
        return [Changes(one, changed[one.name]) for one in self._group.projections if changed[one.name]]

    def _add(self, evolved: Evolved[Any], changed: dict[str, dict[Key, Any]]) -> None:
        for row in evolved.also:
            owner = self._group.by_row_type.get(type(row))
            if owner is None or not owner.append_only:
                raise TypeError(f"{type(row).__name__} is not a row of an append-only projection of {self._group.name}")
            changed[owner.name].setdefault(owner.key_of(row), row)

    def _unknown(self, recorded: Recorded) -> bool:
        """Whether the event is of a type that this program does not know; a newer version of a handled one stops."""
        if type(recorded.event) is not UnknownEvent:
            return False
        known = self._known_versions.get(recorded.type)
        if known is not None:
            error = UpgradeRequired(recorded.type, recorded.schema_version, known, recorded.position)
            raise FoldFailed(recorded, error)
        return recorded.type not in EVENT_TYPES
