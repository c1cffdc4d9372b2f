"""A copy of a SQLite database as of one moment, while others write to it; and what such a copy holds.

SQLite's backup begins anew whenever somebody wrote between two of its steps, which beside a busy engine is always. So
the connection that is copied from opens a read transaction before and keeps it: in a WAL that is a snapshot, every step
copies from the same one, nothing begins anew and nobody waits. Until it ends the WAL cannot be emptied, only grow.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from byjy_events.backup.compressed import Stopped
from byjy_events.backup.manifest import Facts, private
from byjy_events.database import SQLITE_PRAGMAS
from byjy_events.sqlite.turnstile import Turnstile

STEP_PAGES = 256
PAUSE_SECONDS = 0.001
"""Between two steps, so that a disk and a core are left for others."""


class NoLogInside(Exception):
    """The file is no database with a log."""


def take(database: Path, copy: Path, stop: threading.Event) -> None:
    """Copy a database into a new file, as of the moment it begins. The copy need not survive a power failure.

    Raises:
        sqlite3.Error, OSError: one cannot be read, or the other written.
        NoLogInside: there is no log in it.
        Stopped: asked to.
    """

    def paced(_status: int, _remaining: int, _total: int) -> None:
        if stop.is_set():
            raise Stopped
        time.sleep(PAUSE_SECONDS)

    with open(copy, "xb", opener=private):
        pass
    with source(database) as one, contextlib.closing(sqlite3.connect(copy, isolation_level=None)) as other:
        one.execute("BEGIN")
        if not _has_table(one, "events"):  # which takes the snapshot
            raise NoLogInside
        other.execute("PRAGMA journal_mode = OFF")
        other.execute("PRAGMA synchronous = OFF")
        one.backup(other, pages=STEP_PAGES, progress=paced)


def revision(database: Path) -> str | None:
    """The schema of a database that others may have open; None: it has none.

    Raises:
        sqlite3.Error: it cannot be read.
    """
    with source(database) as connection:
        return _revision(connection)


@contextlib.contextmanager
def source(database: Path) -> Iterator[sqlite3.Connection]:
    """A connection that reads a database others may have open.

    The last connection to a file checkpoints it when it closes, and every checkpoint belongs into the turnstile.
    """
    connection = sqlite3.connect(f"file:{quote(str(database))}?mode=rw", uri=True, isolation_level=None)
    try:
        for pragma in (*SQLITE_PRAGMAS, "PRAGMA query_only = ON"):
            connection.execute(pragma)
        yield connection
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        with in_turn(database):
            connection.close()


@contextlib.contextmanager
def in_turn(database: Path) -> Iterator[None]:
    """While no other process writes to it."""
    turnstile = Turnstile(database)
    try:
        with turnstile:
            yield
    finally:
        turnstile.close()


@contextlib.contextmanager
def unchanging(copy: Path) -> Iterator[sqlite3.Connection]:
    """A connection to a file that nobody else has: nothing appears beside it, and nothing in it changes."""
    uri = f"file:{quote(str(copy))}?mode=ro&immutable=1"
    with contextlib.closing(sqlite3.connect(uri, uri=True, isolation_level=None)) as connection:
        yield connection


def facts(connection: sqlite3.Connection) -> Facts:
    """What a database says of itself.

    Raises:
        sqlite3.Error: it cannot be read.
    """
    first = _leaf(connection, "SELECT position, leaf_hash FROM events ORDER BY position LIMIT 1")
    last = _leaf(connection, "SELECT position, leaf_hash FROM events ORDER BY position DESC LIMIT 1")
    return Facts(
        log_id=first[1],
        head=last[0],
        head_leaf=last[1],
        checkpoint=_value(
            connection, "tree_checkpoints", "SELECT note FROM tree_checkpoints ORDER BY size DESC LIMIT 1"
        ),
        revision=_revision(connection),
        rows={name: _count(connection, name) for name in _tables(connection)},
        head_recorded_at=_recorded_at(connection, last[0]),
    )


def _leaf(connection: sqlite3.Connection, statement: str) -> tuple[int, str | None]:
    row = connection.execute(statement).fetchone()
    return (row[0], row[1].hex()) if row else (0, None)


def _recorded_at(connection: sqlite3.Connection, position: int) -> int | None:
    row = connection.execute("SELECT recorded_at FROM events WHERE position = ?", (position,)).fetchone()
    return row[0] if row else None


def _value(connection: sqlite3.Connection, table: str, statement: str) -> str | None:
    row = connection.execute(statement).fetchone() if _has_table(connection, table) else None
    return str(row[0]) if row else None


def _revision(connection: sqlite3.Connection) -> str | None:
    return _value(connection, "alembic_version", "SELECT version_num FROM alembic_version ORDER BY 1 DESC")


def _tables(connection: sqlite3.Connection) -> list[str]:
    wanted = (
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite^_%' ESCAPE '^' ORDER BY name"
    )
    return [name for (name,) in connection.execute(wanted)]


def _has_table(connection: sqlite3.Connection, name: str) -> bool:
    return bool(connection.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", (name,)).fetchone())


def _count(connection: sqlite3.Connection, table: str) -> int:
    quoted = table.replace('"', '""')
    (count,) = connection.execute(f'SELECT count(*) FROM "{quoted}"').fetchone()  # noqa: S608
    return int(count)
