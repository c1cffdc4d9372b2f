"""Projections: pure functions that fold events into rows, and groups of them that advance together.

A projection owns one table. For each event it names the rows concerned (``keys``) and says what becomes
of each (``evolve``). It does no I/O and keeps no state, so one and the same function serves live
projection, rebuild, the past and unit tests. A projection of one's own::

    class DailyVolume(Projection[DailyVolumeRow]):
        name = "daily_volume"
        version = 1
        table = daily_volume
        row_type = DailyVolumeRow

        def keys(self, recorded):
            return [(recorded.event.pair.id, recorded.effective_at // DAY)]

        @on(OrderFilled)
        def filled(self, row, event, recorded, key):
            before = ZERO if row is None else row.quantity
            return DailyVolumeRow(pair_id=key[0], day=key[1], quantity=CONTEXT.add(before, event.quantity))

    VOLUME = Group("volume", [DailyVolume()])
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from operator import attrgetter
from typing import Any, ClassVar, Generic, TypeVar

import sqlalchemy as sa
from msgspec import Struct

from byjy_events.event import Event
from byjy_events.recorded import Recorded
from projections.fingerprint import FINGERPRINT_LENGTH, fingerprint
from projections.revision import Revision
from projections.rows import Row

R = TypeVar("R", bound=Struct)
H = TypeVar("H", bound=Callable[..., Any])

GROUP_NAME_LENGTH = 128
"""Characters that the name of a group may have."""

GROUP_VERSION_LENGTH = 255
"""Characters that the names and versions of a group's projections may have together, with their fingerprint."""

_FOLD = " fold="

EVERY_EVENT: frozenset[type[Event]] = frozenset({Event})
"""What a projection handles that is about every event, also of types that this program does not know: then
``recorded.event`` is an :class:`~byjy_events.event.UnknownEvent`. It sets this, and overrides ``evolve``."""

Key = Any
"""The value of a primary key: a tuple in the order of the key's columns when there are several."""


class Evolved(Struct, Generic[R], frozen=True):
    """A row together with rows for other tables of the same group.

    Attributes:
        row: what ``evolve`` would have returned alone.
        also: rows that are only ever inserted, e.g. an ``AnomalyRow``. Each belongs to the append-only projection
            whose ``row_type`` it is. Of several with the same primary key the first one counts.
        concerns: further rows that the event concerns, by type and key, none twice: those that the event does not
            name itself and that only the row knows of. Each belongs to a projection of the group that is
            ``named_by_others``, which evolves it by the same event.
    """

    row: R | None
    also: tuple[Struct, ...] = ()
    concerns: tuple[tuple[type[Struct], Key], ...] = ()


def on(*event_types: type[Event], makes: bool = False) -> Callable[[H], H]:
    """Mark the method of a projection that evolves a row by events of these types.

    The method takes ``(row, event, recorded, key)`` and returns what ``evolve`` returns.

    Args:
        makes: it only makes rows, and returns one that is there as it is; so it need not be called for those.
    """

    def mark(method: H) -> H:
        method.__evolves__ = event_types  # type: ignore[attr-defined]
        method.__makes__ = makes  # type: ignore[attr-defined]
        return method

    return mark


class Projection(Generic[R]):
    """One table, folded from the log.

    Attributes:
        name: unique among the projections of a group.
        version: raise it whenever the same events give other rows; the table is then rebuilt.
        table: its primary key is what ``keys`` names.
        row_type: a Struct with one field for each column, named and ordered alike.
        append_only: rows never change, so none need be loaded; a row whose key is there already is dropped.
        named_by_others: its rows are those that other projections of the group name in ``Evolved.concerns``, and
            ``keys`` is never asked. It names none itself. What it adds in ``Evolved.also`` has keys that no other
            event gives, as those of anomalies, which have the position in them.
        handles: the types of event that concern it: those marked with :func:`on`, unless it is set, as a
            projection does that overrides ``evolve`` itself. :data:`EVERY_EVENT`: all of them.
    """

    name: ClassVar[str]
    version: ClassVar[int] = 1
    table: ClassVar[sa.Table]
    row_type: type[R]
    append_only: ClassVar[bool] = False
    named_by_others: ClassVar[bool] = False
    handles: ClassVar[frozenset[type[Event]]] = frozenset()
    _methods: ClassVar[dict[type[Event], Callable[..., Any]]] = {}

    def __init_subclass__(cls) -> None:
        methods = dict(cls._methods)
        for method in vars(cls).values():
            for event_type in getattr(method, "__evolves__", ()):
                methods[event_type] = method
        cls._methods = methods
        if "handles" not in vars(cls):
            cls.handles = frozenset(methods)

    def keys(self, recorded: Recorded) -> Sequence[Key]:
        """The primary keys of the rows that an event concerns, none twice; may be empty."""
        raise NotImplementedError

    def evolve(self, row: R | None, recorded: Recorded, key: Key) -> R | Evolved[R] | None:
        """What becomes of one row by one event. Pure: the same arguments, the same answer.

        Args:
            row: the row as it is; None: there is none.
            recorded: an event of a type in ``handles``.
            key: one of ``keys(recorded)``, or of those that others named.

        Returns:
            The new row; the same object if nothing changed; None: there is no such row (an existing one goes).
        """
        event = recorded.event
        answer: R | Evolved[R] | None = self._methods[type(event)](self, row, event, recorded, key)  # type: ignore[index]
        return answer

    def handler(self, event_type: type[Event]) -> Callable[[R | None, Event, Recorded, Key], R | Evolved[R] | None]:
        """``evolve`` for one type of event, which it is handed too: the marked method itself, where there is one."""
        if type(self).evolve is Projection.evolve:
            method: Callable[..., R | Evolved[R] | None] = self._methods[event_type].__get__(self)
            return method
        return lambda row, event, recorded, key: self.evolve(row, recorded, key)

    @property
    def key_columns(self) -> tuple[str, ...]:
        """The columns of the primary key, in the order of a key's values."""
        return tuple(column.name for column in self.table.primary_key.columns)

    @cached_property
    def key_of(self) -> Callable[[R], Key]:
        """A function from a row to its key."""
        return attrgetter(*self.key_columns)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name} version {self.version}>"


