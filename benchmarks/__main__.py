"""``python -m benchmarks [NAME ...] [--quick]``. Exit status 1 when a floor is missed."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from rich.console import Console

from benchmarks import (
    appending,
    auditing,
    backing_up,
    backing_up_postgresql,
    copying,
    growing,
    importing,
    inline,
    lag,
    memory,
    opening,
    postgresql,
    querying,
    reading,
    rebuilding,
    restoring,
    rotation,
)
from benchmarks.bench import Bench
from benchmarks.figure import Figure
from benchmarks.machine import machine
from benchmarks.report import print_table, write_json
from byjy_ops.cli import SWITCH_SECONDS

MEASUREMENTS: dict[str, Callable[[Bench], Awaitable[list[Figure]]]] = {
    "append": appending.measure,
    "inline": inline.measure,
    "lag": lag.measure,
    "read": reading.measure,
    "import": importing.measure,
    "rebuild": rebuilding.measure,
    "rotate": rotation.measure,
    "audit": auditing.measure,
    "memory": memory.measure,
    "open": opening.measure,
    "query": querying.measure,
    "grow": growing.measure,
    "copy": copying.measure,
    "backup": backing_up.measure,
    "backup-postgresql": backing_up_postgresql.measure,
    "restore": restoring.measure,
    "postgresql": postgresql.measure,
}

ROUNDS = 5
QUICK_ROUNDS, QUICK_SCALE = 2, 0.1
FLOOR_MISSED = 1


def main() -> int:
    """Run what the command line asks for."""
    options = _options()
    console = Console()
    sys.setswitchinterval(options.switch_interval / 1000)
    with tempfile.TemporaryDirectory(prefix="byjy-bench-", dir=options.folder) as folder:
        rounds, scale = (QUICK_ROUNDS, QUICK_SCALE) if options.quick else (ROUNDS, 1.0)
        bench = Bench(Path(folder), rounds=rounds, scale=scale)
        about = machine(bench.folder)
        figures = asyncio.run(_measured(bench, options.names or list(MEASUREMENTS)))
    print_table(console, about, figures)
    write_json(options.json, about, figures)
    console.print(f"every round: {options.json}", style="dim", highlight=False)
    return FLOOR_MISSED if any(figure.missed for figure in figures) else 0


async def _measured(bench: Bench, names: Sequence[str]) -> list[Figure]:
    figures = []
    for name in names:
        print(f"measuring {name} ...", file=sys.stderr)
        figures += await MEASUREMENTS[name](bench)
    return figures


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="How fast, as a table and as JSON.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(MEASUREMENTS)}; none: all")
    parser.add_argument("--quick", action="store_true", help="a tenth of the work: to see that it runs, not how fast")
    parser.add_argument("--json", type=Path, default=Path("build/benchmarks.json"), help="default: %(default)s")
    parser.add_argument("--folder", type=Path, help="where the databases are made; default: the temporary folder")
    parser.add_argument(
        "--switch-interval", type=float, default=SWITCH_SECONDS * 1000, metavar="MS",
        help="how long a thread may keep the interpreter from another; Python sets 5, byjy: %(default)s",
    )  # fmt: skip
    options = parser.parse_args()
    if unknown := [name for name in options.names if name not in MEASUREMENTS]:
        parser.error(f"no measurement {', '.join(unknown)}; there are {', '.join(MEASUREMENTS)}")
    return options


if __name__ == "__main__":
    sys.exit(main())
