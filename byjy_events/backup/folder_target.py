"""A folder of this machine, or one that is mounted, as a target for backups."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from byjy_events.backup.manifest import private
from byjy_events.backup.target import PART, FileInfo, Readable
from byjy_events.backup.workplace import Workplace
from byjy_events.private_file import sync_folder


class FolderTarget:
    """See :class:`~byjy_events.backup.target.Target`. Files are of mode 0600; the folder is its own workplace."""

    is_exclusive = True

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.where = Path(path)
        self.workplace = Workplace(self.where, self.where)

    def files(self) -> dict[str, FileInfo]:
        with self.workplace.usable(), os.scandir(self.where) as entries:
            return dict(_informed(entries))

    def has(self, name: str) -> bool:
        with self.workplace.usable():
            return os.path.lexists(self.where / name)  # also a link to a disk that is away

    def read(self, name: str) -> bytes:
        return (self.where / name).read_bytes()

    def read_all(self, names: Iterable[str]) -> dict[str, bytes | OSError]:
        return {name: self._read_or_why(name) for name in names}

    @contextlib.contextmanager
    def open(self, name: str) -> Iterator[Readable]:
        with self.workplace.usable():
            file = (self.where / name).open("rb")
        with file:
            yield _Guarded(file, self.workplace)

    def put(self, path: Path, name: str, stop: threading.Event) -> None:
        del stop  # it takes no time
        with self.workplace.usable():
            _sync(path)
            path.replace(self.where / name)
            sync_folder(self.where)

    def write(self, name: str, data: bytes) -> None:
        part = self.where / (name + PART)
        with self.workplace.usable():
            try:
                with open(part, "wb", opener=private) as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                part.replace(self.where / name)
            except OSError:
                with contextlib.suppress(OSError):
                    part.unlink(missing_ok=True)
                raise
            sync_folder(self.where)

    def remove(self, name: str) -> None:
        with self.workplace.usable():
            (self.where / name).unlink(missing_ok=True)
            sync_folder(self.where)

    def sweep(self, before: int) -> None:
        del before  # whatever is there is listed

    def _read_or_why(self, name: str) -> bytes | OSError:
        try:
            return self.read(name)
        except OSError as error:
            return error


class _Guarded:
    """A file whose reader is told what is wrong with the folder."""

    def __init__(self, file: BinaryIO, workplace: Workplace) -> None:
        self._file = file
        self._workplace = workplace

    def read(self, count: int) -> bytes:
        with self._workplace.usable():
            return self._file.read(count)


def _informed(entries: Iterable[os.DirEntry[str]]) -> Iterator[tuple[str, FileInfo]]:
    for entry in entries:
        with contextlib.suppress(FileNotFoundError):  # it went meanwhile
            if entry.is_file():
                found = entry.stat()
                yield entry.name, FileInfo(found.st_size, found.st_mtime_ns)


def _sync(path: Path) -> None:
    file = os.open(path, os.O_RDWR)
    try:
        os.fsync(file)
    finally:
        os.close(file)
