"""The runner: takes a group forward along the log.

It reads the group's checkpoint, then the rows that the next chunk of events needs, folds in memory, and takes the step
in one transaction. That transaction begins by comparing and setting the checkpoint; so of two runners one wins,
and the loser has written nothing: it forgets its rows, reads the checkpoint again and goes on from there. (With the
rows first and the checkpoint second, two runners lost a third of the updates, silently.) A crash at any point leaves
rows and checkpoint as of the same position.

An event that cannot be folded stops its group, and nothing else: everything before it is projected, the error is kept
beside the checkpoint, and the next start tries again. A database that fails is something else: the runner waits
and tries again until it is back.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator, Sequence

import msgspec

from byjy_events.backend import NotStorable, NotStored, Unclear
from byjy_events.errors import LogUnavailable
from byjy_events.log import EventLog
from byjy_events.postgres.backend import PostgresBackend
from byjy_events.recorded import Recorded
from byjy_events.sqlite.backend import SqliteBackend
from projections.checkpoints import Checkpoint, GroupState
from projections.errors import GroupOutdated, GroupRebuilding, ProjectionStopped
from projections.folding import Fold, FoldFailed
from projections.postgres_store import PostgresStore
from projections.projection import Group
from projections.sqlite_store import SqliteStore
from projections.store import Step, Store
from projections.stretches import folded, revises, stretches

CHUNK_EVENTS = 2_000
"""Events that one step folds at most."""

TROUBLE = (NotStored, Unclear, LogUnavailable)
"""What a database that fails looks like, writing and reading."""


class Runner:
    """Takes one group forward, chunk by chunk. Not for two tasks at once."""

    def __init__(self, log: EventLog, group: Group) -> None:
        self.group = group
        self._store = _store(log)
        self._fold = Fold(group)
        self._under_way: tuple[Sequence[Recorded], asyncio.Future[bool]] | None = None
        self.checkpoint = Checkpoint(group.name, 0, 0, group.version)

    async def begin(self) -> Checkpoint:
        """Read the checkpoint and forget all rows.

        Raises:
            GroupRebuilding: the rows are being mended.
            GroupOutdated: the rows are of another version.
        """
        await self._give_up()
        found = await self._store.checkpoint(self.group.name, self.group.version)
        if found.status == GroupState.REBUILDING:
            raise GroupRebuilding(self.group.name)
        if not self.group.accepts(found.version):
            raise GroupOutdated(self.group.name, found.version, self.group.version)
        if not found.position:
            self._fold.forget(empty=True)
        self.checkpoint = found
        return found

    async def advance(self, events: Sequence[Recorded], *, ahead: bool = False) -> bool:
        """Fold the events that follow directly on the ones before. False: another runner was here; begin again.

        Events that revise the past take a step of their own.

        Args:
            ahead: return while the step is still being stored, so that the next events are folded meanwhile;
                :meth:`settle` after the last ones.

        Raises:
            ProjectionStopped: an event could not be folded; those before it are projected.
            NotStored, Unclear: the database failed; begin again.
        """
        *first, last = stretches(self.group, events)
        for stretch in first:
            if not await self._advance(stretch, ahead=False):
                return False
        return await self._advance(last, ahead=ahead)

    async def pass_by(self, position: int) -> bool:
        """Go on to a position: no event up to there concerns the group. Returns and raises as :meth:`advance`."""
        if position <= self.checkpoint.position:
            return True
        stored = await self._store.advance(Step(self.checkpoint, position, 0, []))
        if stored:
            self.checkpoint = msgspec.structs.replace(self.checkpoint, position=position)
        return stored

    async def _advance(self, events: Sequence[Recorded], *, ahead: bool) -> bool:
        alone = revises(self.group, events)
        if alone and not await self.settle():
            return False
        if self._fold.full:
            # Rows that are being stored must not be dropped: read back now, they would be those of before.
            if not await self.settle():
                return False
            self._fold.drop()
        try:
            changes, passed_over = await folded(self._fold, self.group, events, self._store)
        except FoldFailed as error:
            return await self.settle() and await self._stop_at(events, error)
        except NotStorable as error:
            return await self.settle() and await self._isolate(events, error)
        if not await self.settle():
            return False
        step = Step(self.checkpoint, events[-1].position, passed_over, changes)
        self._under_way = (events, asyncio.ensure_future(self._store.advance(step)))
        return (ahead and not alone) or await self.settle()

    async def settle(self) -> bool:
        """Wait for the step that is being stored. Returns and raises as :meth:`advance`."""
        if self._under_way is None:
            return True
        await asyncio.wait([self._under_way[1]])  # whoever is cancelled here leaves the step to :meth:`close`
        (events, storing), self._under_way = self._under_way, None
        try:
            stored = storing.result()
        except NotStorable as error:
            await self._isolate(events, error)
            return False  # what was folded ahead was folded on rows that are forgotten now
        if stored:
            self.checkpoint = msgspec.structs.replace(self.checkpoint, position=events[-1].position)
        return stored

    async def close(self) -> None:
        """Give connections back, even when cancelled."""
        try:
            await self._give_up()
        finally:
            await self._store.close()

    async def _give_up(self) -> None:
        """Let a step under way end as it may, and forget all rows: they may never have been stored."""
        self._fold.forget()
        if self._under_way is not None:
            (_, storing), self._under_way = self._under_way, None
            await asyncio.wait([storing])
            if not storing.cancelled():
                storing.exception()  # looked at: the checkpoint tells what became of it

    async def _stop_at(self, events: Sequence[Recorded], error: FoldFailed) -> bool:
        self._fold.forget()
        good = [recorded for recorded in events if recorded.position < error.recorded.position]
        return (not good or await self.advance(good)) and await self._stop(error.recorded, error.cause)

    async def _isolate(self, events: Sequence[Recorded], error: NotStorable) -> bool:
        """A row breaks a constraint: find the event that made it."""
        self._fold.forget()
        if len(events) == 1:
            return await self._once_more(events, error)
        half = max(1, len(events) // 2)
        return await self.advance(events[:half]) and await self.advance(events[half:])

    async def _once_more(self, events: Sequence[Recorded], error: NotStorable) -> bool:
        """One event, on rows that are read afresh: those in memory may have been there no more."""
        try:
            changes, passed_over = await folded(self._fold, self.group, events, self._store)
            stored = await self._store.advance(Step(self.checkpoint, events[0].position, passed_over, changes))
        except (FoldFailed, NotStorable):
            self._fold.forget()
            return await self._stop(events[0], error)
        if stored:
            self.checkpoint = msgspec.structs.replace(self.checkpoint, position=events[0].position)
        return stored

    async def _stop(self, recorded: Recorded, cause: Exception) -> bool:
        """Mark the group as stopped and raise; False: another runner is past the event already."""
        sentence = f"{type(cause).__name__}: {cause}".encode("utf-8", "backslashreplace").decode().replace("\x00", "")
        if not await self._store.stop(self.checkpoint, recorded.position, recorded.type, sentence):
            return False
        raise ProjectionStopped(self.group.name, recorded.position, recorded.type, sentence) from cause


@contextlib.contextmanager
def available() -> Iterator[None]:
    """What the database's trouble is called towards callers."""
    try:
        yield
    except (NotStored, Unclear) as error:
        raise LogUnavailable(str(error)) from error


def _store(log: EventLog) -> Store:
    backend = log.backend
    if isinstance(backend, SqliteBackend):
        return SqliteStore(backend)
    assert isinstance(backend, PostgresBackend)
    return PostgresStore(backend)
