"""When PostgreSQL or the way to it breaks: every append is acknowledged or refused in clear words, and stored once."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest

from byjy_events import (
    NO_STREAM,
    Entry,
    Event,
    EventLog,
    LogUnavailable,
    Outcome,
    OutcomeUnknown,
    Receipt,
    VersionConflict,
    Write,
    new_event_id,
    new_order_id,
    order_stream,
)
from byjy_events.postgres.backend import PostgresBackend
from tests.postgres import Server
from tests.sample_events import filled, placed

pytestmark = pytest.mark.parametrize("backend", ["postgresql"])


@pytest.fixture
async def log(database: str) -> AsyncIterator[EventLog]:
    async with EventLog.open(database) as log:
        yield log


@pytest.fixture
async def admin(database: str, postgresql: Server) -> AsyncIterator[asyncpg.Connection]:
    """A superuser's connection, to another database."""
    connection = await asyncpg.connect(postgresql.url("postgres"))
    await connection.execute("SELECT set_config('byjy.database', $1, false)", urlsplit(database).path.strip("/"))
    yield connection
    await connection.close()


async def signal(admin: asyncpg.Connection, function: str) -> int:
    """Terminate or cancel every backend of the log's database, in the midst of whatever it does."""
    return await admin.fetchval(
        f"SELECT count({function}(pid)) FROM pg_stat_activity WHERE datname = current_setting('byjy.database')"
    )


async def shut(admin: asyncpg.Connection, closed: bool) -> None:
    """Let nobody in any more, or everybody again."""
    name = await admin.fetchval("SELECT current_setting('byjy.database')")
    await admin.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS {"false" if closed else "true"}')
    if closed:
        await signal(admin, "pg_terminate_backend")


async def all_stored(log: EventLog) -> dict[str, int]:
    """Positions by event id, after a look for gaps and doubles."""
    stored = [recorded async for recorded in log.read()]
    assert [recorded.position for recorded in stored] == list(range(1, len(stored) + 1))
    places = {recorded.event_id.hex: recorded.position for recorded in stored}
    assert len(places) == len(stored)
    return places


@pytest.mark.parametrize("function", ["pg_terminate_backend", "pg_cancel_backend"])
async def test_backends_that_are_shot_in_mid_append_lose_and_double_nothing(
    log: EventLog, admin: asyncpg.Connection, function: str
) -> None:
    """Again and again while twenty producers append: what has a receipt is stored where the receipt says, once."""
    chance = random.Random(function)
    answers: list[tuple[list[str], object]] = []
    done = asyncio.Event()

    async def produce(number: int) -> None:
        turn = 0
        while not done.is_set():
            turn += 1
            ids = [new_event_id(), new_event_id()]
            entries: list[Event | Entry] = [Entry(placed(), event_id=one) for one in ids]
            try:
                receipt = await log.append(order_stream(new_order_id()), [*entries, filled(f"{number}-{turn}")])
                answers.append(([one.hex for one in ids], receipt))
            except (LogUnavailable, OutcomeUnknown) as error:
                answers.append(([one.hex for one in ids], error))

    producers = [asyncio.create_task(produce(number)) for number in range(20)]
    for _ in range(25):
        await asyncio.sleep(chance.random() * 0.1)
        await signal(admin, function)
    await asyncio.sleep(0.3)
    done.set()
    await asyncio.gather(*producers)

    places = await all_stored(log)
    kinds = Counter(type(answer).__name__ for _, answer in answers)
    assert kinds["Receipt"] > 100, kinds
    assert kinds["OutcomeUnknown"] == 0, kinds
    for ids, answer in answers:
        if isinstance(answer, Receipt):
            assert [places[one.event_id.hex] for one in answer.events] == [one.position for one in answer.events]
        else:
            assert not any(one in places for one in ids)


async def test_a_server_that_lets_nobody_in_is_waited_for(log: EventLog, admin: asyncpg.Connection) -> None:
    """Callers wait while it is away, and have their receipts when it is back: nothing lost, nothing double."""
    await log.append(order_stream(new_order_id()), [placed()])
    await shut(admin, closed=True)
    appending = [asyncio.create_task(log.append(order_stream(new_order_id()), [placed()])) for _ in range(50)]
    await asyncio.sleep(0.4)
    assert not any(task.done() for task in appending)
    await shut(admin, closed=False)
    receipts = await asyncio.gather(*appending)
    assert {receipt.events[0].outcome for receipt in receipts} == {Outcome.APPENDED}
    assert len(await all_stored(log)) == 51


