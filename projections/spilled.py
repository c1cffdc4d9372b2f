"""Rows of a group that may be too many for memory: the latest in a dictionary, all others in scratch tables."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Protocol

from byjy_events.log import EventLog
from projections.folding import Changes
from projections.memory import Memory
from projections.projection import Group, Key, Projection
from projections.replay import Replay, replay_of
from projections.revision import Ask
from projections.stretches import Source

ROWS_KEPT = 20_000
"""Rows that stay in memory; beyond that those that changed are stored, and all are forgotten."""


class Kept(Source, Protocol):
    """A :class:`projections.stretches.Source` that takes over what was folded."""

    async def keep(self, changes: Sequence[Changes]) -> None:
        """Take changes over, in their order."""
        ...


class InMemory(Memory):
    """See :class:`Kept`. For few rows: nothing is ever let go."""

    async def keep(self, changes: Sequence[Changes]) -> None:
        self.store(changes)


class Spilled:
    """See :class:`Kept`. The rows in memory are bounded, however many there are."""

    def __init__(self, replay: Replay) -> None:
        self._replay = replay
        self._known: dict[Projection[Any], dict[Key, Any]] = {one: {} for one in replay.group.projections}
        self._changed: dict[Projection[Any], set[Key]] = {one: set() for one in replay.group.projections}
        self._gone: dict[Projection[Any], set[Key]] = {one: set() for one in replay.group.projections}

    async def load(self, projection: Projection[Any], keys: Sequence[Key]) -> Mapping[Key, Any]:
        known = self._known[projection]
        if unknown := [key for key in keys if key not in known]:
            found = await self._replay.load(projection, unknown)
            known.update({key: found.get(key) for key in unknown})
        return {key: known[key] for key in keys if known[key] is not None}

    async def find(self, projection: Projection[Any], ask: Ask) -> Sequence[Any]:
        await self._store()
        return await self._replay.find(projection, ask)

    async def keep(self, changes: Sequence[Changes]) -> None:
        for each in changes:
            key_of = each.projection.key_of
            rows: dict[Key, Any] = {**dict.fromkeys(each.gone), **{key_of(row): row for row in each.rows}}
            self._known[each.projection].update(rows)
            self._changed[each.projection].update(rows)
            self._gone[each.projection].update(each.gone)
        if sum(map(len, self._known.values())) > ROWS_KEPT:
            await self._store()
            for known in self._known.values():
                known.clear()

    async def _store(self) -> None:
        """A row that was removed and made again is removed first, or that of an append-only table would stay."""
        gone = [Changes(one, [], list(keys)) for one, keys in self._gone.items() if keys]
        there = [Changes(one, rows, []) for one in self._changed if (rows := self._rows(one))]
        if gone or there:
            await self._replay.scratch.store([*reversed(gone), *there])
        for keys in (*self._gone.values(), *self._changed.values()):
            keys.clear()

    def _rows(self, projection: Projection[Any]) -> list[Any]:
        known = self._known[projection]
        return [known[key] for key in self._changed[projection] if known[key] is not None]


@asynccontextmanager
async def spilled(log: EventLog, group: Group) -> AsyncIterator[Spilled]:
    """Rows that go when the block is left.

    Raises:
        LogUnavailable: the database failed, or its temporary space is full.
    """
    async with replay_of(log, group) as replay:
        yield Spilled(replay)
