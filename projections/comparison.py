"""Comparing live tables with a replay, both at the live checkpoint."""

from __future__ import annotations

import sqlalchemy as sa

from projections.checkpoints import Checkpoint, projection_checkpoints
from projections.difference import Differing, TableDifference, differing_tables
from projections.projection import Group
from projections.replay import Progress, Replay

NEAR_EVENTS = 10_000
"""How close to the live checkpoint a replay has to be before a snapshot is opened for the rest."""


class Comparison:
    """The lists of keys that differ, beside the scratch tables of a replay.

    Attributes:
        tables: parents first; none before :meth:`taken`.
    """

    def __init__(self, group: Group, replay: Replay) -> None:
        self._group = group
        self._replay = replay
        self._scratch = replay.scratch
        self.tables: list[Differing] = []

    async def taken(
        self, progress: Progress | None, examples: int | None
    ) -> tuple[Checkpoint, tuple[TableDifference, ...]]:
        """Replay up to the live checkpoint, and compare there, in one read snapshot.

        Returns:
            The checkpoint, and what differs, with so many rows of each kind; None: with every row.

        Raises:
            TemporarySpaceShort: see there.
        """
        await self._scratch.require_space()
        self.tables = await self._scratch.run(self._lists)
        await self._near(progress)
        async with self._scratch.snapshot():
            found = await self.checkpoint()
            await self._replay.advance(found.position)
            return found, await self._scratch.run(lambda connection: self._found(connection, examples))

    async def checkpoint(self) -> Checkpoint:
        """As it is now, or as of the snapshot that is open."""
        return await self._scratch.run(self.read)

    def read(self, connection: sa.Connection, *, lock: bool = False) -> Checkpoint:
        """The checkpoint; position 0 where there is none."""
        c = projection_checkpoints.c
        columns = (c.group_name, c.position, c.generation, c.version, c.status)
        statement = sa.select(*columns).where(c.group_name == self._group.name)
        row = connection.execute(statement.with_for_update() if lock else statement).first()
        return Checkpoint(self._group.name, 0, 0, self._group.version) if row is None else Checkpoint(*row)

    async def _near(self, progress: Progress | None) -> None:
        """The live checkpoint may move on meanwhile."""
        while (position := (await self.checkpoint()).position) > self._replay.position:
            near = position - self._replay.position <= NEAR_EVENTS
            await self._replay.advance(position, progress=progress)
            if near:
                return

    def _lists(self, connection: sa.Connection) -> list[Differing]:
        tables = differing_tables(self._group, connection.dialect, self._scratch.live_schema)
        for table in tables:
            table.create(connection)
        return tables

    def _found(self, connection: sa.Connection, examples: int | None) -> tuple[TableDifference, ...]:
        for table in self.tables:
            table.find(connection)
        return tuple(table.counted(connection, examples) for table in self.tables)
