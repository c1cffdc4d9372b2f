"""A process that appends and seals until it is killed.

It is forked from a server that has imported everything already: starting Python takes longer than the work to be
interrupted.
"""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path

from byjy_events import EventLog
from byjy_events.proof import AppendedFile, Folder, Sealer, tree
from tests.sealed import grow, keys

EVENTS_AT_ONCE = 130
"""So that every other checkpoint fills a subtree up."""

EVERY_SECONDS = 0.001

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["__main__", __name__])


@contextlib.contextmanager
def sealing(url: str, exports: Path) -> Iterator[None]:
    """Two processes that seal, and at least one of which has; at the end of the block they are dead, by kill -9."""
    here, there = _context.Pipe(duplex=False)
    processes = [
        _context.Process(target=_main, args=(url, exports, append, there), daemon=True) for append in (True, False)
    ]
    try:
        for process in processes:
            process.start()
        there.close()
        here.recv()
        yield
    finally:
        for process in processes:
            process.kill()
            process.join()
            process.close()
        here.close()


def places(exports: Path) -> tuple[AppendedFile, Folder]:
    return AppendedFile(exports / "file"), Folder(exports / "folder")


def _main(url: str, exports: Path, append: bool, begun: Connection) -> None:
    tree.BLOCKS_AT_ONCE = 1
    asyncio.run(_seal(url, exports, append, begun))


async def _seal(url: str, exports: Path, append: bool, begun: Connection) -> None:
    async with (
        EventLog.open(url) as log,
        Sealer(log, keys(), places=places(exports), every_seconds=EVERY_SECONDS) as sealer,
    ):
        await sealer.wait_for(await grow(log, EVENTS_AT_ONCE))
        begun.send(True)
        while append:
            await sealer.wait_for(await grow(log, EVENTS_AT_ONCE))
        await asyncio.Event().wait()
