"""``byjy in-doubt``: the orders that the venue owes an answer, and whether the tables know of all of them."""

from __future__ import annotations

import shlex
import time
from functools import partial
from typing import Any

import sqlalchemy as sa

from byjy_events.database import display, parse_url
from byjy_events.schema import events
from byjy_ops.listing import Cells, Column, age, tell
from byjy_ops.pairs import known_pairs
from byjy_ops.reading import Fetch, live_rows
from byjy_ops.session import NO, YES
from byjy_ops.status import behind, group_report
from byjy_ops.tables import ORDERS, Filters, Table, filtered, write_rows
from projections import TRADING, OrderRow, doubts_of
from projections.checkpoints import projection_checkpoints
from projections.queries import rows_of
from projections.tables import IN_DOUBT

DOUBTS = Table(
    ORDERS.table,
    ("account", "id"),
    False,
    None,
    (
        Column("id"),
        Column("in_doubt", written=", ".join),
        Column("age_seconds", "age", right=True, written=age),
        Column("symbol"),
        Column("client_order_id"),
        Column("exchange_order_id"),
        Column("status"),
        Column("account"),
        Column("exchange"),
        Column("side"),
        Column("price", right=True),
        Column("quantity", right=True),
        Column("filled_quantity", "filled", right=True),
        Column("is_test", "test"),
    ),
    frozenset({"account"}),
)


async def listed_in_doubt(database: str, account: str | None, limit: int, *, as_json: bool) -> int:
    """Write the orders in doubt, at most ``limit``; 0: all.

    The answer is no where there are some, and also where the tables do not know the whole log, as none may be said
    too early.
    """
    async with live_rows(database) as fetch:
        unknown = await _unknown(fetch, database)  # before the rows, which then are as far as this says or farther
        pairs = await known_pairs(fetch)
        table = DOUBTS._replace(derived=partial(_cells, time.time_ns()))
        found = filtered(table, Filters(account=account), pairs).where(sa.literal_column(IN_DOUBT, sa.Boolean))
        some = await write_rows(fetch, pairs, table, found, limit, as_json=as_json, nothing="no order is in doubt")
    if unknown:
        tell(unknown)
    return NO if some or unknown else YES


def _cells(now: int, row: sa.Row[Any]) -> Cells:
    [order] = rows_of(OrderRow, [row])
    doubts = doubts_of(order)
    since = min(doubts.values())
    return {
        "leaves_quantity": order.leaves_quantity,
        "in_doubt": list(doubts),
        "in_doubt_since": since,
        "age_seconds": max(0, now - since) / 1e9,
    }


async def _unknown(fetch: Fetch, database: str) -> str | None:
    """What the tables do not know of the log; None: they are at its head."""
    c = events.c
    [(head,)] = await fetch(sa.select(sa.func.coalesce(sa.func.max(c.position), 0)))
    rows = await fetch(sa.select(projection_checkpoints).where(projection_checkpoints.c.group_name == TRADING.name))
    row = rows[0]._mapping if rows else None
    position = 0 if row is None else row["position"]
    lacked = await fetch(sa.select(c.recorded_at).where(c.position == position + 1))
    waiting = lacked[0].recorded_at if lacked else None
    report = group_report(TRADING.name, row, TRADING, lag_events=max(0, head - position), waiting=waiting)
    if report.lag_events:
        project = f"byjy --database {shlex.quote(display(parse_url(database)))} project"
        return f"the tables are {behind(report)} the log: {report.problem or project}"
    return None if report.problem is None else f"the tables may be wrong: {report.problem}"
