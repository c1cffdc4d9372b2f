"""A program that changes configuration until it is told to stop: ``python -m tests.configuration_child URL NAME``.

It says ``ready``, waits for a line, sets and removes its key until a second line comes, and then says so.
"""

from __future__ import annotations

import asyncio
import sys

from byjy_events import EventLog
from projections import Configuration


async def main(url: str, name: str) -> None:
    """Each change has the number of the one before and one more, so that whoever watches can tell a gap."""
    async with EventLog.open(url) as log:
        config = Configuration(log)
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        stop = asyncio.create_task(asyncio.to_thread(sys.stdin.readline))
        number = 0
        while not stop.done() or number < 20:
            number += 1
            await config.set(f"shared.{name}", number)
            if number % 5 == 0:
                await config.remove(f"shared.{name}")
                number += 1
        await config.set(f"finished.{name}", number)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
