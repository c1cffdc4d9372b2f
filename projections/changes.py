"""Changes: the history of one entity, event by event, with its row before and after each of them.

Nothing is read from the tables. The events that concern the entity are folded one by one, as live projection folds
them, revisions of the past included; so the row after the last one is the row in the table, if that is at the head.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Any

from msgspec import Struct

from byjy_events.log import EventLog
from byjy_events.recorded import Recorded
from projections.entities import POSITION, Entity, events_of
from projections.errors import ReplayFailed
from projections.folding import Changes, Fold, FoldFailed
from projections.projection import Key, Projection
from projections.runner import available
from projections.spilled import InMemory, Kept, spilled
from projections.stretches import folded

AT_ONCE = 500
"""Events that are folded at once while none of them concerns the entity."""

_Rows = Mapping[Key, Any]
_Found = dict[Projection[Any], dict[Key, Any]]


class RowChange(Struct, frozen=True):
    """What became of one row.

    Attributes:
        table: its name, which is the projection's.
        before, after: the row; None: there was none, or is none any more.
    """

    table: str
    before: Any
    after: Any


class Change(Struct, frozen=True):
    """What one event made of an entity.

    Attributes:
        recorded: the event.
        before, after: the entity's row; None: there was none, or is none any more. The same where the event is of the
            entity's stream and changed nothing.
        also: other rows of the entity that it changed: of an order its trades and fees; of a position its trades, fees
            and the holdings that were closed.
    """

    recorded: Recorded
    before: Any
    after: Any
    also: tuple[RowChange, ...] = ()


async def changes_of(
    log: EventLog, entity: Entity, *, upto: int | None = None, since: int | None = None
) -> AsyncGenerator[Change, None]:
    """The history of an entity: every event of its own stream, and every other that changed a row of it.

    However long it is, the rows in memory are bounded. Close the generator (``contextlib.aclosing``) if it is not read
    to its end.

    Args:
        upto: the last position to look at; None: the head of the log.
        since: nanoseconds UTC by the log's clock: only what was recorded from then on is told.

    Raises:
        ReplayFailed, CorruptLog: an event cannot be folded, or is not what was appended.
        LogUnavailable: the database failed.
    """
    last = await log.head() if upto is None else upto
    async with AsyncExitStack() as stack:
        stack.enter_context(available())
        # What an account holds of a pair may come of millions of trades; of anything else there are as many rows as
        # somebody could read.
        kept: Kept = (
            await stack.enter_async_context(spilled(log, entity.group))
            if entity.kind == POSITION
            else InMemory(entity.group)
        )
        async for change in changes_among(entity, events_of(log, entity, last), kept):
            if since is None or change.recorded.recorded_at >= since:
                yield change


async def changes_among(
    entity: Entity, events: AsyncIterator[Recorded], kept: Kept | None = None
) -> AsyncIterator[Change]:
    """What events, in the order of the log, make of an entity; those that it depends on have to be among them.

    Raises:
        ReplayFailed: an event cannot be folded.
    """
    rows: Kept = InMemory(entity.group) if kept is None else kept
    fold = Fold(entity.group)
    fold.forget(empty=True)
    waiting: list[Recorded] = []
    async for recorded in events:
        concerned = _may_change(entity, recorded)
        if not concerned:
            waiting.append(recorded)
        if waiting and (concerned or len(waiting) == AT_ONCE):
            await rows.keep(await _folded(entity, fold, waiting, rows))
            waiting = []
        if not concerned:
            continue
        changes = await _folded(entity, fold, [recorded], rows)
        change = await _change(entity, recorded, changes, rows)
        await rows.keep(changes)
        if change.before is not change.after or change.also or recorded.stream == entity.stream:
            yield change


def _may_change(entity: Entity, recorded: Recorded) -> bool:
    """Whether the entity could be concerned; all else that it depends on can be folded many at a time."""
    kind: Any = type(recorded.event)
    if entity.stream is not None or kind in entity.group.revisions:
        return True
    return kind in entity.projection.handles and entity.key in entity.projection.keys(recorded)


async def _folded(entity: Entity, fold: Fold, stretch: Sequence[Recorded], rows: Kept) -> list[Changes]:
    """
    Raises:
        ReplayFailed: one of the events cannot be folded.
    """
    try:
        changes, _ = await folded(fold, entity.group, stretch, rows)
    except FoldFailed as error:
        one, cause = error.recorded, f"{type(error.cause).__name__}: {error.cause}"
        raise ReplayFailed(entity.group.name, one.position, one.type, cause) from error.cause
    if fold.full:
        fold.drop()
    return changes


async def _change(entity: Entity, recorded: Recorded, changes: Sequence[Changes], rows: Kept) -> Change:
    """What an event changes, while the rows are still as they were before it."""
    after = _after(changes)
    key = entity.key
    before = (await rows.load(entity.projection, [key])).get(key)
    now = after.get(entity.projection, {}).get(key, before)
    also: list[RowChange] = []
    for projection, columns in entity.also:
        if found := after.get(projection):
            # Only a revision changes what is there already, or puts another row in its place.
            new = projection.append_only and type(recorded.event) not in entity.group.revisions
            also += _of_entity(projection, columns, {} if new else await rows.load(projection, list(found)), found)
    return Change(recorded, before, before if now == before else now, tuple(also))


def _after(changes: Sequence[Changes]) -> _Found:
    """The rows by projection and key; None: gone."""
    found: _Found = {}
    for each in changes:
        rows = found.setdefault(each.projection, {})
        rows.update(dict.fromkeys(each.gone))
        rows.update({each.projection.key_of(row): row for row in each.rows})
    return found


def _of_entity(
    projection: Projection[Any], columns: Mapping[str, Any], before: _Rows, after: _Rows
) -> Iterator[RowChange]:
    for key, row in after.items():
        one = before.get(key)
        if one != row and any(_equals(each, columns) for each in (one, row)):
            yield RowChange(projection.name, one, row)


def _equals(row: Any, columns: Mapping[str, Any]) -> bool:
    return row is not None and all(getattr(row, name) == value for name, value in columns.items())
