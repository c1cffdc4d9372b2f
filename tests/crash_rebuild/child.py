"""A process that rebuilds once, in small slices, and is killed; forked from a server that has imported everything."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
from collections.abc import Iterator
from multiprocessing.connection import Connection

from byjy_events.log import EventLog
from projections import TRADING, rebuild, rebuilding

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["__main__", __name__])


@contextlib.contextmanager
def rebuilding_process(url: str, *, at_once_rows: int) -> Iterator[Connection]:
    """A process that is about to rebuild; at the end of the block it is dead, by kill -9.

    Args:
        at_once_rows: up to so many rows it merges in one transaction.

    Yields:
        What it sends when it is done.
    """
    here, there = _context.Pipe(duplex=False)
    process = _context.Process(target=_main, args=(url, there, at_once_rows), daemon=True)
    process.start()
    there.close()
    try:
        here.recv()
        yield here
    finally:
        process.kill()
        process.join()
        process.close()
        here.close()


def _main(url: str, parent: Connection, at_once_rows: int) -> None:
    rebuilding.AT_ONCE_ROWS = at_once_rows
    rebuilding.FIRST_SLICE_ROWS = 5
    rebuilding.PAUSE_SECONDS = 0.005
    asyncio.run(_rebuild(url, parent))


async def _rebuild(url: str, parent: Connection) -> None:
    async with EventLog.open(url) as log:
        parent.send("begun")
        await rebuild(log, TRADING)
        parent.send("done")
        await asyncio.Event().wait()
