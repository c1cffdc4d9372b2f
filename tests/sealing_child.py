"""A process that rotates the key-encryption key until it is killed."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
from collections.abc import Iterator
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess

from byjy_events.log import EventLog
from byjy_events.sealing import Vault, rotation
from byjy_events.sealing.local_key import LocalKey
from byjy_events.secret import Secret
from tests.sealing import local_key

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["__main__", __name__])


class Telling(LocalKey):
    """A key that tells when it wraps for the n-th time, and goes on."""

    def __init__(self, number: int, nth: int, told: Connection) -> None:
        super().__init__(Secret(bytes([number]) * 32))
        self._left = nth
        self._told = told

    async def wrap(self, data_key: Secret[bytes], context: bytes) -> bytes:
        self._left -= 1
        if self._left == 0:
            self._told.send(True)
        return await super().wrap(data_key, context)


@contextlib.contextmanager
def rotating(url: str, old: int, new: int, nth: int, slice_: int) -> Iterator[BaseProcess]:
    """A process that has wrapped n keys anew, or all there are, and goes on; at the end of the block it is killed."""
    here, there = _context.Pipe(duplex=False)
    process = _context.Process(target=_main, args=(url, old, new, nth, slice_, there), daemon=True)
    process.start()
    there.close()
    try:
        with contextlib.suppress(EOFError):  # there were not so many
            here.recv()
        yield process
    finally:
        process.kill()
        process.join()
        process.close()
        here.close()


def _main(url: str, old: int, new: int, nth: int, slice_: int, told: Connection) -> None:
    rotation.SLICE = slice_
    asyncio.run(_rotate(url, local_key(old), Telling(new, nth, told)))
    told.close()


async def _rotate(url: str, old: LocalKey, new: LocalKey) -> None:
    async with EventLog.open(url) as log:
        await Vault(log, old).rotate(new)
