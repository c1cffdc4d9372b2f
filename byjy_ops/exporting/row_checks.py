"""What every row of an export has to fulfil, by its manifest."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from byjy_events.leaf import content_hash, leaf_hash
from byjy_ops.exporting.columns import LAYOUTS, Kind
from byjy_ops.exporting.formats import Row, WrongRow
from byjy_ops.exporting.manifest import Manifest
from byjy_ops.exporting.range_proof import Neighbours
from byjy_ops.exporting.spelling import instant_text, instant_value

Values = Mapping[str, Any]


class RowChecks:
    """Checks rows one after the other, in the order of the file.

    Attributes:
        rows: that held.
        neighbours: their leaf hashes, if they are events that follow one another; None: they are not, or there is none.
    """

    def __init__(self, told: Manifest) -> None:
        layout = LAYOUTS[told.kind]
        self.rows = 0
        self.neighbours: Neighbours | None = None
        self._told = told
        self._key = layout.key
        self._position = layout.position
        self._names = [column.name for column in told.columns]
        self._follow = told.kind is Kind.EVENTS and told.filters.gapless
        self._always = [column.name for column in told.columns if not column.nullable]
        self._last_key: tuple[Any, ...] | None = None
        self._first: int | None = None
        self._last: int | None = None
        self._checks: list[Callable[[Values], str | None]] = [
            self._filled, self._ordered, self._within, *_filters(told, layout.time)
        ]  # fmt: skip
        if told.kind is Kind.EVENTS:
            self._checks.append(_leaf)
            if self._follow:
                self._checks.insert(1, self._following)

    def check(self, row: Row) -> None:
        """The next row.

        Raises:
            WrongRow: it is not as the manifest says.
        """
        values = dict(zip(self._names, row.values, strict=True))
        for one in self._checks:
            if reason := one(values):
                raise WrongRow(row.place, reason)
        position = values[self._position]
        self._last_key = tuple(values[name] for name in self._key)
        self._first = position if self._first is None else min(self._first, position)
        self._last = position if self._last is None else max(self._last, position)
        self.rows += 1
        if self._follow:
            self.neighbours = self.neighbours or Neighbours(position)
            self.neighbours.add(bytes.fromhex(values["leaf_hash"]))

    def at_the_end(self) -> Iterator[str]:
        """What is wrong with all rows together."""
        told = self._told.positions
        if self.rows != self._told.rows:
            yield f"{self.rows} rows, the manifest says {self._told.rows}"
        for name, found, said in (("first", self._first, told.first), ("last", self._last, told.last)):
            if found != said:
                yield f"the {name} position is {found}, the manifest says {said}"
        if self._complete and (self._last or 0) != told.as_of:
            yield f"the last position is {self._last}, and the export is as of {told.as_of}"

    @property
    def _complete(self) -> bool:
        """Whether it has to hold the events up to the position that it is as of."""
        filters = self._told.filters
        until = filters.until is not None
        since = filters.since is not None and self.rows == 0
        return self._follow and not until and not since

    def _filled(self, values: Values) -> str | None:
        return next((f"{name}: is null" for name in self._always if values[name] is None), None)

    def _ordered(self, values: Values) -> str | None:
        key = tuple(values[name] for name in self._key)
        if self._last_key is None or self._last_key < key:
            return None
        return f"{', '.join(self._key)}: not behind the row before"

    def _within(self, values: Values) -> str | None:
        position = values[self._position]
        if 1 <= position <= self._told.positions.as_of:
            return None
        return f"{self._position}: {position} is not between 1 and {self._told.positions.as_of}"

    def _following(self, values: Values) -> str | None:
        position = values["position"]
        beginning = 1 if self._told.filters.since is None else position
        wanted = beginning if self._last is None else self._last + 1
        return None if position == wanted else f"position: {position} follows where {wanted} should"


def _filters(told: Manifest, time: str) -> Iterator[Callable[[Values], str | None]]:
    filters = told.filters
    if filters.since is not None:
        since = instant_value(filters.since)
        yield lambda values: _unless(values[time] >= since, time, values[time], f"before {filters.since}")
    if filters.until is not None:
        until = instant_value(filters.until)
        yield lambda values: _unless(values[time] < until, time, values[time], f"not before {filters.until}")
    equal = {"account": filters.account}
    if told.kind is Kind.EVENTS:
        equal["actor"] = filters.actor
    else:
        equal["trading_pair_id"] = filters.trading_pair_id
    for name, value in equal.items():
        if value is not None:
            yield _equals(name, value)


def _equals(name: str, value: str) -> Callable[[Values], str | None]:
    return lambda values: None if values[name] == value else f"{name}: {values[name]!r}, and {value!r} was asked for"


def _unless(fits: bool, name: str, nanoseconds: int, what: str) -> str | None:
    return None if fits else f"{name}: {instant_text(nanoseconds)} is {what}"


def leaf(values: Values) -> bytes:
    """The leaf hash that follows from the other columns of an event, see ``docs/reference/leaf.md``."""
    content = content_hash(
        _bytes(values["event_id"]),
        values["stream_category"],
        _bytes(values["stream_id"]),
        values["type"],
        values["schema_version"],
        values["payload"].encode(),
        values["occurred_at"],
        values["received_at"],
        values["actor"],
        None if values["correlation_id"] is None else _bytes(values["correlation_id"]),
        None if values["causation_id"] is None else _bytes(values["causation_id"]),
    )
    return leaf_hash(content, values["position"], values["stream_version"], values["recorded_at"])


def _leaf(values: Values) -> str | None:
    """Whether an event is what its leaf hash says was appended at its place."""
    if leaf(values).hex() == values["leaf_hash"]:
        return None
    return f"position {values['position']}: altered; its leaf hash is of something else"


def _bytes(uuid: str) -> bytes:
    return bytes.fromhex(uuid.replace("-", ""))
