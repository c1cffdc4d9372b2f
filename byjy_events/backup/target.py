"""Where backups are kept: a flat set of files, in a folder of this machine or in whatever fsspec has a filesystem for.

A target knows nothing of backups. What it promises is what the order of things in :mod:`byjy_events.backup.folder` is
built on: a file that is there is there whole, and it stays. All methods block and are called in threads.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple, Protocol

from byjy_events.backup.workplace import Workplace

PART = ".part"
"""Ends the name of what is half written, or was when a process was killed."""


class FileInfo(NamedTuple):
    """What is known of a file without reading it.

    Attributes:
        modified_ns: UTC; None: the store does not say.
        tag: another one with every change of the content; None: the store has none.
    """

    size: int
    modified_ns: int | None
    tag: str | None = None


class Readable(Protocol):
    """A file that is read from its beginning on."""

    def read(self, count: int, /) -> bytes:
        """So many bytes or fewer; none at its end."""
        ...


class Target(Protocol):
    """A flat set of files, for one log. Names are plain file names.

    Raises:
        FolderUnusable: from every method: it cannot be reached, read or written.
    """

    @property
    def where(self) -> Path | str:
        """The folder, or the URL without whatever gives access."""
        ...

    @property
    def workplace(self) -> Workplace:
        """A folder of this machine for what is being made, and for the locks."""
        ...

    @property
    def is_exclusive(self) -> bool:
        """Whether the lock of the workplace keeps everybody else away."""
        ...

    def files(self) -> Mapping[str, FileInfo]:
        """All files, also half written ones, which are ``name.part``. A store may be late to list what just changed."""
        ...

    def has(self, name: str) -> bool:
        """Whether the file is there, whatever the list says."""
        ...

    def read(self, name: str) -> bytes:
        """A file that is small.

        Raises:
            OSError: this one cannot be read, such as one that is gone.
        """
        ...

    def read_all(self, names: Iterable[str]) -> dict[str, bytes | OSError]:
        """Small files, several at a time where that is faster."""
        ...

    def open(self, name: str) -> AbstractContextManager[Readable]:
        """A file to be read in pieces, in constant memory. One that is gone is a target that cannot be read."""
        ...

    def put(self, path: Path, name: str, stop: threading.Event) -> None:
        """Take over a file of the workplace, in place of an older one: whole or not at all, and durably.

        Raises:
            Stopped: asked to.
        """
        ...

    def write(self, name: str, data: bytes) -> None:
        """Write a small file, in place of an older one: whole or not at all, and durably. For its owner only, where
        there are owners.
        """
        ...

    def remove(self, name: str) -> None:
        """Delete a file, if it is there. One that was deleted before is gone before."""
        ...

    def sweep(self, before: int) -> None:
        """Delete what a store keeps of uploads that were begun before, nanoseconds UTC, and does not list."""
        ...


FolderLike = str | os.PathLike[str] | Target
"""A folder, the URL of one for fsspec, such as ``s3://bucket/prefix``, or a target."""


def target_of(folder: FolderLike) -> Target:
    """
    Raises:
        FolderUnusable: nothing that is installed works with such a URL.
    """
    from byjy_events.backup.folder_target import FolderTarget

    if not isinstance(folder, str | os.PathLike):
        return folder
    text = os.fspath(folder)
    if text.startswith("file://"):
        return FolderTarget(text.removeprefix("file://"))
    if "://" in text:
        from byjy_events.backup.fsspec_target import FsspecTarget

        return FsspecTarget(text)
    return FolderTarget(text)
