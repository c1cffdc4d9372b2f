"""CSV by RFC 4180: a header, commas, CRLF, fields in quotes where they have to be.

An empty field is null, and an empty text is written ``""``; readers that tell the two apart (COPY of PostgreSQL,
pyarrow, csv of Python from 3.12 on) get exactly what was stored. The module csv of Python can neither write nor read
that before 3.12, so it is done here. Nothing is altered: a text that begins with ``=`` stays one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from byjy_ops.exporting.columns import Chunk, Column, ColumnType
from byjy_ops.exporting.formats import Row, Sink, WrongRow
from byjy_ops.exporting.json_lines import LONGEST_BYTES
from byjy_ops.exporting.spelling import SPELLINGS

_QUOTED = re.compile(r'[",\r\n]|^$|^\s|\s$')
_FIELD = re.compile(r'(?:"([^"]*(?:""[^"]*)*)"|([^",\r\n]*))(,|\r\n\Z)')


class CsvWriter:
    """See :class:`byjy_ops.exporting.formats.Writer`."""

    def __init__(self, sink: Sink, columns: Sequence[Column]) -> None:
        self._sink = sink
        self._columns = columns
        sink.write(header_of(columns))

    def write(self, chunk: Chunk) -> None:
        self._sink.write(records_of(self._columns, chunk))

    def close(self) -> None:
        pass

    def abandon(self) -> None:
        pass


def header_of(columns: Sequence[Column]) -> bytes:
    """The first line."""
    return _record([column.name for column in columns])


def records_of(columns: Sequence[Column], chunk: Chunk) -> bytes:
    """Rows as they are written."""
    fields = [_fields(column, values) for column, values in zip(columns, chunk, strict=True)]
    return b"".join(_record(row) for row in zip(*fields, strict=True))


def csv_rows(path: Path, columns: Sequence[Column]) -> Iterator[Row]:
    """See :func:`byjy_ops.exporting.formats.rows_of`."""
    with path.open("rb") as file:
        records = _records(file)
        header = next(records, (1, b""))[1]
        if header != header_of(columns):
            raise WrongRow("line 1", f"not the header {', '.join(column.name for column in columns)}")
        for number, record in records:
            place = f"line {number}"
            values = _values(place, record, columns)
            if records_of(columns, [[value] for value in values]) != record:
                raise WrongRow(place, "not spelled as it was written")
            yield Row(place, values)


def _fields(column: Column, values: Sequence[Any]) -> Sequence[str]:
    if column.type is ColumnType.TEXT:
        return ["" if value is None else _field(value) for value in values]
    text = SPELLINGS[column.type].text  # in which nothing needs quotes
    return ["" if value is None else text(value) for value in values]


def _field(text: str) -> str:
    return '"' + text.replace('"', '""') + '"' if _QUOTED.search(text) else text


def _record(fields: Sequence[str]) -> bytes:
    return f"{','.join(fields)}\r\n".encode()


def _records(file: IO[bytes]) -> Iterator[tuple[int, bytes]]:
    """Each record, with the number of the line that it begins in: one ends where all quotes are closed."""
    number = 1
    while line := file.readline(LONGEST_BYTES):
        lines = [line]
        quotes, size = line.count(b'"'), len(line)
        while quotes % 2 and (line := file.readline(LONGEST_BYTES)):
            lines.append(line)
            quotes, size = quotes + line.count(b'"'), size + len(line)
            if size > LONGEST_BYTES:
                raise WrongRow(f"line {number}", "a quote that is not closed")
        yield number, b"".join(lines)
        number += len(lines)


def _values(place: str, record: bytes, columns: Sequence[Column]) -> list[Any]:
    if not record.endswith(b"\r\n"):
        raise WrongRow(place, "cut off: it does not end in CRLF")
    try:
        texts = _texts(record.decode())
    except UnicodeDecodeError:
        raise WrongRow(place, "not UTF-8") from None
    if texts is None or len(texts) != len(columns):
        raise WrongRow(place, f"not {len(columns)} fields with commas between them")
    values = []
    for column, text in zip(columns, texts, strict=True):
        try:
            values.append(None if text is None else SPELLINGS[column.type].value(text))
        except ValueError as error:
            raise WrongRow(place, f"{column.name}: {error}") from None
    return values


def _texts(record: str) -> list[str | None] | None:
    """The fields of a record, None for one without anything; None: it is no record."""
    texts: list[str | None] = []
    at = 0
    while match := _FIELD.match(record, at):
        quoted, plain, end = match.groups()
        texts.append(quoted.replace('""', '"') if quoted is not None else plain or None)
        if end != ",":
            return texts
        at = match.end()
    return None
