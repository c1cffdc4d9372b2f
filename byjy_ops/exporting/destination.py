"""Where exports go: files that are there whole or not at all, or a stream.

A file is written under another name in the same folder, ``.NAME.….part``, and gets its own name when all of it is on
the disk. The manifest comes last, and one of before goes first. So whatever happens, a file beside a manifest is the
one that the manifest tells of.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from byjy_events.private_file import sync_folder
from byjy_ops.errors import OutputClosed
from byjy_ops.exporting.errors import OutputExists, OutputUnwritable

_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}


class Destination:
    """Takes the bytes of an export, and counts and hashes them. A context that is left without :meth:`publish` leaves
    nothing behind.

    Args:
        output: a file to make, or a stream to write to; the stream is not closed.
        manifest: the file for the manifest; None: there is to be none.
        force: whether files that are there are replaced.
    """

    def __init__(self, output: Path | BinaryIO, manifest: Path | None, *, force: bool) -> None:
        self._force = force
        self._hash = hashlib.sha256()
        self._size = 0
        self._path = output if isinstance(output, Path) else None
        self._stream = None if isinstance(output, Path) else output
        self._manifest = manifest
        self._part: PartFile | None = None

    def open(self) -> None:
        """Begin the file.

        Raises:
            OutputExists: a file is there, and is not to be replaced.
            OutputUnwritable: the folder is not there, or cannot be written to; what lies there is no file, or both are
                to be the same one.
        """
        for path in (self._path, self._manifest):
            if path is not None:
                _refuse_occupied(path, force=self._force)
        if self._path is not None and self._manifest is not None and _same(self._path, self._manifest):
            raise OutputUnwritable(self._manifest, "the manifest would take the place of the export")
        if self._path is not None:
            self._part = PartFile(self._path)

    @property
    def sha256(self) -> str:
        """Of all that was written, in hexadecimal digits."""
        return self._hash.hexdigest()

    def write(self, data: bytes) -> int:
        """See :class:`byjy_ops.exporting.formats.Sink`."""
        if self._part is not None:
            self._part.write(data)
        elif self._stream is not None:
            _write_to(self._stream, data)
        self._hash.update(data)
        self._size += len(data)
        return len(data)

    def tell(self) -> int:
        """See :class:`byjy_ops.exporting.formats.Sink`."""
        return self._size

    def publish(self, manifest: bytes) -> None:
        """Give the file its name, and the manifest beside it; both are on the disk then.

        Raises:
            OutputExists: somebody else made such a file meanwhile.
            OutputUnwritable: nothing was left.
        """
        with contextlib.ExitStack() as parts:
            told = self._manifest_part(manifest)
            if told is not None:
                parts.callback(told.discard)
            if self._part is not None:
                self._part.sync()
                if self._force and self._manifest is not None:
                    _remove(self._manifest)
                self._part.place(force=self._force)
            if told is not None:
                try:
                    told.place(force=self._force)
                except BaseException:
                    if self._part is not None and not told.placed:
                        self._part.take_back()
                    raise

    def discard(self) -> None:
        """Remove what was not published. Safe to call twice, and after :meth:`publish`."""
        if self._part is not None:
            self._part.discard()

    def _manifest_part(self, manifest: bytes) -> PartFile | None:
        if self._manifest is None:
            return None
        part = PartFile(self._manifest)
        try:
            part.write(manifest)
            part.sync()
        except BaseException:
            part.discard()
            raise
        return part


class PartFile:
    """A file under another name, until it is whole.

    Attributes:
        placed: whether it has its own name.

    Raises:
        OutputUnwritable: it cannot be made.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._name = path.with_name(f".{path.name[:200]}.{secrets.token_hex(4)}.part")
        self.placed = False
        with _writing(path):
            self._file = self._name.open("xb")

    def write(self, data: bytes) -> None:
        """The next bytes."""
        with _writing(self.path):
            self._file.write(data)

    def sync(self) -> None:
        """Put all of it on the disk."""
        with _writing(self.path):
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()

    def place(self, *, force: bool) -> None:
        """Give it its name, durably."""
        with _writing(self.path):
            if force:
                self._name.replace(self.path)
            else:
                _link(self._name, self.path)
            self.placed = True
            self._name.unlink(missing_ok=True)
            sync_folder(self.path.parent)

    def take_back(self) -> None:
        """Remove what was placed; it is of no use alone."""
        if self.placed:
            _remove(self.path)

    def discard(self) -> None:
        """Remove it unless it was placed."""
        with contextlib.suppress(OSError):  # closing writes what is left, and the disk may be full
            self._file.close()
        with contextlib.suppress(OSError):
            self._name.unlink(missing_ok=True)


def _refuse_occupied(path: Path, *, force: bool) -> None:
    with _writing(path):
        if not path.name:
            raise OutputUnwritable(path, "is there, and is no file")
        if not path.parent.is_dir():
            raise OutputUnwritable(path, f"there is no folder {path.parent}")
        try:
            mode = path.stat().st_mode
        except FileNotFoundError:
            return
    if not stat.S_ISREG(mode):
        raise OutputUnwritable(path, "is there, and is no file")
    if not force:
        raise OutputExists(path)


def _same(one: Path, other: Path) -> bool:
    with _writing(one):
        return one.parent.resolve() / one.name == other.parent.resolve() / other.name


def _link(made: Path, path: Path) -> None:
    try:
        os.link(made, path)
    except FileExistsError:
        raise OutputExists(path) from None
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        if path.exists():  # a file system without links cannot do the two in one
            raise OutputExists(path) from None
        made.rename(path)


def _remove(path: Path) -> None:
    with _writing(path):
        path.unlink(missing_ok=True)
        sync_folder(path.parent)


def _write_to(stream: BinaryIO, data: bytes) -> None:
    try:
        rest = memoryview(data)
        while rest:  # a raw stream may take a part only
            rest = rest[stream.write(rest) :]
        stream.flush()
    except BrokenPipeError:
        raise OutputClosed from None
    except OSError as error:
        raise OutputUnwritable(Path(str(getattr(stream, "name", stream))), error.strerror or str(error)) from error


@contextlib.contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputUnwritable(path, error.strerror or str(error)) from error
