"""A key-encryption key in a file that only its owner may read."""

from __future__ import annotations

import contextlib
import os
import stat
import sys
import tempfile
from pathlib import Path

from byjy_events.sealing.errors import InsecureKeyFile, InvalidKey, KeyUnavailable
from byjy_events.sealing.key_source import KeySource
from byjy_events.sealing.local_key import LocalKey, key_of, new_key_text
from byjy_events.secret import Secret

_LONGEST_BYTES = 4096
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


class KeyFile(KeySource):
    """A key in a file of mode 0600, made at the first use.

    The file appears whole or not at all, and never takes the place of another: of any number of processes that find
    none, one makes it, and all use that one. Losing it is losing every secret: keep a copy of it apart from the
    database and its backups.
    """

    def __init__(self, path: str | os.PathLike[str], *, create: bool = True) -> None:
        """A key file that is not looked at yet.

        Args:
            create: whether to make the file if there is none; not so for a key that is about to be retired.
        """
        super().__init__()
        self._path = Path(path)
        self._create = create

    def __repr__(self) -> str:
        return f"KeyFile({str(self._path)!r})"

    def read(self) -> LocalKey:
        """The key in the file.

        Raises:
            KeyUnavailable: there is no file and none may be made, or it cannot be read.
            InsecureKeyFile: others than its owner may read or write it.
            InvalidKey: it holds no key.
        """
        try:
            if self._create:
                self._make()
            return key_of(self._source, _text(self._source, self._path))
        except OSError as error:
            raise KeyUnavailable(self._source, error.strerror or str(error)) from None

    @property
    def _source(self) -> str:
        return f"key file {self._path}"

    def _make(self) -> None:
        if not self._path.exists():
            self._write()
        # Whoever made it: the name has to outlive a power failure before anything is wrapped by the key.
        with contextlib.suppress(PermissionError):
            _sync_folder(self._path.parent)

    def _write(self) -> None:
        descriptor, name = tempfile.mkstemp(prefix=f".{self._path.name}.", dir=self._path.parent)  # of mode 0600
        try:
            with open(descriptor, "wb") as file:  # noqa: PTH123 - it is no path
                file.write(new_key_text().reveal().encode() + b"\n")
                file.flush()
                os.fsync(descriptor)
            with contextlib.suppress(FileExistsError):  # another process was faster
                _publish(Path(name), self._path)
        finally:
            Path(name).unlink(missing_ok=True)


def _publish(made: Path, path: Path) -> None:
    """Give the file its name, unless there is one of that name."""
    if sys.platform == "win32":
        made.rename(path)  # refuses to replace a file there
    else:
        os.link(made, path)


def _sync_folder(folder: Path) -> None:
    if sys.platform != "win32":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _at_once(path: str, flags: int) -> int:
    """Without waiting for somebody to write into it, should it be a pipe."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _text(source: str, path: Path) -> Secret[str]:
    with open(path, "rb", opener=_at_once) as file:
        found = os.fstat(file.fileno())  # of what was opened: the name may stand for another file already
        if not stat.S_ISREG(found.st_mode):
            raise InvalidKey(source, "not a file")
        if sys.platform != "win32" and found.st_mode & _OTHERS:
            raise InsecureKeyFile(source, stat.S_IMODE(found.st_mode))
        return Secret(file.read(_LONGEST_BYTES).decode("latin-1"))
