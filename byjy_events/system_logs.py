"""Looking into ``system_logs``, and pruning it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from datetime import timedelta
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from byjy_events.log import EventLog
from byjy_events.log_store import store_of
from byjy_events.log_table import LogLevel, system_logs

CHUNK = 1_000
"""Rows that one statement fetches; between statements no snapshot is held."""

PRUNED_AT_ONCE = 500
"""Rows that one transaction deletes; an append waits for no more than these."""

POLL_SECONDS = 0.25
"""How often new entries are looked for."""


class LogRow(NamedTuple):
    """A row of ``system_logs``.

    Attributes:
        id: UUIDv7; rises in the order in which entries were stored.
        context: what else was said, from JSON.
        event_position: of the related event in the log.
        created_at: when it was logged, nanoseconds UTC.
    """

    id: UUID
    level: LogLevel
    logger: str
    event: str
    context: dict[str, Any]
    correlation_id: UUID | None
    event_position: int | None
    created_at: int


class LogFilter(NamedTuple):
    """Which entries; None: all.

    Attributes:
        level: this one and those that matter more.
        since: logged at this instant or later, nanoseconds UTC.
    """

    level: LogLevel | None = None
    since: int | None = None
    correlation_id: UUID | None = None

    @property
    def conditions(self) -> list[sa.ColumnElement[bool]]:
        """The same for a query."""
        c = system_logs.c
        conditions: list[sa.ColumnElement[bool]] = []
        if self.level not in (None, LogLevel.DEBUG):
            conditions.append(c.level.in_([str(level) for level in self.level.and_above]))
        if self.since is not None:
            conditions.append(c.created_at >= self.since)
        if self.correlation_id is not None:
            conditions.append(c.correlation_id == self.correlation_id)
        return conditions


EVERYTHING = LogFilter()


class SystemLogs:
    """The entries that sinks stored, of all processes.

    Args:
        engine: of a log (:attr:`EventLog.engine`), or any other on its database.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def newest(
        self, wanted: LogFilter = EVERYTHING, *, limit: int | None = 100
    ) -> AsyncGenerator[list[LogRow], None]:
        """Entries by the time at which they were logged, the newest first, in lists; None: all."""
        c = system_logs.c
        key = sa.tuple_(c.created_at, c.id)
        statement = sa.select(system_logs).where(*wanted.conditions).order_by(c.created_at.desc(), c.id.desc())
        beyond, left = statement, limit
        while left is None or left > 0:
            size = CHUNK if left is None else min(left, CHUNK)
            rows = await self._rows(beyond.limit(size))
            if rows:
                yield rows
            if len(rows) < size:
                return
            last = sa.tuple_(sa.literal(rows[-1].created_at, c.created_at.type), sa.literal(rows[-1].id, c.id.type))
            beyond = statement.where(key < last)
            left = None if left is None else left - len(rows)

    async def follow(
        self, wanted: LogFilter = EVERYTHING, *, after: UUID | None = None, poll_seconds: float = POLL_SECONDS
    ) -> AsyncGenerator[list[LogRow], None]:
        """Entries in the order in which they are stored, each once, in lists, for ever.

        Args:
            after: the id of the last one that is known; None: only what is stored from now on.
        """
        c = system_logs.c
        last = await self.newest_id() if after is None else after
        statement = sa.select(system_logs).where(*wanted.conditions).order_by(c.id).limit(CHUNK)
        while True:
            rows = await self._rows(statement if last is None else statement.where(c.id > last))
            if rows:
                last = rows[-1].id
                yield rows
            if len(rows) < CHUNK:
                await asyncio.sleep(poll_seconds)

    async def newest_id(self) -> UUID | None:
        """Of the entry that was stored last; None: there is none."""
        return await self._oldest_beyond(0)

    async def count(self) -> int:
        """How many entries there are. Reads them all."""
        async with self._engine.connect() as connection:
            return await connection.scalar(sa.select(sa.func.count()).select_from(system_logs)) or 0

    async def _oldest_beyond(self, kept: int) -> UUID | None:
        """The newest entry that goes if so many are kept."""
        c = system_logs.c
        async with self._engine.connect() as connection:
            return await connection.scalar(sa.select(c.id).order_by(c.id.desc()).limit(1).offset(kept))

    async def _rows(self, statement: sa.Select[Any]) -> list[LogRow]:
        async with self._engine.connect() as connection:
            found: Sequence[Any] = (await connection.execute(statement)).all()
        return [
            LogRow(row.id, LogLevel(row.level), row.logger, row.event, msgspec.json.decode(row.context), *row[5:])
            for row in found
        ]


async def prune(log: EventLog, *, older_than: timedelta | None = None, keep_rows: int | None = None) -> int:
    """Delete old entries of ``system_logs``, and return how many.

    In transactions of a few milliseconds, between which appends go on; what was deleted when this is cancelled stays
    deleted. Entries that are stored meanwhile are not counted into ``keep_rows``.

    Args:
        older_than: those that were logged longer ago than this.
        keep_rows: all but the last so many.

    Raises:
        ValueError: neither is given, or one is negative.
        NotStored, Unclear: the database failed; running it again goes on.
    """
    if older_than is None and keep_rows is None:
        raise ValueError("prune: give older_than, keep_rows or both")
    if (older_than is not None and older_than < timedelta()) or (keep_rows is not None and keep_rows < 0):
        raise ValueError("prune: older_than and keep_rows are not negative")
    before = None if older_than is None else time.time_ns() - older_than // timedelta(microseconds=1) * 1_000
    cut = None if keep_rows is None else await SystemLogs(log.engine)._oldest_beyond(keep_rows)
    store = store_of(log.backend)
    pruned = 0
    try:
        while deleted := await store.prune(before, None if cut is None else cut.bytes, PRUNED_AT_ONCE):
            pruned += deleted
    finally:
        await store.close()
    return pruned
