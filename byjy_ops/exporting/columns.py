"""The columns of exports: what each kind of export holds, whatever the format.

Between the database and a file, values are: whole numbers as int, instants as int nanoseconds UTC, decimals as
canonical Decimal, flags as bool, and everything else as str; None where there is nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa

from byjy_events.columns import Flag, Money, Uuid
from byjy_events.schema import events
from projections.tables import anomalies, orders, positions, trades

Chunk = Sequence[Sequence[Any]]
"""Some rows, column by column."""


class Kind(StrEnum):
    """What can be exported."""

    EVENTS = "events"
    ORDERS = "orders"
    TRADES = "trades"
    POSITIONS = "positions"
    ANOMALIES = "anomalies"


class ColumnType(StrEnum):
    """What a column holds.

    Attributes:
        INTEGER: a whole number of 64 bits.
        UUID: 32 hexadecimal digits in lower case, with hyphens.
        INSTANT: nanoseconds since 1970-01-01T00:00:00Z, as 64 bits hold them: the years 1677 to 2262.
        DECIMAL: an exact number that fits NUMERIC(38, 18).
        HASH: 32 bytes as hexadecimal digits in lower case.
    """

    INTEGER = "integer"
    TEXT = "text"
    UUID = "uuid"
    INSTANT = "instant"
    DECIMAL = "decimal"
    FLAG = "flag"
    HASH = "hash"


class Column(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One column.

    Attributes:
        nullable: whether a row may have nothing there.
    """

    name: str
    type: ColumnType
    nullable: bool


class Layout(NamedTuple):
    """How a kind is exported.

    Attributes:
        columns: in the order of the file.
        key: the columns that rows are in the order of, which no two rows share.
        time: the instant that filters by time go by.
        position: the column that says which event made the row, or changed it last.
        filters: what rows can be chosen by, beside time and pair.
    """

    table: sa.Table
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    time: str
    position: str
    filters: frozenset[str]


def _columns_of(table: sa.Table) -> Iterator[Column]:
    for column in table.columns:
        yield Column(str(column.name), _type_of(column), bool(column.nullable))
        if column.name == "trading_pair_id":
            # Readers know pairs by name; orders say their exchange themselves.
            unsure = bool(column.nullable)
            if "exchange" not in table.columns:
                yield Column("exchange", ColumnType.TEXT, unsure)
            yield Column("symbol", ColumnType.TEXT, unsure)


def _type_of(column: sa.Column[Any]) -> ColumnType:
    if column.name == "leaf_hash":
        return ColumnType.HASH
    if isinstance(column.type, sa.Integer | sa.BigInteger):  # instants are told from numbers by their names
        return ColumnType.INSTANT if column.name.endswith("_at") else ColumnType.INTEGER
    for kind, found in ((Uuid, ColumnType.UUID), (Money, ColumnType.DECIMAL), (Flag, ColumnType.FLAG)):
        if isinstance(column.type, kind):
            return found
    return ColumnType.TEXT


def _layout(table: sa.Table, key: Sequence[str], time: str, position: str, filters: Sequence[str]) -> Layout:
    return Layout(table, tuple(_columns_of(table)), tuple(key), time, position, frozenset(filters))


LAYOUTS = {
    Kind.EVENTS: _layout(events, ["position"], "recorded_at", "position", ["actor"]),
    Kind.ORDERS: _layout(orders, ["created_at", "id"], "created_at", "last_position", ["actor", "account"]),
    Kind.TRADES: _layout(trades, ["executed_at", "position"], "executed_at", "position", ["actor", "account"]),
    Kind.POSITIONS: _layout(
        positions, ["trading_pair_id", "account", "is_test"], "updated_at", "last_position", ["account"]
    ),
    Kind.ANOMALIES: _layout(anomalies, ["position", "kind"], "recorded_at", "position", ["actor"]),
}
