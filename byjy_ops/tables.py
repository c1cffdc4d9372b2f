"""Listings of the projected tables: what can be filtered, in which order they come, what is shown of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from enum import StrEnum
from typing import Any, NamedTuple
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from byjy_events import OrderStatus, PairStatus
from byjy_ops.arguments import choices
from byjy_ops.listing import Cells, Column, Listing, tell
from byjy_ops.pairs import Pairs, known_pairs
from byjy_ops.reading import existing_tables
from projections import AnomalyKind
from projections.tables import OPEN, anomalies, orders, positions, trades, trading_pairs

CHUNK = 2_000
"""Rows that one statement fetches; between statements no snapshot is held."""


class Filters(NamedTuple):
    """What a command line asks for; None: everything."""

    pair: str | None = None
    status: Sequence[str] | None = None
    kind: Sequence[str] | None = None
    open_only: bool = False
    account: str | None = None
    order: UUID | None = None
    since: int | None = None


class Table(NamedTuple):
    """A table and how it is listed.

    Attributes:
        order: columns that are unique together; an index serves them.
        newest_first: from the end of that order backwards.
        since: the instant that ``--since`` goes by.
        shown: the columns of the listing for people, the most important first.
    """

    table: sa.Table
    order: tuple[str, ...]
    newest_first: bool
    since: str
    shown: tuple[Column, ...]
    statuses: type[StrEnum] | None = None


ORDERS = Table(
    orders,
    ("created_at", "id"),
    True,
    "created_at",
    (
        Column("id"),
        Column("symbol"),
        Column("side"),
        Column("status"),
        Column("price", right=True),
        Column("quantity", right=True),
        Column("filled_quantity", "filled", right=True),
        Column("created_at", "created (UTC)", instant=True),
        Column("avg_price", right=True),
        Column("type"),
        Column("account"),
        Column("exchange"),
        Column("exchange_order_id"),
        Column("client_order_id"),
        Column("external"),
        Column("is_test", "test"),
    ),
    OrderStatus,
)
TRADES = Table(
    trades,
    ("executed_at", "position"),
    True,
    "executed_at",
    (
        Column("executed_at", "executed (UTC)", instant=True),
        Column("symbol"),
        Column("side"),
        Column("quantity", right=True),
        Column("price", right=True),
        Column("fee", right=True),
        Column("fee_asset"),
        Column("liquidity"),
        Column("account"),
        Column("order_id"),
        Column("execution_id"),
        Column("exchange"),
        Column("is_test", "test"),
    ),
)
POSITIONS = Table(
    positions,
    ("account", "is_test", "trading_pair_id"),
    False,
    "updated_at",
    (
        Column("symbol"),
        Column("quantity", right=True),
        Column("avg_price", right=True),
        Column("realized_pnl", right=True),
        Column("account"),
        Column("exchange"),
        Column("is_test", "test"),
        Column("updated_at", "updated (UTC)", instant=True),
        Column("fills", "fills since flat", right=True),
    ),
)
ANOMALIES = Table(
    anomalies,
    ("position", "kind"),
    True,
    "recorded_at",
    (
        Column("position", right=True),
        Column("kind"),
        Column("message"),
        Column("symbol"),
        Column("order_id"),
        Column("recorded_at", "recorded (UTC)", instant=True),
    ),
)
PAIRS = Table(
    trading_pairs,
    ("exchange", "symbol"),
    False,
    "updated_at",
    (
        Column("exchange"),
        Column("symbol"),
        Column("base_asset", "base"),
        Column("quote_asset", "quote"),
        Column("status"),
        Column("tick_size", right=True),
        Column("step_size", right=True),
        Column("min_quantity", right=True),
        Column("max_quantity", right=True),
        Column("external"),
        Column("id"),
    ),
    PairStatus,
)


async def listed(database: str, table: Table, filters: Filters, limit: int, *, as_json: bool) -> None:
    """Write what a command line asks for, at most ``limit`` rows; 0: all.

    Raises:
        InvalidArgument: a pair, a status or a kind that there is not.
    """
    listing = Listing(table.shown, as_json=as_json)
    held: list[Cells] = []  # the widths of a table's columns need all of its rows
    shown = 0
    async with existing_tables(database) as engine, engine.connect() as connection:
        pairs = await known_pairs(connection)
        statement = sa.select(table.table).where(*_conditions(table, filters, pairs))
        async for rows in _chunks(connection, table, statement, limit + 1 if limit else None):
            wanted = [pairs.named(row) for row in (rows[: limit - shown] if limit else rows)]
            shown += len(rows)
            held += wanted
            if as_json:
                listing.write(held)
                held = []
    listing.write(held)
    if limit and shown > limit:
        tell(f"{limit} shown, there are more: --limit N, or 0 for all")
    if not shown:
        tell("nothing found")


def _conditions(table: Table, filters: Filters, pairs: Pairs) -> list[sa.ColumnElement[bool]]:
    c = table.table.c
    conditions: list[sa.ColumnElement[bool]] = []
    if filters.pair is not None:
        conditions.append((c.id if table is PAIRS else c.trading_pair_id) == pairs.resolve(filters.pair))
    if filters.status and table.statuses is not None:
        conditions.append(c.status.in_(choices(table.statuses, "--status", filters.status)))
    if filters.kind:
        conditions.append(c.kind.in_(choices(AnomalyKind, "--kind", filters.kind)))
    if filters.open_only:
        conditions.append(sa.literal_column(OPEN, sa.Boolean))
    if filters.account is not None:
        conditions.append(c.account == filters.account)
    if filters.order is not None:
        conditions.append(c.order_id == filters.order)
    if filters.since is not None:
        conditions.append(c[table.since] >= filters.since)
    return conditions


async def _chunks(
    connection: AsyncConnection, table: Table, statement: sa.Select[Any], limit: int | None
) -> AsyncIterator[Sequence[sa.Row[Any]]]:
    """The rows of a statement in the order of the table, each chunk a statement of its own."""
    columns = [table.table.c[name] for name in table.order]
    ordered = statement.order_by(*(column.desc() if table.newest_first else column for column in columns))
    key = sa.tuple_(*columns)
    size = CHUNK if limit is None else min(limit, CHUNK)
    while size > 0:
        rows = (await connection.execute(ordered.limit(size))).all()
        await connection.rollback()  # ends the snapshot
        if rows:
            yield rows
        if len(rows) < size:
            return
        last = sa.tuple_(*(sa.literal(rows[-1]._mapping[column.name], column.type) for column in columns))
        ordered = statement.where(key < last if table.newest_first else key > last).order_by(*ordered._order_by_clauses)
        if limit is not None:
            limit -= len(rows)
            size = min(limit, CHUNK)
