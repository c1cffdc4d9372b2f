"""An engine of an older version that appends, until it is told to end, while its database is migrated below it.

``python -m tests.old_engine URL REVISION`` says ``ready``, then the position of each event that was acknowledged, and
``refused`` with the name of the error for each append that was not; it ends when its standard input does.
"""

from __future__ import annotations

import asyncio
import sys

from byjy_events import EventLog, migrating, new_order_id, order_stream
from byjy_events.errors import LogUnavailable, OutcomeUnknown
from tests.sample_events import placed


async def main(url: str) -> None:
    """One order after the other."""
    ended = asyncio.ensure_future(asyncio.to_thread(sys.stdin.readline))
    async with EventLog.open(url) as log:
        print("ready", flush=True)
        while not ended.done():
            try:
                receipt = await log.append(order_stream(new_order_id()), [placed()], actor="engine")
            except (LogUnavailable, OutcomeUnknown) as error:
                print("refused", type(error).__name__, flush=True)
            else:
                print(receipt.events[0].position, receipt.events[0].event_id.hex, flush=True)
            await asyncio.sleep(0.001)


if __name__ == "__main__":
    setattr(migrating, "SCHEMA_REVISION", sys.argv[2])  # noqa: B010 - as a program of that version would have it
    asyncio.run(main(sys.argv[1]))
