"""Files that hold keys: of mode 0600, there whole or not at all, and in place of another only when asked for."""

from __future__ import annotations

import contextlib
import os
import stat
import sys
import tempfile
from pathlib import Path

from byjy_events.errors import ByjyError
from byjy_events.secret import Secret

LONGEST_BYTES = 65_536
"""A longer file holds no keys."""

_OTHERS = stat.S_IRWXG | stat.S_IRWXO


class NotAFile(ByjyError):
    """What lies there is a pipe or a device. A folder cannot be opened to begin with, which is an OSError.

    Attributes:
        path: of it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        super().__init__(f"{path}: not a file")


class FileOpenToOthers(ByjyError):
    """Others than its owner may read or write the file.

    Attributes:
        path: of the file.
        mode: its permission bits.
    """

    def __init__(self, path: Path, mode: int) -> None:
        self.path = path
        self.mode = mode
        super().__init__(f"{path}: others may use it (mode {mode:04o}): chmod 600")


class FileTooLong(ByjyError):
    """The file is longer than any that holds keys. It is not read by half: what is missing could be a key.

    Attributes:
        path: of the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        super().__init__(f"{path}: longer than {LONGEST_BYTES} bytes")


def make(path: Path, text: Secret[str], *, replace: bool = False) -> bool:
    """Write a file, durably. False: there is one, and it was left alone.

    Args:
        replace: take the place of the file that is there; it is never seen half written.

    Raises:
        OSError: it cannot be written.
    """
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # of mode 0600
    try:
        with open(descriptor, "wb") as file:  # noqa: PTH123 - it is no path
            file.write(text.reveal().encode())
            file.flush()
            os.fsync(descriptor)
        try:
            _publish(Path(name), path, replace=replace)
        except FileExistsError:  # another process was faster
            return False
    finally:
        Path(name).unlink(missing_ok=True)
    sync_folder(path.parent)
    return True


def sync_folder(folder: Path) -> None:
    """Make the names in a folder outlive a power failure, where that can be asked for."""
    if sys.platform == "win32":
        return
    with contextlib.suppress(PermissionError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def text_of(path: Path) -> Secret[str]:
    """What a file says, of which nobody else knows.

    Raises:
        OSError: it is not there, or cannot be read.
        NotAFile, FileOpenToOthers, FileTooLong: see there.
    """
    with open(path, "rb", opener=_at_once) as file:
        found = os.fstat(file.fileno())  # of what was opened: the name may stand for another file already
        if not stat.S_ISREG(found.st_mode):
            raise NotAFile(path)
        if sys.platform != "win32" and found.st_mode & _OTHERS:
            raise FileOpenToOthers(path, stat.S_IMODE(found.st_mode))
        content = Secret(file.read(LONGEST_BYTES + 1))
    if len(content.reveal()) > LONGEST_BYTES:
        raise FileTooLong(path)
    return Secret(content.reveal().decode("utf-8", "surrogateescape"))


def _publish(made: Path, path: Path, *, replace: bool) -> None:
    if replace:
        made.replace(path)
    elif sys.platform == "win32":
        made.rename(path)  # refuses to replace a file there
    else:
        os.link(made, path)


def _at_once(path: str, flags: int) -> int:
    """Without waiting for somebody to write into it, should it be a pipe."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
