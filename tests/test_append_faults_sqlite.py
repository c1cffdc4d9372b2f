"""When SQLite, the disk or another program gets in the way: what is acknowledged is stored, once, and the rest is told.

The faults are real ones where one can be made: a foreign lock, a file that may not grow. Where none can, a
connection in between lets the real COMMIT happen, or not, and then reports a failure, as a disk does that
fails while it flushes.
"""

from __future__ import annotations

import asyncio
import errno
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from byjy_events import (
    NO_STREAM,
    Entry,
    EventLog,
    LogUnavailable,
    OrderSubmitted,
    Outcome,
    OutcomeUnknown,
    Receipt,
    VersionConflict,
    new_event_id,
    new_order_id,
    order_stream,
)
from byjy_events.backend import NotStored, Unclear
from byjy_events.database import SQLITE_PRAGMAS
from byjy_events.sqlite import lane, turnstile
from byjy_events.sqlite.backend import SqliteBackend
from tests.sample_events import filled, placed

FAULT = sqlite3.OperationalError("disk I/O error")
Fault = Callable[[sqlite3.Connection, str], None]


class Between:
    """A connection that asks the fault before every statement, and lets everything else through.

    An INSERT that is a transaction in itself is taken apart into the steps that SQLite takes, so that each can fail.
    """

    def __init__(self, connection: sqlite3.Connection, faults: list[Fault]) -> None:
        self._connection = connection
        self._faults = faults

    def execute(self, statement: str, *arguments: Any) -> sqlite3.Cursor:
        if not statement.startswith("INSERT INTO events") or self._connection.in_transaction:
            return self._executed(statement, *arguments)
        self._executed("BEGIN IMMEDIATE")
        try:
            done = self._executed(statement, *arguments)
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise
        self._executed("COMMIT")
        return done

    def _executed(self, statement: str, *arguments: Any) -> sqlite3.Cursor:
        if self._faults:
            self._faults[0](self._connection, statement)
        return self._connection.execute(statement, *arguments)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log.db"


@pytest.fixture
def faults(monkeypatch: pytest.MonkeyPatch) -> list[Fault]:
    """The first of the list is in force; an empty list: everything works."""
    faults: list[Fault] = []
    connect = lane.connect
    monkeypatch.setattr(lane, "connect", lambda path: Between(connect(path), faults))
    return faults


@pytest.fixture
async def log(path: Path, faults: list[Fault]) -> AsyncIterator[EventLog]:
    async with EventLog.open(f"sqlite:///{path}") as log:
        await log.append(order_stream(new_order_id()), [placed()])
        yield log
        faults.clear()


def stored_ids(path: Path) -> list[bytes]:
    """Read past the log: every id in order of position, after a check of the whole file."""
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    rows = connection.execute("SELECT position, event_id FROM events ORDER BY position").fetchall()
    connection.close()
    assert [position for position, _ in rows] == list(range(1, len(rows) + 1))
    return [event_id for _, event_id in rows]


def log_bytes(path: Path) -> int:
    return path.stat().st_size


async def append_some(log: EventLog, count: int) -> list[object]:
    appends = (log.append(order_stream(new_order_id()), [placed()], expected=NO_STREAM) for _ in range(count))
    return await asyncio.gather(*appends, return_exceptions=True)


# --- a commit whose outcome is open ---------------------------------------------------------------


def committed_but_failed(faults: list[Fault], times: int) -> Fault:
    left = iter(range(times))

    def fault(connection: sqlite3.Connection, statement: str) -> None:
        if statement == "COMMIT" and next(left, None) is not None:
            connection.execute("COMMIT")
            raise FAULT

    return fault


def failed_and_not_committed(faults: list[Fault], times: int) -> Fault:
    left = iter(range(times))

    def fault(connection: sqlite3.Connection, statement: str) -> None:
        if statement == "COMMIT" and next(left, None) is not None:
            connection.execute("ROLLBACK")
            raise FAULT

    return fault


