"""A database and its backups, to be harmed, and what has to hold of them whatever happened.

The checks know the formats and nothing else of what they check: zstd, SHA-256, the manifest's JSON, and SQLite.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import zstandard

from byjy_events import EventLog
from byjy_events.backup import Backups, Segments, State
from byjy_events.migrating import downgrade, upgrade
from byjy_events.schema import SCHEMA_REVISION
from projections import TRADING, catch_up
from tests.backups import DAY, Clock, told, url
from tests.story import place as one_more

OLDEST = "0001"
BACKUPS = 5
KEEP = timedelta(days=2)
LEFT = 2
"""So many of the backups are not older than that."""


ROOM_BYTES = 1 << 29


@contextlib.contextmanager
def folder_in_memory() -> Iterator[Path]:
    """A folder in memory where there is room, else on the disk: who is killed leaves the same behind, only sooner."""
    memory = Path("/dev/shm")
    usable = memory.is_dir() and os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > ROOM_BYTES
    with tempfile.TemporaryDirectory(dir=memory if usable else None) as name:
        yield Path(name)


class Place:
    """A folder with a database that a crash left a WAL beside, its backups, and a database of an older schema.

    Attributes:
        head: of both databases.
        rows: of every table of each of them, by its revision.
        good: the backups that were verified, newest first, by name, with the SHA-256 of their data.
        restored_head: of what they and the segments behind them restore to, which is one event less.
    """

    head: int
    rows: dict[str, dict[str, list[tuple[object, ...]]]]
    good: dict[str, str]
    restored_head: int

    def __init__(self, root: Path, known: Place | None = None) -> None:
        self.root = root
        self.database, self.older, self.folder = root / "log.db", root / "older.db", root / "backups"
        if known is not None:
            self.head, self.rows = known.head, known.rows
            self.good, self.restored_head = known.good, known.restored_head

    @classmethod
    async def made(cls, root: Path, seed: int = 1) -> Place:
        """A new one, in a folder that is there."""
        self, clock = cls(root), Clock()
        backups, filling = Backups(self.folder, clock=clock), root / "filling.db"
        await upgrade(url(filling))
        await told(url(filling), seed)
        for _ in range(BACKUPS):
            await backups.create(url(filling))
            clock.now += DAY
        async with EventLog.open(url(filling)) as log:
            await catch_up(log, TRADING)
            self.restored_head = await one_more(log)
            await Segments(log, self.folder).turn()
            self.head = await one_more(log)
            for suffix in ("", "-wal"):  # as a crash would leave it
                shutil.copyfile(f"{filling}{suffix}", f"{self.database}{suffix}")
        await downgrade(url(filling), OLDEST)
        filling.rename(self.older)
        self.rows = {revision(path): rows(path) for path in (self.database, self.older)}
        self.good = {one.name: self.sha256(one.name) for one in backups.list()}
        return self

    def copy(self, root: Path) -> Place:
        """The same once more."""
        shutil.copytree(self.root, root)
        return Place(root, self)

    @property
    def counted(self) -> dict[str, int]:
        """The rows of the tables that both schemas have: no migration changes their number."""
        return {table: len(found) for table, found in self.rows[OLDEST].items()}

    @property
    def backups(self) -> Backups:
        """What the program makes of the folder."""
        return Backups(self.folder)

    def check(self, *, pruned: bool = False, damaged: str | None = None) -> None:
        """Hold the backups, but for one that was damaged, and both databases against what they have to be.

        Raises:
            AssertionError: a good backup is lost, something half written counts as one, or a database is harmed.
        """
        complete = {one.name: one for one in self.backups.list() if one.state is not State.INCOMPLETE}
        wanted = [name for name in list(self.good)[: LEFT if pruned else None] if name != damaged]
        lost = [name for name in wanted if name not in complete or complete[name].state is not State.VERIFIED]
        assert not lost, f"good backups are lost: {lost}"
        for name in complete.keys() - {damaged}:
            if name in self.good:
                assert self.sha256(name) == self.good[name], name
            else:
                assert restores(self.folder, name), name
        for path in (self.database, self.older):
            self._check_rows(path)
        for path in self.root.glob("[!.]*.db.before-*"):
            if not path.name.endswith(("-wal", "-shm")):
                self._check_rows(path)

    def _check_rows(self, path: Path) -> None:
        """Of a database that is as it was, or migrated, or has been replaced by what was backed up."""
        found = head(path)
        if found != self.head:
            assert found == self.restored_head, path
            return
        now, was = rows(path), self.rows[OLDEST if path.name.startswith(self.older.name) else SCHEMA_REVISION]
        if now != was:
            assert revision(path) == (SCHEMA_REVISION if was is self.rows[OLDEST] else OLDEST), path
            assert now["events"] == was["events"], path
            assert {table: len(now[table]) for table in self.rows[OLDEST]} == self.counted, path

    def sha256(self, name: str) -> str:
        """Of the data of a backup."""
        return hashlib.sha256((self.folder / f"{name}.db.zst").read_bytes()).hexdigest()

    def leftovers(self) -> list[str]:
        """What somebody began and nobody ended."""
        paths = [*self.root.iterdir(), *(self.folder.iterdir() if self.folder.is_dir() else ())]
        known = (".lock", ".scheduler.lock", ".segments.lock")
        return [
            path.name
            for path in paths
            if path.name not in known and (path.name.startswith(".") or ".part" in path.name)
        ]

    async def appended(self) -> None:
        """An engine goes on, in the database as it is."""
        before = head(self.database)
        async with EventLog.open(url(self.database)) as log:
            assert await one_more(log) == before + 1
        assert head(self.database) == before + 1


def head(path: Path) -> int:
    """Of a database that is whole: its pages, its references, and no position missing."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA quick_check").fetchone() == ("ok",), path
        assert connection.execute("PRAGMA foreign_key_check").fetchone() is None, path
        (count, last) = connection.execute("SELECT count(*), coalesce(max(position), 0) FROM events").fetchone()
        assert count == last, path
        return int(last)


def revision(path: Path) -> str:
    """Of a database's schema."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        (found,) = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        return str(found)


def rows(path: Path) -> dict[str, list[tuple[object, ...]]]:
    """Of every table."""
    tables = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'"
    with contextlib.closing(sqlite3.connect(path)) as connection:
        names = [name for (name,) in connection.execute(tables)]
        return {name: sorted(connection.execute(f"SELECT * FROM {name}"), key=repr) for name in names}


def restores(folder: Path, name: str) -> bool:
    """Whether a backup is what its manifest says."""
    told_of = json.loads((folder / f"{name}.json").read_text())
    packed = (folder / f"{name}.db.zst").read_bytes()
    plain = zstandard.ZstdDecompressor().decompressobj().decompress(packed)
    for content, bytes_ in (("compressed", packed), ("plain", plain)):
        assert told_of[content]["size"] == len(bytes_)
        assert told_of[content]["sha256"] == hashlib.sha256(bytes_).hexdigest()
    unpacked = folder.parent / "unpacked.db"
    unpacked.write_bytes(plain)
    try:
        return head(unpacked) == told_of["facts"]["head"]
    finally:
        unpacked.unlink()
