"""Logs to back up, and what lies in a database or a folder afterwards."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from datetime import datetime
from pathlib import Path
from uuid import UUID

from byjy_events import EventLog
from byjy_events.backup import Backups
from tests.story import tell_lives

SECOND, MINUTE, HOUR, DAY = 10**9, 60 * 10**9, 3_600 * 10**9, 86_400 * 10**9


class Clock:
    """A clock that goes when it is told to."""

    def __init__(self, now: str = "2024-03-01T12:00:00+00:00") -> None:
        self.now = int(datetime.fromisoformat(now).timestamp()) * SECOND

    def __call__(self) -> int:
        return self.now


def url(path: Path) -> str:
    return f"sqlite:///{path}"


def new_log(migrated_file: Path, path: Path) -> str:
    """The URL of a fresh database there."""
    shutil.copyfile(migrated_file, path)
    return url(path)


async def told(database: str, seed: int = 1, orders: int = 10) -> int:
    """Append the lives of some orders; the answer is the head."""
    async with EventLog.open(database) as log:
        return await tell_lives(log, seed, orders)


def head(path: Path) -> int:
    """The head of a database that passes SQLite's own check."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        (found,) = connection.execute("SELECT coalesce(max(position), 0) FROM events").fetchone()
        return int(found)


def event_ids(path: Path) -> list[UUID]:
    """The ids of all events, in order of position."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return [UUID(bytes=one) for (one,) in connection.execute("SELECT event_id FROM events ORDER BY position")]


def change(path: Path, *statements: str) -> None:
    """What somebody does who can write the file, past all triggers."""
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        triggers = connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
        for name, _ in triggers:
            connection.execute(f"DROP TRIGGER {name}")
        for statement in statements:
            connection.execute(statement)
        for _, text in triggers:
            connection.execute(text)


def states(backups: Backups) -> list[str]:
    """Newest first."""
    return [str(one.state) for one in backups.list()]


def files(folder: Path) -> set[str]:
    """What lies there, but for locks."""
    return {path.name for path in folder.iterdir()} - {".lock", ".scheduler.lock", ".segments.lock"}
