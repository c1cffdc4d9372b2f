"""That nothing was switched off to win: asked of the database that was just measured."""

from __future__ import annotations

import sqlite3

import sqlalchemy as sa

from byjy_events import EventLog
from byjy_events.leaf import content_hash, leaf_hash
from byjy_events.sqlite.backend import SqliteBackend

FULL = 2
LEAVES_LOOKED_AT = 200
UNIQUE = ({"event_id"}, {"stream_id", "stream_category", "stream_version"})


async def assert_honest(log: EventLog, events: int) -> None:
    """Durable commits, refusing triggers, unique indexes and leaf hashes, and every event there.

    Raises:
        AssertionError: says which was missing.
    """
    assert await log.head() == events, f"{await log.head()} events are stored, not {events}"
    await _assert_leaves(log)
    if isinstance(log.backend, SqliteBackend):
        await log.backend.lane.run(_assert_sqlite)
    else:
        await _assert_postgresql(log)


def assert_honest_connection(connection: sqlite3.Connection) -> None:
    """The same of a connection that writes to SQLite without our log."""
    _assert_sqlite(connection)


async def _assert_leaves(log: EventLog) -> None:
    async for one in log.read(limit=LEAVES_LOOKED_AT, backward=True):
        content = content_hash(
            one.event_id_bytes, one.category, one.stream_id_bytes, one.type, one.schema_version, one.payload,
            one.occurred_at, one.received_at, one.actor, one.correlation_id_bytes, one.causation_id_bytes,
        )  # fmt: skip
        leaf = leaf_hash(content, one.position, one.stream_version, one.recorded_at)
        assert leaf == one.leaf_hash, f"position {one.position} has no leaf hash, or a wrong one"


def _assert_sqlite(connection: sqlite3.Connection) -> None:
    assert connection.execute("PRAGMA synchronous").fetchone()[0] == FULL, "synchronous is not FULL"
    assert connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal", "journal_mode is not WAL"
    indexes = connection.execute("SELECT name FROM pragma_index_list('events') WHERE \"unique\"").fetchall()
    columns = [{row[2] for row in connection.execute(f"PRAGMA index_info('{name}')")} for (name,) in indexes]
    assert all(unique in columns for unique in UNIQUE), f"unique indexes are over {columns} only"
    for statement in ("UPDATE events SET actor = 'x'", "DELETE FROM events"):
        try:
            connection.execute(statement)
        except sqlite3.IntegrityError:
            continue
        raise AssertionError(f"{statement} was not refused")


async def _assert_postgresql(log: EventLog) -> None:
    async with log.engine.connect() as connection:
        for setting in ("fsync", "synchronous_commit", "full_page_writes"):
            value = (await connection.execute(sa.text(f"SHOW {setting}"))).scalar_one()
            assert value == "on", f"{setting} is {value}"
        triggers = sa.text("SELECT count(*) FROM pg_trigger WHERE tgrelid = 'events'::regclass AND tgenabled = 'A'")
        assert (await connection.execute(triggers)).scalar_one() >= 1, "no trigger is ENABLE ALWAYS"
        unique = sa.text("SELECT count(*) FROM pg_index WHERE indrelid = 'events'::regclass AND indisunique")
        assert (await connection.execute(unique)).scalar_one() > len(UNIQUE), "a unique index is missing"
