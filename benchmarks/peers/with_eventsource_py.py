"""``eventsource-py``: an append for each event, straight to its store, all producers in one event loop.

Run as ``python with_eventsource_py.py WORKLOAD DATABASE PRODUCERS`` where that library is installed.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

from eventsource import DomainEvent, ExpectedVersion, StreamId, register_event


class OrderEvent(DomainEvent):
    aggregate_type: str = "Order"


@register_event
class OrderPlaced(OrderEvent):
    pair: dict[str, str]
    account: str
    side: str
    type: str
    quantity: Decimal
    price: Decimal
    client_order_id: str


@register_event
class OrderAccepted(OrderEvent):
    pair: dict[str, str]
    account: str
    exchange_order_id: str
    client_order_id: str


@register_event
class OrderCancelRequested(OrderEvent):
    reason: str


@register_event
class OrderCanceled(OrderEvent):
    pair: dict[str, str]
    account: str
    exchange_order_id: str
    client_order_id: str


@register_event
class OrderFilled(OrderEvent):
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


async def main(scripts: list[list[dict[str, Any]]], database: str) -> None:
    """Append and read, and print how fast."""
    store = _store(database)
    times: list[float] = []
    await store.current_position()  # opens it
    started = time.perf_counter()
    await asyncio.gather(*(_produce(store, script, times) for script in scripts))
    appending = time.perf_counter() - started
    started = time.perf_counter()
    count = sum([1 async for _ in store.read_all()])
    reading = time.perf_counter() - started
    if count != len(times):
        raise SystemExit(f"{count} events are stored, not {len(times)}")
    print(json.dumps({"appending": appending, "reading": reading, "times": times}))
    await store.close()


async def _produce(store: Any, script: list[dict[str, Any]], times: list[float]) -> None:
    for step in script:
        stream = UUID(step["stream"])
        called = time.perf_counter()
        event = globals()[step["type"]](aggregate_id=stream, **step["fields"])
        expected = ExpectedVersion.no_stream() if step["new"] else ExpectedVersion.any_()
        await store.append(StreamId(stream, "Order"), [event], expected)
        times.append(time.perf_counter() - called)


def _store(database: str) -> Any:
    if not database.startswith("postgresql"):
        from eventsource import SQLiteEventStore

        return SQLiteEventStore(database)
    from eventsource import PostgreSQLEventStore, create_async_engine

    engine = create_async_engine(database.replace("postgresql:", "postgresql+asyncpg:"))
    return PostgreSQLEventStore(engine, create_schema=True, owns_engine=True)


if __name__ == "__main__":
    asyncio.run(main(json.loads(Path(sys.argv[1]).read_bytes()), sys.argv[2]))
