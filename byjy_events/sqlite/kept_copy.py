"""A copy of a SQLite file, taken while others write, and looked through before it is trusted."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import sqlalchemy as sa

from byjy_events.database import SQLITE_PRAGMAS
from byjy_events.errors import ByjyError
from byjy_events.inventory import Inventory, taken
from byjy_events.private_file import sync_folder


class NoRoom(ByjyError):
    """A folder has too little room for what is to be done. Nothing was written.

    Attributes:
        folder: of it.
        needed_bytes, free_bytes: how much would be needed at the most, and how much there is.
    """

    def __init__(self, folder: Path, needed_bytes: int, free_bytes: int) -> None:
        self.folder = folder
        self.needed_bytes = needed_bytes
        self.free_bytes = free_bytes
        super().__init__(f"{folder}: {needed_bytes:,} bytes free are needed, {free_bytes:,} are there")


class CopyUnsound(ByjyError):
    """A copy could not be made, or is not what the database is. It was removed.

    Attributes:
        database: the file that was to be copied.
        reason: what is wrong.
    """

    def __init__(self, database: Path, reason: str) -> None:
        self.database = database
        self.reason = reason
        super().__init__(f"{database} could not be copied: {reason}")


def size_of(path: Path) -> int:
    """Bytes of the file and of the WAL beside it, which a copy holds at the most."""
    wal = path.with_name(path.name + "-wal")
    return path.stat().st_size + (wal.stat().st_size if wal.exists() else 0)


def refuse_full(needed: Mapping[Path, int]) -> dict[Path, int]:
    """How many bytes are free in each folder.

    Args:
        needed: bytes by folder.

    Raises:
        NoRoom: a folder has too little.
    """
    free = {folder: shutil.disk_usage(folder).free for folder in needed}
    for folder, number in needed.items():
        if free[folder] < number:
            raise NoRoom(folder, number, free[folder])
    return free


def keep_copy(path: Path, revision: str) -> Path:
    """Copy a database beside itself, durably, under a name that says from before which change it is and of when.

    The file is of mode 0600. It gets its name when it is whole, on the disk and verified. Blocks; writers go on.

    Raises:
        CopyUnsound: see there.
    """
    try:
        kept = _kept(path, revision)
        sync_folder(path.parent)
    except OSError as error:
        raise CopyUnsound(path, error.strerror or str(error)) from error
    return kept


def _kept(path: Path, revision: str) -> Path:
    descriptor, partial = tempfile.mkstemp(prefix=f".{path.name}.before-", suffix=".partial", dir=path.parent)  # 0600
    os.close(descriptor)
    try:
        copy(path, Path(partial))
        with Path(partial).open("rb+") as file:
            os.fsync(file.fileno())
        return _named(Path(partial), path, revision)
    finally:
        Path(partial).unlink(missing_ok=True)


def copy(path: Path, to: Path) -> Inventory:
    """Copy a database into a file, and verify the copy: sound pages and references, the same rows, the same head.

    Both are of one instant, whatever is written meanwhile. Not durable.

    Returns:
        What is in it.

    Raises:
        CopyUnsound: see there; the file may be left half written.
    """
    try:
        with _reading(path) as source:
            before = taken(source, values=False)
            with contextlib.closing(sqlite3.connect(to)) as target:
                # In one step: a copy in several begins anew whenever somebody writes.
                source.connection.driver_connection.backup(target, pages=-1)  # type: ignore[union-attr]
        after = verify_file(to, unchanging=True)
    except (sqlite3.Error, sa.exc.DBAPIError) as error:
        raise CopyUnsound(path, str(getattr(error, "orig", None) or error)) from error
    if before != after:
        raise CopyUnsound(path, "the copy holds something else")
    return after


def verify_file(path: Path, *, unchanging: bool = False) -> Inventory:
    """Look through a database.

    Args:
        unchanging: nobody writes to it, and it has no WAL: it is read without making files beside it.

    Returns:
        What is in it.

    Raises:
        CopyUnsound: a page is damaged, or a row refers to nothing.
    """
    with _reading(path, unchanging=unchanging) as connection:
        found = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar()
        if found != "ok":
            raise CopyUnsound(path, f"damaged: {found}")
        broken = connection.exec_driver_sql("PRAGMA foreign_key_check").first()
        if broken:
            raise CopyUnsound(path, f"row {broken[1]} of {broken[0]} refers to nothing in {broken[2]}")
        return taken(connection, values=False)


def _named(partial: Path, path: Path, revision: str) -> Path:
    """Two that are made in one second get two names."""
    stem = f"{path.name}.before-{revision}-{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}"
    for number in range(1_000):
        kept = path.with_name(f"{stem}{f'-{number}' if number else ''}.db")
        with contextlib.suppress(FileExistsError):
            os.link(partial, kept)
            return kept
    raise FileExistsError(f"{stem}.db")


@contextlib.contextmanager
def _reading(path: Path, *, unchanging: bool = False) -> Iterator[sa.Connection]:
    """One snapshot."""

    def connect() -> sqlite3.Connection:
        query = "?immutable=1" if unchanging else ""
        connection = sqlite3.connect(f"{path.absolute().as_uri()}{query}", uri=True, isolation_level=None)
        for pragma in (*SQLITE_PRAGMAS, "PRAGMA query_only = ON"):
            connection.execute(pragma)
        return connection

    engine = sa.create_engine("sqlite://", creator=connect, poolclass=sa.NullPool)
    with engine.connect() as connection:
        connection.exec_driver_sql("BEGIN")
        yield connection
        connection.exec_driver_sql("ROLLBACK")
