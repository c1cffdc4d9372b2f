"""A process that appends until it is killed, with or without its projection in the same transactions."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import multiprocessing
import os
from collections.abc import Iterator
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess

from byjy_events.log import EventLog
from projections import TRADING, Projector
from tests.lifecycles import Step, lifecycles

PRODUCERS = 5

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["__main__", __name__])


@contextlib.contextmanager
def appending(url: str, *, inline: bool) -> Iterator[BaseProcess]:
    """A process that appends already; at the end of the block it is dead, by kill -9."""
    here, there = _context.Pipe(duplex=False)
    process = _context.Process(target=_main, args=(url, there, inline), daemon=True)
    process.start()
    there.close()
    try:
        here.recv()
        yield process
    finally:
        process.kill()
        process.join()
        process.close()
        here.close()


def _main(url: str, begun: Connection, inline: bool) -> None:
    asyncio.run(_append(url, begun, inline))


async def _append(url: str, begun: Connection, inline: bool) -> None:
    async with EventLog.open(url) as log, contextlib.AsyncExitStack() as opened:
        if inline:
            await opened.enter_async_context(Projector(log, TRADING, inline=True))
        seed = os.getpid() * 1000
        await asyncio.gather(*(_produce(log, _lives(seed + number), begun) for number in range(PRODUCERS)))


def _lives(seed: int) -> Iterator[Step]:
    return itertools.chain.from_iterable(lifecycles(seed + turn, orders=20) for turn in itertools.count())


async def _produce(log: EventLog, steps: Iterator[Step], begun: Connection) -> None:
    for number, (stream, event) in enumerate(steps):
        await log.append(stream, [event])
        if number == 0:
            begun.send(True)