async def test_a_commit_that_leaves_its_transaction_open_does_not_block_the_lane(
    log: EventLog, faults: list[Fault]
) -> None:
    """Of a step of a projector, which waits for no disk: the next append gets a connection that does."""
    left = iter(range(1))

    def fault(connection: sqlite3.Connection, statement: str) -> None:
        if statement == "COMMIT" and next(left, None) is not None:
            raise FAULT

    faults.append(fault)
    assert isinstance(log.backend, SqliteBackend)
    with pytest.raises(Unclear):
        await log.backend.transact(lambda connection: None, durable=False)
    await log.append(order_stream(new_order_id()), [placed()])
    assert await log.backend.lane.run(lambda connection: connection.execute("PRAGMA synchronous").fetchone()) == (2,)


async def test_an_append_behind_a_transaction_that_could_not_be_undone_is_committed(
    log: EventLog, path: Path, faults: list[Fault]
) -> None:
    """Not acknowledged as a part of what somebody else left open."""

    def fault(connection: sqlite3.Connection, statement: str) -> None:
        if statement in {"INSERT INTO nowhere DEFAULT VALUES", "ROLLBACK"}:
            raise FAULT

    faults.append(fault)
    assert isinstance(log.backend, SqliteBackend)
    with pytest.raises(NotStored):
        await log.backend.transact(lambda connection: connection.execute("INSERT INTO nowhere DEFAULT VALUES"))
    faults.clear()
    receipt = await log.append(order_stream(new_order_id()), [placed()])
    assert stored_ids(path)[1:] == [receipt.events[0].event_id.bytes]


