"""A database that fails for a while: the projector waits, tries again, and doubles nothing."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import subprocess
import sys
from pathlib import Path

import asyncpg
import pytest
import sqlalchemy as sa

from byjy_events.errors import LogUnavailable
from byjy_events.log import EventLog
from projections import TRADING, Projector, catch_up
from tests.lifecycles import lifecycles
from tests.replay import assert_rows_are_the_log
from tests.story import place, tell_lives

HOLD_THE_LOCK = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("locked", flush=True)
sys.stdin.readline()
connection.execute("ROLLBACK")
"""


only_postgresql = pytest.mark.parametrize("backend", ["postgresql"])
only_sqlite = pytest.mark.parametrize("backend", ["sqlite"])


def _started(command: list[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def file_of(database: str) -> Path:
    return Path(database.removeprefix("sqlite:///"))


@only_postgresql
async def test_lost_connections_double_nothing(database: str) -> None:
    """Every connection of the process is cut again and again, while events flow and are projected."""
    rounds = 10
    async with EventLog.open(database) as log, Projector(log, TRADING) as projector:
        done = asyncio.Event()

        async def cut() -> None:
            other = await asyncpg.connect(database)
            try:
                while not done.is_set():
                    await other.execute(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                    )
                    await asyncio.sleep(0.1)
            finally:
                await other.close()

        async def flow() -> None:
            try:
                for seed in range(rounds):
                    for stream, event in lifecycles(seed, orders=2):
                        while True:
                            with contextlib.suppress(LogUnavailable):  # three times in a row: nothing was stored
                                await log.append(stream, [event])
                                break
            finally:
                done.set()

        async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
            tasks.create_task(cut())
            tasks.create_task(flow())
        head = await log.head()
        await projector.wait_for(head, timeout_seconds=20)
        assert await assert_rows_are_the_log(log) == head


@only_postgresql
async def test_a_projector_alone_survives_lost_connections(database: str) -> None:
    """One that is far behind and reads the log from the database, which another process wrote."""
    async with EventLog.open(database) as writer:
        head = await tell_lives(writer, seed=5, orders=100)
        async with EventLog.open(database) as log, Projector(log, TRADING) as projector:
            other = await asyncpg.connect(database)
            for _ in range(20):
                await other.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
                await asyncio.sleep(0.01)
            await other.close()
            await projector.wait_for(head, timeout_seconds=20)
            head = await place(writer)
            await projector.wait_for(head, timeout_seconds=20)
            assert await assert_rows_are_the_log(log) == head


@only_postgresql
async def test_catching_up_can_be_repeated_until_it_succeeds(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each attempt goes on where the one before was cut off, whatever was folded ahead of what was stored."""
    monkeypatch.setattr("projections.runner.CHUNK_EVENTS", 10)
    async with EventLog.open(database) as log:
        head = await tell_lives(log, seed=6, orders=60)
        other = await asyncpg.connect(database)
        cut_off, reached = 0, 0
        while reached < head:
            attempt = asyncio.create_task(catch_up(log, TRADING))
            await asyncio.sleep(0.06)
            await other.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            try:
                reached = await attempt
            except LogUnavailable:
                cut_off += 1
            await assert_rows_are_the_log(log)
        await other.close()
        assert cut_off > 0


@only_sqlite
async def test_a_file_locked_by_somebody_else_is_waited_for(database: str) -> None:
    """Two seconds of a foreign lock: late, not lost."""
    async with EventLog.open(database) as log, Projector(log, TRADING) as projector:
        await projector.wait_for(await tell_lives(log, seed=1, orders=5))
        command = [sys.executable, "-c", HOLD_THE_LOCK, str(file_of(database))]
        with _started(command) as locker:
            assert locker.stdin is not None
            assert locker.stdout is not None
            assert locker.stdout.readline() == "locked\n"
            appended = asyncio.create_task(tell_lives(log, seed=2, orders=5))
            await asyncio.sleep(2)
            assert not appended.done()
            locker.stdin.write("\n")
            locker.stdin.close()
        head = await appended
        await projector.wait_for(head, timeout_seconds=20)
        assert await assert_rows_are_the_log(log) == head


@only_sqlite
async def test_a_lock_held_longer_than_anybody_waits_is_survived(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The step fails, and is taken again once the lock is gone."""
    async with EventLog.open(database) as log, Projector(log, TRADING) as projector:
        await projector.wait_for(await place(log))
        await log.backend.lane.run(lambda connection: connection.execute("PRAGMA busy_timeout = 10"))  # type: ignore[attr-defined]
        other = sqlite3.connect(file_of(database), isolation_level=None)
        runner = projector._runner
        taken = asyncio.Event()
        advance = runner._store.advance

        async def advance_behind_a_lock(step: object) -> bool:
            if not taken.is_set():
                other.execute("BEGIN IMMEDIATE")
                taken.set()
            return await advance(step)  # type: ignore[arg-type]

        monkeypatch.setattr(runner._store, "advance", advance_behind_a_lock)
        position = await place(log)
        await taken.wait()
        await asyncio.sleep(0.3)
        assert projector.position < position
        other.execute("ROLLBACK")
        other.close()
        await projector.wait_for(position, timeout_seconds=10)
        assert await assert_rows_are_the_log(log) == position


@only_sqlite
async def test_catching_up_says_when_the_database_cannot_be_written(database: str) -> None:
    """An error that names the trouble; trying again goes on from where it was."""
    async with EventLog.open(database) as log:
        position = await place(log)
        await log.backend.lane.run(lambda connection: connection.execute("PRAGMA busy_timeout = 10"))  # type: ignore[attr-defined]
        other = sqlite3.connect(file_of(database), isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(LogUnavailable, match="locked"):
            await catch_up(log, TRADING)
        other.execute("ROLLBACK")
        other.close()
        assert await catch_up(log, TRADING) == position


async def test_no_connection_stays_checked_out(database: str) -> None:
    """However a projector ends: closed, or beaten by a stop of the log."""
    async with EventLog.open(database) as log:
        before = _checked_out(log)
        for seed in range(3):
            async with Projector(log, TRADING) as projector:
                await projector.wait_for(await tell_lives(log, seed=seed, orders=3))
                await projector.queries.open_orders()
            await catch_up(log, TRADING)
        await asyncio.sleep(0)
        assert _checked_out(log) <= before + 1  # the one that watches for other processes


def _checked_out(log: EventLog) -> int:
    pool = log.engine.pool
    assert isinstance(pool, sa.QueuePool | sa.pool.AsyncAdaptedQueuePool)
    return pool.checkedout()
