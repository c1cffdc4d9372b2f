"""A migration while an engine of the older version appends: it waits, and nothing of it is lost."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import pytest

from byjy_events import EventLog, migrating
from byjy_events.schema import SCHEMA_REVISION
from tests.cli import ROOT, SECONDS, command, environment
from tests.revised import fill

DOCUMENTED = {"LogUnavailable", "OutcomeUnknown"}


@pytest.mark.parametrize(("found", "to"), [("0001", SCHEMA_REVISION), (SCHEMA_REVISION, "0011")])
async def test_an_engine_appends_through_a_migration(empty_database: str, found: str, to: str) -> None:
    """Before, during and after: what was acknowledged is there, in one gapless order."""
    await migrating.upgrade(empty_database, found)
    await asyncio.to_thread(fill, empty_database)
    engine = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.old_engine", empty_database, found),
        cwd=ROOT,
        env=environment(None),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    lines = engine.stdout
    assert lines is not None
    told: list[list[str]] = []

    async def listen(until: int) -> None:
        while sum(len(line) == 2 and line[0] != "refused" for line in told) < until:
            line = (await asyncio.wait_for(lines.readline(), SECONDS)).decode().split()
            assert line, told[-3:]
            told.append(line)

    assert (await lines.readline()) == b"ready\n"
    await listen(20)
    migration = await asyncio.create_subprocess_exec(
        *command("--database", empty_database, "migrate", "--to", to),
        env=environment(None),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    _, complaint = await migration.communicate()
    assert migration.returncode == 0, complaint
    await listen(len(told) + 20)
    rest, _ = await engine.communicate(b"\n")
    told += [line.split() for line in rest.decode().splitlines()]
    assert engine.returncode == 0
    assert {line[1] for line in told if line[0] == "refused"} <= DOCUMENTED
    acknowledged = {int(position): event_id for position, event_id in (line for line in told if line[0] != "refused")}
    await check(empty_database, acknowledged, to)


async def check(url: str, acknowledged: dict[int, str], to: str) -> None:
    if to != SCHEMA_REVISION:
        await migrating.upgrade(url)
    async with EventLog.open(url) as log:
        stored = {one.position: one.event_id.hex async for one in log.read(after=1)}
    assert sorted(stored) == list(range(2, len(stored) + 2))
    assert acknowledged.items() <= stored.items()
