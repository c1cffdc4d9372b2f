"""What a database holds: rows, values and parts of the schema, to be compared before and after a migration."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import sqlalchemy as sa

from byjy_events.schema import events

_VERSION_TABLE = "alembic_version"

_TRIGGERS = {
    "sqlite": "SELECT tbl_name, name FROM sqlite_master WHERE type = 'trigger'",
    "postgresql": "SELECT relname, tgname FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid"
    " WHERE NOT tgisinternal AND relnamespace = current_schema()::regnamespace",
}

_INDEXES = {
    "sqlite": "SELECT tbl_name, name FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL",
    "postgresql": "SELECT tables.relname, indexes.relname FROM pg_index"
    " JOIN pg_class tables ON tables.oid = indrelid JOIN pg_class indexes ON indexes.oid = indexrelid"
    " WHERE tables.relnamespace = current_schema()::regnamespace AND NOT EXISTS"
    " (SELECT FROM pg_constraint WHERE conindid = indexrelid AND contype IN ('p', 'u', 'x'))",
}
"""But for those of constraints. SQLAlchemy would not tell of those on expressions on SQLite."""

_CONSTRAINTS = (
    "SELECT relname, conname FROM pg_constraint JOIN pg_class ON pg_class.oid = conrelid"
    " WHERE contype IN ('c', 'f', 'p', 'u', 'x') AND relnamespace = current_schema()::regnamespace"
)
"""PostgreSQL. SQLite keeps the text of a table only."""

_NAMED = re.compile(r'\bCONSTRAINT\s+("[^"]+"|\w+)', re.IGNORECASE)
_OPTIONS = "SELECT name, strict, wr FROM pragma_table_list WHERE schema = 'main'"


class Part(NamedTuple):
    """A column, an index, a trigger, a named constraint or an option, such as STRICT, of a table."""

    kind: str
    table: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name} of {self.table}"


class Content(NamedTuple):
    """How much a table holds.

    Attributes:
        values: that are not null, by column; empty where they were not counted.
    """

    rows: int
    values: Mapping[str, int]


class Inventory(NamedTuple):
    """What a database holds.

    Attributes:
        head: the last position and its leaf hash; None: no events, or no log.
        tables: all of them, those of others too, but for the one that names the revision.
    """

    revision: str | None
    head: tuple[int, bytes] | None
    tables: Mapping[str, Content]
    parts: frozenset[Part]

    @property
    def rows(self) -> int:
        """Of all tables."""
        return sum(content.rows for content in self.tables.values())


class Difference(NamedTuple):
    """A table that has another number of rows now, or a column that has fewer values.

    Attributes:
        column: None: it is about whole rows.
    """

    table: str
    column: str | None
    before: int
    after: int

    def __str__(self) -> str:
        what = "rows" if self.column is None else f"values in {self.column}"
        return f"{self.table}: {what} {self.before} -> {self.after}"


def taken(connection: sa.Connection, *, values: bool) -> Inventory:
    """Count everything, within the transaction that the connection is in.

    Args:
        values: whether values are counted too, column by column, which reads every table from end to end.
    """
    inspector = sa.inspect(connection)
    names = inspector.get_table_names()
    tables = [name for name in names if name != _VERSION_TABLE]
    columns = {name: [str(column["name"]) for column in inspector.get_columns(name)] for name in tables}
    return Inventory(
        connection.scalar(sa.text("SELECT max(version_num) FROM alembic_version")) if _VERSION_TABLE in names else None,
        _head(connection) if events.name in tables else None,
        {name: _content(connection, name, columns[name], values) for name in tables},
        frozenset(Part("column", name, column) for name in tables for column in columns[name])
        | frozenset(part for part in _parts(connection) if part.table in tables),
    )


def differences(before: Inventory, after: Inventory) -> list[Difference]:
    """How the content of tables that were there before differs now. New tables and columns are no difference."""
    found = []
    for table, old in before.tables.items():
        new = after.tables.get(table, Content(0, {}))
        if new.rows != old.rows:
            found.append(Difference(table, None, old.rows, new.rows))
            continue  # were the columns told as well, everything would be told twice
        for column, number in old.values.items():
            if new.values.get(column, 0) < number:
                found.append(Difference(table, column, number, new.values.get(column, 0)))
    return found


def _head(connection: sa.Connection) -> tuple[int, bytes] | None:
    newest = sa.select(events.c.position, events.c.leaf_hash).order_by(events.c.position.desc()).limit(1)
    row = connection.execute(newest).first()
    return None if row is None else (row[0], bytes(row[1]))


def _content(connection: sa.Connection, name: str, columns: list[str], values: bool) -> Content:
    table = sa.table(name, *(sa.column(column) for column in columns))
    counted = [sa.func.count(table.c[column]) for column in columns] if values else []
    rows, *numbers = connection.execute(sa.select(sa.func.count(), *counted).select_from(table)).one()
    return Content(rows, dict(zip(columns, numbers, strict=False)))


def _parts(connection: sa.Connection) -> Iterator[Part]:
    dialect = connection.dialect.name
    for row in connection.exec_driver_sql(_INDEXES[dialect]):
        yield Part("index", *row)
    for row in connection.exec_driver_sql(_TRIGGERS[dialect]):
        yield Part("trigger", *row)
    yield from _of_sqlite(connection) if dialect == "sqlite" else _of_postgresql(connection)


def _of_postgresql(connection: sa.Connection) -> Iterator[Part]:
    for row in connection.exec_driver_sql(_CONSTRAINTS):
        yield Part("constraint", *row)


def _of_sqlite(connection: sa.Connection) -> Iterator[Part]:
    for table, text in connection.exec_driver_sql("SELECT name, sql FROM sqlite_master WHERE type = 'table'"):
        for name in _NAMED.findall(text):
            yield Part("constraint", table, name.strip('"'))
    for table, strict, without_rowid in connection.exec_driver_sql(_OPTIONS):
        if strict:
            yield Part("option", table, "STRICT")
        if without_rowid:
            yield Part("option", table, "WITHOUT ROWID")
