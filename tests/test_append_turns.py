"""Turns at the database: each takes what waits when it begins, and none overtakes one that failed."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from byjy_events import EventLog, LogClosed, LogUnavailable, OutcomeUnknown, Receipt, new_order_id, order_stream
from byjy_events.backend import Committed, NotStored, Unclear
from byjy_events.plan import Known
from byjy_events.postgres.backend import PostgresBackend
from byjy_events.sqlite import lane
from byjy_events.sqlite.backend import SqliteBackend
from byjy_events.writer import WORTH_A_TURN
from tests.sample_events import filled, placed


@pytest.fixture
async def log(database: str) -> AsyncIterator[EventLog]:
    async with EventLog.open(database) as log:
        yield log


class Failing:
    """The first turn waits until it is let go on, and then fails; the others store."""

    def __init__(self, error: Exception) -> None:
        self.error = error
        self.begun = threading.Event()
        self.go_on = threading.Event()
        self._first = True

    def due(self) -> bool:
        due, self._first = self._first, False
        return due


def failing(log: EventLog, monkeypatch: pytest.MonkeyPatch, error: Exception) -> Failing:
    """What fails in place of the database, which stores nothing of that turn."""
    fault, backend = Failing(error), log.backend
    if isinstance(backend, SqliteBackend):
        store = backend._appender.store

        def stored(*arguments: Any) -> Any:
            if fault.due():
                fault.begun.set()
                assert fault.go_on.wait(10)
                raise fault.error
            return store(*arguments)

        monkeypatch.setattr(backend._appender, "store", stored)
    else:
        assert isinstance(backend, PostgresBackend)
        send = backend._stored

        async def sent(*arguments: Any) -> Any:
            if fault.due():
                fault.begun.set()
                assert await asyncio.to_thread(fault.go_on.wait, 10)
                raise fault.error
            return await send(*arguments)

        monkeypatch.setattr(backend, "_stored", sent)
    return fault


async def test_nobody_overtakes_a_turn_whose_outcome_is_unclear(log: EventLog, monkeypatch: pytest.MonkeyPatch) -> None:
    """An append that follows in the same stream stays behind the one before, although its turn had been asked for."""
    fault, stream = failing(log, monkeypatch, Unclear("the disk failed")), order_stream(new_order_id())
    first = asyncio.ensure_future(log.append(stream, [placed()]))
    assert await asyncio.to_thread(fault.begun.wait, 10)
    others = [asyncio.ensure_future(log.append(stream, [filled(str(n))])) for n in range(WORTH_A_TURN + 5)]
    await asyncio.sleep(0.05)
    fault.go_on.set()
    receipts = await asyncio.wait_for(asyncio.gather(first, *others), 10)
    assert [receipt.events[0].stream_version for receipt in receipts] == list(range(1, len(others) + 2))
    assert [receipt.position for receipt in receipts] == list(range(1, len(others) + 2))


async def test_behind_a_turn_that_stored_nothing_everything_goes_on(
    log: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its caller is told, those behind him are stored, and the log can be closed."""
    fault, stream = failing(log, monkeypatch, NotStored("no room")), order_stream(new_order_id())
    first = asyncio.ensure_future(log.append(stream, [placed()]))
    assert await asyncio.to_thread(fault.begun.wait, 10)
    second = asyncio.ensure_future(log.append(stream, [placed()]))
    await asyncio.sleep(0.05)
    fault.go_on.set()
    answers = await asyncio.wait_for(asyncio.gather(first, second, return_exceptions=True), 10)
    assert [type(answer) for answer in answers] == [LogUnavailable, Receipt]
    await asyncio.wait_for(log.close(), 10)
    with pytest.raises(LogClosed):
        await log.append(stream, [placed()])