async def test_lock_files_that_fail_are_told_and_the_log_lives_on(
    log: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing was stored, and nobody waits for ever: not the caller, not the next one, not close."""
    with monkeypatch.context() as broken:
        broken.setattr(turnstile, "_acquire", Mock(side_effect=OSError(errno.ENOLCK, "no locks available")))
        with pytest.raises(LogUnavailable, match="no locks available"):
            await asyncio.wait_for(log.append(order_stream(new_order_id()), [placed()]), 10)
    await asyncio.wait_for(log.append(order_stream(new_order_id()), [placed()]), 10)


async def test_a_file_that_cannot_be_opened_again_was_not_written(
    log: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lane lost its connection and gets no other: certain that nothing was stored, for appends and projectors."""
    assert isinstance(log.backend, SqliteBackend)
    await log.backend.reopen()
    with monkeypatch.context() as broken:
        broken.setattr(lane, "connect", Mock(side_effect=sqlite3.OperationalError("unable to open database file")))
        with pytest.raises(LogUnavailable, match="unable to open"):
            await log.append(order_stream(new_order_id()), [placed()])
        with pytest.raises(NotStored, match="unable to open"):
            await log.backend.transact(lambda connection: None, durable=False)
    await log.append(order_stream(new_order_id()), [placed()])


async def test_readers_that_are_kept_for_long_leave_the_pool_to_the_others(log: EventLog) -> None:
    """Each projector keeps one; queries go on however many there are."""
    assert isinstance(log.backend, SqliteBackend)
    readers = [log.backend.reader() for _ in range(20)]
    for reader in readers:
        await reader.fetch("SELECT 1", ())
    async with asyncio.timeout(10), log.engine.connect() as connection:
        await connection.exec_driver_sql("SELECT 1")
    for reader in readers:
        await reader.close()


@pytest.mark.parametrize("kind", [committed_but_failed, failed_and_not_committed])
async def test_a_commit_that_reports_a_failure_is_resolved_before_anyone_is_told(
    log: EventLog, path: Path, faults: list[Fault], kind: Callable[[list[Fault], int], Fault]
) -> None:
    """Whether it happened or not: every caller gets a receipt, and every event is there exactly once."""
    faults.append(kind(faults, 1))
    answers = await append_some(log, 50)
    assert {type(answer) for answer in answers} == {Receipt}
    for answer in answers:
        assert isinstance(answer, Receipt)
        (event,) = answer.events
        assert (event.outcome, answer.duplicates) == (Outcome.APPENDED, 0)
        assert stored_ids(path)[event.position - 1] == event.event_id.bytes
    assert len(stored_ids(path)) == 51


async def test_a_resolved_commit_answers_everybody_of_the_batch_for_himself(
    log: EventLog, path: Path, faults: list[Fault]
) -> None:
    """Conflicts stay conflicts, facts and intents are stored once, and whoever comes after goes on from there."""
    stream = order_stream(new_order_id())
    faults.append(committed_but_failed(faults, 1))
    answers = await asyncio.gather(
        log.append(stream, [placed(), filled("1")], expected=NO_STREAM),
        log.append(stream, [placed()], expected=NO_STREAM),
        log.append(stream, [filled("1")]),
        log.append(stream, [OrderSubmitted()], expected=2),
        return_exceptions=True,
    )
    first, refused, repeated, second = answers
    assert isinstance(first, Receipt)
    assert [one.position for one in first.events] == [2, 3]
    assert isinstance(refused, VersionConflict)
    assert isinstance(repeated, Receipt)
    assert (repeated.duplicates, repeated.position) == (1, 3)
    assert isinstance(second, Receipt)
    assert second.position == 4
    assert (await log.append(stream, [OrderSubmitted()], expected=3)).position == 5
    assert len(stored_ids(path)) == 5


async def test_a_follower_hears_of_a_commit_that_had_to_be_looked_up(log: EventLog, faults: list[Fault]) -> None:
    """It was not handed over, so it is read."""
    following = log.follow(after=1)
    faults.append(committed_but_failed(faults, 1))
    receipt = await log.append(order_stream(new_order_id()), [placed()])
    async with asyncio.timeout(3):
        assert (await anext(following)).position == receipt.position
        later = await log.append(order_stream(new_order_id()), [placed()])
        assert (await anext(following)).position == later.position
    await following.aclose()  # type: ignore[attr-defined]


async def test_a_disk_that_takes_nothing_is_told_and_the_log_lives_on(
    log: EventLog, path: Path, faults: list[Fault]
) -> None:
    """Nothing was stored, the error says so, and when the disk is well again so is the log."""
    faults.append(failed_and_not_committed(faults, 10**6))
    answers = await append_some(log, 20)
    assert {type(answer) for answer in answers} == {LogUnavailable}
    assert all("disk I/O error" in str(answer) for answer in answers)
    assert len(stored_ids(path)) == 1
    faults.clear()
    assert {type(answer) for answer in await append_some(log, 20)} == {Receipt}
    assert len(stored_ids(path)) == 21


async def test_nobody_is_told_that_nothing_was_stored_when_something_was(
    log: EventLog, path: Path, faults: list[Fault]
) -> None:
    """The commit happened, and then the file is locked for good: unknown is the honest answer, and a retry finds it."""

    def fault(connection: sqlite3.Connection, statement: str) -> None:
        if statement == "COMMIT":
            connection.execute("COMMIT")
            faults.append(locked)
            faults.pop(0)
            raise FAULT

    def locked(connection: sqlite3.Connection, statement: str) -> None:
        if statement == "BEGIN IMMEDIATE":
            error = sqlite3.OperationalError("database is locked")
            error.sqlite_errorcode = sqlite3.SQLITE_BUSY
            raise error

    faults.append(fault)
    entries = [Entry(placed(), event_id=new_event_id()) for _ in range(3)]
    streams = [order_stream(new_order_id()) for _ in entries]
    pairs = list(zip(streams, entries, strict=True))
    answers = await asyncio.gather(*(log.append(stream, [entry]) for stream, entry in pairs), return_exceptions=True)
    for answer, entry in zip(answers, entries, strict=True):
        assert isinstance(answer, OutcomeUnknown)
        assert answer.event_ids == (entry.event_id,)
    faults.clear()
    again = await asyncio.gather(*(log.append(stream, [entry]) for stream, entry in pairs))
    assert [receipt.events[0].outcome for receipt in again] == [Outcome.DUPLICATE] * 3
    assert len(stored_ids(path)) == 4


async def test_an_error_that_nobody_foresaw_does_not_silence_the_log(
    log: EventLog, path: Path, faults: list[Fault]
) -> None:
    """The batch that meets it gets an answer, and so does the next one."""

    def fault(connection: sqlite3.Connection, statement: str) -> None:
        if statement == "BEGIN IMMEDIATE":
            raise RuntimeError("a defect")

    faults.append(fault)
    answers = await append_some(log, 3)
    assert {type(answer) for answer in answers} == {LogUnavailable}
    faults.clear()
    assert {type(answer) for answer in await append_some(log, 3)} == {Receipt}
    assert len(stored_ids(path)) == 4


async def test_a_log_that_closes_while_a_commit_is_unclear_answers_everybody(
    log: EventLog, path: Path, faults: list[Fault]
) -> None:
    """The close waits for the answer."""
    faults.append(committed_but_failed(faults, 1))
    appending = asyncio.ensure_future(append_some(log, 10))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await log.close()
    assert {type(answer) for answer in await appending} == {Receipt}
    assert len(stored_ids(path)) == 11


# --- checkpoints ----------------------------------------------------------------------------------


@pytest.fixture
def short_wal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Checkpoints after a few appends, in logs that are opened from here on."""
    monkeypatch.setattr(lane, "CHECKPOINT_PAGES", 25)


@pytest.mark.usefixtures("short_wal")
async def test_the_wal_is_written_over_before_it_grows(path: Path) -> None:
    """By the lane, since nobody else checkpoints; and it is gone after the close."""
    wal = path.with_name("log.db-wal")
    async with EventLog.open(f"sqlite:///{path}") as log:
        await append_some(log, 20)
        soon = wal.stat().st_size
        for _ in range(100):
            await append_some(log, 20)
        assert wal.stat().st_size < soon + 1_000_000 < log_bytes(path)
    assert not wal.exists() or wal.stat().st_size == 0


async def test_a_wal_that_cannot_be_emptied_now_is_emptied_later(
    log: EventLog, path: Path, faults: list[Fault], monkeypatch: pytest.MonkeyPatch
) -> None:
    """After one of the next transactions, which it does no harm; foreign locks are waited for as before."""
    monkeypatch.setattr(lane, "EMPTYING_SECONDS", 0.0)
    wal = path.with_name("log.db-wal")

    def fault(connection: sqlite3.Connection, statement: str) -> None:
        if "wal_checkpoint" in statement:
            raise FAULT

    faults.append(fault)
    assert not await log.backend.lane.empty_wal()  # type: ignore[attr-defined]
    assert {type(answer) for answer in await append_some(log, 20)} == {Receipt}
    assert wal.stat().st_size > 0
    faults.clear()
    for _ in range(2):  # it is looked after when a caller has his answer already
        patience = await log.backend.lane.run(  # type: ignore[attr-defined]
            lambda connection: connection.execute("PRAGMA busy_timeout").fetchone()[0]
        )
        assert patience >= 1000
    assert wal.stat().st_size == 0
    assert len(stored_ids(path)) == 21


async def test_an_open_reader_holds_nobody_up(short_wal: None, log: EventLog, path: Path) -> None:
    """A foreign snapshot keeps the WAL from being begun anew; appends and reads go on."""
    reader = sqlite3.connect(path, isolation_level=None)
    reader.execute("BEGIN")
    assert reader.execute("SELECT count(*) FROM events").fetchone() == (1,)
    async with asyncio.timeout(20):
        for _ in range(20):
            assert {type(answer) for answer in await append_some(log, 20)} == {Receipt}
    assert reader.execute("SELECT count(*) FROM events").fetchone() == (1,)
    reader.close()
    assert await log.head() == 401


# --- a foreign lock -------------------------------------------------------------------------------


@contextmanager
def foreign_lock(path: Path) -> Iterator[None]:
    """Another program writes, without a turn at the turnstile."""
    foreign = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    foreign.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        foreign.execute("ROLLBACK")
        foreign.close()


async def test_a_short_foreign_lock_is_waited_for(log: EventLog, path: Path) -> None:
    """Nobody notices but for the delay."""
    with foreign_lock(path):
        appending = asyncio.ensure_future(append_some(log, 10))
        await asyncio.sleep(0.3)
        assert not appending.done()
        assert await log.head() == 1  # reading goes on
    assert {type(answer) for answer in await appending} == {Receipt}


async def test_a_long_foreign_lock_is_told_and_the_log_lives_on(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing was stored meanwhile; afterwards everything is as before."""
    monkeypatch.setattr(lane, "SQLITE_PRAGMAS", (*SQLITE_PRAGMAS, "PRAGMA busy_timeout = 100"))
    async with EventLog.open(f"sqlite:///{path}") as log:
        await log.append(order_stream(new_order_id()), [placed()])
        with foreign_lock(path):
            answers = await append_some(log, 10)
            assert {type(answer) for answer in answers} == {LogUnavailable}
            assert "locked" in str(answers[0])
        assert {type(answer) for answer in await append_some(log, 10)} == {Receipt}
    assert len(stored_ids(path)) == 11


# --- a full disk ----------------------------------------------------------------------------------


async def test_a_database_that_is_full_is_told_and_the_log_lives_on(
    log: EventLog, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everything acknowledged is there, nothing refused is; with room again it goes on without a gap."""
    run = log.backend.lane.run  # type: ignore[attr-defined]
    room = 10 + await run(lambda connection: connection.execute("PRAGMA page_count").fetchone()[0])
    connect = lane.connect

    def limited(path: Path) -> sqlite3.Connection:
        connection = connect(path)
        connection.execute(f"PRAGMA max_page_count = {room}")
        return connection

    monkeypatch.setattr(lane, "connect", limited)
    await log.backend.reopen()
    acknowledged: list[bytes] = []
    refused: list[object] = []
    while not refused:
        for answer in await append_some(log, 50):
            if isinstance(answer, Receipt):
                acknowledged.append(answer.events[0].event_id.bytes)
            else:
                refused.append(answer)
    assert {type(answer) for answer in refused} == {LogUnavailable}
    assert "full" in str(refused[0])
    assert sorted(stored_ids(path)[1:]) == sorted(acknowledged)
    monkeypatch.setattr(lane, "connect", connect)
    await log.backend.reopen()
    assert {type(answer) for answer in await append_some(log, 50)} == {Receipt}
    assert len(stored_ids(path)) == 1 + len(acknowledged) + 50


GROWTH = """
import asyncio, resource, sys
from byjy_events import EventLog, LogUnavailable, Receipt, new_order_id, order_stream
from tests.sample_events import placed

async def main(url):
    async with EventLog.open(url) as log:
        async def some():
            appends = (log.append(order_stream(new_order_id()), [placed()] * 5) for _ in range(40))
            return await asyncio.gather(*appends, return_exceptions=True)

        resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, resource.RLIM_INFINITY))
        answers = []
        while not any(isinstance(answer, Exception) for answer in answers):
            answers += await some()
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        assert {type(answer) for answer in answers} <= {Receipt, LogUnavailable}, answers
        answers += (after := await some())
        assert {type(answer) for answer in after} == {Receipt}, after
        for answer in answers:
            if isinstance(answer, Receipt):
                for event in answer.events:
                    print("acknowledged", event.position, event.event_id.hex)

asyncio.run(main(sys.argv[1]))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="file size limits are a thing of Unix")
def test_a_file_that_may_not_grow_any_more_loses_nothing(path: Path) -> None:
    """The operating system refuses to write in mid-commit: acknowledged is stored, refused is not, and it goes on."""
    done = subprocess.run(
        [sys.executable, "-c", GROWTH, f"sqlite:///{path}"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=Path(__file__).parents[1],
    )
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in done.stdout.splitlines() if line.startswith("acknowledged")]
    acknowledged = {position: event_id for _, position, event_id in lines}
    assert len(acknowledged) > 200
    ids = stored_ids(path)
    assert {str(position): event_id.hex() for position, event_id in enumerate(ids, 1)} == acknowledged
