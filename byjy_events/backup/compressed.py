"""Files compressed with Zstandard, and back, in constant memory; each byte is hashed on its way."""

from __future__ import annotations

import os
import threading
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

import zstandard

from byjy_events.backup.manifest import Content, private

if TYPE_CHECKING:
    from byjy_events.backup.target import Readable

CHUNK_BYTES = 1 << 20
LEVEL = 3
WINDOW_BYTES = 1 << 27
"""Whoever wants more memory to be decompressed was not made here."""


class Stopped(Exception):
    """Nobody waits for the result any more."""


class Damaged(Exception):
    """The file is not what it was. Its one argument says in what way."""


def compress(plain: Path, packed: Path, stop: threading.Event) -> tuple[Content, Content]:
    """Compress a file into another one, durably; the answer is what they hold, plain and compressed.

    Raises:
        OSError: one cannot be read, or the other written.
        Stopped: asked to.
    """
    with plain.open("rb") as source, open(packed, "xb", opener=private) as file:
        read, written = _HashedSource(source, stop), _HashedSink(file, stop)
        compressor = zstandard.ZstdCompressor(level=LEVEL, write_checksum=True).compressobj()
        while chunk := read.read(CHUNK_BYTES):
            written.write(compressor.compress(chunk))
        written.write(compressor.flush())
        file.flush()
        os.fsync(file.fileno())
    return read.content, written.content


def decompress(packed: Readable, target: BinaryIO, compressed: Content, plain: Content, stop: threading.Event) -> None:
    """Decompress a file into another one, both open, and hold both against what they have to be.

    Raises:
        Damaged: they are not that; the target holds some of it, never more than it should.
        OSError: one cannot be read, or the other written.
        Stopped: asked to.
    """
    read, written = _HashedSource(packed, stop), _HashedSink(target, stop)
    try:
        reader = zstandard.ZstdDecompressor(max_window_size=WINDOW_BYTES).stream_reader(cast("BinaryIO", read))
        while chunk := reader.read(CHUNK_BYTES):
            written.write(chunk)
            if written.size > plain.size:
                raise Damaged(f"it decompresses to more than {plain.size} bytes")
    except zstandard.ZstdError as error:
        raise Damaged(f"it cannot be decompressed: {error}") from None
    while read.read(CHUNK_BYTES):
        pass  # what follows on the compressed data belongs to the file, too
    _compare("the compressed file", read.content, compressed)
    _compare("the database in it", written.content, plain)


def _compare(what: str, found: Content, expected: Content) -> None:
    if found.size != expected.size:
        raise Damaged(f"{what} has {found.size} bytes, not {expected.size}")
    if found.sha256 != expected.sha256:
        raise Damaged(f"{what} has another SHA-256 than its manifest says")


class _Hashed:
    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop
        self._hash = sha256()
        self.size = 0

    @property
    def content(self) -> Content:
        return Content(self.size, self._hash.hexdigest())

    def _seen(self, data: bytes) -> bytes:
        if self._stop.is_set():
            raise Stopped
        self._hash.update(data)
        self.size += len(data)
        return data


class _HashedSource(_Hashed):
    """A file that is read from its beginning on."""

    def __init__(self, file: Readable, stop: threading.Event) -> None:
        super().__init__(stop)
        self._file = file

    def read(self, count: int) -> bytes:
        return self._seen(self._file.read(count))


class _HashedSink(_Hashed):
    """A file that is written from its beginning on."""

    def __init__(self, file: BinaryIO, stop: threading.Event) -> None:
        super().__init__(stop)
        self._file = file

    def write(self, data: bytes) -> None:
        self._file.write(self._seen(data))
