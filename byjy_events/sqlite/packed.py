"""A chunk of the log as one row: each column of it packed into one value.

The driver takes the interpreter lock back after every row. One row for a thousand events leaves the lock alone while
SQLite works, so that reading beside a busy event loop costs it next to nothing; unpacking is then half the work that
the driver would have with the rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import accumulate, pairwise
from typing import Any, NamedTuple

import msgspec

from byjy_events.chunk import Chunk
from byjy_events.query import COLUMNS


class NotPackable(Exception):
    """The rows are not such as this program writes: read them one by one, to say what is wrong with them."""


def packed(select: str) -> str:
    """The statement that gives the rows of another one as one row."""
    expressions = (one.format(name) for name, packing in _COLUMNS for one in packing.expressions)
    return f"SELECT {', '.join(expressions)} FROM ({select})"  # noqa: S608


def unpacked(row: Sequence[Any]) -> Chunk:
    """The chunk that was packed.

    Raises:
        NotPackable: they cannot be told apart again.
    """
    if row[0] == "[]":
        return []
    values = iter(row)
    try:
        chunk = [packing.unpack(*(next(values) for _ in packing.expressions)) for _, packing in _COLUMNS]
    except (ValueError, TypeError, msgspec.MsgspecError) as error:
        raise NotPackable(str(error)) from error
    if len({len(column) for column in chunk}) != 1:
        raise NotPackable("some of the columns are shorter")
    return chunk


class _Packing(NamedTuple):
    expressions: tuple[str, ...]
    unpack: Callable[..., list[Any]]


def _as_json(of: Any) -> _Packing:
    return _Packing(("json_group_array({})",), msgspec.json.Decoder(list[of]).decode)


def _joined(width: int) -> _Packing:
    """Values that all have the same number of bytes.

    SQLite joins them as text, which in a UTF-8 database, and no other is made here, leaves every byte as it is. In
    another encoding their number would change, and no chunk come of it.
    """
    return _Packing(("CAST(group_concat({}, '') AS BLOB)",), partial(_cut, width=width))


def _cut(joined: bytes, width: int) -> list[bytes]:
    if len(joined) % width:
        raise ValueError(f"{len(joined)} bytes are no multiple of {width}")
    return [joined[start : start + width] for start in range(0, len(joined), width)]


def _in_pieces(lengths: str, joined: bytes) -> list[bytes]:
    ends = list(accumulate(_numbers(lengths), initial=0))
    if ends[-1] != len(joined):
        raise ValueError(f"{len(joined)} bytes are not the sum of the payloads")
    return [joined[start:end] for start, end in pairwise(ends)]


def _from_hex_or_null(joined: str) -> list[bytes | None]:
    return [None if one is None else bytes.fromhex(one) for one in _texts_or_null(joined)]


_numbers = msgspec.json.Decoder(list[int]).decode
_texts_or_null = msgspec.json.Decoder(list[str | None]).decode

_INTEGER, _TEXT, _ID, _HASH = _as_json(int), _as_json(str), _joined(16), _joined(32)
_INTEGER_OR_NULL = _as_json(int | None)
_ID_OR_NULL = _Packing(("json_group_array(CASE WHEN {0} IS NOT NULL THEN hex({0}) END)",), _from_hex_or_null)
# Payloads are JSON, which is text without zero bytes; the length of each tells them apart again.
_JSON = _Packing(("json_group_array(length({}))", "CAST(group_concat({}, '') AS BLOB)"), _in_pieces)

_COLUMNS = list(
    zip(
        COLUMNS.split(", "),
        (
            _INTEGER, _ID, _TEXT, _ID, _INTEGER, _TEXT, _INTEGER, _JSON,
            _INTEGER_OR_NULL, _INTEGER, _INTEGER, _TEXT, _ID_OR_NULL, _ID_OR_NULL, _HASH,
        ),
        strict=True,
    )
)  # fmt: skip
