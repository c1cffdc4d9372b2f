"""Whether two URLs lead to one database: by what the databases say, not by what they are called."""

from __future__ import annotations

import os
from collections.abc import Hashable

import sqlalchemy as sa

from byjy_events.database import is_sqlite, sqlite_path
from byjy_events.log import EventLog

_WHO = "SELECT pg_postmaster_start_time(), oid, current_schema() FROM pg_database WHERE datname = current_database()"
"""No two servers start in the same microsecond, but for one that is named twice."""


async def identity(log: EventLog) -> Hashable:
    """Equal for two logs if they are one database."""
    if is_sqlite(log.engine.url):
        found = os.stat(sqlite_path(log.engine.url))
        return found.st_dev, found.st_ino
    async with log.engine.connect() as connection:
        return tuple((await connection.execute(sa.text(_WHO))).one())
