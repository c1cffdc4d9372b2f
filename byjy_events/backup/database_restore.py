"""Restoring a backup into a database that others serve, such as PostgreSQL, rather than into a file.

The backup is restored into a scratch file first, verified there as any other, and then copied by
:mod:`byjy_events.copying`: into an empty database, or one whose log is the beginning of the backup's, as a restore that
was cut short leaves it. So whoever repeats it goes on where it ended, and nothing that is there is changed but data
keys, to what the backup knows. Tables of projections are for the caller to replay.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import asyncpg
import sqlalchemy as sa

from byjy_events.backup.checking import TablesCheck
from byjy_events.backup.folder import Backup
from byjy_events.backup.point import LATEST_POINT, Point
from byjy_events.backup.restoring import Restored, restore
from byjy_events.backup.snapshot import revision
from byjy_events.backup.target import FolderLike
from byjy_events.backup.threads import in_thread
from byjy_events.backup.workplace import TemporaryWorkplace
from byjy_events.copying import Copied, copy_log
from byjy_events.copying.copier import Progress
from byjy_events.database import display, open_engine, parse_url
from byjy_events.errors import LogUnavailable, SchemaMismatch
from byjy_events.log import EventLog
from byjy_events.migrating import ensure_schema, upgrade
from byjy_events.schema import SCHEMA_REVISION
from byjy_events.sealing.key_store import key_store


class DatabaseRestored(NamedTuple):
    """What was restored.

    Attributes:
        database: its URL, without password.
        copied: what was done to it; ``before`` events were there.
        file: what was restored into the scratch file before.
    """

    database: str
    copied: Copied
    seconds: float
    file: Restored


async def restore_database(
    folder: FolderLike,
    name: str,
    database: str | sa.URL,
    *,
    to: Point = LATEST_POINT,
    thorough: bool = False,
    tables: TablesCheck | None = None,
    progress: Progress | None = None,
) -> DatabaseRestored:
    """Restore a backup, whichever kind of database it was made of, into an open one.

    A database without a schema gets one. A backup of an older schema is migrated on its way, in the scratch file. Each
    event is checked against its leaf hash, and in the end both logs have the same root.

    Args:
        database: whose role owns the tables, or may make them.
        to: as for :func:`restore`.
        thorough, tables: as for :meth:`Backups.verify`, of the backup.
        progress: called while events are copied.

    Raises:
        NoSuchBackup, PointUnknown, FolderUnusable, SpaceShort, BackupDamaged: as in :func:`restore`; nothing was
            written.
        FolderBusy: another process is restoring into it.
        SchemaMismatch: of the database, or the backup is newer than this program; nothing was written.
        LogUnavailable: the database cannot be reached; nothing was written.
        CopyError: see there. It holds something else, and nothing was written; or it failed, and the same call goes on.
    """
    began = time.monotonic()
    url = parse_url(database)
    erased = await _erased_in(url) if await has_log(url) else {}  # before a long backup is unpacked
    async with _scratch(display(url)) as scratch:
        file = scratch / "restored.db"
        done = await restore(folder, name, file, to=to, thorough=thorough, tables=tables, erased=erased)
        await _brought_up(file, done.backup)
        source = EventLog.open(sa.URL.create("sqlite", database=str(file)), read_only=True)
        async with source, EventLog.open(url) as target:
            copied = await copy_log(source, target, progress=progress)
    return DatabaseRestored(display(url), copied, time.monotonic() - began, done)


@asynccontextmanager
async def _scratch(database: str) -> AsyncIterator[Path]:
    """A folder in that for temporary files; what a killed restore into the same database left there is deleted."""
    workplace = TemporaryWorkplace(database)
    async with workplace.locked(patience_seconds=0):
        await in_thread(lambda _: workplace.sweep())
        async with workplace.scratch() as scratch:
            yield scratch


async def has_log(url: sa.URL) -> bool:
    """Whether there is a log already, if one without events. Nothing is made.

    Raises:
        SchemaMismatch: it has another schema than that of this program, or holds tables of something else.
        LogUnavailable: it cannot be reached.
    """
    engine = open_engine(url, pooled=False)
    try:
        async with engine.connect() as connection:
            tables = await connection.run_sync(lambda sync: sa.inspect(sync).get_table_names())
        if tables:
            await ensure_schema(engine)
        return bool(tables)
    except (OSError, sa.exc.DBAPIError, asyncpg.PostgresError) as error:
        raise LogUnavailable(str(getattr(error, "orig", None) or error)) from error
    finally:
        await engine.dispose()


async def _erased_in(url: sa.URL) -> dict[bytes, int]:
    """What the database knows to be erased: a log that was rolled back may know more than any backup."""
    c = key_store.c
    engine = open_engine(url, pooled=False)
    try:
        async with engine.connect() as connection:
            rows = await connection.execute(sa.select(c.id, c.erased_at).where(c.erased_at.is_not(None)))
            return {row.id.bytes: row.erased_at for row in rows}
    except (OSError, sa.exc.DBAPIError, asyncpg.PostgresError) as error:
        raise LogUnavailable(str(getattr(error, "orig", None) or error)) from error
    finally:
        await engine.dispose()


async def _brought_up(file: Path, backup: Backup) -> None:
    """Take a restored file to the schema of this program."""
    found = await in_thread(lambda _: revision(file))
    if found is not None and found > SCHEMA_REVISION:  # they are numbered, and so compare as text
        raise SchemaMismatch(f"backup {backup.name}", found, SCHEMA_REVISION, "upgrade byjy-events")
    if found != SCHEMA_REVISION:
        await upgrade(sa.URL.create("sqlite+aiosqlite", database=str(file)))
