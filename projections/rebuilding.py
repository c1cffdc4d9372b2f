"""Rebuilding: the tables of a group made equal to the log, while the engine appends and readers read.

1. The log is replayed into scratch tables. Nothing of this is seen by anybody else.
2. The difference to the live tables is taken at the live checkpoint, in one read snapshot.
3. The checkpoint is marked REBUILDING and its generation raised, in one short transaction. From here on no projector
   can write: its steps compare the generation. What projectors wrote since the snapshot was by events, and these are
   folded into the scratch tables now, so that their rows are looked at too.
4. Only the rows that were found or touched are written: at once when they are few, else in short slices between which
   appends are served.
   A row that the database refuses may want a unique value that another row has until it is written itself: then what
   is listed of such tables is deleted, with all that refers to it, the difference is taken anew, and merged.
5. The checkpoint is set to the position of the scratch tables and the group runs again, with the program's version.

A process that dies before 3 leaves everything as it was. One that dies after it leaves the mark, and the next projector
or rebuild of the group that starts does it all over; the right to rebuild goes with the process that has it.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Protocol, TypeVar

import sqlalchemy as sa
from msgspec import Struct
from sqlalchemy.dialects import postgresql, sqlite

from byjy_events.backend import NotStorable, NotStored, Unclear
from byjy_events.log import EventLog
from projections.checkpoints import Checkpoint, GroupState, projection_checkpoints
from projections.comparison import NEAR_EVENTS, Comparison
from projections.difference import Differing, TableDifference
from projections.errors import RebuildRunning
from projections.projection import Group
from projections.replay import Progress, Replay, replay_of
from projections.scratch import to_its_end

T = TypeVar("T")

AT_ONCE_ROWS = 5_000
"""Rows that are merged in one transaction; more of them go in slices."""

SLICE_SECONDS = 0.02
"""How long one slice should hold up other writers."""

FIRST_SLICE_ROWS = 500
"""Rows of the first slice, before it is known how long rows take."""

PAUSE_SECONDS = 0.002
"""Between two slices, so that whoever waits for its turn has queued."""


class Rebuilt(Struct, frozen=True):
    """What a rebuild found and did.

    Attributes:
        position: the tables now equal the log up to here.
        tables: what differed, by table, with an example of each kind.
        events: events that were folded again, in ``replay_seconds``.
        rows: rows that were written or deleted.
        longest_write_seconds: how long one transaction of the rebuild held up other writers at most, as far as the
            lock goes: on PostgreSQL appends never wait for it.
        held_seconds: for how long projectors of the group were held up.
    """

    group: str
    position: int
    tables: tuple[TableDifference, ...]
    events: int
    replay_seconds: float
    rows: int
    longest_write_seconds: float
    held_seconds: float

    @property
    def differences(self) -> int:
        """Rows that were not what the log makes of them."""
        return sum(table.count for table in self.tables)


async def rebuild(log: EventLog, group: Group, *, progress: Progress | None = None) -> Rebuilt:
    """Make the tables of a group equal to the log, and its rows of this program's version.

    Afterwards the group stands at its old position or later, running. Interrupted, it leaves the tables as they
    were, or marked REBUILDING; then the next projector or rebuild that starts finishes it.

    Args:
        progress: called with the position reached and the one aimed at, while the log is replayed.

    Raises:
        RebuildRunning: another process rebuilds.
        ReplayFailed, CorruptLog, TemporarySpaceShort: see there; the tables are as they were.
        LogUnavailable: the database failed, or its temporary space is full.
    """
    async with replay_of(log, group) as replay:
        if not await replay.scratch.alone():
            raise RebuildRunning(group.name)
        return await _Rebuilding(log, group, replay).run(progress)


async def finish_rebuild(log: EventLog, group: Group) -> bool:
    """Rebuild a group whose rebuild was cut short. False: it need not be, or whoever rebuilds is alive."""
    async with replay_of(log, group) as replay:
        comparison = Comparison(group, replay)
        # Looked at twice: nobody who wants to rebuild is to be refused because of somebody who only looks.
        if (await comparison.checkpoint()).status != GroupState.REBUILDING or not await replay.scratch.alone():
            return False
        if (await comparison.checkpoint()).status != GroupState.REBUILDING:
            return False
        await _Rebuilding(log, group, replay).run(None)
        return True


class _Step(Protocol):
    """Does something about the listed rows between two numbers."""

    def __call__(self, connection: sa.Connection, after: int, upto: int) -> None: ...


class _Rebuilding:
    """The steps of one rebuild, in their order."""

    def __init__(self, log: EventLog, group: Group, replay: Replay) -> None:
        self._log = log
        self._group = group
        self._replay = replay
        self._scratch = replay.scratch
        self._comparison = Comparison(group, replay)
        self._tables: list[Differing] = []
        self._longest = 0.0
        self._merged = 0

    async def run(self, progress: Progress | None) -> Rebuilt:
        await self._scratch.write(self._begin)
        found, differences = await self._comparison.taken(progress, examples=1)
        self._tables = self._comparison.tables
        far = await self._to_head(found, progress)
        began = time.monotonic()
        try:
            await self._replay.advance(await self._held())
            # Of another program's projectors nobody knows which rows they touched since the snapshot.
            await self._list(again=far or not self._group.accepts(found.version))
            await self._merge(found.generation + 1)
        except BaseException:
            if not self._merged:
                await to_its_end(self._let_go(found))
            raise
        held = time.monotonic() - began
        events, seconds = self._replay.position, self._replay.seconds
        return Rebuilt(self._group.name, events, differences, events, seconds, self._merged, self._longest, held)

    async def _to_head(self, found: Checkpoint, progress: Progress | None) -> bool:
        """Replay what is not projected yet. A group that stopped stays where it is. Returns whether it was much."""
        head = found.position if await self._scratch.run(self._stopped) else await self._log.head()
        far = head - found.position > NEAR_EVENTS
        self._replay.watching = not far
        await self._replay.advance(head, progress=progress)
        return far

    # --- projectors are held up -----------------------------------------------------------------------

    async def _held(self) -> int:
        """Mark the group, and return the position where it stands."""
        return await self._write(self._mark)

    async def _list(self, *, again: bool) -> None:
        def look(connection: sa.Connection) -> None:
            if again:
                for table in self._tables:
                    table.forget(connection)
                    table.find(connection)
            for table in self._tables:
                for projection, keys in self._replay.touched:
                    if projection is table.projection:
                        table.touch(connection, keys)

        await self._scratch.run(look)

    async def _merge(self, generation: int) -> None:
        try:
            await self._merge_listed(generation)
        except NotStorable:
            await self._make_room()
            await self._list(again=True)
            await self._merge_listed(generation)

    async def _merge_listed(self, generation: int) -> None:
        numbers = await self._numbers()
        # Children are removed before parents, or their foreign keys would take them along; parents are put first.
        work = [(table.remove, number) for table, number in reversed(numbers)]
        work += [(table.put, number) for table, number in numbers]
        rows = sum(number for _, number in numbers)
        if rows <= AT_ONCE_ROWS:
            await self._write(lambda connection: self._at_once(connection, work, generation))
        else:
            for step, number in work:
                await self._in_slices(step, number)
            await self._write(lambda connection: self._release(connection, generation))
        self._merged = rows

    async def _make_room(self) -> None:
        """What foreign keys take along is not listed, so all has to be compared again."""
        for table, number in reversed(await self._numbers()):
            if table.has_unique_values:
                await self._in_slices(table.clear, number)

    async def _numbers(self) -> list[tuple[Differing, int]]:
        """For each table the highest number of its list, parents first."""
        return await self._scratch.run(lambda connection: [(one, one.numbers(connection)) for one in self._tables])

    async def _in_slices(self, step: _Step, number: int) -> None:
        after, rows = 0, FIRST_SLICE_ROWS
        while after < number:
            upto = min(number, after + rows)
            self._merged += 1  # from here on there is something to finish, whatever becomes of this slice
            began = time.monotonic()
            await self._write(partial(step, after=after, upto=upto))
            seconds = max(time.monotonic() - began, 1e-4)
            rows = max(50, min(20_000, int(rows * min(2.0, SLICE_SECONDS / seconds))))
            after = upto
            await asyncio.sleep(PAUSE_SECONDS)

    def _at_once(self, connection: sa.Connection, work: Sequence[tuple[_Step, int]], generation: int) -> None:
        for step, number in work:
            step(connection, 0, number)
        self._release(connection, generation)

    async def _let_go(self, found: Checkpoint) -> None:
        """Nothing was merged: the group goes on with its old rows, or stays stopped. If not, the mark stays."""
        generation = found.generation + 1
        with contextlib.suppress(NotStorable, NotStored, Unclear):
            await self._scratch.write(lambda connection: self._set(connection, generation, status=found.status))

    async def _write(self, function: Callable[[sa.Connection], T]) -> T:
        began = 0.0

        def timed(connection: sa.Connection) -> T:
            nonlocal began
            began = time.monotonic()
            return function(connection)

        result = await self._scratch.write(timed)
        self._longest = max(self._longest, time.monotonic() - began)
        return result

    # --- what runs in the scratch connection ----------------------------------------------------------

    def _begin(self, connection: sa.Connection) -> None:
        """A group that never ran has a checkpoint from now on."""
        values = {"position": 0, "version": self._group.version, "status": GroupState.RUNNING.value}
        insert = (sqlite if connection.dialect.name == "sqlite" else postgresql).insert(projection_checkpoints)
        insert = insert.values(group_name=self._group.name, **values, updated_at=time.time_ns())
        connection.execute(insert.on_conflict_do_nothing())

    def _stopped(self, connection: sa.Connection) -> bool:
        """Whether the group stands before an event that it cannot fold, also when a rebuild was cut short since."""
        c = projection_checkpoints.c
        statement = sa.select(c.error_position).where(c.group_name == self._group.name)
        return connection.scalar(statement) is not None

    def _mark(self, connection: sa.Connection) -> int:
        found = self._comparison.read(connection, lock=True)
        self._set(connection, found.generation, generation=found.generation + 1, status=GroupState.REBUILDING.value)
        return found.position

    def _release(self, connection: sa.Connection, generation: int) -> None:
        self._set(
            connection,
            generation,
            position=self._replay.position,
            version=self._group.version,
            status=GroupState.RUNNING.value,
            passed_over=self._replay.passed_over,
            error_position=None,
            error_event_type=None,
            error=None,
            stopped_at=None,
        )

    def _set(self, connection: sa.Connection, compared_generation: int, **values: Any) -> None:
        c = projection_checkpoints.c
        mine = sa.and_(c.group_name == self._group.name, c.generation == compared_generation)
        if values["status"] != GroupState.REBUILDING:
            mine = sa.and_(mine, c.status == GroupState.REBUILDING.value)
        changed = connection.execute(
            projection_checkpoints.update().where(mine).values(**values, updated_at=time.time_ns())
        )
        if changed.rowcount != 1:
            raise NotStored(f"the checkpoint of group {self._group.name} was changed by somebody else")
