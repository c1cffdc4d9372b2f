"""Reading exports back with readers that are not ours."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from byjy_ops.exporting import Column, ColumnType

Rows = list[dict[str, Any]]


def read_back(path: Path, columns: Sequence[Column]) -> Rows:
    """The rows of a file of any format, as the database has them: instants as nanoseconds, decimals as such."""
    reader = {".jsonl": json_rows, ".csv": csv_rows, ".parquet": parquet_rows}[path.suffix]
    return reader(path, columns)


def json_rows(path: Path, columns: Sequence[Column]) -> Rows:
    """By the standard library, and pairs of keys and values kept apart."""
    types = {column.name: column.type for column in columns}
    rows = []
    for line in path.read_bytes().decode().split("\n")[:-1]:
        pairs: list[tuple[str, Any]] = json.loads(line, object_pairs_hook=list, parse_float=_no_float)
        assert [name for name, _ in pairs] == list(types)
        rows.append({name: _value(types[name], value) for name, value in pairs})
    return rows


def csv_rows(path: Path, columns: Sequence[Column]) -> Rows:
    """By pyarrow, which tells an empty text from nothing; the standard library has to read the same texts."""
    names = [column.name for column in columns]
    table = pa.csv.read_csv(
        path,
        parse_options=pa.csv.ParseOptions(newlines_in_values=True),
        convert_options=pa.csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()),
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
            null_values=[""],
        ),
    )
    assert table.column_names == names
    found: list[dict[str, str | None]] = table.to_pylist()
    with path.open(newline="", encoding="utf-8") as file:
        plain = list(csv.reader(file, strict=True))
    assert plain == [names, *([row[name] or "" for name in names] for row in found)]
    return [{one.name: _value(one.type, row[one.name]) for one in columns} for row in found]


def parquet_rows(path: Path, columns: Sequence[Column]) -> Rows:
    """By pyarrow, with types as it finds them in the file."""
    table = pa.parquet.read_table(path)
    found: dict[str, list[Any]] = {}
    for field, column in zip(table.schema, columns, strict=True):
        assert (field.name, field.nullable) == (column.name, column.nullable)
        if column.type is ColumnType.INSTANT:
            assert field.type == pa.timestamp("ns", tz="UTC")
            found[field.name] = table[field.name].cast(pa.int64()).to_pylist()
        else:
            assert column.type is not ColumnType.DECIMAL or field.type == pa.decimal128(38, 18)
            found[field.name] = table[field.name].to_pylist()
    return [dict(zip(found, values, strict=True)) for values in zip(*found.values(), strict=True)]


def comparable(row: Any) -> dict[str, Any]:
    """A row of the database as exports have it."""
    return {name: _plain(value) for name, value in row._mapping.items()}


def nanoseconds(text: str) -> int:
    """Of an instant, by the standard library, which sees microseconds only; the rest by hand."""
    assert text[-1] == "Z"
    assert text[-11] == "."
    since = datetime.fromisoformat(text[:-11]) - datetime(1970, 1, 1)  # noqa: DTZ001
    return (since.days * 86_400 + since.seconds) * 10**9 + int(text[-10:-1])


def _plain(value: Any) -> Any:
    if isinstance(value, UUID):
        return str(value)
    return value.hex() if isinstance(value, bytes) else value


def _value(of: ColumnType, found: Any) -> Any:
    if found is None:
        return None
    if of is ColumnType.INSTANT:
        return nanoseconds(found)
    if of is ColumnType.DECIMAL:
        assert isinstance(found, str)
        return Decimal(found)
    if of is ColumnType.FLAG:
        return {"true": True, "false": False}[found] if isinstance(found, str) else found
    return int(found) if of is ColumnType.INTEGER else found


def _no_float(text: str) -> float:
    raise AssertionError(f"a float: {text}")
