"""The difference between live tables and what the log makes of them, found and kept by the database itself.

For each table of a group a list of keys lies beside its scratch table: those whose rows differ, and those that events
touched since. The list says what to look at; what has to be done about a key follows from the two tables.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from msgspec import Struct
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.schema import CreateTable

from projections.projection import Group, Key, Projection
from projections.scratch import scratch_schema, tables_in

PAGE = 1_000
"""Rows that are fetched at once."""


class DifferenceKind(StrEnum):
    """How a live row and the log differ."""

    MISSING = "MISSING"
    SURPLUS = "SURPLUS"
    DIFFERENT = "DIFFERENT"


_TOUCHED = "TOUCHED"

_NUMBER, _KIND = "byjy_number", "byjy_kind"
"""Columns that no table of anybody's has."""


class RowDifference(Struct, frozen=True):
    """One row that is not what the log makes of it.

    Attributes:
        table: its table.
        key: its primary key, as a dict of columns.
        columns: by name, for every column that differs: what is stored, and what it should be. Of a missing row
            every column with a value, stored as None; of a surplus one the other way round.
    """

    table: str
    kind: DifferenceKind
    key: dict[str, Any]
    columns: dict[str, tuple[Any, Any]]


class TableDifference(Struct, frozen=True):
    """How one table differs.

    Attributes:
        missing, surplus, different: rows that are not there, that should not be, that are other than they should.
        rows: these rows, or the first few of each kind.
    """

    table: str
    missing: int
    surplus: int
    different: int
    rows: tuple[RowDifference, ...] = ()

    @property
    def count(self) -> int:
        """Of all kinds together."""
        return self.missing + self.surplus + self.different


