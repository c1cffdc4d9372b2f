"""A log with something in it, for tests of what reads it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from byjy_events.log import EventLog
from byjy_events.recorded import Write
from tests.lifecycles import Step, lifecycles
from tests.sample_events import placed
from byjy_events.identifiers import new_order_id
from byjy_events.stream import order_stream


def writes(steps: Iterable[Step]) -> list[Write]:
    """Steps as appends of one event each, in their order."""
    return [Write(stream, [event]) for stream, event in steps]


async def tell(log: EventLog, steps: Sequence[Step], batch: int = 200) -> int:
    """Append steps in order, and return the position of the last. Steps of one stream keep their order."""
    import asyncio

    position = 0
    for start in range(0, len(steps), batch):
        receipts = await asyncio.gather(*(log.append(stream, [event]) for stream, event in steps[start : start + batch]))
        position = max(position, *(receipt.position for receipt in receipts))
    return position


async def tell_lives(log: EventLog, seed: int, orders: int) -> int:
    """Append the lives of some orders, and return the head."""
    return await tell(log, lifecycles(seed, orders))


async def place(log: EventLog) -> int:
    """Append one more order, and return its position."""
    return (await log.append(order_stream(new_order_id()), [placed()])).position
