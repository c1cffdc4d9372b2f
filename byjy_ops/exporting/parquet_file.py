"""Parquet, by pyarrow: exact types, and no text to be taken apart.

Instants are timestamp[ns, UTC], decimals decimal128(38, 18), UUIDs and hashes strings as in the other formats, since
every reader takes those. Rows are held back until a group of them is full; the footer, which grows by some kilobytes
with each group, is all else that is kept.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from byjy_events.numbers import PRECISION, SCALE, InexactNumber, canonical
from byjy_ops.exporting.columns import Chunk, Column, ColumnType
from byjy_ops.exporting.formats import Row, Sink, WrongRow
from byjy_ops.exporting.spelling import SPELLINGS

GROUP_ROWS = 50_000
GROUP_BYTES = 16 << 20
"""A group of rows is written as soon as it has so many rows, or takes so much memory."""

READ_ROWS = 2_000

_TYPES = {
    ColumnType.INTEGER: pa.int64(),
    ColumnType.TEXT: pa.string(),
    ColumnType.UUID: pa.string(),
    ColumnType.INSTANT: pa.timestamp("ns", tz="UTC"),
    ColumnType.DECIMAL: pa.decimal128(PRECISION, SCALE),
    ColumnType.FLAG: pa.bool_(),
    ColumnType.HASH: pa.string(),
}
_CHECKED = {ColumnType.UUID, ColumnType.HASH}


class ParquetWriter:
    """See :class:`byjy_ops.exporting.formats.Writer`."""

    def __init__(self, sink: Sink, columns: Sequence[Column]) -> None:
        self._schema = schema_of(columns)
        self._failed: BaseException | None = None
        self._sink = sink
        self._writer = pq.ParquetWriter(pa.PythonFile(_AsFile(sink), mode="w"), self._schema, compression="zstd")
        self._held: list[Any] = []
        self._rows = self._bytes = 0

    def write(self, chunk: Chunk) -> None:
        arrays = [pa.array(values, field.type) for values, field in zip(chunk, self._schema, strict=True)]
        batch = pa.record_batch(arrays, schema=self._schema)
        self._held.append(batch)
        self._rows += batch.num_rows
        self._bytes += batch.nbytes
        if self._rows >= GROUP_ROWS or self._bytes >= GROUP_BYTES:
            self._flush()

    def close(self) -> None:
        self._flush()
        self._writer.close()

    def abandon(self) -> None:
        with contextlib.suppress(Exception):  # it wants to write a footer, and the file may be what is wrong
            self._writer.close()

    def _flush(self) -> None:
        if self._held:
            self._writer.write_table(pa.Table.from_batches(self._held), row_group_size=self._rows)
        self._held = []
        self._rows = self._bytes = 0


class _AsFile:
    """A sink as pyarrow wants files to be."""

    closed = False

    def __init__(self, sink: Sink) -> None:
        self._sink = sink

    def write(self, data: bytes) -> int:
        return self._sink.write(bytes(data))

    def tell(self) -> int:
        return self._sink.tell()

    def flush(self) -> None:
        pass

    def close(self) -> None:
        pass


def schema_of(columns: Sequence[Column]) -> Any:
    """The schema of a file with these columns."""
    return pa.schema([pa.field(column.name, _TYPES[column.type], nullable=column.nullable) for column in columns])


def parquet_rows(path: Path, columns: Sequence[Column]) -> Iterator[Row]:
    """See :func:`byjy_ops.exporting.formats.rows_of`."""
    number = 0
    try:
        with pq.ParquetFile(path, pre_buffer=False) as file:
            _refuse_other_columns(file.schema_arrow, columns)
            for batch in file.iter_batches(READ_ROWS):
                found = [_values(column, batch.column(index)) for index, column in enumerate(columns)]
                for values in zip(*found, strict=True):
                    number += 1
                    yield Row(f"row {number}", _proved(f"row {number}", columns, values))
    except (pa.ArrowException, OSError, InexactNumber, UnicodeDecodeError) as error:
        behind = f" behind row {number}" if number else ""
        raise WrongRow(None, f"cannot be read as Parquet{behind}: {_first_line(error)}") from error


def _refuse_other_columns(found: Any, columns: Sequence[Column]) -> None:
    wanted = schema_of(columns)
    for index, field in enumerate(wanted):
        if index >= len(found) or not found.field(index).equals(field):
            has = "nothing" if index >= len(found) else _told(found.field(index))
            raise WrongRow(None, f"column {index + 1} is {has}, not {_told(field)}")
    if len(found) > len(wanted):
        raise WrongRow(None, f"column {len(wanted) + 1}, {_told(found.field(len(wanted)))}, is not in the manifest")


def _told(field: Any) -> str:
    return f"{field.name}: {field.type}{'' if field.nullable else ' not null'}"


def _values(column: Column, array: Any) -> list[Any]:
    if column.type is ColumnType.INSTANT:  # Python's datetime has no nanoseconds
        return array.cast(pa.int64()).to_pylist()  # type: ignore[no-any-return]
    if column.type is ColumnType.DECIMAL:
        return [None if value is None else canonical(value) for value in array.to_pylist()]
    return array.to_pylist()  # type: ignore[no-any-return]


def _proved(place: str, columns: Sequence[Column], values: Sequence[Any]) -> Sequence[Any]:
    for column, value in zip(columns, values, strict=True):
        if value is not None and column.type in _CHECKED:
            try:
                if SPELLINGS[column.type].value(value) != value:
                    raise ValueError(f"{value!r} is not spelled as it was written")
            except ValueError as error:
                raise WrongRow(place, f"{column.name}: {error}") from None
    return values


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
