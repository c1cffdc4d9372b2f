"""What a program logs is stored in ``system_logs``; whoever logs neither waits for it nor hears of its troubles."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import asyncpg
import pytest
import structlog

from byjy_events import EventLog, LogClosed, order_stream
from byjy_events.log_entry import Batch, entry_of
from byjy_events.log_sink import SystemLogSink
from byjy_events.log_table import LogLevel
from byjy_events.redaction import Redactor
from byjy_events.secret import MASK, Secret
from byjy_events.system_logs import LogRow
from tests.logged import CORRELATION, SECONDS, said, stored
from tests.postgres import Server
from tests.sample_events import placed
from tests.schema import execute

CANARY = "canary-4f1d9c"


@pytest.fixture
async def log(database: str) -> AsyncIterator[EventLog]:
    async with EventLog.open(database) as log:
        yield log


async def test_an_entry_has_its_columns_and_the_rest_is_its_context(log: EventLog) -> None:
    """What does not fit a column stays in the context; secrets are in neither."""
    async with SystemLogSink(log) as sink:
        said(
            sink, "order sent", "warning", logger="engine", correlation_id=CORRELATION, event_position=7,
            timestamp="now", quantity=2, password=CANARY, key=Secret(CANARY),
        )  # fmt: skip
        said(sink, f"token={CANARY}\0", level="critical", correlation_id="signal 7", event_position=0)
        said(sink, "third", correlation_id=str(CORRELATION), event_position=2**63)
    first, second, third = await stored(log)
    assert first[1:7] == (
        LogLevel.WARNING, "engine", "order sent", {"quantity": 2, "password": MASK, "key": MASK}, CORRELATION, 7,
    )  # fmt: skip
    assert second.level is LogLevel.CRITICAL
    assert CANARY not in str(second)
    assert second.context == {"correlation_id": "signal 7", "event_position": 0}
    assert (second.correlation_id, second.event_position) == (None, None)
    assert (third.correlation_id, third.context) == (CORRELATION, {"event_position": str(2**63)})
    assert [row.id.version for row in (first, second, third)] == [7, 7, 7]
    assert first.created_at <= second.created_at <= third.created_at


async def test_it_is_a_processor_of_structlog_that_hands_on_what_it_gets(log: EventLog) -> None:
    """Loggers of any kind, with an error and its traceback; what comes behind the sink sees the entry untouched."""
    handed_on: list[Any] = []

    def keep(_logger: Any, _method: str, entry: Any) -> Any:
        handed_on.append(dict(entry))
        raise structlog.DropEvent

    async with SystemLogSink(log) as sink:
        logger = structlog.wrap_logger(None, processors=[structlog.stdlib.add_log_level, sink, keep])
        logger.bind(password=CANARY, logger="engine").info("plain", value=[1])
        try:
            raise ValueError(f"token={CANARY}")
        except ValueError:
            logger.exception("failed")
        assert sink(None, "info", "rendered already") == "rendered already"
    plain, failed, rendered = await stored(log)
    assert handed_on[0] == {"event": "plain", "password": CANARY, "logger": "engine", "value": [1], "level": "info"}
    assert handed_on[1]["exc_info"] is True
    assert (plain.logger, plain.level, plain.context) == ("engine", LogLevel.INFO, {"password": MASK, "value": [1]})
    assert failed.level is LogLevel.ERROR
    assert "ValueError" in failed.context["exception"]
    assert CANARY not in str(failed)
    assert rendered.event == "rendered already"


@pytest.mark.parametrize(
    ("method", "level"),
    [("debug", "DEBUG"), ("warn", "WARNING"), ("exception", "ERROR"), ("fatal", "CRITICAL"), ("odd", "INFO")],
)
def test_every_method_has_a_level(method: str, level: str) -> None:
    """A level that nobody knows breaks no CHECK."""
    assert entry_of(Redactor(), method, {"event": "x"}).level == level
    assert entry_of(Redactor(), method, {"event": "x", "level": "odd"}).level == level
    assert entry_of(Redactor(), method, {"event": "x", "level": "Warning"}).level == "WARNING"


async def test_entries_below_a_level_are_not_stored(log: EventLog) -> None:
    """If the sink is told so."""
    async with SystemLogSink(log, level=LogLevel.WARNING) as sink:
        for method in ("debug", "info", "warning", "error"):
            said(sink, method, method)
    assert [row.event for row in await stored(log)] == ["warning", "error"]


async def test_a_hundred_thousand_entries_of_many_threads_are_stored_in_order_once(log: EventLog) -> None:
    """Each thread's in its own order, while the loop appends; with a bounded queue that never overflows."""
    threads, each = 10, 10_000
    room = threading.Semaphore(5_000)

    def work(thread: int) -> None:
        for number in range(each):
            room.acquire()
            said(sink, "n", thread=thread, number=number)

    async with SystemLogSink(log) as sink:
        workers = [threading.Thread(target=work, args=(thread,), daemon=True) for thread in range(threads)]
        for worker in workers:
            worker.start()
        given = 0
        async with asyncio.timeout(SECONDS):
            while given < threads * each:
                await log.append(order_stream(CORRELATION), [placed()])
                await sink.flush(timeout_seconds=SECONDS)
                if (settled := sink._settled) > given:
                    room.release(settled - given)
                    given = settled
        for worker in workers:
            worker.join()
    rows = await stored(log)
    assert sink.dropped == 0
    assert len(rows) == threads * each
    for thread in range(threads):
        assert [row.context["number"] for row in rows if row.context["thread"] == thread] == list(range(each))


