"""Projecting inline: a group is taken forward in the very transactions that append, so that rows and events become
visible together.

It is the same fold and the same statements as the runner's, and the same checkpoint, read and compared in each
transaction anew: whoever else takes the group forward meanwhile, the rows in memory are used only while they rest on
the checkpoint that is found. What others appended without projecting it is folded first.

An append never fails because of it. Whatever goes wrong here undoes the projection's part of the transaction; then the
group is left to the projector's own task, which isolates and stops as always, and is taken up again once that task is
past the trouble. The same holds while the group is far behind the log, is stopped, or is being rebuilt.

On SQLite everything happens in the thread of the write lane, the memory of rows included; others only look at
``checkpoint``, which is replaced, never changed.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any, Protocol

import msgspec

from byjy_events.chunk import Chunk, all_recorded, refuse_gap
from byjy_events.log import EventLog
from byjy_events.postgres.backend import PostgresBackend
from byjy_events.query import Query
from byjy_events.recorded import Recorded
from byjy_events.sqlite.backend import SqliteBackend
from projections.checkpoints import Checkpoint, GroupState
from projections.folding import Fold
from projections.postgres_store import PostgresTransaction
from projections.projection import Group
from projections.sqlite_store import SqliteTransaction
from projections.store import Step
from projections.stretches import Source, folded, stretches
from projections.unsuspended import result_of

GAP_EVENTS = 10_000
"""Events of others that an append may have to wait for; a group that is further behind is left to its projector."""

CHUNK_EVENTS = 2_000
"""Of these, how many are folded at once."""


class Transaction(Source, Protocol):
    """The rows and the checkpoints of the read side, within a transaction that somebody else began and ends."""

    async def checkpoint(self, group: str, *, wait: bool) -> Checkpoint | None:
        """The group's checkpoint, which nobody else moves before the transaction ends; None: it has none.

        Args:
            wait: for whoever is in the midst of moving it. If not, None: somebody is.
        """
        ...

    async def events(self, query: Query, limit: int) -> Chunk:
        """See :meth:`byjy_events.backend.Backend.fetch`."""
        ...

    async def advance(self, step: Step) -> bool:
        """Take the step. False: the checkpoint is another one, and nothing was written."""
        ...


class Inline:
    """One group, taken forward by the appends of one log while it is attached to it.

    Attributes:
        checkpoint: where the last durable append left the group; None: no append has taken it along yet.
    """

    def __init__(self, group: Group) -> None:
        self.checkpoint: Checkpoint | None = None
        self._group = group
        self._fold = Fold(group)
        self._reached: Checkpoint | None = None  # what the rows in memory rest on
        self._left_until = 0

    @property
    def position(self) -> int:
        """Up to here durable appends have taken the group along."""
        checkpoint = self.checkpoint
        return 0 if checkpoint is None else checkpoint.position

    def committed(self) -> None:
        """See :class:`byjy_events.companion.Companion`."""
        if self._reached is not None:
            self.checkpoint = self._reached

    def undone(self) -> None:
        """See :class:`byjy_events.companion.Companion`."""
        if self._reached != self.checkpoint:
            self._forget()

    async def take_along(self, transaction: Transaction, events: Sequence[Recorded]) -> None:
        """Bring the group to the last of these events, unless it has to be left to its projector."""
        try:
            # What failed is not waited for a second time: a lock that stays would hold up every append.
            found = await transaction.checkpoint(self._group.name, wait=not self._left_until)
            if found is None or not self._ready(found, events):
                return
            self._left_until = 0
            if found != self._reached:
                self._forget(empty=not found.position)
            self._reached = await self._advanced(transaction, await self._up_to(transaction, found, events), events)
        except BaseException:
            self._forget()
            self._left_until = events[-1].position
            raise

    def _ready(self, found: Checkpoint, events: Sequence[Recorded]) -> bool:
        return (
            found.status == GroupState.RUNNING
            and self._group.accepts(found.version)
            and self._left_until <= found.position < events[0].position <= found.position + 1 + GAP_EVENTS
        )

    async def _up_to(self, transaction: Transaction, at: Checkpoint, events: Sequence[Recorded]) -> Checkpoint:
        """Fold what others appended before these events."""
        last = events[0].position - 1
        while at.position < last:
            chunk = await transaction.events(Query(after=at.position, upto=last), CHUNK_EVENTS)
            refuse_gap(at.position, chunk)
            at = await self._advanced(transaction, at, all_recorded(chunk))
        return at

    async def _advanced(self, transaction: Transaction, at: Checkpoint, events: Sequence[Recorded]) -> Checkpoint:
        for stretch in stretches(self._group, events):
            if self._fold.full:
                self._fold.drop()
            changes, passed_over = await folded(self._fold, self._group, stretch, transaction)
            step = Step(at, stretch[-1].position, passed_over, changes)
            if not await transaction.advance(step):
                raise AssertionError(f"group {self._group.name} moved from {at.position} in the midst of a transaction")
            at = msgspec.structs.replace(at, position=step.position)
        return at

    def _forget(self, *, empty: bool = False) -> None:
        self._fold.forget(empty=empty)
        self._reached = None


class InlineOnSqlite(Inline):
    """See :class:`byjy_events.companion.SqliteCompanion`."""

    def __init__(self, backend: SqliteBackend, group: Group) -> None:
        super().__init__(group)
        self._company = backend.company

    def accompany(self, connection: sqlite3.Connection, events: Sequence[Recorded]) -> None:
        """Take the group along, in the lane's thread."""
        result_of(self.take_along(SqliteTransaction(connection), events))

    def attach(self) -> None:
        """Accompany the appends of the log."""
        self._company.attach(self)

    def detach(self) -> None:
        """Accompany no more. Safe to call twice."""
        self._company.detach(self)


class InlineOnPostgres(Inline):
    """See :class:`byjy_events.companion.PostgresCompanion`."""

    def __init__(self, backend: PostgresBackend, group: Group) -> None:
        super().__init__(group)
        self._company = backend.company

    async def accompany(self, connection: Any, events: Sequence[Recorded]) -> None:
        """Take the group along."""
        await self.take_along(PostgresTransaction(connection), events)

    def attach(self) -> None:
        """Accompany the appends of the log."""
        self._company.attach(self)

    def detach(self) -> None:
        """Accompany no more. Safe to call twice."""
        self._company.detach(self)


def inline(log: EventLog, group: Group) -> InlineOnSqlite | InlineOnPostgres:
    """A group ready to be taken along by the appends of a log; it begins when it is attached."""
    backend = log.backend
    if isinstance(backend, SqliteBackend):
        return InlineOnSqlite(backend, group)
    assert isinstance(backend, PostgresBackend)
    return InlineOnPostgres(backend, group)