@pytest.mark.parametrize("backend", ["sqlite"])
async def test_nobody_overtakes_a_turn_that_is_cleared_up_while_the_next_one_cannot_even_begin(
    log: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when a disk fails, and then the file cannot be opened again at once: the order stays what it was."""
    assert isinstance(log.backend, SqliteBackend)
    fault, stream = failing(log, monkeypatch, Unclear("the disk failed")), order_stream(new_order_id())
    known, refused, look_up = log.backend.known, threading.Event(), asyncio.Event()
    connect = lane.connect

    def refused_once(path: Path) -> sqlite3.Connection:
        if refused.is_set():
            return connect(path)
        refused.set()
        raise sqlite3.OperationalError("unable to open database file")

    async def looked_up_late(event_ids: Sequence[bytes]) -> dict[bytes, Known]:
        await look_up.wait()
        return await known(event_ids)

    monkeypatch.setattr(lane, "connect", refused_once)
    monkeypatch.setattr(log.backend, "known", looked_up_late)
    appends = [asyncio.ensure_future(log.append(stream, [placed()]))]
    assert await asyncio.to_thread(fault.begun.wait, 10)
    appends.append(asyncio.ensure_future(log.append(stream, [filled("1")])))
    await asyncio.sleep(0.05)
    fault.go_on.set()
    assert await asyncio.to_thread(refused.wait, 10)
    appends.append(asyncio.ensure_future(log.append(stream, [filled("2")])))
    await asyncio.sleep(0.05)
    look_up.set()
    receipts = await asyncio.wait_for(asyncio.gather(*appends), 10)
    assert [receipt.position for receipt in receipts] == [1, 2, 3]


@pytest.mark.parametrize("backend", ["sqlite"])
async def test_a_turn_that_found_nothing_to_take_fails_for_nobody(
    log: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one before it took what it was asked for; whoever comes later has nothing to do with it."""
    fault, writer = failing(log, monkeypatch, NotStored("no room")), log._writer
    assert writer is not None
    writer._ask()
    assert await asyncio.to_thread(fault.begun.wait, 10)
    appending = asyncio.ensure_future(log.append(order_stream(new_order_id()), [placed()]))
    await asyncio.sleep(0.05)
    fault.go_on.set()
    assert (await asyncio.wait_for(appending, 10)).position == 1
    await asyncio.wait_for(log.close(), 10)


@pytest.mark.parametrize("error", [None, Unclear("the disk failed")])
async def test_an_error_in_who_hears_of_a_commit_keeps_no_receipt_back(
    log: EventLog, monkeypatch: pytest.MonkeyPatch, error: Exception | None
) -> None:
    """Whether the commit went well at once or had to be cleared up."""

    def hears(committed: Committed) -> None:
        raise RuntimeError("a defect")

    assert log._writer is not None
    monkeypatch.setattr(log._writer, "_committed", hears)
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)
    if error is not None:
        failing(log, monkeypatch, error).go_on.set()
    appends = [log.append(order_stream(new_order_id()), [placed()]) for _ in range(3)]
    receipts = await asyncio.wait_for(asyncio.gather(*appends), 10)
    assert [receipt.position for receipt in receipts] == [1, 2, 3]
    await asyncio.wait_for(log.close(), 10)


async def test_a_program_that_cancels_all_its_tasks_leaves_nobody_waiting(
    log: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also those who have something to append in the end, and find the queue full of what nobody will commit."""
    monkeypatch.setattr("byjy_events.writer.QUEUE_EVENTS", 10)
    fault = failing(log, monkeypatch, NotStored("no room"))

    async def produce() -> None:
        stream = order_stream(new_order_id())
        try:
            await log.append(stream, [placed()])
        except asyncio.CancelledError:
            await log.append(stream, [placed()])

    producers = [asyncio.create_task(produce()) for _ in range(30)]
    assert await asyncio.to_thread(fault.begun.wait, 10)
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()
    fault.go_on.set()
    _, waiting = await asyncio.wait(producers, timeout=10)
    assert not waiting
    for producer in producers:
        assert isinstance(producer.exception(), LogClosed | OutcomeUnknown | None)


@pytest.fixture
async def held_up(log: EventLog) -> AsyncIterator[threading.Event]:
    """The write thread does something else until the event is set."""
    assert isinstance(log.backend, SqliteBackend)
    begun, go_on = threading.Event(), threading.Event()

    def hold_up(connection: sqlite3.Connection) -> None:
        begun.set()
        go_on.wait(10)

    log.backend.lane.run(hold_up)
    assert await asyncio.to_thread(begun.wait, 10)
    yield go_on
    go_on.set()


@pytest.mark.parametrize("backend", ["sqlite"])
async def test_a_turn_takes_everything_that_came_before_it_began(log: EventLog, held_up: threading.Event) -> None:
    """Not only what was there when it was asked for."""
    appends = []
    for _ in range(10):
        appends.append(asyncio.ensure_future(log.append(order_stream(new_order_id()), [placed()])))
        await asyncio.sleep(0.001)
    held_up.set()
    receipts = await asyncio.gather(*appends)
    assert len({receipt.events[0].recorded_at for receipt in receipts}) == 1


@pytest.mark.parametrize("backend", ["sqlite"])
async def test_appends_do_not_keep_others_from_the_lane(log: EventLog, held_up: threading.Event) -> None:
    """Between two turns of appends somebody else has his, if he waits; else the appends go on."""
    assert isinstance(log.backend, SqliteBackend)
    ran: list[str] = []
    jobs = [
        log.backend.lane.run(lambda connection, name=name: ran.append(name), urgent=name.startswith("append"))  # type: ignore[misc]
        for name in ("append 1", "append 2", "append 3", "projector 1", "append 4")
    ]
    held_up.set()
    await asyncio.gather(*jobs)
    assert ran == ["append 1", "projector 1", "append 2", "append 3", "append 4"]


@pytest.mark.parametrize("backend", ["sqlite"])
async def test_two_logs_on_one_file_take_turns(database: str) -> None:
    """What one remembers is wrong as soon as the other has appended; the database objects, and both go on."""
    streams = [order_stream(new_order_id()) for _ in range(4)]
    async with EventLog.open(database) as one, EventLog.open(database) as other:
        for turn in range(30):
            log = other if turn % 3 == 2 else one
            receipts = await asyncio.gather(*(log.append(stream, [placed()], expected=turn) for stream in streams))
            assert [receipt.position for receipt in receipts] == list(range(4 * turn + 1, 4 * turn + 5))
        clocks = [recorded.recorded_at async for recorded in one.read()]
    assert clocks == sorted(clocks)
