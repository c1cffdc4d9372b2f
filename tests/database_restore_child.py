"""A process that restores a backup into a database, and is killed in the middle."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import tempfile
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path

from byjy_events.backup import restore_database
from byjy_events.copying import copier

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["__main__", __name__])


@contextlib.contextmanager
def restored_upto(position: int, folder: Path, database: str, temporary: Path) -> Iterator[int]:
    """A process that restored so many events at least and stays there; at the end of the block it is killed.

    Args:
        temporary: the folder for its temporary files.
    """
    here, there = _context.Pipe()
    process = _context.Process(target=_main, args=(position, folder, database, temporary, there), daemon=True)
    process.start()
    there.close()
    try:
        yield here.recv()
    finally:
        process.kill()
        process.join()
        process.close()
        here.close()


def _main(position: int, folder: Path, database: str, temporary: Path, there: Connection) -> None:
    def stay(reached: int, _aimed: int) -> None:
        if reached >= position:
            there.send(reached)
            there.recv()  # which never comes

    copier.CHUNK_EVENTS = 7
    tempfile.tempdir = str(temporary)
    asyncio.run(restore_database(folder, "latest", database, progress=stay))