class Differing:
    """One table: live, from the log, and the keys to look at. Its methods run in a scratch connection."""

    def __init__(self, projection: Projection[Any], live: sa.Table, scratch: sa.Table) -> None:
        self.projection = projection
        self.live = live
        self.scratch = scratch
        self._keys = list(projection.key_columns)
        self.listed = sa.Table(
            f"differing_{projection.table.name}",
            sa.MetaData(),
            sa.Column(_NUMBER, sa.Integer, primary_key=True, autoincrement=True),
            sa.Column(_KIND, sa.String(16), nullable=False),
            *(sa.Column(name, scratch.c[name].type, nullable=False) for name in self._keys),
            sa.UniqueConstraint(*self._keys),
            schema=scratch.schema,
        )

    def create(self, connection: sa.Connection) -> None:
        """Make the list of keys."""
        connection.execute(CreateTable(self.listed))

    def forget(self, connection: sa.Connection) -> None:
        """Empty the list."""
        connection.execute(self.listed.delete())

    def find(self, connection: sa.Connection) -> None:
        """List every key whose rows differ now."""
        absent = self.live.c[self._keys[0]].is_(None)
        others = [one for one in self.scratch.c if one.name not in self._keys]
        unlike = sa.or_(sa.false(), *(self.live.c[one.name].is_distinct_from(one) for one in others))
        kind = sa.case((absent, DifferenceKind.MISSING.value), else_=DifferenceKind.DIFFERENT.value)
        joined = self.scratch.outerjoin(self.live, self._same(self.scratch, self.live))
        found = sa.select(kind, *self._of(self.scratch)).select_from(joined).where(sa.or_(absent, unlike))
        self._list(connection, found)
        if self._count(connection, self.live) + self._missing(connection) == self._count(connection, self.scratch):
            return  # every live row has its counterpart: the other way round there is nothing to find
        joined = self.live.outerjoin(self.scratch, self._same(self.live, self.scratch))
        surplus = sa.select(sa.literal(DifferenceKind.SURPLUS.value), *self._of(self.live)).select_from(joined)
        self._list(connection, surplus.where(self.scratch.c[self._keys[0]].is_(None)))

    def _missing(self, connection: sa.Connection) -> int:
        missing = self.listed.c[_KIND] == DifferenceKind.MISSING.value
        return connection.scalar(sa.select(sa.func.count()).select_from(self.listed).where(missing)) or 0

    def _count(self, connection: sa.Connection, table: sa.Table) -> int:
        return connection.scalar(sa.select(sa.func.count()).select_from(table)) or 0

    def touch(self, connection: sa.Connection, keys: Sequence[Key]) -> None:
        """List keys that events touched."""
        wide = len(self._keys) > 1
        rows = [dict(zip(self._keys, key if wide else (key,), strict=True)) | {_KIND: _TOUCHED} for key in keys]
        if rows:
            connection.execute(self._insert(self.listed).on_conflict_do_nothing(), rows)

    def counted(self, connection: sa.Connection, examples: int | None) -> TableDifference:
        """What was found, not counting what events touched; with so many rows of each kind, None: with all."""
        counts = dict.fromkeys(DifferenceKind, 0)
        kind = self.listed.c[_KIND]
        counted = sa.select(kind, sa.func.count()).where(kind != _TOUCHED).group_by(kind)
        for found, number in connection.execute(counted):
            counts[DifferenceKind(found)] = number
        rows = tuple(row for kind, number in counts.items() if number for row in self._rows(connection, kind, examples))
        missing, surplus, different = counts.values()
        return TableDifference(self.projection.table.name, missing, surplus, different, rows)

    def remove(self, connection: sa.Connection, after: int, upto: int) -> None:
        """Delete the listed rows that should not be there, between two numbers of the list."""
        joined = self.listed.outerjoin(self.scratch, self._same(self.listed, self.scratch))
        gone = sa.select(*self._of(self.listed)).select_from(joined)
        gone = gone.where(self._between(after, upto), self.scratch.c[self._keys[0]].is_(None))
        self._delete(connection, gone)

    def clear(self, connection: sa.Connection, after: int, upto: int) -> None:
        """Delete the listed rows, right or wrong, between two numbers of the list."""
        self._delete(connection, sa.select(*self._of(self.listed)).where(self._between(after, upto)))

    @property
    def has_unique_values(self) -> bool:
        """Whether a row may be refused for what another row holds, beside the key."""
        table = self.projection.table
        constraints = (isinstance(one, sa.UniqueConstraint) for one in table.constraints)
        return any(constraints) or any(index.unique for index in table.indexes)

    def put(self, connection: sa.Connection, after: int, upto: int) -> None:
        """Store the listed rows as the log makes them, between two numbers of the list."""
        joined = self.listed.join(self.scratch, self._same(self.listed, self.scratch))
        rows = sa.select(*self.scratch.c).select_from(joined).where(self._between(after, upto))
        names = [column.name for column in self.live.c]
        insert = self._insert(self.live).from_select(names, rows)
        settable = {name: insert.excluded[name] for name in names if name not in self._keys}
        upsert = (
            insert.on_conflict_do_update(index_elements=self._keys, set_=settable)
            if settable
            else insert.on_conflict_do_nothing()
        )
        connection.execute(upsert)

    def numbers(self, connection: sa.Connection) -> int:
        """The highest number of the list; 0: it is empty."""
        return connection.scalar(sa.select(sa.func.max(self.listed.c[_NUMBER]))) or 0

    def _delete(self, connection: sa.Connection, gone: sa.Select[Any]) -> None:
        keys = [dict(zip((f"key_{name}" for name in self._keys), row, strict=True)) for row in connection.execute(gone)]
        if keys:
            matches = (self.live.c[name] == sa.bindparam(f"key_{name}") for name in self._keys)
            connection.execute(self.live.delete().where(*matches), keys)

    def _rows(self, connection: sa.Connection, kind: DifferenceKind, limit: int | None) -> Iterator[RowDifference]:
        """The listed rows of one kind, in the order in which they were found."""
        listed = self.listed
        joined = listed.outerjoin(self.live, self._same(listed, self.live))
        joined = joined.outerjoin(self.scratch, self._same(listed, self.scratch))
        width = len(self.live.c)
        number, left = 0, limit
        while left is None or left > 0:
            page = sa.select(listed.c[_NUMBER], *map(_raw, [*self._of(listed), *self.live.c, *self.scratch.c]))
            page = page.select_from(joined)
            page = page.where(listed.c[_KIND] == kind.value, listed.c[_NUMBER] > number).order_by(listed.c[_NUMBER])
            rows = connection.execute(page.limit(PAGE if left is None else min(left, PAGE))).all()
            if not rows:
                return
            for _, *values in rows:
                key, stored, due = values[: -2 * width], values[-2 * width : -width], values[-width:]
                yield self._row(connection.dialect, kind, key, stored, due)
            number = rows[-1][0]
            left = None if left is None else left - len(rows)

    def _row(
        self, dialect: sa.Dialect, kind: DifferenceKind, key: Sequence[Any], stored: Sequence[Any], due: Sequence[Any]
    ) -> RowDifference:
        columns = {
            column.name: (_readable(column, one, dialect), _readable(column, other, dialect))
            for column, one, other in zip(self.live.c, stored, due, strict=True)
            if column.name not in self._keys and one != other
        }
        named = zip(self._of(self.live), key, strict=True)
        return RowDifference(
            self.live.name, kind, {column.name: _readable(column, one, dialect) for column, one in named}, columns
        )

    def _list(self, connection: sa.Connection, found: sa.Select[Any]) -> None:
        insert = self._insert(self.listed).from_select([_KIND, *self._keys], found)
        connection.execute(insert.on_conflict_do_nothing())

    def _insert(self, table: sa.Table) -> Any:
        """Both databases have ON CONFLICT, each in its own dialect of SQLAlchemy."""
        return (sqlite if self.live.schema == "main" else postgresql).insert(table)

    def _same(self, one: sa.Table, other: sa.Table) -> sa.ColumnElement[bool]:
        return sa.and_(*(one.c[name] == other.c[name] for name in self._keys))

    def _of(self, table: sa.Table) -> list[sa.Column[Any]]:
        return [table.c[name] for name in self._keys]

    def _between(self, after: int, upto: int) -> sa.ColumnElement[bool]:
        return sa.and_(self.listed.c[_NUMBER] > after, self.listed.c[_NUMBER] <= upto)


def _raw(column: sa.Column[Any]) -> sa.ColumnElement[Any]:
    """As the driver gives it: what somebody wrote into a row by hand may not be of the column's type at all."""
    return sa.type_coerce(column, sa.types.NULLTYPE)


def _readable(column: sa.Column[Any], value: Any, dialect: sa.Dialect) -> Any:
    """As a row would hold it, unless that hides how it is spelled."""
    if value is None or not isinstance(column.type, sa.types.TypeDecorator):
        return value
    try:
        processed = column.type.process_result_value(value, dialect)
    except Exception:  # noqa: BLE001 - it is shown as it is
        return value
    return value if isinstance(value, str) and str(processed) != value else processed


def differing_tables(group: Group, dialect: sa.Dialect, live_schema: str) -> list[Differing]:
    """The tables of a group, parents first."""
    live, scratch = tables_in(group, live_schema), tables_in(group, scratch_schema(dialect))
    return [Differing(one, live[one], scratch[one]) for one in group.projections]
