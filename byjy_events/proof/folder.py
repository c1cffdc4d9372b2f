"""Checkpoints in a folder, a file each."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Iterator
from pathlib import Path

from byjy_events.private_file import sync_folder
from byjy_events.proof.checkpoint import Checkpoint, unverified
from byjy_events.proof.errors import InvalidNote
from byjy_events.proof.place import write_all

_NAME = re.compile("([0-9]{19})[.]checkpoint", re.ASCII)


class Folder:
    """Keeps each checkpoint in a file of its own, named after its size, e.g. ``0000000000000217003.checkpoint``.

    A file appears whole or not at all, and never takes the place of another. What is copied away, by whatever copies
    files, is a note that anybody can check.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """
        Args:
            path: of the folder, which is made with the first checkpoint; the one that it lies in has to be there.
        """
        self._path = Path(path)

    def __repr__(self) -> str:
        return f"Folder({str(self._path)!r})"

    @property
    def name(self) -> str:
        return str(self._path)

    async def put(self, checkpoint: Checkpoint) -> None:
        """Write its file, unless there is one of that size.

        Raises:
            OSError: it cannot be written.
        """
        await asyncio.to_thread(self._put, checkpoint)

    async def newest(self) -> Checkpoint | None:
        """The one of the largest size; None: there is no folder, or none in it.

        Raises:
            InvalidNote: the file holds no checkpoint, or one of another size than its name; the error names it.
            OSError: it cannot be read.
        """
        return await asyncio.to_thread(self._newest)

    def notes(self) -> Iterator[str]:
        """The notes of all checkpoints, from the smallest size on; nothing is verified.

        Raises:
            OSError: one cannot be read.
        """
        return (self._note(name) for name in sorted(self._names()))

    def _put(self, checkpoint: Checkpoint) -> None:
        if not self._path.is_dir():
            self._path.mkdir(exist_ok=True)
            sync_folder(self._path.parent)
        path = self._path / f"{checkpoint.size:019}.checkpoint"
        made = self._path / f".{checkpoint.size:019}.{os.getpid()}"  # one of a crash is written over
        descriptor = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_BINARY", 0), 0o666)
        try:
            with open(descriptor, "wb", buffering=0):  # noqa: PTH123 - it is no path
                write_all(descriptor, checkpoint.note.encode())
                os.fsync(descriptor)
            if not path.exists():  # of two that are written at once for one size either will do
                made.replace(path)
        finally:
            made.unlink(missing_ok=True)
        sync_folder(self._path)

    def _newest(self) -> Checkpoint | None:
        name = max(self._names(), default=None)
        return None if name is None else self._read(name)

    def _names(self) -> Iterator[str]:
        """Those of checkpoints; whatever else lies there is of no concern."""
        try:
            with os.scandir(self._path) as found:
                yield from (one.name for one in found if _NAME.fullmatch(one.name))
        except FileNotFoundError:
            return

    def _note(self, name: str) -> str:
        return (self._path / name).read_bytes().decode("utf-8", "surrogateescape")

    def _read(self, name: str) -> Checkpoint:
        path = self._path / name
        try:
            checkpoint = unverified(self._note(name))
        except InvalidNote as error:
            raise InvalidNote(f"{path}: {error.reason}", error.line) from None
        if f"{checkpoint.size:019}" != name.partition(".")[0]:
            raise InvalidNote(f"{path}: the checkpoint is of size {checkpoint.size}", 2)
        return checkpoint
