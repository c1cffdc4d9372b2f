"""A log with something in it, for tests of what reads it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from byjy_events.identifiers import new_order_id
from byjy_events.log import EventLog
from byjy_events.stream import order_stream
from tests.lifecycles import Step, lifecycles
from tests.sample_events import placed


async def tell(log: EventLog, steps: Sequence[Step], at_once: int = 200) -> int:
    """Append steps, each an append of its own, some at once and all in order; return the last one's position."""
    position = 0
    for start in range(0, len(steps), at_once):
        some = steps[start : start + at_once]
        receipts = await asyncio.gather(*(log.append(stream, [event]) for stream, event in some))
        position = max(position, *(receipt.position for receipt in receipts))
    return position


async def tell_lives(log: EventLog, seed: int, orders: int) -> int:
    """Append the lives of some orders, and return the last one's position."""
    return await tell(log, lifecycles(seed, orders))


async def place(log: EventLog) -> int:
    """Append one more order, and return its position."""
    return (await log.append(order_stream(new_order_id()), [placed()])).position
