"""What is new in a log and beside it since somebody looked last.

Of events, subtrees, checkpoints and system logs there are only ever more, so a position or an id says where to go on.
Data keys change: they are added and erased, and a rotation wraps them anew, which leaves no time. So it is known of
each key which key-encryption key wraps it and when it was erased, and all of them are gone through when a count of them
by wrapping key differs, which every addition, erasure and rotation changes; and once a minute whatever the counts say,
since two rotations in opposite directions may leave them as they are.

Head and changed keys are found in one snapshot: the keys of every event up to that head are among them.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from sys import intern
from typing import Any, NamedTuple
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from byjy_events.backup.segment import Rows, Tree
from byjy_events.database import is_sqlite
from byjy_events.log import EventLog
from byjy_events.log_table import system_logs
from byjy_events.proof.tables import LEVEL_BITS, TOP_LEVEL, merkle_nodes, tree_checkpoints
from byjy_events.schema import events
from byjy_events.sealing.key_store import key_store
from byjy_events.sqlite.backend import SqliteBackend

PAGE_ROWS = 500
"""Rows that one read fetches, so that an event loop waits a millisecond for them and no longer."""

MOST_ROWS = 2_000
"""Rows of a table that one look takes, but for data keys; the next look takes the others."""

THOROUGH_SECONDS = 60.0
"""How often all data keys are gone through although their counts are the same."""

_c = key_store.c
_KEY_ID = UUID(int=0)

Known = dict[bytes, tuple[str, int | None]]
"""By data key: what wraps it, and when it was erased; values that Python's garbage collector passes over."""


class Place(NamedTuple):
    """How far the tables beside the events are known."""

    tree: Tree
    last_log: bytes


class Look(NamedTuple):
    """What there is.

    Attributes:
        head: of the log.
        leaf: the leaf hash of the event where the last look ended; None: there is none.
        log_id: the leaf hash of the first event; None: there is none.
        known: data keys that are new or changed, to be remembered once they are written down.
        tables: new rows of the other tables.
        place: how far those tables are known when all this is written down.
        more: whether there are more rows than one look takes.
    """

    head: int
    leaf: bytes | None
    log_id: bytes | None
    known: Known
    tables: dict[str, Rows]
    place: Place
    more: bool


class Source:
    """A log that is looked at again and again. Nothing is written, and nobody waits for it."""

    def __init__(self, log: EventLog) -> None:
        self.log = log
        self._reader = log.backend.reader() if isinstance(log.backend, SqliteBackend) else None
        self._version: Any = None
        self._counts: object = None
        self._counted_at = 0.0

    async def changed(self) -> bool:
        """Whether anything may have changed since this was asked last; on SQLite a look at shared memory tells."""
        if self._reader is None:
            return True
        version = (await self._reader.fetch("PRAGMA data_version", ()))[0][0]
        is_new, self._version = version != self._version, version
        return is_new or self._is_thorough_due()

    def forget(self) -> None:
        """The next look is thorough: what it found may not have been written down."""
        self._version, self._counts = None, None

    async def look(self, position: int, place: Place, known: Known) -> Look:
        """What is not known yet, as of one moment, and the event at the position where the last look ended."""
        async with self.log.engine.connect() as connection:
            if not is_sqlite(self.log.engine.url):
                await connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            head = await connection.scalar(sa.select(sa.func.max(events.c.position))) or 0
            leaf, log_id = [await connection.scalar(_leaf(one)) for one in (position, 1)]
            found = await self._changed_keys(connection, known)
            nodes = await _new_nodes(connection, place.tree, head)
            checkpoints = await _new_checkpoints(connection, place.tree)
            logs = await _new_logs(connection, place.last_log)
        tables = {
            str(table.name): _stored(table, rows)
            for table, rows in ((merkle_nodes, nodes), (tree_checkpoints, checkpoints), (system_logs, logs))
            if rows
        }
        beyond = Place(_grown(place.tree, nodes, checkpoints), logs[-1].id.bytes if logs else place.last_log)
        more = any(len(rows) >= MOST_ROWS for rows in (nodes, checkpoints, logs))
        return Look(head, leaf, log_id, found, tables, beyond, more)

    async def _changed_keys(self, connection: AsyncConnection, known: Known) -> Known:
        live = sa.select(_c.key_encryption_key_id, sa.func.count()).where(_c.erased_at.is_(None))
        by_wrapping = await connection.execute(live.group_by(_c.key_encryption_key_id))
        total = await connection.scalar(sa.select(sa.func.count()).select_from(key_store))
        counts = sorted(map(tuple, by_wrapping)), total
        if counts == self._counts and not self._is_thorough_due():
            return {}
        found: Known = {}
        last = _KEY_ID
        statement = sa.select(_c.id, _c.key_encryption_key_id, _c.erased_at).order_by(_c.id).limit(PAGE_ROWS)
        while page := (await connection.execute(statement.where(_c.id > last))).all():
            for id_, key, erased in page:
                if known.get(id_.bytes) != (key, erased):
                    found[id_.bytes] = intern(key), erased
            last = page[-1].id
        self._counts, self._counted_at = counts, time.monotonic()
        return found

    async def keys(self, ids: Sequence[bytes]) -> dict[str, Rows]:
        """Rows of the key store as they are now, which is at least as new as the look that found them changed."""
        rows: list[Sequence[Any]] = []
        async with self.log.engine.connect() as connection:
            for start in range(0, len(ids), PAGE_ROWS):
                wanted = [UUID(bytes=one) for one in ids[start : start + PAGE_ROWS]]
                some = await connection.execute(sa.select(key_store).where(_c.id.in_(wanted)))
                rows += _stored(key_store, some.all()).rows
        return {str(key_store.name): Rows(_names(key_store), rows)} if rows else {}

    async def close(self) -> None:
        """Give the connection back; whoever looks again opens another."""
        if self._reader is not None:
            await self._reader.close()

    def _is_thorough_due(self) -> bool:
        return self._counts is None or time.monotonic() - self._counted_at >= THOROUGH_SECONDS


