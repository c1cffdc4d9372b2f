"""When connections to PostgreSQL are cut during replays and projections: clear words, nothing doubled, nothing lost."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable
from itertools import count, cycle
from urllib.parse import urlsplit

import asyncpg
import pytest
import sqlalchemy as sa

from byjy_events import Entry, EventLog, LogUnavailable, OutcomeUnknown, new_event_id, new_order_id, order_stream
from projections import (
    TRADING,
    GroupRebuilding,
    Projector,
    RebuildRunning,
    catch_up,
    projections_as_of,
    rebuild,
    rebuilding,
    verify,
)
from projections.tables import orders
from tests.postgres import Server
from tests.replay import assert_rows_are_the_log, events_of
from tests.sample_events import placed
from tests.story import tell_lives
from tests.tampering import tamper, wipe
from tests.wire import Wire

pytestmark = pytest.mark.parametrize("backend", ["postgresql"])

STRIDES = {"mend": 19, "check": 7, "look_back": 5}
"""Every so many messages one is cut: each cut takes a replay or two."""


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Marks are finished soon, and merging takes slices."""
    monkeypatch.setattr("projections.beginning.PATIENCE_SECONDS", 0.05)
    monkeypatch.setattr(rebuilding, "AT_ONCE_ROWS", 0)


async def look_back(log: EventLog) -> None:
    assert await look(log) == 6


async def look(log: EventLog) -> int:
    async with projections_as_of(log, await log.head()) as past:
        return len(await past.fetch(sa.select(orders.c.id)))


async def check(log: EventLog) -> None:
    assert (await verify(log, TRADING)).tables is not None


async def mend(log: EventLog) -> None:
    assert (await rebuild(log, TRADING)).position > 0


@pytest.mark.parametrize("delivered", [False, True])
@pytest.mark.parametrize("work", [mend, check, look_back])
async def test_a_replay_that_is_cut_at_any_message_says_so_and_works_again(
    database: str, work: Callable[[EventLog], Awaitable[None]], delivered: bool
) -> None:
    """Whether the server had the message or not. Then whoever starts finishes what is marked; rows equal the log."""
    cuts = 0
    async with Wire(database) as wire, EventLog.open(wire.url) as log:
        await tell_lives(log, seed=41, orders=6)
        await catch_up(log, TRADING)
        for number in count(int(delivered), STRIDES[work.__name__]):
            if work is mend:
                await wipe(database)
            wire.left, wire.delivered = number, delivered
            async with asyncio.timeout(30):
                try:
                    await work(log)
                except (LogUnavailable, RebuildRunning):
                    cuts += 1
                if wire.left is not None:
                    break
                if work is mend:
                    await mended(log)
        wire.left = None
        await mended(log)
        await assert_rows_are_the_log(log)
    assert cuts > 5


async def mended(log: EventLog) -> None:
    """The server may need a moment to see that its client is gone."""
    async with asyncio.timeout(30):
        while True:
            try:
                await catch_up(log, TRADING)
                await rebuild(log, TRADING)
                return
            except RebuildRunning:
                await asyncio.sleep(0.01)


@pytest.mark.parametrize("delivered", [False, True])
async def test_an_append_that_is_cut_at_any_message_is_stored_once_or_refused(database: str, delivered: bool) -> None:
    """While a projector follows: what has a receipt is in the log, once, and projected."""
    acknowledged: list[str] = []
    async with Wire(database) as wire, EventLog.open(wire.url) as log, Projector(log, TRADING) as projector:
        for number in range(40):
            one = new_event_id()
            wire.left, wire.delivered = number % 20, delivered
            async with asyncio.timeout(30):
                try:
                    receipt = await log.append(order_stream(new_order_id()), [Entry(placed(), event_id=one)])
                    acknowledged.append(one.hex)
                    await projector.wait_for(receipt.position)
                except (LogUnavailable, OutcomeUnknown):
                    pass
        wire.left = None
        async with asyncio.timeout(30):
            await projector.wait_for(await log.head())
        stored = [recorded.event_id.hex for recorded in await events_of(log)]
        assert len(stored) == len(set(stored))
        assert set(acknowledged) <= set(stored)
        assert len(acknowledged) > 20
        assert await assert_rows_are_the_log(log) == await log.head()


async def test_backends_that_are_shot_while_everybody_works_double_and_lose_nothing(
    database: str, postgresql: Server
) -> None:
    """Appends, a projector, rebuilds, verifications and looks at the past, with every backend shot again and again."""
    chance = random.Random(42)
    name = urlsplit(database).path.strip("/")
    admin = await asyncpg.connect(postgresql.url("postgres"))
    acknowledged: list[str] = []
    done = asyncio.Event()
    async with EventLog.open(database) as log, Projector(log, TRADING) as projector:
        await tell_lives(log, seed=43, orders=20)

        async def produce() -> None:
            while not done.is_set():
                one = new_event_id()
                try:
                    await log.append(order_stream(new_order_id()), [Entry(placed(), event_id=one)])
                    acknowledged.append(one.hex)
                except (LogUnavailable, OutcomeUnknown):
                    pass
                await asyncio.sleep(0.01)

        async def replay() -> None:
            for work in cycle((mend, check, look)):
                if done.is_set():
                    return
                with contextlib.suppress(LogUnavailable, RebuildRunning, GroupRebuilding):
                    await work(log)
                await asyncio.sleep(0.01)

        works = [asyncio.create_task(produce()), asyncio.create_task(replay())]
        async with asyncio.timeout(60):
            for _ in range(60):
                await asyncio.sleep(chance.random() * 0.08)
                await admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", name)
            done.set()
            await asyncio.gather(*works)
            await mended(log)
            await projector.wait_for(await log.head())
        stored = [recorded.event_id.hex for recorded in await events_of(log)]
        assert len(stored) == len(set(stored))
        assert set(acknowledged) <= set(stored)
        assert len(acknowledged) > 10
        await assert_rows_are_the_log(log)
    await admin.close()


async def test_a_server_that_runs_out_of_temporary_files_is_said_so(database: str) -> None:
    """The rows are as they were, and a rebuild works when there is room."""
    name = urlsplit(database).path.strip("/")
    async with EventLog.open(database) as log:
        await tell_lives(log, seed=44, orders=500)
        await catch_up(log, TRADING)
        await tamper(database, "orders", "DIFFERENT")
        admin = await asyncpg.connect(database)
        await admin.execute(f'ALTER DATABASE "{name}" SET temp_file_limit = 0')
        await admin.execute(f'ALTER DATABASE "{name}" SET work_mem = 64')
        await admin.execute(f'ALTER DATABASE "{name}" SET enable_hashjoin = off')
        await admin.execute(f'ALTER DATABASE "{name}" SET enable_nestloop = off')
        try:
            with pytest.raises(LogUnavailable, match="temp_file_limit"):
                await rebuild(log, TRADING)
            await admin.execute(f'ALTER DATABASE "{name}" RESET ALL')
        finally:
            await admin.close()
        assert (await rebuild(log, TRADING)).differences == 1
        await assert_rows_are_the_log(log)
