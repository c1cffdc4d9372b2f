"""``eventsourcing``: an aggregate for each order, saved after each event; it is synchronous, so producers are threads.

Run as ``python with_eventsourcing.py WORKLOAD DATABASE PRODUCERS`` where that library is installed.
"""

from __future__ import annotations

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

from eventsourcing.application import Application
from eventsourcing.domain import Aggregate
from eventsourcing.persistence import InfrastructureFactory, Tracking
from eventsourcing.projection import Projection
from eventsourcing.sqlite import SQLiteCursor, SQLiteTrackingRecorder
from eventsourcing.utils import Environment

PAGE = 1_000
MONEY = ("quantity", "price", "fee")


class Order(Aggregate):
    """Takes whatever happens to it; its state is of no interest here."""

    class Placed(Aggregate.Created):
        pair: dict[str, str]
        account: str
        side: str
        type: str
        quantity: Decimal
        price: Decimal
        client_order_id: str

    class Accepted(Aggregate.Event):
        pair: dict[str, str]
        account: str
        exchange_order_id: str
        client_order_id: str

    class CancelRequested(Aggregate.Event):
        reason: str

    class Canceled(Aggregate.Event):
        pair: dict[str, str]
        account: str
        exchange_order_id: str
        client_order_id: str

    class Filled(Aggregate.Event):
        pair: dict[str, str]
        account: str
        exchange_order_id: str
        client_order_id: str
        execution_id: str
        side: str
        quantity: Decimal
        price: Decimal
        fee: Decimal
        fee_asset: str
        liquidity: str

    def __init__(self, **placed: Any) -> None:
        pass


class Orders(SQLiteTrackingRecorder):
    """The table of orders, and how far it is projected: both change in one transaction for each event."""

    def construct_create_table_statements(self) -> list[str]:
        """Those of the library, and the table."""
        table = (
            "CREATE TABLE IF NOT EXISTS orders (id TEXT PRIMARY KEY, account TEXT NOT NULL, side TEXT NOT NULL,"
            " status TEXT NOT NULL, quantity TEXT NOT NULL, price TEXT, exchange_order_id TEXT,"
            " filled_quantity TEXT NOT NULL DEFAULT '0', last_price TEXT) WITHOUT ROWID"
        )
        return [*super().construct_create_table_statements(), table]

    def change(self, tracking: Tracking, statement: str, values: tuple[Any, ...]) -> None:
        """One event's change."""
        with self.datastore.transaction(commit=True) as cursor:
            self._insert_tracking(cursor, tracking)
            cursor.execute(statement, values)

    def filled(self, tracking: Tracking, order: str, quantity: Decimal, price: Decimal) -> None:
        """A fill: what is filled already has to be read."""
        with self.datastore.transaction(commit=True) as cursor:
            self._insert_tracking(cursor, tracking)
            self._fill(cursor, order, quantity, price)

    def _fill(self, cursor: SQLiteCursor, order: str, quantity: Decimal, price: Decimal) -> None:
        cursor.execute("SELECT quantity, filled_quantity FROM orders WHERE id = ?", (order,))
        whole, before = cursor.fetchone()
        filled = Decimal(before) + quantity
        status = "FILLED" if filled >= Decimal(whole) else "PARTIALLY_FILLED"
        cursor.execute(
            "UPDATE orders SET filled_quantity = ?, last_price = ?, status = ? WHERE id = ?",
            (str(filled), str(price), status, order),
        )


class OrdersProjection(Projection[Orders]):
    """Keeps the table."""

    name = "orders"

    def process_event(self, domain_event: Any, tracking: Tracking) -> None:
        """One event."""
        order, kind = str(domain_event.originator_id), type(domain_event)
        if kind is Order.Placed:
            self.view.change(
                tracking,
                "INSERT INTO orders (id, account, side, status, quantity, price) VALUES (?, ?, ?, 'NEW', ?, ?)",
                (order, domain_event.account, domain_event.side, str(domain_event.quantity), str(domain_event.price)),
            )
        elif kind is Order.Accepted:
            accepted = (domain_event.exchange_order_id, order)
            self.view.change(
                tracking, "UPDATE orders SET status = 'ACCEPTED', exchange_order_id = ? WHERE id = ?", accepted
            )
        elif kind is Order.Filled:
            self.view.filled(tracking, order, domain_event.quantity, domain_event.price)
        else:
            status = "CANCELED" if kind is Order.Canceled else "PENDING_CANCEL"
            self.view.change(tracking, "UPDATE orders SET status = ? WHERE id = ?", (status, order))