async def test_beyond_its_capacity_entries_are_dropped_counted_and_told_of(log: EventLog) -> None:
    """By number and by bytes; the row that tells comes when there is room, and tells of each drop once."""
    async with SystemLogSink(log, capacity=100) as sink:
        for number in range(150):
            said(sink, "n", number=number)
        assert sink.dropped == 50
        assert len(sink._queue) == 100
        await told(sink)
        for number in range(30):
            said(sink, "m", number=number)
    rows = await stored(log)
    assert [row.context["number"] for row in rows if row.event == "n"] == list(range(100))
    assert [row.context["number"] for row in rows if row.event == "m"] == list(range(30))
    assert [row.context for row in rows if row.event == "log_entries_dropped"] == [{"count": 50}]
    assert len(rows) == 131
    small = SystemLogSink(log, capacity_bytes=50_000)
    for _ in range(1_000):
        said(small, "x" * 1_000)
    assert 0 < len(small._queue) < 50
    assert small.dropped == 1_000 - len(small._queue)


async def told(sink: SystemLogSink) -> None:
    """Until everything is stored, and the drops are told of."""
    assert await sink.flush(timeout_seconds=SECONDS)
    async with asyncio.timeout(SECONDS):
        while sink._said < sink.dropped:  # noqa: ASYNC110 - there is nothing to wait for it with
            await asyncio.sleep(0.01)


async def test_before_it_starts_entries_wait_and_after_it_closed_they_are_dropped(log: EventLog) -> None:
    """Without an error, in either case."""
    sink = SystemLogSink(log)
    said(sink, "before")
    threading.Thread(target=said, args=(sink, "of a thread")).start()
    async with sink:
        said(sink, "between")
    said(sink, "after")
    await sink.close()
    assert [row.event for row in await stored(log)] == ["before", "of a thread", "between"]
    assert sink.dropped == 1


