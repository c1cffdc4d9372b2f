"""A process that copies a log until it is killed."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
from collections.abc import Iterator
from multiprocessing.connection import Connection

from byjy_events.copying import copier, copy_log
from byjy_events.log import EventLog

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["__main__", __name__])


@contextlib.contextmanager
def copying(source: str, target: str, chunk: int) -> Iterator[Connection]:
    """A process that tells each position that it says is copied, and goes on; at the end of the block it is killed."""
    here, there = _context.Pipe(duplex=False)
    process = _context.Process(target=_main, args=(source, target, chunk, there), daemon=True)
    process.start()
    there.close()
    try:
        yield here
    finally:
        process.kill()
        process.join()
        process.close()
        here.close()


def _main(source: str, target: str, chunk: int, told: Connection) -> None:
    copier.CHUNK_EVENTS = chunk
    asyncio.run(_copy(source, target, told))
    told.close()


async def _copy(source: str, target: str, told: Connection) -> None:
    async with EventLog.open(source, read_only=True) as one, EventLog.open(target) as other:
        await copy_log(one, other, progress=lambda reached, _: told.send(reached))
