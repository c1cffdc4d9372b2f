"""A process that projects until it is killed.

It is forked from a server that has imported everything already: starting Python takes longer than the work to be
interrupted.
"""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
from collections.abc import Iterator
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess

from byjy_events.log import EventLog
from projections import TRADING, Projector, catch_up, runner

CHUNK_EVENTS = 5
"""Small, so that a kill meets many steps."""

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["__main__", __name__])


@contextlib.contextmanager
def projecting(url: str, *, live: bool = True) -> Iterator[BaseProcess]:
    """A process that projects already; at the end of the block it is dead, by kill -9.

    Args:
        live: it follows the log; else it catches up, again and again.
    """
    here, there = _context.Pipe(duplex=False)
    process = _context.Process(target=_main, args=(url, there, live), daemon=True)
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


def _main(url: str, begun: Connection, live: bool) -> None:
    runner.CHUNK_EVENTS = CHUNK_EVENTS
    asyncio.run(_follow(url, begun) if live else _catch_up(url, begun))


async def _follow(url: str, begun: Connection) -> None:
    async with EventLog.open(url) as log, Projector(log, TRADING):
        begun.send(True)
        await asyncio.Event().wait()


async def _catch_up(url: str, begun: Connection) -> None:
    async with EventLog.open(url) as log:
        await catch_up(log, TRADING)
        begun.send(True)
        while True:
            await catch_up(log, TRADING)
