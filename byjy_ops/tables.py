"""Listings of the projected tables: what can be filtered, in which order they come, what is shown of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from enum import StrEnum
from typing import Any, NamedTuple
from uuid import UUID

import sqlalchemy as sa

from byjy_events import OrderStatus, PairStatus
from byjy_events.columns import Money
from byjy_ops.arguments import choices
from byjy_ops.errors import InvalidArgument
from byjy_ops.listing import Cells, Column, Listing, tell
from byjy_ops.pairs import Pairs, known_pairs
from byjy_ops.reading import Fetch, live_rows
from projections import AnomalyKind, OrderRow
from projections.queries import rows_of
from projections.tables import OPEN, anomalies, orders, position_cycles, positions, trades, trading_pairs

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
    execution: UUID | None = None

    @property
    def given(self) -> dict[str, str]:
        """Those that ask for something, and the option of each."""
        asked = {name for name, value in self._asdict().items() if value not in (None, False, [])}
        return {name: "--open" if name == "open_only" else f"--{name}" for name in self._fields if name in asked}


class Table(NamedTuple):
    """A table and how it is listed.

    Attributes:
        order: columns that are unique together; an index serves them.
        newest_first: from the end of that order backwards.
        since: the instant that ``--since`` goes by; None: it takes none.
        shown: the columns of the listing for people, the most important first.
        filters: fields of :class:`Filters` that it takes.
        derived: further cells of a row, from all columns of the table in their order.
    """

    table: sa.Table
    order: tuple[str, ...]
    newest_first: bool
    since: str | None
    shown: tuple[Column, ...]
    filters: frozenset[str] = frozenset()
    statuses: type[StrEnum] | None = None
    derived: Callable[[sa.Row[Any]], Cells] | None = None


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
        Column("leaves_quantity", "leaves", right=True),
        Column("stop_price", right=True),
        Column("time_in_force", "tif"),
        Column("cancel_requested_at", "cancel requested (UTC)", instant=True),
        Column("amend_requested_at", "amend requested (UTC)", instant=True),
        Column("strategy_id"),
        Column("strategy_execution_id"),
        Column("external"),
        Column("is_test", "test"),
    ),
    frozenset({"pair", "status", "open_only", "account", "order", "since", "execution"}),
    OrderStatus,
    lambda row: {"leaves_quantity": rows_of(OrderRow, [row])[0].leaves_quantity},
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
        Column("status"),
        Column("fee", right=True),
        Column("fee_asset"),
        Column("liquidity"),
        Column("account"),
        Column("order_id"),
        Column("execution_id"),
        Column("exchange"),
        Column("is_test", "test"),
        Column("strategy_execution_id"),
    ),
    frozenset({"pair", "order", "account", "since", "execution"}),
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
    frozenset({"pair", "account", "since"}),
)
CYCLES = Table(
    position_cycles,
    ("closed_position",),
    True,
    "closed_at",
    (
        Column("closed_at", "closed (UTC)", instant=True),
        Column("symbol"),
        Column("side"),
        Column("peak_quantity", "peak", right=True),
        Column("avg_price", right=True),
        Column("realized_pnl", right=True),
        Column("fills", right=True),
        Column("account"),
        Column("exchange"),
        Column("is_test", "test"),
        Column("opened_at", "opened (UTC)", instant=True),
        Column("reversed"),
        Column("total_realized_pnl", right=True),
    ),
    frozenset({"pair", "account", "since"}),
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
    frozenset({"kind", "pair", "order", "since"}),
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
    frozenset({"pair", "status", "since"}),
    PairStatus,
)


LISTED = {
    "orders": ORDERS,
    "trades": TRADES,
    "positions": POSITIONS,
    "cycles": CYCLES,
    "anomalies": ANOMALIES,
    "pairs": PAIRS,
}
"""By the names that they have on the command line."""


def plain_listing(table: sa.Table) -> Table:
    """Any table at all, by its primary key, with every column and without filters."""
    shown = tuple(Column(column.name, right=isinstance(column.type, Money)) for column in table.columns)
    return Table(table, tuple(column.name for column in table.primary_key.columns), False, None, shown)


async def listed(database: str, table: Table, filters: Filters, limit: int, *, as_json: bool) -> None:
    """Write what a command line asks for, at most ``limit`` rows; 0: all.

    Raises:
        InvalidArgument: a pair, a status or a kind that there is not.
    """
    async with live_rows(database) as fetch:
        pairs = await known_pairs(fetch)
        await write_rows(fetch, pairs, table, filtered(table, filters, pairs), limit, as_json=as_json)


async def write_rows(
    fetch: Fetch,
    pairs: Pairs,
    table: Table,
    statement: sa.Select[Any],
    limit: int,
    *,
    as_json: bool,
    nothing: str = "nothing found",
) -> bool:
    """Write rows of a table, however they are come by, at most ``limit``; 0: all. Whether there was one."""
    listing = Listing(table.shown, as_json=as_json)
    held: list[Cells] = []  # the widths of a table's columns need all of its rows
    shown = 0
    async for rows in _chunks(fetch, table, statement, limit + 1 if limit else None):
        held += [_cells(pairs, table, row) for row in (rows[: limit - shown] if limit else rows)]
        shown += len(rows)
        if as_json:
            listing.write(held)
            held = []
    listing.write(held)
    if limit and shown > limit:
        tell(f"{limit} shown, there are more: --limit N, or 0 for all")
    if not shown:
        tell(nothing)
    return shown > 0


def _cells(pairs: Pairs, table: Table, row: sa.Row[Any]) -> Cells:
    cells = pairs.named(row)
    return cells if table.derived is None else {**cells, **table.derived(row)}


def refuse_unfit(name: str, table: Table, filters: Filters) -> None:
    """
    Raises:
        InvalidArgument: the table takes no such filter, or there is no such status or kind.
    """
    for field, option in filters.given.items():
        if field not in table.filters:
            raise InvalidArgument(option, f"{name} has nothing that could be filtered so")
    _chosen(table, filters)


def filtered(table: Table, filters: Filters, pairs: Pairs) -> sa.Select[Any]:
    """The rows that a command line asks for.

    Raises:
        InvalidArgument: a pair, a status or a kind that there is not.
    """
    return sa.select(table.table).where(*_conditions(table, filters, pairs))


def _chosen(table: Table, filters: Filters) -> list[sa.ColumnElement[bool]]:
    c = table.table.c
    conditions: list[sa.ColumnElement[bool]] = []
    if filters.status and table.statuses is not None:
        conditions.append(c.status.in_(choices(table.statuses, "--status", filters.status)))
    if filters.kind:
        conditions.append(c.kind.in_(choices(AnomalyKind, "--kind", filters.kind)))
    return conditions


def _conditions(table: Table, filters: Filters, pairs: Pairs) -> list[sa.ColumnElement[bool]]:
    c = table.table.c
    conditions = _chosen(table, filters)
    if filters.pair is not None:
        conditions.append((c.id if table is PAIRS else c.trading_pair_id) == pairs.resolve(filters.pair))
    if filters.open_only:
        conditions.append(sa.literal_column(OPEN, sa.Boolean))
    if filters.account is not None:
        conditions.append(c.account == filters.account)
    if filters.order is not None:
        conditions.append((c.id if table is ORDERS else c.order_id) == filters.order)
    if filters.execution is not None:
        conditions.append(c.strategy_execution_id == filters.execution)
    if filters.since is not None and table.since is not None:
        conditions.append(c[table.since] >= filters.since)
    return conditions


async def _chunks(
    fetch: Fetch, table: Table, statement: sa.Select[Any], limit: int | None
) -> AsyncIterator[Sequence[sa.Row[Any]]]:
    """The rows of a statement in the order of the table, each chunk a statement of its own."""
    columns = [table.table.c[name] for name in table.order]
    ordered = statement.order_by(*(column.desc() if table.newest_first else column for column in columns))
    key = sa.tuple_(*columns)
    size = CHUNK if limit is None else min(limit, CHUNK)
    while size > 0:
        rows = await fetch(ordered.limit(size))
        if rows:
            yield rows
        if len(rows) < size:
            return
        last = sa.tuple_(*(sa.literal(rows[-1]._mapping[column.name], column.type) for column in columns))
        ordered = statement.where(key < last if table.newest_first else key > last).order_by(*ordered._order_by_clauses)
        if limit is not None:
            limit -= len(rows)
            size = min(limit, CHUNK)
