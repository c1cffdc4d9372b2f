"""Processes that write segments: an engine that does so itself, and a writer that is over soon."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

from byjy_events.backup import Segments, segments
from byjy_events.log import EventLog
from byjy_events.sealing import Vault
from byjy_events.stream import Stream
from tests.backup_child import Work
from tests.sealing import carrying, local_key

EVERY = timedelta(milliseconds=20)
LOOSE_FILES, CHUNK_EVENTS = 3, 10

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["__main__", __name__, "tests.backup_child"])


class Told(NamedTuple):
    """What an engine sealed, and the position of the event that holds it."""

    value: bytes
    position: int


def writing(url: str, folder: Path) -> Work:
    """Write down what is new, and put files together that are many."""
    return partial(_write, url, folder)


@contextlib.contextmanager
def engine(url: str, folder: Path, subject: Stream, secret: str) -> Iterator[Told]:
    """A process that seals a secret and goes on appending while it writes segments; at the end of the block by kill -9
    it is dead.
    """
    here, there = _context.Pipe(duplex=False)
    process = _context.Process(target=_main, args=(url, folder, subject, secret, there), daemon=True)
    process.start()
    there.close()
    try:
        yield here.recv()
    finally:
        process.kill()
        process.join()
        process.close()
        here.close()


def _main(url: str, folder: Path, subject: Stream, secret: str, told: Connection) -> None:
    asyncio.run(_run(url, folder, subject, secret, told))


async def _run(url: str, folder: Path, subject: Stream, secret: str, told: Connection) -> None:
    async with EventLog.open(url) as log:
        task = asyncio.create_task(Segments(log, folder, every=EVERY).run())
        value = await Vault(log, local_key()).seal(subject, "secret", secret)
        receipt = await log.append(subject, [carrying(value)])
        told.send(Told(value, receipt.position))
        while not task.done():
            await log.append(subject, [carrying(b"more")])


async def _write(url: str, folder: Path) -> None:
    vars(segments).update(LOOSE_FILES=LOOSE_FILES, CHUNK_EVENTS=CHUNK_EVENTS)
    async with EventLog.open(url, read_only=True) as log:
        await Segments(log, folder).turn()
