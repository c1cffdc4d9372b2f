"""The figures as a table for people, and as JSON for comparing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table

from benchmarks.figure import Figure


def print_table(console: Console, about: Mapping[str, str], figures: Sequence[Figure]) -> None:
    """Every figure with its floor."""
    table = Table(title="byjy-events, medians", title_justify="left")
    for header, justify in (("", "left"), ("median", "right"), ("unit", "left"), ("floor", "right"), ("", "left")):
        table.add_column(header, justify="right" if justify == "right" else "left")
    table.add_column("seen beside it")
    for figure in figures:
        table.add_row(figure.name, _number(figure.value), figure.unit, _floor(figure), _verdict(figure), figure.note)
    console.print(table)
    console.print(", ".join(f"{name} {value}" for name, value in about.items()), style="dim", highlight=False)


def write_json(path: Path, about: Mapping[str, str], figures: Sequence[Figure]) -> None:
    """Every figure with all its rounds."""
    path.parent.mkdir(parents=True, exist_ok=True)
    listed = [{**msgspec.to_builtins(figure), "median": figure.value, "missed": figure.missed} for figure in figures]
    document = {"machine": about, "figures": listed}
    path.write_bytes(msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n")


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1_000 else f"{value:.2f}"


def _floor(figure: Figure) -> str:
    if figure.floor is None:
        return ""
    return f"{'≤' if figure.floor.at_most else '≥'} {_number(figure.floor.value)}"


def _verdict(figure: Figure) -> str:
    if figure.floor is None:
        return ""
    return "[red]missed[/red]" if figure.missed else "[green]met[/green]"
