"""Folding the log stretch by stretch: events that revise the past stand alone, all others go together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

from byjy_events.recorded import Recorded
from projections.folding import Changes, Fold, FoldFailed
from projections.projection import Group, Key, Projection
from projections.revision import Ask, Revised


class Source(Protocol):
    """Where the rows of a group are stored."""

    async def load(self, projection: Projection[Any], keys: Sequence[Key]) -> Mapping[Key, Any]:
        """Those of these rows that exist."""
        ...

    async def find(self, projection: Projection[Any], ask: Ask) -> Sequence[Any]:
        """The rows asked for."""
        ...


def stretches(group: Group, events: Sequence[Recorded]) -> Iterator[Sequence[Recorded]]:
    """The events in their order, cut before and after each one that revises the past."""
    revisions = group.revisions
    if revisions.keys().isdisjoint({type(one.event) for one in events}):
        if events:
            yield events
        return
    start = 0
    for index, recorded in enumerate(events):
        if type(recorded.event) in revisions:
            if start < index:
                yield events[start:index]
            yield [recorded]
            start = index + 1
    if start < len(events):
        yield events[start:]


def revises(group: Group, stretch: Sequence[Recorded]) -> bool:
    """Whether a stretch is an event that revises the past.

    Everything before it has to be stored when it is folded, and it itself before anything else is.
    """
    return type(stretch[0].event) in group.revisions


async def folded(fold: Fold, group: Group, stretch: Sequence[Recorded], source: Source) -> tuple[list[Changes], int]:
    """What a stretch changes, and how many of its events were passed over.

    Raises:
        FoldFailed: a projection or a revision raised.
    """
    if not revises(group, stretch):
        return await _folded(fold, stretch, source)
    (recorded,) = stretch
    fold.drop()
    changes, passed_over = await _folded(fold, stretch, source)
    fold.drop()
    answer = await _revised(group, recorded, source)
    try:
        revised = list(_changes(group, answer))
    except Exception as error:
        raise FoldFailed(recorded, error) from error
    fold.meet(revised)
    return [*changes, *revised], passed_over


async def _folded(fold: Fold, stretch: Sequence[Recorded], source: Source) -> tuple[list[Changes], int]:
    work, wanted, passed_over = fold.plan(stretch)
    while work:
        for projection, keys in wanted.items():
            fold.bring(projection, await source.load(projection, keys))
        fold.go(work)
        work, wanted = fold.plan_concerned()
    return fold.take(), passed_over


async def _revised(group: Group, recorded: Recorded, source: Source) -> Revised:
    """The answer of a revision, whose questions are answered on the way."""
    revising = group.revisions[type(recorded.event)].revise(recorded)  # type: ignore[index]
    rows: Sequence[Any] | None = None
    while True:
        try:
            ask = next(revising) if rows is None else revising.send(rows)
            projection = group.by_row_type[ask.row_type]
            _refuse_unknown_columns(projection, ask)
        except StopIteration as answer:
            return answer.value  # type: ignore[no-any-return]
        except Exception as error:
            raise FoldFailed(recorded, error) from error
        rows = await source.find(projection, ask)


def _refuse_unknown_columns(projection: Projection[Any], ask: Ask) -> None:
    for name in (*ask.equal, *ask.by):
        if name not in projection.table.columns:
            raise LookupError(f"{projection.name} has no column {name}")
    for name, value in ask.equal.items():
        if value is None:
            raise ValueError(f"{projection.name}.{name} is asked for None, which nothing equals")


def _changes(group: Group, answer: Revised) -> Iterator[Changes]:
    """Children are removed before parents, or their foreign keys would take them along; parents are put first."""
    rows: dict[Projection[Any], list[Any]] = {one: [] for one in group.projections}
    gone: dict[Projection[Any], list[Key]] = {one: [] for one in group.projections}
    for row in answer.rows:
        projection = group.by_row_type[type(row)]
        rows[projection].append(row)
        if projection.append_only:  # what is there already would stay
            gone[projection].append(projection.key_of(row))
    for row_type, key in answer.gone:
        gone[group.by_row_type[row_type]].append(key)
    for projection in reversed(group.projections):
        if gone[projection]:
            yield Changes(projection, [], gone[projection])
    for projection in group.projections:
        if rows[projection]:
            yield Changes(projection, rows[projection], [])
