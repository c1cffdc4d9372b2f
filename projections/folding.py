"""Folding a chunk of events over the rows of a group, in memory and without awaiting.

The rows that a chunk needs are named first (:meth:`Fold.plan`), brought in by the caller (:meth:`Fold.bring`), and then
every event is folded by every projection concerned, in order of position (:meth:`Fold.go`). Rows may then turn out to
be concerned that no event named (:meth:`Fold.plan_concerned`): these too are brought in, and folded in the same order.
That gives the rows that folding event by event would, since nothing but such events ever evolves them. What changed
since it was taken last comes out as one :class:`Changes` per projection, parents first (:meth:`Fold.take`). Live
projection, rebuild and the past all pass here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from byjy_events import collector
from byjy_events.errors import UpgradeRequired
from byjy_events.event import EVENT_TYPES, Event, UnknownEvent
from byjy_events.recorded import Recorded
from projections.projection import EVERY_EVENT, Evolved, Group, Key, Projection
from projections.seen import Seen

ROWS_KEPT = 80_000
"""Rows that stay in memory between chunks."""


class Changes(msgspec.Struct):
    """What became of the rows of one projection.

    Attributes:
        rows: rows that are new or different, each key once.
        gone: keys whose row is no more.
    """

    projection: Projection[Any]
    rows: list[Any]
    gone: list[Key]


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


class _Cell(msgspec.Struct, gc=False):
    """A key and its row. Events are handed their cells, so that a key is hashed once for each of them."""

    key: Key
    row: Any = None
    changed: bool = False


class _Table(msgspec.Struct):
    """The rows of one projection in memory, and those that the chunk being folded changed."""

    projection: Projection[Any]
    row_type: type[Any]
    append_only: bool
    cells: dict[Key, _Cell]
    changed: list[_Cell]
    added: dict[Key, Any]
    """Of an append-only projection: rows by key, the first one counts."""

    def take(self) -> Changes:
        rows = [cell.row for cell in self.changed if cell.row is not None]
        gone = [cell.key for cell in self.changed if cell.row is None]
        changes = Changes(self.projection, rows or list(self.added.values()), gone)
        for cell in self.changed:
            cell.changed = False
        self.changed, self.added = [], {}
        return changes


_Concern = tuple[_Table, dict[Key, _Cell], Any, Any, bool]
"""A table, its cells, ``keys`` of its projection, its handler for a type of event, and whether that only makes rows."""

Work = list[Any]
"""Event, table, handler and cell, again and again: flat, since a tuple for each would be one more object."""

Wanted = dict[Projection[Any], list[Key]]
"""Rows that have to be brought in."""


class Fold:
    """The rows of a group in memory. They are right as long as nobody else writes them; else :meth:`forget`."""

    def __init__(self, group: Group) -> None:
        handled = group.handles - EVERY_EVENT
        self._known_versions = {event_type.__name__: event_type.schema_version for event_type in handled}
        self._tables = {one: _Table(one, one.row_type, one.append_only, {}, [], {}) for one in group.projections}
        self._owners = {kind: self._tables[one] for kind, one in group.by_row_type.items() if one.append_only}
        self._concerned: dict[Any, tuple[_Concern, ...]] = {
            event_type: tuple(self._concern(one, event_type) for one in projections)
            for event_type, projections in group.by_event.items()
        }
        self._concerned_always = self._concerned.get(Event)
        self._named = {one.row_type: one for one in group.projections if one.named_by_others}
        self._noted: list[tuple[Recorded, type[Any], Key]] = []
        self._seen: Seen | None = None

    @property
    def full(self) -> bool:
        """Whether so many rows are in memory that it is time to :meth:`drop` them."""
        return sum(len(table.cells) for table in self._tables.values()) > ROWS_KEPT

    @property
    def changed(self) -> int:
        """Rows that changed since they were taken last."""
        return sum(len(table.changed) + len(table.added) for table in self._tables.values())

    def drop(self) -> None:
        """Drop every row. Each has to be stored already."""
        self._noted = []
        for table in self._tables.values():
            table.cells.clear()
            table.changed, table.added = [], {}

    def forget(self, *, empty: bool = False) -> None:
        """Drop every row and all belief in them.

        Args:
            empty: there are no rows anywhere: what is not met from now on need not be looked for.
        """
        self.drop()
        self._seen = Seen() if empty else None

    def plan(self, events: Sequence[Recorded]) -> tuple[Work, Wanted, int]:
        """Which projections fold which events, which rows have to be brought in, and what is passed over.

        Raises:
            FoldFailed: an event needs a newer program, or ``keys`` raised.
        """
        work: Work = []
        wanted: Wanted = {}
        passed_over = 0
        with collector.paused():
            for recorded in events:
                concerned = self._concerned.get(type(recorded.event))
                if concerned is None:
                    unknown = self._unknown(recorded)
                    if self._concerned_always is None:
                        passed_over += unknown
                        continue
                    concerned = self._concerned_always
                for table, cells, keys_of, handler, makes in concerned:
                    try:
                        for key in keys_of(recorded):
                            cell = cells.get(key) or self._new_cell(table, key, wanted)
                            if not (makes and cell.row is not None):
                                work += (recorded, table, handler, cell)
                    except Exception as error:
                        raise FoldFailed(recorded, error) from error
        return work, wanted, passed_over

    def bring(self, projection: Projection[Any], rows: Mapping[Key, Any]) -> None:
        """The rows that were found among those asked for."""
        cells = self._tables[projection].cells
        for key, row in rows.items():
            cells[key].row = row

    def meet(self, changes: Sequence[Changes]) -> None:
        """Rows that were made without this fold: from now on they are looked for."""
        if self._seen is not None:
            for each in changes:
                for row in each.rows:
                    self._seen.before((each.projection.name, each.projection.key_of(row)))

    def plan_concerned(self) -> tuple[Work, Wanted]:
        """What is left to fold after :meth:`go`: the rows that were named meanwhile. Empty: nothing is.

        Raises:
            FoldFailed: a row was named that cannot be folded by its event.
        """
        work: Work = []
        wanted: Wanted = {}
        if not self._noted:
            return work, wanted
        noted, self._noted = self._noted, []
        with collector.paused():
            for recorded, row_type, key in noted:
                try:
                    table, handler = self._named_concern(row_type, type(recorded.event))
                    work += (recorded, table, handler, table.cells.get(key) or self._new_cell(table, key, wanted))
                except Exception as error:
                    raise FoldFailed(recorded, error) from error
        return work, wanted

    def take(self) -> list[Changes]:
        """What changed since it was taken last. Rows that changed several times are there once."""
        return [table.take() for table in self._tables.values() if table.changed or table.added]

    def go(self, work: Work) -> None:
        """Fold. On failure the rows in memory are useless: :meth:`forget` them.

        Raises:
            FoldFailed: a projection raised.
        """
        steps = iter(work)
        with collector.paused():
            for recorded, table, handler, cell in zip(steps, steps, steps, steps, strict=True):
                row = cell.row
                try:
                    after = handler(row, recorded.event, recorded, cell.key)
                    if type(after) is Evolved:
                        self._add(after)
                        if after.concerns:
                            self._note(table, recorded, after)
                        after = after.row
                    if after is row:
                        continue
                    if after is not None and type(after) is not table.row_type:
                        raise TypeError(f"{table.projection.name} made a {type(after).__name__} of a row")
                except Exception as error:
                    raise FoldFailed(recorded, error) from error
                if table.append_only:
                    table.added.setdefault(cell.key, after)
                    continue
                cell.row = after
                if not cell.changed:
                    cell.changed = True
                    table.changed.append(cell)

    def _concern(self, projection: Projection[Any], event_type: type[Event]) -> _Concern:
        table, handler = self._tables[projection], projection.handler(event_type)
        return table, table.cells, projection.keys, handler, getattr(handler, "__makes__", False)

    def _new_cell(self, table: _Table, key: Key, wanted: Wanted) -> _Cell:
        cell = _Cell(key)
        if not table.append_only:
            table.cells[key] = cell
            if self._seen is None or self._seen.before((table.projection.name, key)):
                wanted.setdefault(table.projection, []).append(key)
        return cell

    def _add(self, evolved: Evolved[Any]) -> None:
        for row in evolved.also:
            owner = self._owners.get(type(row))
            if owner is None:
                raise TypeError(f"{type(row).__name__} is not a row of an append-only projection of the group")
            owner.added.setdefault(owner.projection.key_of(row), row)

    def _note(self, table: _Table, recorded: Recorded, evolved: Evolved[Any]) -> None:
        if table.projection.named_by_others:
            raise TypeError(f"{table.projection.name} names rows itself, though others name its own")
        self._noted += ((recorded, row_type, key) for row_type, key in evolved.concerns)

    def _named_concern(self, row_type: type[Any], event_type: type[Any]) -> tuple[_Table, Any]:
        projection = self._named.get(row_type)
        if projection is None:
            raise TypeError(f"{row_type.__name__} is not a row of a projection of the group that others name")
        if projection.handles.isdisjoint((event_type, Event)):
            raise TypeError(f"{projection.name} handles no {event_type.__name__}")
        return self._tables[projection], projection.handler(event_type)

    def _unknown(self, recorded: Recorded) -> bool:
        """Whether the event is of a type that this program does not know; a newer version of a handled one stops."""
        if type(recorded.event) is not UnknownEvent:
            return False
        known = self._known_versions.get(recorded.type)
        if known is not None:
            error = UpgradeRequired(recorded.type, recorded.schema_version, known, recorded.position)
            raise FoldFailed(recorded, error)
        return recorded.type not in EVENT_TYPES
