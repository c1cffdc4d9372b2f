"""A program that appends for some seconds and prints what it stored: several of them share one database in tests.

``python -m tests.appender URL NAME SECONDS`` says ``ready``, waits for a line, and begins.
"""

from __future__ import annotations

import asyncio
import sys
import time

from byjy_events import EventLog, new_order_id, order_stream, pair_stream
from tests.sample_events import SAMPLES, filled, placed

PRODUCERS = 10


async def append(log: EventLog, producer: str, until: float) -> list[tuple[str, int]]:
    """Own streams, one stream that all programs share, and facts that all programs tell."""
    shared, stored = pair_stream("binance", "BTCUSDT"), []
    turn = 0
    while time.monotonic() < until:
        turn += 1
        receipts = [
            await log.append(order_stream(new_order_id()), [placed()] * 3, actor=producer),
            await log.append(shared, [SAMPLES["PairListed"]], actor=producer),
        ]
        await log.append(order_stream(new_order_id()), [filled(str(turn))], actor="everybody")
        stored += [(event.event_id.hex, event.position) for receipt in receipts for event in receipt.events]
    return stored


async def main(url: str, name: str, seconds: float) -> None:
    """Print one line for every event of one's own, in the order of each producer."""
    async with EventLog.open(url) as log:
        print("ready", flush=True)
        sys.stdin.readline()
        until = time.monotonic() + seconds
        names = [f"{name}-{number}" for number in range(PRODUCERS)]
        answers = await asyncio.gather(*(append(log, producer, until) for producer in names))
    for producer, stored in zip(names, answers, strict=True):
        for event_id, position in stored:
            print(producer, event_id, position)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], float(sys.argv[3])))
