"""Replay: the log folded afresh into scratch tables. Rebuild, verify and the past all begin with one.

The fold is the live one. Every event's leaf hash is checked on the way: rows are worth no more than the log they come
from. Rows are stored many at a time; while they are, the next events are read and folded.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any

from byjy_events.backend import NotStorable
from byjy_events.database import is_sqlite, open_engine, sqlite_path
from byjy_events.log import EventLog
from byjy_events.recorded import Recorded
from projections.errors import ReplayFailed
from projections.folding import Changes, Fold, FoldFailed, Wanted
from projections.postgres_scratch import PostgresScratch
from projections.projection import Group, Key, Projection
from projections.revision import Ask
from projections.runner import available
from projections.scratch import Scratch, awaited, create, create_indexes
from projections.sqlite_scratch import SqliteScratch
from projections.stretches import folded, revises, stretches

CHUNK_EVENTS = 1_000
"""Events that are folded at once; for so long other tasks of the process have to wait."""

ROWS_AT_ONCE = 50_000
"""Changed rows that are stored together. Of fewer, more change again and are stored again; of more, the last ones are
stored while nothing is left to fold."""

Progress = Callable[[int, int], None]
"""Called with the position reached and the one aimed at."""


class Replay:
    """The scratch tables of a group, and the fold that fills them. Not for two tasks at once.

    Attributes:
        position: the last event folded in.
        passed_over: events of types that this program does not know.
        seconds: spent on folding so far.
        watching: whether to note in ``touched`` the keys of every row that changes, by projection.
    """

    def __init__(self, log: EventLog, group: Group, scratch: Scratch) -> None:
        self.scratch = scratch
        self.group = group
        self.position = 0
        self.passed_over = 0
        self.seconds = 0.0
        self._log = log
        self._fold = Fold(group)
        self.watching = False
        self.touched: list[tuple[Projection[Any], list[Key]]] = []
        self._stored = 0
        self._dropped = False
        self._indexed: set[Projection[Any]] = set()
        self._storing: asyncio.Task[None] | None = None

    async def begin(self) -> None:
        """Make the scratch tables."""
        await self.scratch.run(lambda connection: create(connection, self.group))
        self._fold.forget(empty=True)

    async def advance(self, upto: int, *, progress: Progress | None = None) -> None:
        """Fold every event up to a position; then the scratch tables are as of it.

        Raises:
            ReplayFailed: an event cannot be folded, or makes a row that the database refuses.
            CorruptLog: an event is not what was appended.
        """
        chunks = self._log.read_chunks(after=self.position, upto=upto, size=CHUNK_EVENTS, checked=True)
        async with contextlib.aclosing(chunks):
            await self.fold(chunks, upto, progress=progress)

    async def fold(
        self, chunks: AsyncIterator[Sequence[Recorded]], upto: int, *, progress: Progress | None = None
    ) -> None:
        """Fold chosen events, in order of position. Raises as :meth:`advance`."""
        began = time.monotonic()
        try:
            async for chunk in chunks:
                await self._step(chunk)
                if progress is not None:
                    progress(self.position, upto)
            await self._flush()
            await self._settle()
        finally:
            self.seconds += time.monotonic() - began

    async def close(self) -> None:
        """Throw everything away. Safe to call twice."""
        try:
            if self._storing is not None:
                await awaited(self._storing)
        finally:
            await self.scratch.close()

    async def load(self, projection: Projection[Any], keys: Sequence[Key]) -> Mapping[Key, Any]:
        """See :class:`projections.stretches.Source`."""
        return await self.scratch.load(projection, keys)

    async def find(self, projection: Projection[Any], ask: Ask) -> Sequence[Any]:
        """See :class:`projections.stretches.Source`."""
        if projection not in self._indexed:  # most logs revise nothing, and filling a table is faster without
            await self.scratch.run(lambda connection: create_indexes(connection, [projection.table]))
            self._indexed.add(projection)
        return await self.scratch.find(projection, ask)

    async def _step(self, chunk: Sequence[Recorded]) -> None:
        for stretch in stretches(self.group, chunk):
            await (self._revise(stretch) if revises(self.group, stretch) else self._go(stretch))

    async def _revise(self, stretch: Sequence[Recorded]) -> None:
        await self._flush()
        await self._settle()
        try:
            changes, passed_over = await folded(self._fold, self.group, stretch, self)
        except FoldFailed as error:
            raise self._failed(error.recorded, error.cause) from error.cause
        self._touch(changes)
        await self._store(changes, self.position)
        self.passed_over += passed_over
        self._stored = self.position = stretch[-1].position

    async def _go(self, chunk: Sequence[Recorded]) -> None:
        try:
            work, wanted, passed_over = self._fold.plan(chunk)
            while work:
                await self._bring(wanted)
                await asyncio.sleep(0)  # appends of this process go on
                self._fold.go(work)
                work, wanted = self._fold.plan_concerned()
        except FoldFailed as error:
            raise self._failed(error.recorded, error.cause) from error.cause
        self.passed_over += passed_over
        self.position = chunk[-1].position
        if self._fold.changed > ROWS_AT_ONCE or self._fold.full:
            await self._flush()
        if self._fold.full:
            self._fold.drop()
            self._dropped = True

    async def _bring(self, wanted: Wanted) -> None:
        if wanted and self._dropped:
            await self._settle()  # rows that are neither in memory nor stored yet would seem not to be there
        for projection, keys in wanted.items():
            self._fold.bring(projection, await self.scratch.load(projection, keys))

    async def _flush(self) -> None:
        """Begin to store what changed. Rows stay in memory as long as there is room, so most are stored once."""
        await self._settle()
        changes = self._fold.take()
        self._touch(changes)
        self._storing = asyncio.create_task(self._store_many(changes, self._stored), name="byjy-replay-store")
        self._stored = self.position

    def _touch(self, changes: Sequence[Changes]) -> None:
        if self.watching:
            self.touched += [(one.projection, touched_keys(one)) for one in changes]

    async def _store_many(self, changes: Sequence[Changes], after: int) -> None:
        try:
            await self.scratch.store(changes)
        except NotStorable:
            await self._store(_removed_first(changes), after)

    async def _store(self, changes: Sequence[Changes], after: int) -> None:
        try:
            await self.scratch.store(changes)
        except NotStorable as error:
            raise await self._culprit(after, error) from error

    async def _settle(self) -> None:
        if self._storing is not None:
            await asyncio.wait([self._storing])
            storing, self._storing = self._storing, None
            self._dropped = False
            storing.result()

    async def _culprit(self, after: int, error: NotStorable) -> ReplayFailed:
        """A row breaks a constraint: fold what came after a position event by event, to find the one that made it."""
        fold = Fold(self.group)
        async for recorded in self._log.read(after=after):
            try:
                changes, _ = await folded(fold, self.group, [recorded], self)
                await self.scratch.store(changes)
            except NotStorable as cause:
                return self._failed(recorded, cause)
        return ReplayFailed(self.group.name, after, "?", str(error))

    def _failed(self, recorded: Recorded, cause: Exception) -> ReplayFailed:
        return ReplayFailed(self.group.name, recorded.position, recorded.type, f"{type(cause).__name__}: {cause}")


@contextlib.asynccontextmanager
async def replay_of(log: EventLog, group: Group) -> AsyncIterator[Replay]:
    """A replay that has folded nothing yet; its scratch tables go when the block is left.

    Raises:
        LogUnavailable: the database failed, or its temporary space is full.
    """
    replay = Replay(log, group, _scratch(log))
    try:
        with available():
            await replay.begin()
            yield replay
    finally:
        await replay.close()


def _removed_first(changes: Sequence[Changes]) -> list[Changes]:
    """The same, all rows removed before any is put: one may have what another, which comes after it, gave up."""
    removed = [
        Changes(one.projection, [], one.gone if one.projection.append_only else touched_keys(one)) for one in changes
    ]
    return [*removed, *(Changes(one.projection, one.rows, []) for one in changes)]


def touched_keys(changes: Changes) -> list[Key]:
    """The keys of everything that changed."""
    return [*map(changes.projection.key_of, changes.rows), *changes.gone]


def _scratch(log: EventLog) -> Scratch:
    url = log.engine.url
    return SqliteScratch(sqlite_path(url)) if is_sqlite(url) else PostgresScratch(open_engine(url, pooled=False))
