"""Ours: one ``append`` for each event, all producers in one event loop.

Run as ``python -m benchmarks.peers.with_byjy_events WORKLOAD DATABASE PRODUCERS``.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec

import byjy_events
from benchmarks.honesty import assert_honest
from byjy_events import ANY, NO_STREAM, EventLog, order_stream
from byjy_events.stream import Expected
from byjy_ops.cli import SWITCH_SECONDS
from projections import TRADING, catch_up


async def main(scripts: list[list[dict[str, Any]]], database: str) -> None:
    """Append, read and project, and print how fast."""
    times: list[float] = []
    async with EventLog.open(database) as log:
        await catch_up(log, TRADING)  # what a process does once: reading the source of the folds
        started = time.perf_counter()
        await asyncio.gather(*(_produce(log, script, times) for script in scripts))
        appending = time.perf_counter() - started
        started = time.perf_counter()
        count = sum([1 async for _ in log.read()])
        reading = time.perf_counter() - started
        assert count == len(times)
        await assert_honest(log, count)
        started = time.perf_counter()
        assert await catch_up(log, TRADING) == count
        projecting = time.perf_counter() - started
    print(json.dumps({"appending": appending, "reading": reading, "times": times, "projecting": projecting}))


async def _produce(log: EventLog, script: list[dict[str, Any]], times: list[float]) -> None:
    for step in script:
        stream = order_stream(UUID(step["stream"]))
        expected: Expected = NO_STREAM if step["new"] else ANY
        called = time.perf_counter()
        event = msgspec.convert(step["fields"], getattr(byjy_events, step["type"]))
        await log.append(stream, [event], expected=expected)
        times.append(time.perf_counter() - called)


if __name__ == "__main__":
    sys.setswitchinterval(SWITCH_SECONDS)  # as the README asks an engine to
    url = sys.argv[2] if sys.argv[2].startswith("postgresql") else f"sqlite:///{sys.argv[2]}"
    asyncio.run(main(json.loads(Path(sys.argv[1]).read_bytes()), url))