class Group:
    """Projections that share one checkpoint, because their tables refer to each other.

    An event is folded by all of them or by none, parents first.

    Attributes:
        name: unique among the groups of a database.
        projections: in the order of their foreign keys, parents first.
        revisions: for each type of event that revises the past how it does.
        declared_version: the names and versions of all of them, e.g. ``orders=1 trades=2``.
        handles: the types of event that concern any of them.
        by_event: for each of these types the projections whose ``keys`` say which rows it concerns, parents first; for
            ``Event`` itself those that every event concerns.
        by_row_type: for each type of row the projection that owns it.

    Raises:
        TypeError: names the projection or the group, and what is wrong with it.
    """

    def __init__(self, name: str, projections: Sequence[Projection[Any]], revisions: Sequence[Revision] = ()) -> None:
        self.name = name
        self.projections = tuple(projections)
        self.revisions: dict[type[Event], Revision] = {}
        for revision in revisions:
            for event_type in revision.handles:
                if event_type in self.revisions:
                    raise TypeError(f"{name}: two revisions handle {event_type.__name__}")
                self.revisions[event_type] = revision
        for projection in self.projections:
            _refuse_incomplete(projection)
        self._refuse_doubles()
        self._refuse_children_before_parents()
        self.declared_version = " ".join(sorted(f"{one.name}={one.version}" for one in self.projections))
        longest = GROUP_VERSION_LENGTH - len(_FOLD) - FINGERPRINT_LENGTH
        for what, value, limit in (("name", name, GROUP_NAME_LENGTH), ("version", self.declared_version, longest)):
            if len(value) > limit:
                raise TypeError(f"{name}: a {what} of {len(value)} characters, more than {limit}: {value}")
        self.handles = frozenset(self.revisions).union(*(one.handles for one in self.projections))
        self.by_event: dict[type[Event], tuple[Projection[Any], ...]] = {
            event_type: tuple(
                one
                for one in self.projections
                if not (one.named_by_others or one.handles.isdisjoint((event_type, Event)))
            )
            for event_type in self.handles
        }
        self.by_row_type: dict[type[Struct], Projection[Any]] = {one.row_type: one for one in self.projections}

    @cached_property
    def version(self) -> str:
        """The declared version and a fingerprint of the folds' source: ``orders=1 trades=2 fold=3f2a0c5b9d817e64``.

        When it changes, the rows are of another version, and the group is rebuilt. See :meth:`accepts`.
        """
        found = fingerprint(map(type, [*self.projections, *self.revisions.values()]))
        return f"{self.declared_version}{_FOLD}{found}" if found else self.declared_version

    def accepts(self, version: str) -> bool:
        """Whether rows of this version are as this program makes them.

        A program without source, e.g. a frozen one, has no fingerprint: between it and any other the declared versions
        decide, so there a changed fold has to have its ``version`` raised.
        """
        declared, _, found = version.partition(_FOLD)
        own = self.version.partition(_FOLD)[2]
        return declared == self.declared_version and (not found or not own or found == own)

    @property
    def tables(self) -> tuple[sa.Table, ...]:
        """The tables that the group owns, parents first."""
        return tuple(projection.table for projection in self.projections)

    def _refuse_doubles(self) -> None:
        if not self.projections:
            raise TypeError(f"{self.name}: a group without projections")
        for what, values in (
            ("name", [one.name for one in self.projections]),
            ("table", [one.table.name for one in self.projections]),
            ("row_type", [one.row_type.__name__ for one in self.projections]),
        ):
            doubles = {value for value in values if values.count(value) > 1}
            if doubles:
                raise TypeError(f"{self.name}: {what} {', '.join(sorted(doubles))} belongs to two projections")

    def _refuse_children_before_parents(self) -> None:
        place = {table.name: index for index, table in enumerate(self.tables)}
        for table in self.tables:
            for key in table.foreign_keys:
                parent = key.column.table.name
                if place.get(parent, -1) > place[table.name]:
                    raise TypeError(f"{self.name}: {table.name} refers to {parent}, which has to come before it")

    def __repr__(self) -> str:
        return f"<Group {self.name}: {self.declared_version}>"


def _refuse_incomplete(projection: Projection[Any]) -> None:
    named = getattr(projection, "name", type(projection).__name__)
    for attribute in ("name", "table", "row_type"):
        if not hasattr(projection, attribute):
            raise TypeError(f"{named}: {attribute} is not set")
    if not (projection.handles or projection.append_only):  # rows may come from others, but somebody has to change them
        raise TypeError(f"{named}: handles no event; mark its methods with @on(EventType)")
    if not projection.key_columns:
        raise TypeError(f"{named}: table {projection.table.name} has no primary key")
    fields = projection.row_type.__struct_fields__
    columns = tuple(column.name for column in projection.table.columns)
    if fields != columns:
        odd = sorted(set(fields) ^ set(columns)) or "their order"
        raise TypeError(f"{named}: fields of {projection.row_type.__name__} and columns differ in {odd}")


__all__ = ["EVERY_EVENT", "Evolved", "Group", "Key", "Projection", "Row", "on"]
