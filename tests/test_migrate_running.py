"""A migration while an engine of the older version appends: it waits, and nothing of it is lost."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial

import asyncpg
import pytest
import sqlalchemy as sa
import structlog

from byjy_events import EventLog, migrating
from byjy_events.database import parse_url
from byjy_events.errors import SchemaMismatch
from byjy_events.moving import move
from byjy_events.schema import SCHEMA_REVISION
from projections import TRADING, TRAIL, Projector, catch_up, rebuild
from projections.errors import GroupOutdated
from tests.cli import ROOT, SECONDS, command, environment
from tests.replay import assert_rows_are_the_log
from tests.revised import OWNERS, fill
from tests.schema import revision
from tests.story import place, tell_lives

DOCUMENTED = {"LogUnavailable", "OutcomeUnknown"}


@pytest.fixture(autouse=True)
def _logging_as_usual() -> Iterator[None]:
    """A command that ran in this process sends the library's log to a standard error that pytest closes afterwards."""
    structlog.reset_defaults()
    yield
    structlog.reset_defaults()


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


async def test_an_engine_that_starts_in_the_middle_is_let_in(database: str) -> None:
    """It finds the schema from before, waits for the migration where that is the only writer, and appends behind it."""
    begun, go = threading.Event(), threading.Event()

    def migrate(connection: sa.Connection) -> None:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
        begun.set()
        go.wait(SECONDS)

    async def started() -> int:
        async with EventLog.open(database) as log:
            return await place(log)

    migration = asyncio.ensure_future(asyncio.to_thread(migrating.exclusively, parse_url(database), migrate))
    await asyncio.to_thread(begun.wait, SECONDS)
    engine = asyncio.ensure_future(started())
    await asyncio.wait([engine], timeout=0.1)
    assert database.startswith("postgresql") or not engine.done()
    go.set()
    await migration
    assert await engine == 1
    assert await revision(database) == "9999"
    with pytest.raises(SchemaMismatch):
        await started()


async def test_projectors_of_the_other_schema_stop_alone(database: str) -> None:
    """The group whose tables changed; the log and the other groups go on, and a rebuild brings everything back."""
    async with EventLog.open(database) as log, Projector(log, TRADING) as trading, Projector(log, TRAIL) as trail:
        await tell_lives(log, 1, 5)
        await trading.wait_for(await log.head(), timeout_seconds=SECONDS)
        await asyncio.to_thread(move, parse_url(database), "0008", owners=OWNERS)
        position = await tell_lives(log, 2, 5)
        with pytest.raises(GroupOutdated):
            await trading.wait_for(position, timeout_seconds=SECONDS)
        await trail.wait_for(position, timeout_seconds=SECONDS)
        assert await place(log) == position + 1
    await migrating.upgrade(database)
    async with EventLog.open(database) as log:
        with pytest.raises(GroupOutdated):
            await catch_up(log, TRADING)
        await rebuild(log, TRADING)
        await assert_rows_are_the_log(log, TRADING)


@pytest.mark.parametrize("backend", ["postgresql"], indirect=True)
async def test_a_migration_and_a_projector_do_not_wait_for_each_other(database: str) -> None:
    """Down and up, the migration first waits for whoever is in the middle of a step, and holds nothing meanwhile."""
    down = partial(move, parse_url(database), "0008", owners=OWNERS)
    projector = await asyncpg.connect(database)
    for first, then, migration in (
        ("trades", "orders", asyncio.to_thread(down)),
        ("orders", "trades", migrating.upgrade(database)),  # in the other order than the migration
    ):
        async with projector.transaction():
            await projector.execute("UPDATE projection_checkpoints SET position = position")
            await projector.execute(f"UPDATE {first} SET account = account")
            running = asyncio.ensure_future(migration)
            while not await projector.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            await projector.execute(f"UPDATE {then} SET account = account")
        await running
    await projector.close()
    assert await revision(database) == SCHEMA_REVISION


@pytest.mark.parametrize("backend", ["postgresql"], indirect=True)
async def test_a_migration_does_not_wait_for_ever(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """For somebody who has a table in an open transaction: whoever came after it would wait behind it."""
    monkeypatch.setattr(migrating, "LOCK_SECONDS", 0.2)
    reader = await asyncpg.connect(database)
    async with reader.transaction():
        await reader.fetch("SELECT count(*) FROM trail")
        with pytest.raises(migrating.MigrationFailed, match=r"lock timeout.*the database is as it was"):
            await migrating.downgrade(database, "0011")
        with pytest.raises(migrating.MigrationFailed, match=r"lock timeout.*the database is as it was"):
            await asyncio.to_thread(move, parse_url(database), "0011", owners=OWNERS)
        async with EventLog.open(database) as log:
            await place(log)
    await reader.close()
    assert await revision(database) == SCHEMA_REVISION
    await migrating.downgrade(database, "0011")