def first_place(sealed_size: int, logs_since: int) -> Place:
    """What a backup is sure to know.

    Args:
        sealed_size: of its newest checkpoint.
        logs_since: nanoseconds UTC, before which it knows all system logs.
    """
    nodes = tuple(sealed_size >> LEVEL_BITS * level for level in range(1, TOP_LEVEL + 1))
    return Place(Tree(sealed_size, nodes), max(0, logs_since // 1_000_000).to_bytes(6, "big") + bytes(10))


async def leaf_at(log: EventLog, position: int) -> bytes | None:
    """The leaf hash of an event; None: there is none."""
    async with log.engine.connect() as connection:
        leaf: bytes | None = await connection.scalar(_leaf(position))
        return leaf


def _leaf(position: int) -> sa.Select[Any]:
    return sa.select(events.c.leaf_hash).where(events.c.position == position)


async def _new_nodes(connection: AsyncConnection, tree: Tree, head: int) -> list[sa.Row[Any]]:
    found: list[sa.Row[Any]] = []
    c = merkle_nodes.c
    for level, known in enumerate(tree.nodes, 1):
        if head >> LEVEL_BITS * level > known:
            statement = sa.select(merkle_nodes).where((c.level == level) & (c.number >= known))
            found += (await connection.execute(statement.order_by(c.number).limit(MOST_ROWS))).all()
    return found


async def _new_checkpoints(connection: AsyncConnection, tree: Tree) -> Sequence[sa.Row[Any]]:
    c = tree_checkpoints.c
    statement = sa.select(tree_checkpoints).where(c.size > tree.size).order_by(c.size).limit(MOST_ROWS)
    return (await connection.execute(statement)).all()


async def _new_logs(connection: AsyncConnection, last: bytes) -> Sequence[sa.Row[Any]]:
    c = system_logs.c
    statement = sa.select(system_logs).where(c.id > UUID(bytes=last)).order_by(c.id).limit(MOST_ROWS)
    return (await connection.execute(statement)).all()


def _grown(tree: Tree, nodes: Sequence[sa.Row[Any]], checkpoints: Sequence[sa.Row[Any]]) -> Tree:
    counts = list(tree.nodes)
    for row in nodes:
        counts[row.level - 1] = max(counts[row.level - 1], row.number + 1)
    return Tree(checkpoints[-1].size if checkpoints else tree.size, tuple(counts))


def _stored(table: sa.Table, rows: Sequence[sa.Row[Any]]) -> Rows:
    """As SQLite stores them."""
    values = [[value.bytes if isinstance(value, UUID) else value for value in row] for row in rows]
    return Rows(_names(table), values)


def _names(table: sa.Table) -> list[str]:
    return list(map(str, table.columns.keys()))


def rows_of(tables: Mapping[str, Rows]) -> int:
    """How many there are."""
    return sum(len(table.rows) for table in tables.values())
