"""The program that gets killed: it appends as fast as it can, and writes down every receipt before it goes on.

Started by a nursery: a process that has imported everything and forks one life after the other, before it has
any thread or loop of its own, since starting Python takes longer than most of these lives last. The nursery
reads lines ``URL TAB acknowledgements``, answers with the process id, and with the exit status when it is over.
"""

from __future__ import annotations

import asyncio
import importlib
import itertools
import os
import sys
import traceback

from byjy_events import (
    Entry,
    Event,
    EventLog,
    OrderSubmitted,
    Receipt,
    Write,
    new_event_id,
    new_order_id,
    order_stream,
    pair_stream,
)
from tests.sample_events import SAMPLES, filled, placed

PRODUCERS = 8
TOLD_AGAIN = 97
"""Facts with so many different ids are told over and over, in every life."""


async def produce(log: EventLog, acknowledged: int, number: int) -> None:
    """Append without end: alone, several at once, on two streams at once; each append is one correlation."""
    pair = pair_stream("binance", "BTCUSDT")
    for turn in itertools.count():
        stream, correlation = order_stream(new_order_id()), new_event_id()
        match turn % 4:
            case 0:
                receipt = await log.append(stream, [placed()], correlation_id=correlation)
            case 1:
                events: list[Event | Entry] = [
                    Entry(placed(), event_id=new_event_id()),
                    OrderSubmitted(),
                    OrderSubmitted(),
                ]
                receipt = await log.append(stream, events, correlation_id=correlation)
            case 2:
                writes = [Write(stream, [placed(), OrderSubmitted()]), Write(pair, [SAMPLES["PairListed"]])]
                receipt = await log.append_all(writes, correlation_id=correlation)
            case _:
                receipt = await log.append(stream, [filled(str((number + turn) % TOLD_AGAIN))])
        _write_down(acknowledged, receipt)


def _write_down(acknowledged: int, receipt: Receipt) -> None:
    """A kill may cut a write at the end of a page: a line counts when its full stop is there, and begins a new line."""
    lines = "".join(f"\n{event.event_id.hex} {event.position} ." for event in receipt.events)
    os.write(acknowledged, lines.encode())


async def live(url: str, acknowledgements: str) -> None:
    """One life; it does not end by itself."""
    acknowledged = os.open(acknowledgements, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    async with EventLog.open(url) as log, asyncio.TaskGroup() as group:
        for number in range(PRODUCERS):
            group.create_task(produce(log, acknowledged, number))


def nursery() -> None:
    """Fork lives until there is no more input."""
    _load_what_is_loaded_late()
    for line in iter(sys.stdin.readline, ""):
        url, acknowledgements = line.rstrip("\n").split("\t")
        child = os.fork()
        if child == 0:
            try:
                asyncio.run(live(url, acknowledgements))
            except BaseException:  # noqa: BLE001 - whatever it is, the nursery's code below is not for the child
                traceback.print_exc()
            os._exit(1)
        print(child, flush=True)
        print(os.waitpid(child, 0)[1], flush=True)


def _load_what_is_loaded_late() -> None:
    for module in ("byjy_events.sqlite.backend", "byjy_events.postgres.backend"):
        importlib.import_module(module)


if __name__ == "__main__":
    nursery()
