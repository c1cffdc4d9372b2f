"""Taking a restored backup on, segment by segment, to a point: the file is a scratch file that nobody else has open.

Each event is checked against its leaf hash, and the first of a segment against the event before it. Keys of a segment
go in with its events, so that the key store is that of the point; but what was erased since is erased, whenever that
was. What cannot be taken over ends it there, with a name.
"""

from __future__ import annotations

import contextlib
import sqlite3
import struct
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from byjy_events.backup import segment_folder
from byjy_events.backup.compressed import Stopped
from byjy_events.backup.manifest import Manifest
from byjy_events.backup.point import Point
from byjy_events.backup.segment import Body, Damaged, Rows, Segment
from byjy_events.backup.segment_folder import SegmentFile
from byjy_events.backup.segment_path import Link
from byjy_events.backup.target import Target
from byjy_events.chunk import refuse_altered, refuse_gap
from byjy_events.errors import CorruptLog
from byjy_events.proof.tables import LEVEL_BITS
from byjy_events.query import COLUMNS

_COLUMNS = COLUMNS.split(", ")
_LEAF, _RECORDED_AT = _COLUMNS.index("leaf_hash"), _COLUMNS.index("recorded_at")
_INSERT = f"INSERT INTO events ({COLUMNS}) VALUES ({', '.join('?' * len(_COLUMNS))})"  # noqa: S608
_LAST = "SELECT position, leaf_hash, recorded_at FROM events ORDER BY position DESC LIMIT 1"
_SET = ", ".join(f"{name} = excluded.{name}" for name in ("key_encryption_key_id", "wrapped_key", "erased_at"))
_CHANGED = f"(id) DO UPDATE SET {_SET} WHERE erased_at IS NULL"
_ERASED = f"(id) DO UPDATE SET {_SET} WHERE erased_at IS NULL AND excluded.erased_at IS NOT NULL"
_TREE_KEYS = {"merkle_nodes": ("level", "number"), "tree_checkpoints": ("size",)}
_ERASE = "UPDATE key_store SET wrapped_key = NULL, erased_at = ? WHERE id = ? AND erased_at IS NULL"

_MALFORMED = (TypeError, ValueError, AttributeError, IndexError, struct.error)
"""Of a value of a kind that no segment has."""


class AnotherHistory(Exception):
    """The backup is of a history that was given up since."""


class Applied(NamedTuple):
    """How far it went.

    Attributes:
        segments: how many were taken over, at least in part.
        reached: whether the point was: it is the position of the last event, or there are events behind it.
        problem: why it went no further; None: there was no more, or no more was wanted.
    """

    segments: int
    reached: bool
    problem: str | None


@contextlib.contextmanager
def opened(file: Path) -> Iterator[sqlite3.Connection]:
    """A connection that writes a scratch file; afterwards the file alone is the whole of it.

    Raises:
        sqlite3.Error: it is not.
    """
    with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as connection:
        for pragma in (
            "locking_mode = EXCLUSIVE",
            "synchronous = OFF",
            "secure_delete = ON",
            "recursive_triggers = ON",
        ):
            connection.execute(f"PRAGMA {pragma}")
        yield connection
        (busy, _, _) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if busy:
            raise sqlite3.OperationalError(f"{file}: the WAL cannot be emptied")


