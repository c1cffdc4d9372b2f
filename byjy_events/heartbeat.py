"""Signs of life of what runs, beside the log: a small row each that is overwritten, and no event.

An engine beats every few seconds. Whoever looks compares the last beat with the clock of the database, so that neither
the clocks of several machines nor a network between them make a process look dead; see
:func:`byjy_events.heartbeat_table.database_now`. A clock that is set forward makes everything look silent until the
next beat. A process that is suspended, or whose event loop is blocked, is silent too, until its next beat.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, NamedTuple, Protocol
from uuid import UUID

import sqlalchemy as sa
import structlog

from byjy_events.backend import Backend
from byjy_events.errors import LogUnavailable
from byjy_events.heartbeat_table import database_now, strategy_execution_heartbeats
from byjy_events.log import EventLog

BEAT_SECONDS = 5.0
"""How often a process gives a sign of life."""

LOST_AFTER_SECONDS = 30.0
"""After how long without one it is taken for lost."""

_log = structlog.get_logger("byjy_events")


class HeartbeatStore(Protocol):
    """The writing side of ``strategy_execution_heartbeats``.

    Raises:
        NotStored, Unclear, TimeoutError: the database failed; the next beat makes up for it.
    """

    async def beat(self, execution_id: UUID, process: str) -> None:
        """Say that it is alive now, by the clock of the database."""

    async def forget(self, execution_id: UUID) -> None:
        """Delete its row: it has ended."""


class Beat(NamedTuple):
    """A sign of life.

    Attributes:
        at: nanoseconds UTC by the clock of the database.
        age_seconds: how long ago that was by the same clock.
    """

    at: int
    age_seconds: float
    process: str


class Heartbeats:
    """The heartbeats of an open log."""

    def __init__(self, log: EventLog) -> None:
        self._log = log

    async def beat(self, execution_id: UUID, process: str) -> bool:
        """Say that an execution is alive. Never raises what a database raises: False, and a warning is logged."""
        return await self._tried(lambda store: store.beat(execution_id, process), execution_id)

    async def forget(self, execution_id: UUID) -> bool:
        """Delete the row of an execution that has ended. Answers as :meth:`beat`."""
        return await self._tried(lambda store: store.forget(execution_id), execution_id)

    async def last(self, execution_id: UUID) -> Beat | None:
        """Its last sign of life; None: there is none.

        Raises:
            LogUnavailable: the database failed.
        """
        c = strategy_execution_heartbeats.c
        now = database_now(self._log.engine.dialect.name)
        statement = sa.select(c.beat_at, now - c.beat_at, c.process).where(c.strategy_execution_id == execution_id)
        found = await self._fetched(statement)
        return None if found is None else Beat(found[0], found[1] / 1e9, found[2])

    async def now(self) -> int:
        """The clock that beats are told by. Raises as :meth:`last`."""
        found = await self._fetched(sa.select(database_now(self._log.engine.dialect.name)))
        assert found is not None
        now: int = found[0]
        return now

    @contextlib.asynccontextmanager
    async def beating(
        self, execution_id: UUID, process: str, every_seconds: float, then: Callable[[], Awaitable[None]]
    ) -> AsyncIterator[None]:
        """Beat in a task of its own as long as the block runs. Nothing that happens to it is raised in the block.

        Args:
            then: what to do after each beat that the database took.
        """
        done = asyncio.Event()
        beating = self._beat_until(done, execution_id, process, every_seconds, then)
        task = asyncio.create_task(beating, name="byjy-heartbeat")
        try:
            yield
        finally:
            done.set()  # not cancelled: a statement that is under way may end
            await asyncio.wait([task])

    async def _beat_until(
        self,
        done: asyncio.Event,
        execution_id: UUID,
        process: str,
        every_seconds: float,
        then: Callable[[], Awaitable[None]],
    ) -> None:
        while not done.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(done.wait(), every_seconds)
                return
            if await self.beat(execution_id, process):
                await then()

    async def _fetched(self, statement: sa.Select[Any]) -> Any:
        try:
            async with self._log.engine.connect() as connection:
                return (await connection.execute(statement)).first()
        except (OSError, sa.exc.DBAPIError) as error:
            raise LogUnavailable(str(error)) from error

    async def _tried(self, write: Callable[[HeartbeatStore], Awaitable[None]], execution_id: UUID) -> bool:
        try:
            await write(_store_of(self._log.backend))
        except Exception as error:  # noqa: BLE001 - whatever it is, it is no reason to end what runs
            cause = f"{type(error).__name__}: {error}"
            _log.warning("heartbeat_failed", strategy_execution_id=str(execution_id), cause=cause)
            return False
        return True


def this_process() -> str:
    """Host and process id, at most 255 characters."""
    return f"{socket.gethostname()[:200]} pid {os.getpid()}"


def _store_of(backend: Backend) -> HeartbeatStore:
    from byjy_events.sqlite.backend import SqliteBackend

    if isinstance(backend, SqliteBackend):
        from byjy_events.sqlite.heartbeat_store import SqliteHeartbeatStore

        return SqliteHeartbeatStore(backend)
    from byjy_events.postgres.backend import PostgresBackend
    from byjy_events.postgres.heartbeat_store import PostgresHeartbeatStore

    assert isinstance(backend, PostgresBackend)
    return PostgresHeartbeatStore(backend)
