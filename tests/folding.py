"""Folding without a database: what a group makes of a list of events, as plain dictionaries of rows."""

from __future__ import annotations

from collections.abc import Iterable
from operator import attrgetter
from typing import Any, TypeVar

from msgspec import Struct

from byjy_events.event import Event, Fact
from byjy_events.recorded import Recorded
from byjy_events.stream import Stream
from projections.projection import Evolved, Group, Key, Projection
from projections.revision import Ask, Revised, Revising
from projections.trading import TRADING

T = TypeVar("T", bound=Struct)


class Folded:
    """The rows of a group by projection and key, after the events given so far."""

    def __init__(self, group: Group = TRADING) -> None:
        self.group = group
        self.rows: dict[str, dict[Key, Any]] = {one.name: {} for one in group.projections}

    def fold(self, recorded: Recorded) -> None:
        self._evolve(recorded)
        revision = self.group.revisions.get(type(recorded.event))  # type: ignore[arg-type]
        if revision is not None:
            self._revise(revision.revise(recorded))

    def _evolve(self, recorded: Recorded) -> None:
        concerns: list[tuple[type[Struct], Key]] = []
        for projection in self.group.by_event.get(type(recorded.event), ()):  # type: ignore[arg-type]
            for key in projection.keys(recorded):
                concerns += self._evolve_row(projection, recorded, key)
        for row_type, key in concerns:
            assert not self._evolve_row(self.group.by_row_type[row_type], recorded, key)

    def _evolve_row(self, projection: Projection[Any], recorded: Recorded, key: Key) -> list[tuple[type[Struct], Key]]:
        """Further rows that it names."""
        rows = self.rows[projection.name]
        row = answer = projection.evolve(rows.get(key), recorded, key)
        if type(answer) is Evolved:
            self._insert(answer.also)
            row = answer.row
        if row is None:
            rows.pop(key, None)
        elif not (projection.append_only and key in rows):
            rows[key] = row
        return list(answer.concerns) if type(answer) is Evolved else []

    def fold_all(self, log: Iterable[Recorded]) -> Folded:
        for recorded in log:
            self.fold(recorded)
        return self

    def of(self, row_type: type[T]) -> list[T]:
        """All rows of one type, in the order in which their keys appeared."""
        return list(self.rows[self.group.by_row_type[row_type].name].values())

    def one(self, row_type: type[T]) -> T:
        """The only row of one type."""
        (row,) = self.of(row_type)
        return row

    def _revise(self, revising: Revising) -> None:
        """Answer its questions from the rows, and do what it says: children go before parents, parents come first."""
        try:
            ask = next(revising)
            while True:
                ask = revising.send(self._found(ask))
        except StopIteration as answered:
            revised: Revised = answered.value
        for row_type, key in revised.gone:
            self.rows[self.group.by_row_type[row_type].name].pop(key, None)
        for row in revised.rows:
            projection = self.group.by_row_type[type(row)]
            self.rows[projection.name][projection.key_of(row)] = row

    def _found(self, ask: Ask) -> list[Any]:
        projection = self.group.by_row_type[ask.row_type]
        by = ask.by or projection.key_columns
        rows = [
            row for row in self.of(ask.row_type) if all(getattr(row, name) == one for name, one in ask.equal.items())
        ]
        rows = [row for row in rows if ask.after is None or getattr(row, by[0]) > ask.after]
        rows = [row for row in rows if ask.before is None or getattr(row, by[0]) < ask.before]
        return sorted(rows, key=attrgetter(*by), reverse=ask.newest_first)[: ask.limit]

    def _insert(self, also: tuple[Struct, ...]) -> None:
        for row in also:
            projection = self.group.by_row_type[type(row)]
            self.rows[projection.name].setdefault(projection.key_of(row), row)


def columns(row: Struct, names: str) -> tuple[Any, ...]:
    """Some columns of a row, named in one string."""
    return tuple(getattr(row, name) for name in names.split())


def recorded(event: Event, position: int, stream: Stream, version: int = 1, at: int | None = None) -> Recorded:
    """An event as the log would give it back, at a position; ``at`` is the venue's clock."""
    event_id = event.fact_id_bytes() if isinstance(event, Fact) else position.to_bytes(16, "big")
    return Recorded(
        position=position,
        event_id_bytes=event_id,
        category=stream.category,
        stream_id_bytes=stream.id.bytes,
        stream_version=version,
        type=type(event).__name__,
        schema_version=event.schema_version,
        payload=b"",
        occurred_at=at,
        received_at=position * 1000,
        recorded_at=position * 1000 + 1,
        actor="test",
        correlation_id_bytes=None,
        causation_id_bytes=None,
        leaf_hash=b"",
        event=event,
    )


def log_of(steps: Iterable[tuple[Stream, Event]]) -> list[Recorded]:
    """A log of these events, one position each from 1 on; a fact told twice is kept once, as the log does."""
    log: list[Recorded] = []
    known: set[bytes] = set()
    versions: dict[Stream, int] = {}
    for stream, event in steps:
        version = versions.get(stream, 0) + 1
        entry = recorded(event, len(log) + 1, stream, version)
        if entry.event_id_bytes not in known:
            known.add(entry.event_id_bytes)
            versions[stream] = version
            log.append(entry)
    return log
