"""Rows that are in memory and nowhere else, for a fold of few events: one order, decided upon."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import attrgetter
from typing import Any

from byjy_events.recorded import Recorded
from projections.folding import Changes, Fold
from projections.projection import Group, Key, Projection
from projections.revision import Ask
from projections.stretches import folded, stretches
from projections.unsuspended import result_of


class Memory:
    """The tables of a group as dictionaries. See :class:`projections.stretches.Source`; nothing suspends.

    Attributes:
        tables: for each projection its rows by key.
    """

    def __init__(self, group: Group) -> None:
        self.tables: dict[Projection[Any], dict[Key, Any]] = {one: {} for one in group.projections}
        self._group = group

    async def load(self, projection: Projection[Any], keys: Sequence[Key]) -> Mapping[Key, Any]:
        rows = self.tables[projection]
        return {key: rows[key] for key in keys if key in rows}

    async def find(self, projection: Projection[Any], ask: Ask) -> Sequence[Any]:
        by = ask.by or projection.key_columns
        found = [row for row in self.tables[projection].values() if _matches(row, ask, by[0])]
        return sorted(found, key=attrgetter(*by), reverse=ask.newest_first)[: ask.limit]

    def store(self, changes: Sequence[Changes]) -> None:
        """Take changes over, in their order."""
        for each in changes:
            rows = self.tables[each.projection]
            for key in each.gone:
                rows.pop(key, None)
            rows.update({each.projection.key_of(row): row for row in each.rows})


def folded_in_memory(group: Group, events: Sequence[Recorded]) -> Memory:
    """The rows that events make, from nothing.

    Raises:
        FoldFailed: an event cannot be folded.
    """
    memory, fold = Memory(group), Fold(group)
    for stretch in stretches(group, events):
        changes, _ = result_of(folded(fold, group, stretch, memory))
        memory.store(changes)
    return memory


def _matches(row: Any, ask: Ask, first: str) -> bool:
    if any(getattr(row, name) != value for name, value in ask.equal.items()):
        return False
    place = getattr(row, first)
    return (ask.after is None or place > ask.after) and (ask.before is None or place < ask.before)