async def test_a_server_that_stays_away_is_told_as_unknown_and_repeating_is_safe(
    log: EventLog, admin: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a bounded time, with the ids of the caller's own events; the log works again when the server does."""
    monkeypatch.setattr("byjy_events.writer.PATIENCE_SECONDS", 0.2)
    await log.append(order_stream(new_order_id()), [placed()])
    await shut(admin, closed=True)
    entries = [Entry(placed(), event_id=new_event_id()) for _ in range(5)]
    streams = [order_stream(new_order_id()) for _ in entries]
    pairs = list(zip(streams, entries, strict=True))
    answers = await asyncio.gather(*(log.append(stream, [entry]) for stream, entry in pairs), return_exceptions=True)
    for answer, entry in zip(answers, entries, strict=True):
        assert isinstance(answer, OutcomeUnknown)
        assert answer.event_ids == (entry.event_id,)
    await shut(admin, closed=False)
    await asyncio.gather(*(log.append(stream, [entry]) for stream, entry in pairs))
    assert len(await all_stored(log)) == 6


async def test_a_follower_survives_the_loss_of_its_connections(
    database: str, log: EventLog, admin: asyncpg.Connection
) -> None:
    """It hears of later events of this process and of others, without a gap."""
    async with EventLog.open(database) as other:
        positions: list[int] = []

        async def follow() -> None:
            async for recorded in log.follow():
                positions.append(recorded.position)
                if recorded.position == 20:
                    return

        following = asyncio.create_task(follow())
        await other.append(order_stream(new_order_id()), [placed()] * 5)
        await asyncio.sleep(0.1)
        await signal(admin, "pg_terminate_backend")
        for _ in range(5):
            await other.append(order_stream(new_order_id()), [placed()])
        await signal(admin, "pg_terminate_backend")
        await log.append(order_stream(new_order_id()), [placed()] * 5)
        await other.append(order_stream(new_order_id()), [placed()] * 5)
        async with asyncio.timeout(10):
            await following
        assert positions == list(range(1, 21))


async def test_a_reader_finds_a_new_connection_when_its_old_one_is_gone(
    log: EventLog, admin: asyncpg.Connection
) -> None:
    """Between two reads nobody notices."""
    await log.append(order_stream(new_order_id()), [placed()])
    for _ in range(5):
        await signal(admin, "pg_terminate_backend")
        assert await log.head() == 1
        assert len([one async for one in log.read()]) == 1


async def test_a_log_closes_although_its_server_is_gone(database: str, admin: asyncpg.Connection) -> None:
    """Without an error and without waiting for what cannot come."""
    log = await EventLog.open(database).start()
    await log.append(order_stream(new_order_id()), [placed()])
    following = asyncio.create_task(anext(log.follow(after=1), None))
    await asyncio.sleep(0.1)
    await shut(admin, closed=True)
    async with asyncio.timeout(10):
        await log.close()
        assert await following is None
    await shut(admin, closed=False)


async def test_another_isolation_level_is_refused_by_the_function(database: str, admin: asyncpg.Connection) -> None:
    """A snapshot older than the lock would number events twice; a database set up that way says what is wrong."""
    name = await admin.fetchval("SELECT current_setting('byjy.database')")
    await admin.execute(f"""ALTER DATABASE "{name}" SET default_transaction_isolation = 'repeatable read'""")
    async with EventLog.open(database) as log:
        with pytest.raises(LogUnavailable, match="READ COMMITTED"):
            await log.append(order_stream(new_order_id()), [placed()])
        assert await log.head() == 0


async def test_a_server_that_hangs_is_told_as_unknown_and_the_log_lives_on(
    log: EventLog, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No connection breaks; the time of a commit is bounded all the same."""
    monkeypatch.setattr("byjy_events.postgres.backend.COMMIT_SECONDS", 0.2)
    monkeypatch.setattr("byjy_events.writer.PATIENCE_SECONDS", 0.2)
    stream, entry = order_stream(new_order_id()), Entry(placed(), event_id=new_event_id())
    holder = await asyncpg.connect(database)
    async with holder.transaction():
        await holder.execute("SELECT pg_advisory_xact_lock($1)", int.from_bytes(b"byjy-log"))
        with pytest.raises(OutcomeUnknown):
            await asyncio.wait_for(log.append(stream, [entry]), 30)
    await holder.close()
    monkeypatch.undo()
    assert (await log.append(stream, [entry])).events[0].stream_version == 1


async def test_connections_that_are_kept_for_long_leave_the_pool_to_the_others(log: EventLog) -> None:
    """Each projector keeps two; reading, appending and opening again go on however many there are."""
    assert isinstance(log.backend, PostgresBackend)
    kept = [log.backend.kept_connection() for _ in range(20)]
    for one in kept:
        await one.connected()
    async with asyncio.timeout(10):
        assert await log.head() == 0
        await log.backend.reopen()
        assert (await log.append(order_stream(new_order_id()), [placed()])).position == 1
    for one in kept:
        one.discard()


async def test_nobody_is_refused_for_a_neighbour_that_is_refused_in_the_end(
    log: EventLog, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the first look and the second another process gets in the neighbour's way."""
    disputed, passed, stale = (order_stream(new_order_id()) for _ in range(3))
    ask = PostgresBackend._append
    asked: list[object] = []
    async with EventLog.open(database) as other:
        await other.append(stale, [placed()])  # of which the log does not know: so it looks twice

        async def interrupted(backend: PostgresBackend, *arguments: Any) -> asyncpg.Record:
            asked.append(backend)
            if asked.count(log.backend) == 2 and backend is log.backend:
                await other.append(passed, [placed()])
            return await ask(backend, *arguments)

        monkeypatch.setattr(PostgresBackend, "_append", interrupted)
        both = [Write(disputed, [placed()], NO_STREAM), Write(passed, [placed()], NO_STREAM)]
        answers: tuple[Receipt | BaseException, ...] = await asyncio.gather(
            log.append_all(both),
            log.append(disputed, [placed()], expected=NO_STREAM),
            log.append(stale, [placed()], expected=NO_STREAM),
            return_exceptions=True,
        )
    first, second, third = answers
    assert isinstance(first, VersionConflict)
    assert isinstance(second, Receipt)
    assert isinstance(third, VersionConflict)
    assert (first.stream, second.events[0].stream_version, third.actual) == (passed, 1, 1)
