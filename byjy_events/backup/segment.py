"""A segment: what happened to a log between two backups, or a part of it, as bytes that tell when they were changed.

::

    b"BYJYSEG1" | length of the head | length of the body | SHA-256 of head and body | head | body

The lengths are 4 bytes each, big-endian. The head is a MessagePack document: which log, which number, the SHA-256 of
the segment before, and how far it goes. The body is another one, compressed with Zstandard: columns of events, and rows
of the tables beside the log. Values are as SQLite stores them. Several segments may lie in one file one after the
other; each is read without the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from struct import Struct as Packing
from typing import Any, NamedTuple

import msgspec
import zstandard
from msgspec import Struct

FORMAT = 1
LEVEL = 3
LONGEST_BYTES = 1 << 32
"""A body that is longer when it is decompressed was not made here."""

_MAGIC = b"BYJYSEG1"
_LENGTHS = Packing(">II")
_DIGEST_BYTES = 32
_FIXED_BYTES = len(_MAGIC) + _LENGTHS.size + _DIGEST_BYTES


class Damaged(Exception):
    """What lies there is no segment, or not the one it was. Its one argument says in what way."""


class Tree(Struct, frozen=True):
    """How much of a tree is known.

    Attributes:
        size: of the newest checkpoint.
        nodes: stored subtrees of each level, from the lowest on.
    """

    size: int
    nodes: tuple[int, ...]


class Head(Struct, frozen=True):
    """What a segment says of itself.

    Attributes:
        log_id: the leaf hash of the first event; None: there was none yet.
        number: counts the segments of a folder.
        previous: the SHA-256 of the segment that it goes on from; empty: it begins behind a backup.
        created_at: nanoseconds UTC.
        every_seconds: how often one was promised.
        backup: the sequence number of the newest backup when its writer began; whatever the clocks say, it is younger.
        after, upto: positions; the events behind the first, up to the second, are in it.
        after_leaf, upto_leaf: their leaf hashes; None: of position 0.
        recorded_at: of the event at ``upto``; None: there is none.
        seen: the head of the log when the key store was read. Keys of all events up to it are known by then.
        last_log: the id of the newest system log that is known.
        tree: as far as it is known.
        erased: data keys in it that are erased, and when they were, nanoseconds UTC.
    """

    format: int
    log_id: bytes | None
    number: int
    previous: bytes
    created_at: int
    every_seconds: float
    backup: int
    after: int
    after_leaf: bytes | None
    upto: int
    upto_leaf: bytes | None
    recorded_at: int | None
    seen: int
    last_log: bytes
    tree: Tree
    erased: tuple[tuple[bytes, int], ...] = ()


class Rows(Struct, frozen=True):
    """Rows of a table."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]


class Body(Struct, frozen=True):
    """What is in a segment.

    Attributes:
        events: column by column, in the order of their names.
        tables: rows beside the log, by table.
    """

    columns: Sequence[str]
    events: Sequence[Sequence[Any]]
    tables: dict[str, Rows]


class Segment(NamedTuple):
    """A segment that is whole.

    Attributes:
        digest: by which the next one refers to it.
        data: all of it.
    """

    head: Head
    digest: bytes
    data: bytes

    def body(self) -> Body:
        """What is in it.

        Raises:
            Damaged: it cannot be decompressed, or is something else.
        """
        packed = self.data[_FIXED_BYTES + _LENGTHS.unpack_from(self.data, len(_MAGIC))[0] :]
        try:
            if not 0 <= zstandard.frame_content_size(packed) < LONGEST_BYTES:
                raise Damaged("it is too long")
            return msgspec.msgpack.decode(zstandard.ZstdDecompressor().decompress(packed), type=Body)
        except (zstandard.ZstdError, msgspec.MsgspecError) as error:
            raise Damaged(str(error)) from None


def sealed(head: Head, body: Body) -> Segment:
    """A segment of its parts."""
    said = msgspec.msgpack.encode(head)
    packed = zstandard.ZstdCompressor(level=LEVEL).compress(msgspec.msgpack.encode(body))
    digest = sha256(said + packed).digest()
    return Segment(head, digest, _MAGIC + _LENGTHS.pack(len(said), len(packed)) + digest + said + packed)


def segments_of(data: bytes) -> tuple[list[Segment], str | None]:
    """The segments in a file as far as they are whole, and what is wrong behind them; None: nothing is."""
    found: list[Segment] = []
    start = 0
    while start < len(data):
        try:
            found.append(_segment(data, start))
        except Damaged as error:
            return found, str(error)
        start += len(found[-1].data)
    return found, None if found else "empty"


def _segment(data: bytes, start: int) -> Segment:
    fixed = data[start : start + _FIXED_BYTES]
    if len(fixed) < _FIXED_BYTES:
        raise Damaged("torn: it ends too early")
    if not fixed.startswith(_MAGIC):
        raise Damaged("no segment")
    head_bytes, body_bytes = _LENGTHS.unpack_from(fixed, len(_MAGIC))
    begin = start + _FIXED_BYTES
    end = begin + head_bytes + body_bytes
    if len(data) < end:
        raise Damaged("torn: it ends too early")
    digest = fixed[-_DIGEST_BYTES:]
    if sha256(data[begin:end]).digest() != digest:
        raise Damaged("altered: it has another SHA-256")
    return Segment(_head(data[begin : begin + head_bytes]), digest, data[start:end])


def _head(said: bytes) -> Head:
    try:
        if msgspec.msgpack.decode(said, type=_Versioned).format > FORMAT:
            raise Damaged("a newer program wrote it")
        return msgspec.msgpack.decode(said, type=Head)
    except msgspec.MsgspecError as error:
        raise Damaged(str(error)) from None


class _Versioned(Struct):
    format: int
