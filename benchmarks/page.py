"""``python -m benchmarks.page``: docs/performance.md and its charts, of what the benchmarks wrote last.

No figure on that page is typed in by hand. Its words stand in ``page.md`` beside this file.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.figure import Floor
from benchmarks.told import Run, Told, read

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
WORDS = Path(__file__).resolve().with_name("page.md")


def main() -> int:
    """Write the page, and draw its charts."""
    from benchmarks.charts import draw  # matplotlib is not there unless somebody draws

    run, peers = read(ROOT / "build" / "benchmarks.json"), read(ROOT / "build" / "peers.json")
    draw(DOCS / "charts", run, peers)
    (DOCS / "performance.md").write_text(page(run, peers))
    return 0


def page(run: Run, peers: Run) -> str:
    """The text of the page."""
    filled = {
        "machine": _listed(run.machine),
        "figures": _table(run.figures),
        "peers": _table(peers.figures),
        "missed": _missed([*run.figures, *peers.figures]),
    }
    text = WORDS.read_text()
    for name, value in filled.items():
        text = text.replace(f"{{{name}}}", value)
    return text


def _listed(machine: dict[str, str]) -> str:
    told = {name: value for name, value in machine.items() if name != "disk"}
    told["file system"] = machine["disk"].partition(" ")[0]
    return ", ".join(f"{name} {value}" for name, value in told.items())


def _table(figures: Sequence[Told]) -> str:
    lines = ["| | median | | floor | | seen beside it |", "|---|---:|---|---:|---|---|"]
    for one in figures:
        floor, verdict = ("", "") if one.floor is None else (_floor(one.floor), "**missed**" if one.missed else "met")
        lines.append(f"| {one.name} | {_number(one.median)} | {one.unit} | {floor} | {verdict} | {one.note} |")
    return "\n".join(lines)


def _missed(figures: Sequence[Told]) -> str:
    floors = [one for one in figures if one.floor is not None]
    missed = [one for one in floors if one.missed]
    if not missed:
        return f"All {len(floors)} floors were met in this run."
    names = "; ".join(one.name for one in missed)
    return f"Of {len(floors)} floors {len(missed)} {'was' if len(missed) == 1 else 'were'} missed in this run: {names}."


def _floor(floor: Floor) -> str:
    return f"{'≤' if floor.at_most else '≥'} {_number(floor.value)}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1_000 else f"{value:.2f}"


if __name__ == "__main__":
    sys.exit(main())