def main() -> None:
    """Append, read and, on SQLite, project; and print how fast."""
    workload, database, producers = sys.argv[1], sys.argv[2], int(sys.argv[3])
    scripts = json.loads(Path(workload).read_bytes())
    steps = [[(UUID(one["stream"]), one["type"], _typed(one["fields"])) for one in script] for script in scripts]
    app = Application(env=_environment(database, producers))
    times: list[float] = []
    started = time.perf_counter()
    if producers == 1:
        _produce(app, steps[0], times)
    else:
        with ThreadPoolExecutor(producers) as threads:
            for done in [threads.submit(_produce, app, script, times) for script in steps]:
                done.result()
    appending = time.perf_counter() - started
    count, reading = _read(app)
    if count != len(times):
        raise SystemExit(f"{count} events are stored, not {len(times)}")
    environment = _environment(database, producers)
    orders = len({stream for script in steps for stream, _, _ in script})
    projecting = None if database.startswith("postgresql") else _projected(app, environment, orders)
    print(json.dumps({"appending": appending, "reading": reading, "times": times, "projecting": projecting}))


def _produce(app: Application, script: list[tuple[UUID, str, dict[str, Any]]], times: list[float]) -> None:
    orders: dict[UUID, Order] = {}
    for stream, kind, fields in script:
        called = time.perf_counter()
        if kind == "OrderPlaced":
            orders[stream] = Order._create(event_class=Order.Placed, id=stream, **fields)
        else:
            orders[stream].trigger_event(getattr(Order, kind.removeprefix("Order")), **fields)
        app.save(orders[stream])
        times.append(time.perf_counter() - called)


def _read(app: Application) -> tuple[int, float]:
    started, count, start = time.perf_counter(), 0, 1
    while page := app.recorder.select_notifications(start=start, limit=PAGE):
        for notification in page:
            app.mapper.to_domain_event(notification)
        count, start = count + len(page), page[-1].id + 1
    return count, time.perf_counter() - started


def _projected(app: Application, environment: dict[str, str], orders: int) -> float:
    """On SQLite the library has no subscriptions: the projection is fed from its log of notifications."""
    factory: Any = InfrastructureFactory.construct(Environment("orders", environment))
    view: Orders = factory.tracking_recorder(Orders)
    projection = OrdersProjection(view)
    started, start = time.perf_counter(), 1
    while page := app.recorder.select_notifications(start=start, limit=PAGE):
        for notification in page:
            tracking = Tracking(app.name, notification.id)
            projection.process_event(app.mapper.to_domain_event(notification), tracking)
        start = page[-1].id + 1
    seconds = time.perf_counter() - started
    with view.datastore.transaction(commit=False) as cursor:
        cursor.execute("SELECT count(*) FROM orders")
        if cursor.fetchone()[0] != orders:
            raise SystemExit(f"not {orders} orders are in the table")
    return seconds


def _typed(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: Decimal(value) if name in MONEY else value for name, value in fields.items()}


def _environment(database: str, producers: int) -> dict[str, str]:
    if not database.startswith("postgresql"):
        return {"PERSISTENCE_MODULE": "eventsourcing.sqlite", "SQLITE_DBNAME": database, "SQLITE_LOCK_TIMEOUT": "60"}
    url = urlsplit(database)
    return {
        "PERSISTENCE_MODULE": "eventsourcing.postgres",
        "POSTGRES_DBNAME": url.path.lstrip("/"),
        "POSTGRES_HOST": parse_qs(url.query)["host"][0],
        "POSTGRES_PORT": "5432",
        "POSTGRES_USER": str(url.username),
        "POSTGRES_PASSWORD": "-",
        "POSTGRES_POOL_SIZE": str(min(producers, 20)),
        "POSTGRES_MAX_OVERFLOW": "0",
        "POSTGRES_POOL_TIMEOUT": "60",
    }


if __name__ == "__main__":
    main()
