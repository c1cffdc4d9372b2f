"""What is in ``system_logs`` can be listed, followed and pruned, while programs go on."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import UUID

import pytest

from byjy_events import EventLog, order_stream
from byjy_events.log_entry import entry_of
from byjy_events.log_sink import BATCH, SystemLogSink
from byjy_events.log_table import LogLevel
from byjy_events.redaction import Redactor
from byjy_events.system_logs import LogFilter, LogRow, SystemLogs, prune
from tests.logged import CORRELATION, SECONDS, said, stored
from tests.sample_events import placed


@pytest.fixture
async def log(database: str) -> AsyncIterator[EventLog]:
    async with EventLog.open(database) as log:
        yield log


async def test_filters_choose_entries(log: EventLog) -> None:
    """By the least level, by time and by correlation id, the newest first, in pages of any size."""
    async with SystemLogSink(log) as sink:
        for number, method in enumerate(("debug", "info", "warning", "error", "critical")):
            said(sink, method, method, **({"correlation_id": CORRELATION} if number % 2 else {}))
    rows = await stored(log)
    assert [row.event for row in await stored(log, LogFilter(LogLevel.WARNING))] == ["warning", "error", "critical"]
    assert [row.event for row in await stored(log, LogFilter(since=rows[3].created_at))] == ["error", "critical"]
    assert [row.event for row in await stored(log, LogFilter(correlation_id=CORRELATION))] == ["info", "error"]
    assert [row.event for row in await stored(log, LogFilter(LogLevel.ERROR, None, CORRELATION))] == ["error"]
    newest = [row async for page in SystemLogs(log.engine).newest(limit=2) for row in page]
    assert [row.event for row in newest] == ["critical", "error"]


async def test_listings_come_whole_however_they_are_fetched(log: EventLog, monkeypatch: pytest.MonkeyPatch) -> None:
    """Entries of the same instant are neither lost nor doubled between two pages."""
    from byjy_events import system_logs as reading

    async with SystemLogSink(log) as sink:
        made = entry_of(Redactor(), "info", {"event": "same instant"})
        for _ in range(10):
            sink._offer(made)
    whole = await stored(log)
    for size in (1, 3, 10):
        monkeypatch.setattr(reading, "CHUNK", size)
        assert await stored(log) == whole
        assert len(await stored(log, limit=7)) == 7


async def test_following_shows_each_new_entry_once_in_order(database: str) -> None:
    """Of several processes, whose clocks and batches do not agree; from the moment at which it begins."""
    async with EventLog.open(database) as one, EventLog.open(database) as two:
        async with SystemLogSink(one) as before:
            said(before, "before")
        seen: list[LogRow] = []
        following = SystemLogs(one.engine).follow(LogFilter(LogLevel.INFO), poll_seconds=0.001)
        first = asyncio.ensure_future(anext(following))
        await asyncio.sleep(0.05)
        async with SystemLogSink(one) as a, SystemLogSink(two) as b:
            for number in range(BATCH * 3):
                said(a if number % 2 else b, "n", number=number)
                said(a, "unwanted", "debug")
                if number % 50 == 0:
                    await asyncio.sleep(0.01)
            async with asyncio.timeout(SECONDS):
                seen += await first
                while len(seen) < BATCH * 3:
                    seen += await anext(following)
        await following.aclose()
        assert sorted(row.context["number"] for row in seen) == list(range(BATCH * 3))
        assert [row.id for row in seen] == sorted(row.id for row in seen)
        rest = [row async for row in first_rows(one, seen[-1].id, 0)]
        assert rest == []


async def first_rows(log: EventLog, after: UUID, count: int) -> AsyncIterator[LogRow]:
    """What follows an id at once."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0.1):
            async for rows in SystemLogs(log.engine).follow(LogFilter(LogLevel.INFO), after=after, poll_seconds=0.01):
                for row in rows:
                    yield row


async def aged(log: EventLog, days: list[int]) -> None:
    """Entries of so many days ago, stored in this order."""
    async with SystemLogSink(log) as sink:
        for day in days:
            made = entry_of(Redactor(), "info", {"event": "x", "day": day})
            sink._offer(made._replace(created_at=made.created_at - day * 86_400 * 10**9))


@pytest.mark.parametrize(
    ("older_than", "keep_rows", "left"),
    [
        (timedelta(days=3, hours=1), None, [3, 2, 1, 0]),
        (None, 2, [1, 0]),
        (timedelta(days=3, hours=1), 2, [1, 0]),
        (timedelta(hours=1), 5, [0]),
        (timedelta(days=30), 100, [9, 8, 7, 6, 5, 4, 3, 2, 1, 0]),
        (None, 0, []),
    ],
)
async def test_pruning_deletes_what_is_too_old_or_too_much(
    log: EventLog, monkeypatch: pytest.MonkeyPatch, older_than: timedelta | None, keep_rows: int | None, left: list[int]
) -> None:
    """In slices of whatever size, and says how many; running it again finds nothing."""
    from byjy_events import system_logs as reading

    monkeypatch.setattr(reading, "PRUNED_AT_ONCE", 2)
    await aged(log, [9, 8, 7, 6, 5, 4, 3, 2, 1, 0])
    assert await prune(log, older_than=older_than, keep_rows=keep_rows) == 10 - len(left)
    assert [row.context["day"] for row in await stored(log)] == left
    assert await prune(log, older_than=older_than, keep_rows=keep_rows) == 0


async def test_pruning_needs_to_be_told_what(log: EventLog) -> None:
    """Nothing is deleted by a slip."""
    await aged(log, [1])
    for arguments in ({}, {"keep_rows": -1}, {"older_than": timedelta(seconds=-1)}):
        with pytest.raises(ValueError, match="prune"):
            await prune(log, **arguments)
    assert await SystemLogs(log.engine).count() == 1


async def test_appends_and_entries_go_on_while_it_is_pruned(log: EventLog) -> None:
    """Nothing that is stored meanwhile is lost."""
    await aged(log, [5] * 3_000)
    pruning = asyncio.ensure_future(prune(log, older_than=timedelta(days=1)))
    async with SystemLogSink(log) as sink:
        while not pruning.done():
            await log.append(order_stream(CORRELATION), [placed()])
            said(sink, "meanwhile")
            await asyncio.sleep(0)
    assert await pruning == 3_000
    rows = await stored(log)
    assert {row.event for row in rows} <= {"meanwhile"}
    assert len(rows) == await log.head() > 0


async def test_queries_use_the_indexes(log: EventLog, backend: str) -> None:
    """By time, by level and by correlation id, on a table of some size."""
    await aged(log, [number % 50 for number in range(2_000)])
    correlation = f"X'{CORRELATION.hex}'" if backend == "sqlite" else f"'{CORRELATION}'"
    async with log.engine.connect() as connection:
        if backend == "postgresql":
            await connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
        for condition, index in (
            ("created_at >= 17", "ix_system_logs_created_at"),
            ("level = 'ERROR' AND created_at >= 17", "ix_system_logs_level"),
            (f"correlation_id = {correlation}", "ix_system_logs_correlation_id"),
        ):
            query = f"SELECT id FROM system_logs WHERE {condition} ORDER BY created_at DESC, id DESC LIMIT 10"
            explain = "EXPLAIN QUERY PLAN" if backend == "sqlite" else "EXPLAIN"
            plan = (await connection.exec_driver_sql(f"{explain} {query}")).all()
            assert index in str(plan), plan
