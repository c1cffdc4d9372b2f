"""Checkpoints in a text file that is only ever appended to."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import BinaryIO

from byjy_events.private_file import sync_folder
from byjy_events.proof.checkpoint import Checkpoint, unverified
from byjy_events.proof.entry import END, TORN, entry_of, notes_of
from byjy_events.proof.errors import InvalidNote
from byjy_events.proof.place import write_all

TAIL_BYTES = 8_192
"""How much of the end of the file is read to find the newest checkpoint; more, if no whole one is in it."""


class AppendedFile:
    """Appends checkpoints to one text file, see :mod:`byjy_events.proof.entry` for how they lie in it.

    Each is one write, and on disk when :meth:`put` returns. Nothing is overwritten or cut off, so the file may be one
    that the system lets nobody do that to. Any number of sealers may append to it.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)

    def __repr__(self) -> str:
        return f"AppendedFile({str(self._path)!r})"

    @property
    def name(self) -> str:
        return str(self._path)

    async def put(self, checkpoint: Checkpoint) -> None:
        """Append it, unless the file ends with one of that size or a larger one: that one covers it.

        Raises:
            OSError: it cannot be written; what was written of it will be passed over.
        """
        await asyncio.to_thread(self._put, checkpoint)

    async def newest(self) -> Checkpoint | None:
        """The one of the largest size near the end; None: there is no file, or no whole entry in it.

        Raises:
            InvalidNote: something there is no checkpoint; the error names the file.
            OSError: it cannot be read.
        """
        return await asyncio.to_thread(self._newest)

    def notes(self) -> Iterator[str]:
        """The notes of all whole entries as they lie there, in constant memory; nothing is verified.

        Raises:
            OSError: it cannot be read.
        """
        with self._path.open(encoding="utf-8", errors="surrogateescape", newline="\n") as file:
            yield from notes_of(file)

    def _put(self, checkpoint: Checkpoint) -> None:
        newest = self._newest()
        if newest is not None and newest.size >= checkpoint.size:
            return
        entry = entry_of(checkpoint)
        fresh = not self._path.exists()
        descriptor = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666)
        with open(descriptor, "rb", buffering=0) as file:  # noqa: PTH123 - it is no path
            torn = not _tail(file, len(END)).endswith((END, TORN)) and file.tell() > 0
            write_all(descriptor, (TORN if torn else b"") + entry)
            os.fsync(descriptor)
        if fresh:
            sync_folder(self._path.parent)

    def _newest(self) -> Checkpoint | None:
        try:
            with self._path.open("rb") as file:
                lines = StringIO(_last_entries(file).decode("utf-8", "surrogateescape"), newline="\n")
        except FileNotFoundError:
            return None
        try:
            return max(map(unverified, notes_of(lines)), key=lambda checkpoint: checkpoint.size, default=None)
        except InvalidNote as error:
            raise InvalidNote(f"{self._path}: near its end: {error}") from None


def _last_entries(file: BinaryIO) -> bytes:
    """The end of a file from where an entry begins, with a whole one in it unless the file has none."""
    count = TAIL_BYTES
    while True:
        tail = _tail(file, count)
        if len(tail) == file.tell():
            return tail
        tail = _from_first_end(tail)
        if END in tail:
            return tail
        count *= 8


def _tail(file: BinaryIO, count: int) -> bytes:
    """The last bytes of a file, which stands at its end afterwards."""
    file.seek(max(0, file.seek(0, os.SEEK_END) - count))
    return file.read(count)


def _from_first_end(tail: bytes) -> bytes:
    """What follows on the first end of an entry; the beginning may be in the middle of one."""
    ends = [at for at in (tail.find(END), tail.find(TORN)) if at >= 0]
    return tail[min(ends) + len(END) :] if ends else b""
