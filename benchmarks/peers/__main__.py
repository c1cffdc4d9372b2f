"""``python -m benchmarks.peers [--quick]``: make the environments, run everybody in turns, tell the figures."""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import subprocess
import sys
import tempfile
import venv
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import msgspec
from msgspec import Struct
from rich.console import Console

from benchmarks.figure import Figure, Floor, milliseconds
from benchmarks.machine import machine
from benchmarks.report import print_table, write_json
from benchmarks.workload import producers
from tests.postgres import Server

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
ENVIRONMENTS = ROOT / "build" / "peers"

OURS = "byjy-events"
PEERS = {"eventsourcing": "with_eventsourcing.py", "eventsource-py": "with_eventsource_py.py"}
"""The script of each; what is installed for it stands in a file of its name."""

EVENTS = {1: 1_000, 100: 5_000}
"""Events of a round by number of producers."""

ROUNDS, QUICK_ROUNDS = 5, 1
FACTORS = {("SQLite", 100): Floor(15)}
"""How many times as fast as ``eventsourcing`` ours has to be."""

PROJECTING_FACTOR = Floor(25)
"""The same, for projecting from nothing: ours into all tables of orders, trades and positions, theirs into one."""


class Round(Struct):
    """What a script prints, in seconds.

    Attributes:
        appending, reading: all of it.
        projecting: all of it, from nothing; None: not measured.
        times: each append until it was acknowledged.
    """

    appending: float
    reading: float
    times: list[float]
    projecting: float | None = None


def main() -> int:
    """Measure, and tell. Exit status 1 when a floor is missed."""
    options = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__)
    options.add_argument("--quick", action="store_true", help="one round: to see that it runs, not how fast")
    options.add_argument("--json", type=Path, default=Path("build/peers.json"), help="default: %(default)s")
    told = options.parse_args()
    commands = {OURS: [sys.executable, "-m", "benchmarks.peers.with_byjy_events"]} | {
        name: [str(_environment(name)), str(HERE / script)] for name, script in PEERS.items()
    }
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="byjy-peers-") as made:
        folder = Path(made)
        about = machine(folder)
        for database, fresh in (("SQLite", _files(folder)), ("PostgreSQL", _databases())):
            with fresh as new:
                for count, events in EVENTS.items():
                    rounds = QUICK_ROUNDS if told.quick else ROUNDS
                    workload = _written(folder, count, events)
                    figures += _figures(database, count, _in_turns(commands, workload, new, count, rounds))
    console = Console()
    print_table(console, about, figures)
    write_json(told.json, about, figures)
    return int(any(figure.missed for figure in figures))


def _environment(name: str) -> Path:
    """The interpreter of a peer's environment, which is made if it is not there, or of something else."""
    folder, wanted = ENVIRONMENTS / name, HERE / f"{name}.txt"
    python, made_of = folder / "bin" / "python", folder / "made-of.txt"
    if not made_of.exists() or made_of.read_bytes() != wanted.read_bytes():
        print(f"installing {name} ...", file=sys.stderr)
        venv.create(folder, with_pip=True, clear=True)
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", str(wanted)]
        subprocess.run(pip, check=True)
        made_of.write_bytes(wanted.read_bytes())
    return python


def _written(folder: Path, count: int, events: int) -> Path:
    path = folder / f"workload-{count}.json"
    scripts = [
        [
            {
                "stream": str(stream.id),
                "new": type(event).__name__ == "OrderPlaced",
                "type": type(event).__name__,
                "fields": _fields(event),
            }
            for stream, event, _ in script
        ]
        for script in producers(count, events)
    ]
    path.write_text(json.dumps(scripts))
    return path


def _fields(event: msgspec.Struct) -> dict[str, object]:
    """Those that the generated lifecycles set, as JSON has them."""
    told: dict[str, object] = msgspec.json.decode(msgspec.json.encode(event))
    return {name: value for name, value in told.items() if value not in (None, "") and name in _SET}


_SET = {
    "pair", "account", "side", "type", "quantity", "price", "client_order_id", "exchange_order_id", "execution_id",
    "fee", "fee_asset", "liquidity", "reason",
}  # fmt: skip


def _in_turns(
    commands: Mapping[str, Sequence[str]], workload: Path, new: Callable[[], str], count: int, rounds: int
) -> dict[str, list[Round]]:
    found: dict[str, list[Round]] = {name: [] for name in commands}
    for _, (name, command) in itertools.product(range(rounds), commands.items()):
        print(f"{name}, {count} producers ...", file=sys.stderr)
        environment = {**os.environ, "PYTHONPATH": str(ROOT) if name == OURS else ""}
        done = subprocess.run(
            [*command, str(workload), new(), str(count)], cwd=ROOT, env=environment, stdout=subprocess.PIPE, check=True
        )
        found[name].append(msgspec.json.decode(done.stdout, type=Round))
    return found


def _figures(database: str, count: int, found: Mapping[str, Sequence[Round]]) -> Iterator[Figure]:
    appends = {name: [len(one.times) / one.appending for one in rounds] for name, rounds in found.items()}
    reads = {name: [len(one.times) / one.reading for one in rounds] for name, rounds in found.items()}
    what = f"{count} producer{'s' if count > 1 else ''}, {database}"
    for name, rounds in found.items():
        p50, p99 = (milliseconds([one.times for one in rounds], percent) for percent in (50, 99))
        note = f"acknowledged p50 {p50:.2f} ms, p99 {p99:.2f} ms"
        yield Figure(name=f"append, {what}: {name}", unit="events/s", rounds=appends[name], note=note)
    for name in PEERS:
        ratios = [ours / theirs for ours, theirs in zip(appends[OURS], appends[name], strict=True)]
        floor = FACTORS.get((database, count)) if name == "eventsourcing" else None
        yield Figure(name=f"append, {what}: ours against {name}", unit="ratio", rounds=ratios, floor=floor)
    if count == max(EVENTS):
        for name in found:
            yield Figure(name=f"read typed, {database}: {name}", unit="events/s", rounds=reads[name])
        yield from _projecting(database, found)


def _projecting(database: str, found: Mapping[str, Sequence[Round]]) -> Iterator[Figure]:
    rates = {
        name: [len(one.times) / one.projecting for one in rounds if one.projecting] for name, rounds in found.items()
    }
    theirs = "eventsourcing"
    if not rates[theirs]:
        return
    for name in (OURS, theirs):
        what = "its own table of orders" if name == theirs else "tables of orders, trades, positions and the others"
        yield Figure(name=f"project, {database}: {name}", unit="events/s", rounds=rates[name], note=what)
    ratios = [one / other for one, other in zip(rates[OURS], rates[theirs], strict=True)]
    name = f"project, {database}: ours against {theirs}"
    yield Figure(name=name, unit="ratio", rounds=ratios, floor=PROJECTING_FACTOR)


@contextmanager
def _files(folder: Path) -> Iterator[Callable[[], str]]:
    numbers = itertools.count(1)
    yield lambda: str(folder / f"{next(numbers)}.db")


@contextmanager
def _databases() -> Iterator[Callable[[], str]]:
    """Fresh databases of a server of our own."""
    numbers = itertools.count(1)

    async def create(server: Server, name: str) -> None:
        connection = await asyncpg.connect(server.url("postgres"))
        await connection.execute(f"CREATE DATABASE {name}")
        await connection.close()

    def new(server: Server) -> str:
        name = f"peer_{next(numbers)}"
        asyncio.run(create(server, name))
        return server.url(name)

    with Server() as server:
        yield lambda: new(server)


if __name__ == "__main__":
    sys.exit(main())