class Applying:
    """A restored file that is taken on.

    Args:
        manifest: of the backup.

    Attributes:
        base: the position of the last event that was in the file.
        head, leaf, recorded_at: of the last event that is.
        number: of the last segment that was taken over.
    """

    def __init__(
        self, connection: sqlite3.Connection, target: Target, manifest: Manifest, stop: threading.Event
    ) -> None:
        self._connection = connection
        self._target = target
        self._manifest = manifest
        self._stop = stop
        found: tuple[int, bytes | None, int] = connection.execute(_LAST).fetchone() or (0, None, 0)
        self.head, self.leaf, self.recorded_at = found
        self.number = 0
        self.base = self.head
        self._file: tuple[SegmentFile, list[Segment]] | None = None
        self._waiting: list[tuple[Link, Body]] = []
        self._tree: list[tuple[str, Rows]] = []
        self._segments = 0
        self._is_beyond = False

    def apply(self, links: Sequence[Link], point: Point) -> Applied:
        """Take over what lies between the file's last event and a point.

        Raises:
            AnotherHistory: the segments are younger than the backup, and of a log that went on from before it ends.
            FolderUnusable, sqlite3.Error, Stopped: the file is good for nothing.
        """
        problem = None
        for link in self._of_this_history(links):
            if self._is_reached(point) or problem is not None:
                break
            if link.head.seen >= self.base:  # else it was written down before the backup was made
                problem = self._problem_of(link, point)
        reached = self._is_reached(point)
        if problem is None and not reached:
            problem = self._trouble(lambda: self._take_waiting(point.instant))
        problem = self._trouble(self._add_tree) or problem
        return Applied(self._segments, reached, problem)

    def erase(self, erased: Mapping[bytes, int]) -> int:
        """Erase data keys that are known to be erased; the answer is how many were not."""
        if not _columns(self._connection, "key_store"):
            return 0
        with self._transaction():
            return sum(self._connection.execute(_ERASE, (at, key)).rowcount for key, at in erased.items())

    def _of_this_history(self, links: Sequence[Link]) -> Sequence[Link]:
        """Without those of a history that was given up by restoring to an earlier point, before the backup was made."""
        for place in range(len(links) - 1, -1, -1):
            link = links[place]
            if not self._agrees(link) or self._was_left(link):
                if self._is_younger(link):
                    raise AnotherHistory
                return links[place + 1 :]
            if link.head.after <= self.base <= link.upto:
                break  # the backup is of this history, whatever came in between
        return links

    def _was_left(self, link: Link) -> bool:
        """Whether between a segment and the backup the log was restored to an earlier point.

        Either the backup is younger, and does not go as far; or a writer that knew of the backup did not find as much.
        """
        if not self._is_younger(link):
            return link.head.seen > self.base
        return link.head.backup >= self._manifest.sequence and link.head.seen < self.base

    def _agrees(self, link: Link) -> bool:
        """Whether the events that a segment tells of and the backup has are the same."""
        head = link.head
        told = [(head.after, head.after_leaf)]
        if link.upto == head.upto:
            told.append((head.upto, head.upto_leaf))
        if head.after < self.base < link.upto:
            with contextlib.suppress(Damaged, IndexError):  # which is told when it is to be taken over
                told.append((self.base, self._body(link).events[_LEAF][self.base - head.after - 1]))
        return all(leaf == self._leaf_at(position) for position, leaf in told if 0 < position <= self.base)

    def _leaf_at(self, position: int) -> bytes | None:
        row = self._connection.execute("SELECT leaf_hash FROM events WHERE position = ?", (position,)).fetchone()
        return row[0] if row else None

    def _is_younger(self, link: Link) -> bool:
        """Whether a segment was written after the backup was begun, whatever the clocks said."""
        return link.head.number > self._manifest.segment

    def _is_reached(self, point: Point) -> bool:
        return self._is_beyond or (point.position is not None and self.head >= point.position)

    def _problem_of(self, link: Link, point: Point) -> str | None:
        """Take a segment over; the answer is why that cannot be."""
        if self._stop.is_set():
            raise Stopped
        if link.head.after > self.head:
            return f"positions {self.head + 1} to {link.head.after} are in no segment"
        trouble = self._trouble(lambda: self._take(link, self._body(link), point))
        if trouble is not None:
            return f"segment {link.head.number}: {trouble} ({link.file.name})"
        self.number = link.head.number
        return None

    @staticmethod
    def _trouble(work: Callable[[], None]) -> str | None:
        try:
            work()
        except (Damaged, CorruptLog, sqlite3.IntegrityError, sqlite3.ProgrammingError, *_MALFORMED) as error:
            return str(error)
        return None

    def _take(self, link: Link, body: Body, point: Point) -> None:
        if link.upto <= self.head:
            self._waiting.append((link, body))
            return
        chunk = self._chunk(link, body)
        wanted = point.wanted(chunk[0], chunk[_RECORDED_AT])
        self._is_beyond = wanted < len(chunk[0])
        if not wanted:
            self._take_waiting(point.instant)
            return
        self._take_waiting(None)
        chunk = [column[:wanted] for column in chunk]
        with self._transaction():
            self._connection.executemany(_INSERT, zip(*chunk, strict=True))
            self._add_tables(link, body, chunk[_RECORDED_AT][-1] if self._is_beyond else None)
        self.head, self.leaf, self.recorded_at = chunk[0][-1], chunk[_LEAF][-1], chunk[_RECORDED_AT][-1]
        self._segments += 1

    def _take_waiting(self, instant: int | None) -> None:
        """Take over what is beside the events in segments that have none for us, as far as it was known by then."""
        for link, body in self._waiting:
            if instant is None or link.head.created_at <= instant:
                with self._transaction():
                    self._add_tables(link, body, instant)
                self._segments += 1
        self._waiting = []

    def _chunk(self, link: Link, body: Body) -> list[Sequence[Any]]:
        """The events of a segment that the file does not have, checked."""
        if list(body.columns) != _COLUMNS:
            raise Damaged("its events have other columns")
        first, last = self.head - link.head.after, link.upto - link.head.after
        before = body.events[_LEAF][first - 1] if first else link.head.after_leaf
        if before != self.leaf:
            raise Damaged(f"it goes on from another event at position {self.head}")
        chunk = [column[first:last] for column in body.events]
        refuse_gap(self.head, chunk)
        refuse_altered(chunk)
        return chunk

    def _body(self, link: Link) -> Body:
        if self._file is None or self._file[0] != link.file:
            self._file = link.file, segment_folder.read(self._target, link.file)[0]
        found = next((one for one in self._file[1] if one.digest == link.digest), None)
        if found is None:
            raise Damaged("it changed while it was read")
        return found.body()

    # --- tables beside the events ---------------------------------------------------------------------

    def _add_tables(self, link: Link, body: Body, logs_upto: int | None) -> None:
        is_newer = link.head.seen > self.base or self._is_younger(link)
        for table, rows in body.tables.items():
            if table in _TREE_KEYS:
                counting = [row for row in rows.rows if _size(table, rows.columns, row) <= link.upto]
                self._tree.append((table, Rows(rows.columns, counting)))
            elif table == "key_store":
                self._add(table, rows, rows.rows, _CHANGED if is_newer else _ERASED)
            elif table == "system_logs":
                at = rows.columns.index("created_at")
                self._add(table, rows, [row for row in rows.rows if logs_upto is None or row[at] <= logs_upto])

    def _add_tree(self) -> None:
        """What is of the events that are there: of others there may be none."""
        with self._transaction():
            for table, rows in self._tree:
                upto = [row for row in rows.rows if _size(table, rows.columns, row) <= self.head]
                self._add(table, rows, [row for row in upto if not self._has(table, rows.columns, row)])
        self._tree = []

    def _has(self, table: str, columns: Sequence[str], row: Sequence[Any]) -> bool:
        """Whether it is there: triggers refuse one that is, whatever is to be done on conflict."""
        keys = _TREE_KEYS[table]
        where = " AND ".join(f"{key} = ?" for key in keys)
        values = [row[columns.index(key)] for key in keys]
        return bool(self._connection.execute(f"SELECT 1 FROM {table} WHERE {where}", values).fetchone())  # noqa: S608

    def _add(self, table: str, shape: Rows, rows: Sequence[Sequence[Any]], conflict: str = "DO NOTHING") -> None:
        columns = ", ".join(shape.columns)
        if not set(shape.columns) <= _columns(self._connection, table):
            raise Damaged(f"{table} has other columns than that of the backup")
        marks = ", ".join("?" * len(shape.columns))
        statement = f"INSERT INTO {table} ({columns}) VALUES ({marks}) ON CONFLICT {conflict}"  # noqa: S608
        self._connection.executemany(statement, rows)

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._connection.execute("BEGIN")
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")


def _size(table: str, columns: Sequence[str], row: Sequence[Any]) -> int:
    """How many events a node or a checkpoint is over, from the first on."""
    if table == "tree_checkpoints":
        return int(row[columns.index("size")])
    return int(row[columns.index("number")]) + 1 << LEVEL_BITS * int(row[columns.index("level")])


def _columns(connection: sqlite3.Connection, table: str) -> set[str]:
    return {name for (name,) in connection.execute("SELECT name FROM pragma_table_info(?)", (table,))}
