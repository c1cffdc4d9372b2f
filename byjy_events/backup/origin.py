"""Where a backup comes from: of either kind of database, a plain SQLite file as of one moment.

Of SQLite that is a snapshot of the file with all that is in it. Of PostgreSQL it is a copy of the log in a new file:
events, tree, checkpoints, data keys and system logs, taken by :mod:`byjy_events.copying` while others append. Data keys
are read after the head, so those of every event up to it are there. Tables of projections are empty: they are replayed
wherever the backup is restored to.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import asyncpg
import sqlalchemy as sa
import structlog

from byjy_events.backup import snapshot
from byjy_events.backup.errors import BackupFailed
from byjy_events.backup.manifest import Kind
from byjy_events.backup.threads import in_own_loop, in_thread
from byjy_events.copying import CopyError, CopyFailed, LogDamaged, TargetAhead, TargetIsAnother, copy_log
from byjy_events.database import display, is_sqlite, open_engine, parse_url, sqlite_path
from byjy_events.errors import LogUnavailable, SchemaMismatch
from byjy_events.log import EventLog
from byjy_events.migrating import current_revision, ensure_schema
from byjy_events.schema import SCHEMA_REVISION

ANSWER_SECONDS = 60.0
"""A server that says nothing for so long is gone. A network that fails may not say so, and who reads waits for ever."""

_COPIED = ["events", "merkle_nodes", "tree_checkpoints", "key_store", "system_logs"]
_SIZE = "SELECT coalesce(sum(pg_total_relation_size(to_regclass(name))), 0) FROM unnest(CAST(:names AS text[])) AS name"
_NO_LOG = "there is no log in it"
_TROUBLE = (
    LogUnavailable, sqlite3.Error, OSError, sa.exc.SQLAlchemyError, asyncpg.PostgresError, asyncpg.InterfaceError,
    UnicodeDecodeError,  # what SQLite says of a damaged schema may be no text
)  # fmt: skip

_log = structlog.get_logger("byjy_events")


class Origin(Protocol):
    """A database to back up.

    Raises:
        BackupFailed: it cannot be read, or there is no log in it.
        SchemaMismatch: a newer program migrated it, or, on PostgreSQL, this one has yet to.
    """

    @property
    def kind(self) -> Kind:
        """Which kind of database it is."""
        ...

    @property
    def name(self) -> str:
        """What to call it, without a password."""
        ...

    @property
    def goes_on(self) -> bool:
        """Whether a copy goes on from an older one that lies where it is to be made."""
        ...

    async def size(self) -> int:
        """About how many bytes a copy takes. Looks whether one can be made."""
        ...

    async def copy(self, target: Path) -> None:
        """Copy it into a file, which need not survive a power failure. Cancelled, it may be left half made."""
        ...


def impatient(database: str | sa.URL) -> sa.URL:
    """The URL for reading pieces: what takes a server longer than :data:`ANSWER_SECONDS` fails.

    Raises:
        InvalidDatabaseUrl: it is no database.
    """
    url = parse_url(database)
    return url if is_sqlite(url) else url.update_query_dict({"command_timeout": str(ANSWER_SECONDS)})


def origin_of(database: str | sa.URL) -> Origin:
    """
    Raises:
        InvalidDatabaseUrl: it is no database.
    """
    url = parse_url(database)
    return SqliteOrigin(url) if is_sqlite(url) else PostgresOrigin(url)


class SqliteOrigin:
    """See :class:`Origin`."""

    kind, goes_on = Kind.SQLITE, False

    def __init__(self, url: sa.URL) -> None:
        self._url = url
        self._path = sqlite_path(url)
        self.name = str(self._path)

    async def size(self) -> int:
        if not self._path.is_file():
            raise BackupFailed(self.name, "it does not exist")
        with failing(self.name):
            revision = await in_thread(lambda _: snapshot.revision(self._path))
            if revision is not None and revision > SCHEMA_REVISION:  # they are numbered, and so compare as text
                raise SchemaMismatch(display(self._url), revision, SCHEMA_REVISION, "upgrade byjy-events")
            wal = _wal(self._path)
            return self._path.stat().st_size + (wal.stat().st_size if wal.exists() else 0)

    async def copy(self, target: Path) -> None:
        with failing(self.name):
            await in_thread(lambda stop: snapshot.take(self._path, target, stop))


class PostgresOrigin:
    """See :class:`Origin`."""

    kind, goes_on = Kind.POSTGRESQL, True

    def __init__(self, url: sa.URL) -> None:
        self._url = impatient(url)
        self.name = display(url)

    async def size(self) -> int:
        engine = open_engine(self._url, pooled=False)
        with failing(self.name):
            if await current_revision(engine) is None:
                raise BackupFailed(self.name, _NO_LOG)
            await ensure_schema(engine, display_url=self.name)
            async with engine.connect() as connection:
                return int(await connection.scalar(sa.text(_SIZE), {"names": _COPIED}) or 0)

    async def copy(self, target: Path) -> None:
        with failing(self.name):
            await in_own_loop(lambda: self._copied(target))
            if _wal(target).exists():  # then the file alone is not the whole of it
                raise BackupFailed(self.name, f"{target} could not be closed")

    async def _copied(self, target: Path) -> None:
        try:
            await self._gone_on(target)
        except (TargetAhead, TargetIsAnother) as error:  # the log was restored to an earlier state since
            cause = "ends before" if isinstance(error, TargetAhead) else "is another than"
            _log.warning("backup_begins_anew", database=self.name, cause=f"the log {cause} that of the newest backup")
            _remove(target)
            await self._gone_on(target)

    async def _gone_on(self, target: Path) -> None:
        copy = EventLog.open(sa.URL.create("sqlite", database=str(target)))
        async with EventLog.open(self._url, read_only=True) as source, copy:
            await copy_log(source, copy, replace_keys=True)


def _wal(database: Path) -> Path:
    return database.with_name(database.name + "-wal")


def _remove(database: Path) -> None:
    for path in (database, _wal(database), database.with_name(database.name + "-shm")):
        path.unlink(missing_ok=True)


@contextlib.contextmanager
def failing(name: str) -> Iterator[None]:
    """What databases, drivers and the system raise, in one error.

    Raises:
        BackupFailed: in its place.
    """
    try:
        yield
    except snapshot.NoLogInside:
        raise BackupFailed(name, _NO_LOG) from None
    except CopyFailed as error:
        raise BackupFailed(name, _said(error.cause)) from error
    except LogDamaged as error:
        raise BackupFailed(name, f"its log is damaged at position {error.position}: {error.reason}") from error
    except CopyError as error:
        raise BackupFailed(name, str(error)) from error
    except _TROUBLE as error:
        said = error.cause if isinstance(error, LogUnavailable) else str(getattr(error, "orig", None) or error)
        raise BackupFailed(name, _said(said.partition("\n")[0] or type(error).__name__)) from error


def _said(cause: str) -> str:
    """In words, where the driver has none."""
    return f"the server did not answer for {ANSWER_SECONDS:g} s" if cause == TimeoutError.__name__ else cause
