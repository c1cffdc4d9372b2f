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


def main() -> None:
    """Append and read, and print how fast."""
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
    print(json.dumps({"appending": appending, "reading": reading, "times": times}))


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
