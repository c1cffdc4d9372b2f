"""The campaign: lives are started and killed at random moments, and then the log is held against the receipts.

``python -m tests.crash.campaign --kills 5000`` runs it on a fresh SQLite file and on a PostgreSQL of its own;
``--database URL`` on one database, which must be empty.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import asyncpg

from byjy_events import EventLog, Recorded
from byjy_events.database import is_sqlite, parse_url, sqlite_path
from byjy_events.leaf import content_hash, leaf_hash
from tests.postgres import Server

AT_ONCE = 2
"""Lives at any moment: the survivor goes on appending while the other one dies."""

LONGEST_SECONDS = 0.12
ROOT = Path(__file__).resolve().parents[2]


class Outcome(NamedTuple):
    """What a campaign found; ``faults`` is empty if all is well."""

    kills: int
    acknowledged: int
    stored: int
    faults: list[str]

    def __str__(self) -> str:
        verdict = "nothing lost" if not self.faults else "; ".join(self.faults)
        return f"{self.kills} kills, {self.acknowledged} acknowledged, {self.stored} stored: {verdict}"


def campaign(url: str, kills: int, acknowledgements: Path, seed: int = 1) -> Outcome:
    """Kill so many lives, and look what is left."""
    faults: list[str] = []
    asyncio.run(_migrate(url))  # which takes longer than any life
    shares = [kills // AT_ONCE + (number < kills % AT_ONCE) for number in range(AT_ONCE)]
    killers = [
        threading.Thread(target=_kill, args=(url, share, acknowledgements, random.Random(seed * 1000 + n), faults))
        for n, share in enumerate(shares)
    ]
    for killer in killers:
        killer.start()
    for killer in killers:
        killer.join()
    outcome = asyncio.run(verify(url, kills, acknowledgements, faults))
    if outcome.acknowledged < kills / 10:
        faults.append("too little was acknowledged to prove anything")
    return outcome


async def _migrate(url: str) -> None:
    async with EventLog.open(url):
        pass


def _kill(url: str, kills: int, acknowledgements: Path, chance: random.Random, faults: list[str]) -> None:
    with _nursery() as (ask, answer):
        for _ in range(kills):
            ask.write(f"{url}\t{acknowledgements}\n")
            ask.flush()
            child = int(answer.readline())
            time.sleep(chance.random() * LONGEST_SECONDS)
            os.kill(child, signal.SIGKILL)
            status = int(answer.readline())
            if not os.WIFSIGNALED(status):
                faults.append(f"a life ended by itself with status {status}")


@contextlib.contextmanager
def _nursery() -> Iterator[tuple]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.crash.appender"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    with process:
        yield process.stdin, process.stdout


async def verify(url: str, kills: int, acknowledgements: Path, faults: list[str]) -> Outcome:
    """Hold the log against the receipts that were written down."""
    acknowledged = _acknowledged(acknowledgements)
    await asyncio.sleep(0.2)  # PostgreSQL may still finish the last statement of a client that is gone
    places: dict[str, int] = {}
    correlations: Counter[str] = Counter()
    versions: Counter[object] = Counter()
    stored = 0
    async with EventLog.open(url) as log:  # CorruptLog would tell of a gap
        async for chunk in log.read_chunks():
            for recorded in chunk:
                stored += 1
                places[recorded.event_id.hex] = recorded.position
                versions[recorded.stream] += 1
                if recorded.stream_version != versions[recorded.stream]:
                    faults.append(f"{recorded.position}: version {recorded.stream_version} of {recorded.stream}")
                if recorded.leaf_hash != _leaf(recorded):
                    faults.append(f"{recorded.position}: wrong leaf hash")
                if recorded.correlation_id is not None:
                    correlations[recorded.correlation_id.hex] += 1
    if len(places) != stored:
        faults.append(f"{stored - len(places)} events stored twice")
    lost = [event_id for event_id, position in acknowledged.items() if places.get(event_id) != position]
    if lost:
        faults.append(f"{len(lost)} acknowledged events lost or elsewhere, e.g. {lost[0]}")
    halves = [one for one, events in correlations.items() if events not in (1, 3)]
    if halves:
        faults.append(f"{len(halves)} appends stored by half, e.g. {halves[0]}")
    faults += _file_faults(url)
    return Outcome(kills, len(acknowledged), stored, faults)


def _acknowledged(path: Path) -> dict[str, int]:
    if not path.exists():
        return {}
    whole = (line.split() for line in path.read_text().split("\n") if line.endswith(" ."))
    return {event_id: int(position) for event_id, position, _ in whole}


def _leaf(recorded: Recorded) -> bytes:
    content = content_hash(
        recorded.event_id_bytes, recorded.category, recorded.stream_id_bytes, recorded.type, recorded.schema_version,
        recorded.payload, recorded.occurred_at, recorded.received_at, recorded.actor,
        recorded.correlation_id_bytes, recorded.causation_id_bytes,
    )  # fmt: skip
    return leaf_hash(content, recorded.position, recorded.stream_version, recorded.recorded_at)


def _file_faults(url: str) -> list[str]:
    parsed = parse_url(url)
    if not is_sqlite(parsed):
        return []
    with contextlib.closing(sqlite3.connect(sqlite_path(parsed))) as connection:
        (answer,) = connection.execute("PRAGMA integrity_check").fetchone()
    return [] if answer == "ok" else [f"integrity_check: {answer}"]


def _fresh_databases() -> Iterator[tuple[str, str]]:
    """A name and a URL for each kind of database, gone afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        yield "SQLite", f"sqlite:///{folder}/crash.db"
    with Server() as server:
        asyncio.run(_create(server))
        yield "PostgreSQL", server.url("crash")


async def _create(server: Server) -> None:
    connection = await asyncpg.connect(server.url("postgres"))
    await connection.execute("CREATE DATABASE crash")
    await connection.close()


def main() -> int:
    """Run the campaign from the command line; 1 if anything was lost."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--database", help="an empty database; both kinds, each with half of the kills, if not given")
    arguments = parser.parse_args()
    given = [(arguments.database, arguments.database)] if arguments.database else None
    failed = False
    for name, url in given or _fresh_databases():
        with tempfile.TemporaryDirectory() as folder:
            kills = arguments.kills if given else arguments.kills // 2
            outcome = campaign(url, kills, Path(folder) / "acknowledged", arguments.seed)
        print(f"{name}, seed {arguments.seed}: {outcome}", flush=True)
        failed = failed or bool(outcome.faults)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
