"""What the hot paths cost, counted and not timed: instructions of the interpreter, and of SQLite's virtual machine.

Counts are the same on a slow machine and on a busy one, so a slip is seen where a clock would say nothing. They see no
work inside C libraries. ``python -m tests.cost`` prints them as the test's baseline has them.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from benchmarks.workload import fill, producers
from byjy_events import EventLog
from byjy_events.sqlite.backend import SqliteBackend
from projections import TRADING, catch_up

APPENDED = 1_000
FOLDED = 10_000
STEPS_TOGETHER = 100
"""SQLite tells of so many steps at once."""


class Counter:
    """Instructions of every thread that began under :func:`counting`, while it is on."""

    def __init__(self) -> None:
        self.count = 0
        self.on = False

    def trace(self, frame: FrameType, event: str, _argument: Any) -> Any:
        """For ``sys.settrace``."""
        if event == "call":
            frame.f_trace_opcodes, frame.f_trace_lines = True, False
            return self._within
        return None

    def _within(self, _frame: FrameType, event: str, _argument: Any) -> Any:
        if event == "opcode" and self.on:
            self.count += 1
        return self._within


@contextmanager
def counting() -> Iterator[Counter]:
    """Trace this thread, and those that are started meanwhile."""
    counter, before = Counter(), sys.gettrace()
    threading.settrace(counter.trace)
    sys.settrace(counter.trace)
    try:
        yield counter
    finally:
        sys.settrace(before)
        threading.settrace(None)


def cost_of_append(folder: Path) -> dict[str, float]:
    """An event's share of an append of a thousand, each by a producer of its own."""
    scripts = producers(APPENDED, APPENDED)
    steps = [0]

    async def append(counter: Counter) -> None:
        async with EventLog.open(f"sqlite:///{folder / 'append.db'}") as log:
            assert isinstance(log.backend, SqliteBackend)
            await asyncio.gather(*(log.append(stream, [event]) for [(stream, event, _)] in producers(10, 10)))
            await log.backend.lane.run(lambda connection: _count_steps(connection, steps))
            counter.on = True
            await asyncio.gather(
                *(log.append(stream, [event], expected=expected) for [(stream, event, expected)] in scripts)
            )
            counter.on = False
            assert await log.head() == APPENDED + 10

    return {
        "append, instructions": _counted(append) / APPENDED,
        "append, steps of SQLite": steps[0] * STEPS_TOGETHER / APPENDED,
    }


def cost_of_fold(folder: Path) -> dict[str, float]:
    """An event's share of projecting ten thousand from nothing."""
    url = f"sqlite:///{folder / 'fold.db'}"
    events = asyncio.run(_filled(url))

    async def fold(counter: Counter) -> None:
        async with EventLog.open(url) as log:
            counter.on = True
            await catch_up(log, TRADING)
            counter.on = False

    return {"fold, instructions": _counted(fold) / events}


async def _filled(url: str) -> int:
    async with EventLog.open(url) as log:
        await catch_up(log, TRADING)  # what a process does once: reading the source of the folds
        await fill(log, FOLDED)
        return await log.head()


def _counted(work: Any) -> int:
    with counting() as counter:
        asyncio.run(work(counter))
    return counter.count


def _count_steps(connection: sqlite3.Connection, steps: list[int]) -> None:
    def step() -> int:
        steps[0] += 1
        return 0

    connection.set_progress_handler(step, STEPS_TOGETHER)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        costs = cost_of_append(Path(made)) | cost_of_fold(Path(made))
    print(json.dumps({name: round(cost) for name, cost in costs.items()}, indent=4))
