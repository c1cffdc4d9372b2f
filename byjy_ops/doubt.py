"""``byjy in-doubt``: the orders that the venue owes an answer, and whether the tables know of all of them."""

from __future__ import annotations

import time
from functools import partial
from typing import Any

import sqlalchemy as sa

from byjy_ops.listing import Cells, Column, age, tell
from byjy_ops.pairs import known_pairs
from byjy_ops.reading import live_rows
from byjy_ops.session import NO, YES
from byjy_ops.status import lacking
from byjy_ops.tables import ORDERS, Filters, Table, filtered, write_rows
from projections import TRADING, OrderRow, doubts_of
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
        # Before the rows, which then are as far as this says or farther.
        unknown = await lacking(fetch, database, TRADING)
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
