"""One snapshot of the database: whatever is read in it is as of the same moment, and nobody waits for it."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any

import sqlalchemy as sa

from byjy_events.database import is_sqlite
from byjy_events.errors import LogUnavailable
from byjy_events.log import EventLog
from byjy_ops.reading import Fetch


@contextlib.asynccontextmanager
async def snapshot(log: EventLog) -> AsyncIterator[Fetch]:
    """Queries that all see the same moment, until the context is left.

    Raises:
        LogUnavailable: the database failed.
    """
    try:
        async with log.engine.connect() as connection:
            if not is_sqlite(log.engine.url):  # SQLite has no other snapshots
                await connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)

            async def fetch(statement: sa.Select[Any]) -> Sequence[sa.Row[Any]]:
                rows: Sequence[sa.Row[Any]] = (await connection.execute(statement)).all()
                return rows

            yield fetch
    except (OSError, sa.exc.DBAPIError) as error:
        raise LogUnavailable(str(getattr(error, "orig", error))) from error
