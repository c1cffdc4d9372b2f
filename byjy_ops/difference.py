"""Differences between tables and log, for people and for programs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from byjy_ops.listing import text
from projections import DifferenceKind, RowDifference, TableDifference

_SAYING = {
    DifferenceKind.MISSING: "row is missing",
    DifferenceKind.SURPLUS: "row should not be there",
    DifferenceKind.DIFFERENT: "row differs",
}


def counted(table: TableDifference) -> dict[str, Any]:
    """How many rows differ, as JSON has it."""
    counts = {"missing": table.missing, "surplus": table.surplus, "different": table.different}
    return {"table": str(table.table), **counts}


def as_json(row: RowDifference) -> dict[str, Any]:
    """One row: its key, and by column what is stored and what should be."""
    columns = {str(name): {"stored": stored, "should_be": due} for name, (stored, due) in row.columns.items()}
    key = {str(name): value for name, value in row.key.items()}
    return {"table": str(row.table), "kind": row.kind.value, "key": key, "columns": columns}


def overview(tables: Sequence[TableDifference]) -> str:
    """A line for each table that differs; empty: none does."""
    differing = [(one.table, str(one.missing), str(one.surplus), str(one.different)) for one in tables if one.count]
    lines = _aligned([("table", "missing", "surplus", "different"), *differing], right=True)
    return "".join(lines) if differing else ""


def column_by_column(row: RowDifference) -> str:
    """One row: what is stored beside what should be."""
    key = ", ".join(f"{name} {_shown(value)}" for name, value in row.key.items())
    sides = [name for name, kind in _SIDES if row.kind is not kind]
    lines = [("column", *sides)]
    for column, (stored, due) in row.columns.items():
        values = {"stored": stored, "should be": due}
        lines.append((column, *(_shown(values[side]) for side in sides)))
    body = _aligned(lines) if row.columns else ()
    return f"{row.table}, {key}: {_SAYING[row.kind]}\n{''.join(body)}"


_SIDES = (("stored", DifferenceKind.MISSING), ("should be", DifferenceKind.SURPLUS))
"""What is not there of a row of a kind, and so need not be shown."""


def unshown(table: TableDifference) -> Iterator[str]:
    """A sentence for each kind of difference of which there are more rows than examples."""
    shown = [row.kind for row in table.rows]
    counts = (table.missing, table.surplus, table.different)
    for kind, count in zip(DifferenceKind, counts, strict=True):
        if more := count - shown.count(kind):
            yield f"{table.table}: {more} more of the kind {kind.value}; --limit N, or 0 for all"


def _shown(value: Any) -> str:
    if value is None:
        return "NULL"
    blank = isinstance(value, str) and (value == "" or value != value.strip())
    return repr(value) if blank else text(value)


def _aligned(lines: Iterable[Sequence[str]], *, right: bool = False) -> list[str]:
    """Lines of a table, indented; the first column to the left, further ones where asked to the right."""
    lines = list(lines)
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    aligned = []
    for first, *others in lines:
        cells = [first.ljust(widths[0])]
        cells += [
            cell.rjust(width) if right else cell.ljust(width) for cell, width in zip(others, widths[1:], strict=True)
        ]
        aligned.append(f"  {'  '.join(cells).rstrip()}\n")
    return aligned
