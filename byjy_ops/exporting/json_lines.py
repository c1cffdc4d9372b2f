"""JSON Lines: an object a line, every column in it, in the order of the manifest.

Whole numbers are numbers, flags are true or false, everything else is a text, and what is not there is null. Lines end
in LF alone; inside texts msgspec escapes it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from byjy_ops.exporting.columns import Chunk, Column, ColumnType
from byjy_ops.exporting.formats import Row, Sink, WrongRow
from byjy_ops.exporting.spelling import SPELLINGS, in_range

LONGEST_BYTES = 64 << 20
"""A line that is longer is none of ours: what a log stores is far shorter."""

_AS_THEMSELVES = {ColumnType.INTEGER: int, ColumnType.FLAG: bool}
_AS_TEXT = {ColumnType.INSTANT, ColumnType.DECIMAL}
_encode = msgspec.json.Encoder().encode


class JsonLinesWriter:
    """See :class:`byjy_ops.exporting.formats.Writer`."""

    def __init__(self, sink: Sink, columns: Sequence[Column]) -> None:
        self._sink = sink
        self._columns = columns

    def write(self, chunk: Chunk) -> None:
        self._sink.write(lines_of(self._columns, chunk))

    def close(self) -> None:
        pass

    def abandon(self) -> None:
        pass


def lines_of(columns: Sequence[Column], chunk: Chunk) -> bytes:
    """Rows as they are written."""
    names = [column.name for column in columns]
    written = [_written(column, values) for column, values in zip(columns, chunk, strict=True)]
    lines = [_encode(dict(zip(names, row, strict=True))) for row in zip(*written, strict=True)]
    return b"".join(b"%s\n" % line for line in lines)


def json_rows(path: Path, columns: Sequence[Column]) -> Iterator[Row]:
    """See :func:`byjy_ops.exporting.formats.rows_of`."""
    names = [column.name for column in columns]
    readers = [_reader(column) for column in columns]
    with path.open("rb") as file:
        number = 0
        while line := file.readline(LONGEST_BYTES):
            number += 1
            place = f"line {number}"
            values = _values(place, line, names, readers)
            if lines_of(columns, [[value] for value in values]) != line:
                raise WrongRow(place, "not spelled as it was written")
            yield Row(place, values)


def _written(column: Column, values: Sequence[Any]) -> Sequence[Any]:
    if column.type not in _AS_TEXT:
        return values
    text = SPELLINGS[column.type].text
    return [None if value is None else text(value) for value in values]


def _values(place: str, line: bytes, names: list[str], readers: list[Callable[[Any], Any]]) -> list[Any]:
    if not line.endswith(b"\n"):
        raise WrongRow(place, "cut off: it does not end in a line feed")
    try:
        found = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise WrongRow(place, f"not JSON: {error}") from None
    if not isinstance(found, dict) or list(found) != names:
        raise WrongRow(place, f"not an object with the columns {', '.join(names)} in this order")
    values = []
    for name, read in zip(names, readers, strict=True):
        try:
            values.append(None if found[name] is None else read(found[name]))
        except ValueError as error:
            raise WrongRow(place, f"{name}: {error}") from None
    return values


def _reader(column: Column) -> Callable[[Any], Any]:
    plain = {_AS_THEMSELVES.get(column.type, str)}
    value_of = None if column.type in _AS_THEMSELVES else SPELLINGS[column.type].value

    def read(found: Any) -> Any:
        if type(found) not in plain:
            raise ValueError(f"expected {column.type}, found {type(found).__name__}")
        return in_range(found) if value_of is None else value_of(found)

    return read