def test_it_may_be_called_when_its_loop_is_gone(database: str) -> None:
    """As a program does that forgets to close it: nothing raises, and no more than the capacity is kept."""
    kept: list[SystemLogSink] = []

    async def forget() -> None:
        log = await EventLog.open(database).start()
        sink = await SystemLogSink(log, capacity=10).start()
        kept.append(sink)
        said(sink, "stored")
        assert await sink.flush(timeout_seconds=SECONDS)
        assert sink._task is not None
        sink._task.cancel()
        assert sink._store is not None
        await sink._store.close()
        await log.close()

    asyncio.run(forget())
    for _ in range(20):
        said(kept[0], "nobody stores it")
    assert kept[0].dropped == 10


async def test_a_database_that_fails_breaks_nobody_and_loses_nothing_within_the_capacity(
    log: EventLog, database: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Entries wait until it works again, and are then stored once each, in order; the drops are told of."""
    async with SystemLogSink(log, capacity=1_000) as sink:
        said(sink, "first")
        assert await sink.flush(timeout_seconds=SECONDS)
        await execute(database, "ALTER TABLE system_logs RENAME TO gone")
        for number in range(500):
            said(sink, "n", number=number)
        assert not await sink.flush(timeout_seconds=0.3)
        assert sink.last_error is not None
        receipt = await log.append(order_stream(CORRELATION), [placed()])
        assert receipt.position == 1
        for number in range(500, 1_100):
            said(sink, "n", number=number)
        assert sink.dropped == 100
        await execute(database, "ALTER TABLE gone RENAME TO system_logs")
        await told(sink)
        assert sink.last_error is None
    rows = await stored(log)
    assert [row.context["number"] for row in rows if row.event == "n"] == list(range(1_000))
    assert [row.context["count"] for row in rows if row.event == "log_entries_dropped"] == [100]
    assert capsys.readouterr().out.count("system_logs_failed") == 1


async def test_its_own_trouble_is_no_news_to_itself(log: EventLog, database: str) -> None:
    """The warning that the table cannot be written goes to the other processors only, once for each time."""
    others: list[str] = []

    def keep(_logger: Any, _method: str, entry: Any) -> Any:
        others.append(entry["event"])
        raise structlog.DropEvent

    async with SystemLogSink(log) as sink:
        structlog.configure(processors=[sink, keep])
        try:
            await execute(database, "ALTER TABLE system_logs RENAME TO gone")
            structlog.get_logger().info("waiting")
            assert not await sink.flush(timeout_seconds=0.5)
            assert sink._held == 1
            await execute(database, "ALTER TABLE gone RENAME TO system_logs")
            assert await sink.flush(timeout_seconds=SECONDS)
        finally:
            structlog.reset_defaults()
    assert others == ["waiting", "system_logs_failed"]
    assert [row.event for row in await stored(log)] == ["waiting"]


async def test_what_logs_while_it_is_looked_at_does_not_recurse(log: EventLog) -> None:
    """An object that logs in its own ``__repr__`` is stored once, and the program goes on."""

    class Chatty:
        def __repr__(self) -> str:
            said(sink, "looked at", value=Chatty())
            raise RuntimeError

    async with SystemLogSink(log) as sink:
        said(sink, "x", value=Chatty())
    assert [(row.event, row.context) for row in await stored(log)] == [
        ("x", {"value": "<unreadable Chatty: RuntimeError>"})
    ]


async def test_closing_stores_what_waits(log: EventLog) -> None:
    """A full queue too."""
    sink = SystemLogSink(log, capacity=3_000)
    for number in range(3_100):
        said(sink, "n", number=number)
    await sink.start()
    await sink.close(timeout_seconds=SECONDS)
    rows = await stored(log)
    assert [row.context["number"] for row in rows if row.event == "n"] == list(range(3_000))
    assert [row.context["count"] for row in rows if row.event == "log_entries_dropped"] == [100]


async def test_closing_ends_in_time_when_the_database_does_not_work(
    log: EventLog, database: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """What was not stored is counted, and said on the way that other entries go."""
    sink = await SystemLogSink(log, capacity=1_000).start()
    await execute(database, "ALTER TABLE system_logs RENAME TO gone")
    for number in range(1_200):
        said(sink, "n", number=number)
    async with asyncio.timeout(SECONDS):
        await sink.close(timeout_seconds=0.2)
    assert sink.dropped == 1_200
    assert "log_entries_lost" in capsys.readouterr().out


async def test_closing_behind_its_log_does_not_wait_in_vain(database: str) -> None:
    """Nobody opens the log again, so what waits is dropped at once."""
    log = await EventLog.open(database).start()
    sink = await SystemLogSink(log).start()
    await log.close()
    said(sink, "too late")
    async with asyncio.timeout(SECONDS):
        await sink.close(timeout_seconds=10 * SECONDS)
    assert sink.dropped == 1
    assert sink.last_error is None or LogClosed.__name__ in sink.last_error


async def test_an_entry_that_the_table_refuses_takes_no_other_with_it(log: EventLog) -> None:
    """No such entry is known; were there one, its neighbours would be stored all the same."""
    async with SystemLogSink(log) as sink:
        for number in range(5):
            made = entry_of(Redactor(), "info", {"event": "n", "number": number})
            sink._offer(made if number != 2 else made._replace(event_position=-1))
        await told(sink)
    rows = await stored(log)
    assert [row.context["number"] for row in rows if row.event == "n"] == [0, 1, 3, 4]
    assert sink.dropped == 1


async def test_a_batch_whose_fate_was_unclear_is_stored_once(log: EventLog) -> None:
    """It is recognised by its first id; the next one gets higher ids, whatever the clock says."""
    async with SystemLogSink(log) as sink:
        said(sink, "first")
        await sink.flush(timeout_seconds=SECONDS)
        assert sink._store is not None
        batch = Batch([entry_of(Redactor(), "info", {"event": f"n{number}"}) for number in range(3)])
        await sink._store.write(batch)
        await sink._store.write(batch)
    assert [row.event for row in await stored(log)] == ["first", "n0", "n1", "n2"]


def test_ids_rise_even_when_a_clock_stands_behind() -> None:
    """And two attempts at it do not come by the same ids."""
    future = UUID("ffffffff-ffff-7000-8000-000000000000")
    entries = [entry_of(Redactor(), "info", {"event": "x"})] * 3
    ids = [Batch(entries).numbered(future.bytes) for _ in range(2)]
    assert future.bytes < ids[0][0] < ids[0][1] < ids[0][2]
    assert ids[0] != ids[1]


@pytest.mark.parametrize("backend", ["postgresql"])
async def test_connections_that_are_shot_lose_and_double_nothing(
    log: EventLog, database: str, postgresql: Server
) -> None:
    """Again and again, in the midst of writing."""
    admin = await asyncpg.connect(postgresql.url("postgres"))
    name = urlsplit(database).path.strip("/")
    try:
        async with SystemLogSink(log) as sink:
            for number in range(4_000):
                said(sink, "n", number=number)
                if number % 100 == 0:
                    await asyncio.sleep(0.01)
                    await admin.execute(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", name
                    )
            assert await sink.flush(timeout_seconds=SECONDS)
    finally:
        await admin.close()
    engine_rows: list[LogRow] = []
    async with EventLog.open(database) as again:
        engine_rows = await stored(again)
    assert [row.context["number"] for row in engine_rows] == list(range(4_000))


@pytest.mark.parametrize("backend", ["sqlite"])
async def test_a_lane_that_lost_its_connection_loses_and_doubles_nothing(log: EventLog, tmp_path: Path) -> None:
    """Again and again, in the midst of writing."""
    async with SystemLogSink(log) as sink:
        for number in range(2_000):
            said(sink, "n", number=number)
            if number % 100 == 0:
                await asyncio.sleep(0.01)
                await log.backend.reopen()
        assert await sink.flush(timeout_seconds=SECONDS)
    assert [row.context["number"] for row in await stored(log)] == list(range(2_000))
