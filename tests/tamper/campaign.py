"""Many random tamperings, one after the other, each undone before the next: every one has to be found, and where.

``python -m tests.tamper.campaign --count 10000`` runs it by itself, on both databases.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import random
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path

import asyncpg

from byjy_events import EventLog
from byjy_events.database import is_sqlite, open_engine, parse_url
from byjy_events.proof.auditing import audit
from byjy_events.proof.finding import Audit
from tests.postgres import Server
from tests.tamper.sealed import restored, sealed_log, unguarded
from tests.tamper.sealed_file import SealedFile
from tests.tamper.tampering import TAMPERINGS, Expected, Tampering

Answer = tuple[Expected, Audit]
"""What is expected of an audit, and what it found."""

Kind = tuple[str, Callable[[random.Random], Awaitable[Answer]]]
"""A kind of tampering by its name."""


async def campaign(url: str, seeds: Sequence[int]) -> list[str]:
    """Tamper once for each seed, with every kind in turn. Returns what was not found, or blamed on another position."""
    missed = []
    async with tamperer(url) as tamper, _flipper(url) as flip:
        kinds: list[Kind] = [(one.__name__, partial(tamper, one)) for one in TAMPERINGS]
        kinds += [("bytes_flipped", flip)] if flip is not None else []
        for number, seed in enumerate(seeds):
            name, done = kinds[number % len(kinds)]
            if wrong := verdict(*await done(random.Random(seed))):
                missed.append(f"{name} with seed {seed}: {wrong}")
    return missed


@contextlib.asynccontextmanager
async def tamperer(url: str) -> AsyncIterator[Callable[[Tampering, random.Random], Awaitable[Answer]]]:
    """A sealed log, and a function that tampers with it, as it was, and says what is expected of an audit and found."""
    sealed = await sealed_log(url)
    await unguarded(url)
    engine = open_engine(parse_url(url), writable=True)
    async with EventLog.open(url, read_only=True) as log:

        async def tamper(tampering: Tampering, chance: random.Random) -> Answer:
            async with engine.begin() as connection:
                await restored(connection)
                expected = await tampering(connection, chance)
            return expected, await audit(log, sealed.trusted, sealed.notes)

        yield tamper
    await engine.dispose()


@contextlib.asynccontextmanager
async def _flipper(url: str) -> AsyncIterator[Callable[[random.Random], Awaitable[Answer]] | None]:
    """A function that flips a bit in the file of another sealed log, where the database is a file."""
    if not is_sqlite(parse_url(url)):
        yield None
        return
    with tempfile.TemporaryDirectory() as folder:
        yield (await SealedFile.made(Path(folder) / "sealed.db")).flipped


def verdict(expected: Expected, found: Audit) -> str | None:
    """What is wrong with the findings; None: nothing."""
    if not found.findings:
        return f"nothing was found, {expected} was expected"
    first = found.findings[0]
    if not first.first <= expected.position <= first.last:
        return f"{first} does not hold {expected}"
    if expected.until is not None and (innocent := [one for one in found.findings if one.first > expected.until]):
        return f"{innocent[:3]} behind {expected}"
    if expected.exact:
        named = {finding.kind for finding in found.findings if finding.first == finding.last == expected.position}
        return None if named & expected.kinds else f"{found.findings[:3]} do not name {expected}"
    return None if first.kind in expected.kinds else f"{first} is of another kind than {expected}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--database", choices=("sqlite", "postgresql"))
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    databases = [asked.database] if asked.database else ["sqlite", "postgresql"]
    missed: Counter[str] = Counter()
    for database in databases:
        seeds = range(asked.seed, asked.seed + asked.count // len(databases))
        for line in asyncio.run(_on(database, seeds)):
            missed[database] += 1
            print(f"{database}: {line}")
        print(f"{database}: {len(seeds)} tamperings, {missed[database]} not found or blamed on another position")
    return 1 if missed else 0


async def _on(database: str, seeds: Sequence[int]) -> list[str]:
    if database == "sqlite":
        with tempfile.TemporaryDirectory() as folder:
            return await campaign(f"sqlite:///{Path(folder)}/log.db", seeds)
    with Server() as server:
        connection = await asyncpg.connect(server.url("postgres"))
        await connection.execute("CREATE DATABASE tamper")
        await connection.close()
        return await campaign(server.url("tamper"), seeds)


if __name__ == "__main__":
    sys.exit(main())
