"""The same tables made by hand: what is left when nobody needs a library.

A fold of the event types that the recordings hold, one order after the other in plain lists, and one transaction. It
believes every event, keeps no anomalies, no aliases and no other clock, and begins from nothing. The tables are the
same, with their constraints and indexes; what it writes is compared with ours.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from decimal import Decimal, localcontext
from pathlib import Path
from typing import Any

import msgspec

from byjy_events.event import EVENT_TYPES
from byjy_events.identifiers import pair_id
from byjy_events.numbers import CONTEXT, ZERO, rounded, spelled
from byjy_events.sqlite.lane import connect

_READ = (
    "SELECT position, event_id, stream_id, type, payload, coalesce(occurred_at, received_at) FROM events"
    " WHERE type LIKE 'Order%' ORDER BY position"
)
_ORDER = (
    "id exchange_order_id client_order_id trading_pair_id account side type status quantity price filled_quantity"
    " filled_notional avg_price exchange submitted_at accepted_at executed_at canceled_at created_at updated_at"
    " last_position"
)
_TRADE = (
    "id order_id trading_pair_id account execution_id exchange_order_id side quantity price fee fee_asset liquidity"
    " executed_at position"
)
_POSITION = "trading_pair_id account quantity avg_price realized_pnl opened_at created_at updated_at last_position"
COMPARED = {
    "orders": "id, exchange_order_id, side, status, quantity, price, filled_quantity, last_position",
    "trades": "id, order_id, side, quantity, price, executed_at, position",
    "positions": "trading_pair_id, account, quantity, avg_price, realized_pnl, last_position",
}
"""The columns in which both have to agree, by table."""


class _Order(msgspec.Struct):
    pair: bytes
    exchange: str
    account: str
    side: str
    type: str | None
    quantity: Decimal | None
    price: Decimal | None
    client: str | None
    at: int
    exchange_order_id: str | None = None
    status: str = "PENDING_NEW"
    filled: Decimal = ZERO
    notional: Decimal = ZERO
    accepted_at: int | None = None
    executed_at: int | None = None
    canceled_at: int | None = None
    updated_at: int = 0
    position: int = 0


class _Position(msgspec.Struct):
    quantity: Decimal = ZERO
    price: Decimal = ZERO
    profit: Decimal = ZERO
    opened_at: int = 0
    created_at: int = 0
    updated_at: int = 0
    position: int = 0


def rebuilt(path: Path) -> int:
    """Fill the three tables of a closed SQLite file, where they are empty. How many events it folded."""
    connection = connect(path)
    fold = _Fold()
    with localcontext(CONTEXT):
        events = fold.all(connection.execute(_READ))
    connection.execute("BEGIN IMMEDIATE")
    for table, columns, rows in (
        ("orders", _ORDER, fold.order_rows()),
        ("trades", _TRADE, iter(fold.trades)),
        ("positions", _POSITION, fold.position_rows()),
    ):
        names = columns.split()
        marks = ", ".join("?" * len(names))
        connection.executemany(f"INSERT INTO {table} ({', '.join(names)}) VALUES ({marks})", rows)
    connection.execute("COMMIT")
    connection.close()
    return events


def assert_same(one: Path, other: Path) -> None:
    """Both files have the same orders, trades and positions.

    Raises:
        AssertionError: names the table.
    """
    connection = sqlite3.connect(one)
    connection.execute("ATTACH ? AS other", (str(other),))
    for table, columns in COMPARED.items():
        counts = [connection.execute(f"SELECT count(*) FROM {name}.{table}").fetchone() for name in ("main", "other")]
        differing = connection.execute(
            f"SELECT count(*) FROM (SELECT {columns} FROM main.{table} EXCEPT SELECT {columns} FROM other.{table})"
        ).fetchone()
        assert counts[0] == counts[1] > (0,), f"{table} differ in number: {counts}"
        assert differing == (0,), f"{table}: {differing[0]} rows differ"
    connection.close()


class _Fold:
    def __init__(self) -> None:
        self.orders: dict[bytes, _Order] = {}
        self.positions: dict[tuple[bytes, str], _Position] = {}
        self.trades: list[tuple[Any, ...]] = []
        self._pairs: dict[tuple[str, str], bytes] = {}

    def all(self, rows: Iterator[tuple[Any, ...]]) -> int:
        decoders = {name: known.decode for name, known in EVENT_TYPES.items()}
        orders = self.orders
        count = 0
        for position, event_id, stream, kind, payload, at in rows:
            count += 1
            event: Any = decoders[kind](payload)
            if kind == "OrderPlaced":
                order = orders[stream] = _Order(
                    self._pair(event.pair), event.pair.exchange, event.account, event.side, event.type,
                    event.quantity, event.price, event.client_order_id, at,
                )  # fmt: skip
            else:
                found = orders.get(stream)
                if found is None:
                    if kind != "OrderFilled":
                        continue  # of an order that nobody placed, and that does not trade
                    found = orders[stream] = self._of_somebody_else(event, at)
                order = found
                if kind == "OrderAccepted":
                    order.exchange_order_id = event.exchange_order_id
                    order.accepted_at = at
                    order.status = "NEW"
                elif kind == "OrderFilled":
                    self._filled(order, event, position, event_id, stream, at)
                elif kind == "OrderCanceled":
                    order.status = "CANCELED"
                    order.canceled_at = at
                elif kind == "OrderAmended" and order.quantity is not None:
                    order.quantity = order.quantity - event.reduced_by if event.quantity is None else event.quantity
            order.updated_at = at
            order.position = position
        return count

    def _pair(self, pair: Any) -> bytes:
        key = (pair.exchange, pair.symbol)
        found = self._pairs.get(key)
        if found is None:
            found = self._pairs[key] = pair_id(*key).bytes
        return found

    def _of_somebody_else(self, event: Any, at: int) -> _Order:
        return _Order(
            self._pair(event.pair), event.pair.exchange, event.account, event.side, None, None, None,
            event.client_order_id, at, event.exchange_order_id, accepted_at=at,
        )  # fmt: skip

    def _filled(self, order: _Order, event: Any, position: int, event_id: bytes, stream: bytes, at: int) -> None:
        order.filled += event.quantity
        order.notional += event.quantity * event.price
        whole = order.quantity is not None and order.filled >= order.quantity
        order.status = "FILLED" if whole else "PARTIALLY_FILLED"
        order.executed_at = at
        self.trades.append((
            event_id, stream, order.pair, order.account, event.execution_id, event.exchange_order_id, event.side,
            str(event.quantity), str(event.price), str(event.fee), event.fee_asset, event.liquidity, at, position,
        ))  # fmt: skip
        held = self.positions.setdefault((order.pair, order.account), _Position(opened_at=at, created_at=at))
        signed = event.quantity if event.side == "BUY" else -event.quantity
        after = held.quantity + signed
        if event.fee_asset == event.pair.quote_asset:
            held.profit -= event.fee
        if held.quantity * signed >= 0:
            held.price = rounded((held.price * held.quantity + event.price * signed) / after)
        else:
            closed = min(abs(signed), abs(held.quantity)).copy_sign(held.quantity)
            held.profit = rounded(held.profit + (event.price - held.price) * closed)
            if after * held.quantity < 0:
                held.price, held.opened_at = event.price, at
        held.quantity, held.updated_at, held.position = after, at, position

    def order_rows(self) -> Iterator[tuple[Any, ...]]:
        for key, one in self.orders.items():
            average = spelled(rounded(one.notional / one.filled)) if one.filled else None
            yield (
                key, one.exchange_order_id, one.client, one.pair, one.account, one.side, one.type, one.status,
                one.quantity and spelled(one.quantity), one.price and str(one.price), spelled(one.filled),
                spelled(one.notional), average, one.exchange, one.at, one.accepted_at, one.executed_at, one.canceled_at,
                one.at, one.updated_at, one.position,
            )  # fmt: skip

    def position_rows(self) -> Iterator[tuple[Any, ...]]:
        for (pair, account), one in self.positions.items():
            yield (
                pair, account, spelled(one.quantity), spelled(one.price) if one.quantity else None,
                spelled(one.profit), one.opened_at, one.created_at, one.updated_at, one.position,
            )  # fmt: skip
