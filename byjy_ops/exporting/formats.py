"""The formats of exports."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from byjy_ops.exporting.columns import Chunk, Column
from byjy_ops.exporting.errors import FormatUnavailable, UnknownFormat


class Format(StrEnum):
    """By the ends of file names."""

    JSONL = "jsonl"
    CSV = "csv"
    PARQUET = "parquet"


class Sink(Protocol):
    """Takes the bytes of a file, one after the other."""

    def write(self, data: bytes) -> int:
        """Take all of it.

        Raises:
            OutputUnwritable, OutputClosed: it cannot.
        """
        ...

    def tell(self) -> int:
        """The bytes taken so far."""
        ...


class Writer(Protocol):
    """Writes rows in a format."""

    def write(self, chunk: Chunk) -> None:
        """The next rows."""
        ...

    def close(self) -> None:
        """Whatever comes behind the last row."""
        ...

    def abandon(self) -> None:
        """Give everything up; the file is thrown away."""
        ...


class Row(NamedTuple):
    """A row that was read.

    Attributes:
        place: where, e.g. ``line 17``, counted from 1.
        values: in the order of the columns.
    """

    place: str
    values: Sequence[Any]


class WrongRow(ValueError):
    """A row cannot be read, or is not what the manifest says.

    Attributes:
        place: where, e.g. ``line 17``; None: the file as a whole.
        reason: what is wrong.
    """

    def __init__(self, place: str | None, reason: str) -> None:
        self.place = place
        self.reason = reason
        super().__init__(reason if place is None else f"{place}: {reason}")


def format_of(path: Path | None, given: str | None) -> Format:
    """The format that is given, else the one that the end of the file's name tells; a stream gets JSON Lines.

    Raises:
        UnknownFormat: there is none such.
        FormatUnavailable: its library is not installed.
    """
    if given is None and path is None:
        return Format.JSONL
    name = given if given is not None else (path or Path()).suffix.removeprefix(".").lower()
    if name not in {str(one) for one in Format}:
        raise UnknownFormat(given if given is not None else (path or Path()).name, [str(one) for one in Format])
    found = Format(name)
    if found is Format.PARQUET:
        require_pyarrow()
    return found


def require_pyarrow() -> None:
    """
    Raises:
        FormatUnavailable: pyarrow is not installed.
    """
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError as error:
        raise FormatUnavailable("Parquet", "pyarrow", "parquet") from error


def writer_of(file_format: Format, sink: Sink, columns: Sequence[Column]) -> Writer:
    """What writes rows of these columns in a format."""
    if file_format is Format.JSONL:
        from byjy_ops.exporting.json_lines import JsonLinesWriter

        return JsonLinesWriter(sink, columns)
    if file_format is Format.CSV:
        from byjy_ops.exporting.csv_file import CsvWriter

        return CsvWriter(sink, columns)
    from byjy_ops.exporting.parquet_file import ParquetWriter

    return ParquetWriter(sink, columns)


def rows_of(file_format: Format, path: Path, columns: Sequence[Column]) -> Iterator[Row]:
    """The rows of a file, one after the other.

    Raises:
        WrongRow: a row, or the file as a whole, is not as it would have been written.
        FormatUnavailable: the library of the format is not installed.
        OSError: the file cannot be read.
    """
    if file_format is Format.JSONL:
        from byjy_ops.exporting.json_lines import json_rows

        return json_rows(path, columns)
    if file_format is Format.CSV:
        from byjy_ops.exporting.csv_file import csv_rows

        return csv_rows(path, columns)
    require_pyarrow()
    from byjy_ops.exporting.parquet_file import parquet_rows

    return parquet_rows(path, columns)
