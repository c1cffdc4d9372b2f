"""Whether a backup restores to what was backed up: it is restored, and looked at."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path

import sqlalchemy as sa

from byjy_events.backup.compressed import Damaged, Stopped, decompress
from byjy_events.backup.manifest import Facts, Manifest, private
from byjy_events.backup.snapshot import facts, unchanging
from byjy_events.backup.target import Readable
from byjy_events.chunk import chunk_of, positions, refuse_altered, refuse_gap
from byjy_events.errors import CorruptLog
from byjy_events.log import EventLog
from byjy_events.proof.auditing import audit
from byjy_events.query import Query
from byjy_events.schema import SCHEMA_REVISION
from byjy_events.sqlite.backend import chunk_select

TAIL_EVENTS = 10_000
"""Events at the end of the log whose leaf hashes every verification computes anew."""

CHUNK_EVENTS = 500
PROBLEMS = 10
"""As many of one kind are told one by one."""

Found = tuple[list[str], list[str]]
"""Problems, and notes on what could not be looked at."""

TablesCheck = Callable[[EventLog], Awaitable[Found]]
"""Looks at more of a restored database than the log, e.g. whether its tables equal the log."""


def unpack(packed: Readable, manifest: Manifest, target: Path, stop: threading.Event) -> list[str]:
    """Decompress a backup into a file; the answer is what is wrong with it. The file may be there, and is overwritten.

    Raises:
        OSError: the file cannot be written.
        Stopped: asked to.
    """
    with open(target, "w+b", opener=private) as file:
        try:
            decompress(packed, file, manifest.compressed, manifest.plain, stop)
        except Damaged as error:
            return [str(error)]
    return []


def database_problems(database: Path, expected: Facts, *, thorough: bool, stop: threading.Event) -> list[str]:
    """What is wrong with a restored database that nobody has open yet.

    Raises:
        Stopped: asked to.
    """
    try:
        with unchanging(database) as connection:
            connection.set_progress_handler(stop.is_set, 10_000)
            return list(_problems(connection, expected, thorough=thorough))
    except (sqlite3.Error, UnicodeDecodeError) as error:  # what SQLite says of a schema may be no text
        if stop.is_set():
            raise Stopped from None
        return [f"it cannot be read: {error}"]


async def audit_problems(database: Path, expected: Facts, tables: TablesCheck | None) -> Found:
    """What an audit of a restored database finds, and whatever looks at its tables.

    Raises:
        ByjyError: it could not be looked at.
    """
    if not is_auditable(expected):
        note = f"not audited: its schema is {expected.revision}, this program works with {SCHEMA_REVISION}"
        return [], [note]
    async with EventLog.open(sa.URL.create("sqlite", database=str(database)), read_only=True) as log:
        found = await audit(log, ())
        problems = [f"{one.kind} at {one.first} to {one.last}: {one.message}" for one in found.findings[:PROBLEMS]]
        more, notes = await tables(log) if tables is not None else ([], [])
    return problems + more, notes


def is_auditable(expected: Facts) -> bool:
    """Whether this program can open the log: of another schema it cannot, and then nothing is audited."""
    return expected.revision == SCHEMA_REVISION


def _problems(connection: sqlite3.Connection, expected: Facts, *, thorough: bool) -> Iterator[str]:
    pragma = "integrity_check" if thorough else "quick_check"
    for (found,) in connection.execute(f"PRAGMA {pragma}({PROBLEMS})"):
        if found != "ok":
            yield f"{pragma}: {found}"
    for table, row, referred, _ in connection.execute("PRAGMA foreign_key_check").fetchmany(PROBLEMS):
        yield f"row {row} of {table} refers to nothing in {referred}"
    found = facts(connection)
    yield from _differences(found, expected)
    if found.rows["events"] != found.head:
        yield f"{found.rows['events']} events, and the last one is at position {found.head}"
    yield from _tail_problems(connection, found.head)


def _differences(found: Facts, expected: Facts) -> Iterator[str]:
    for field in ("log_id", "head", "head_leaf", "checkpoint", "revision"):
        if getattr(found, field) != getattr(expected, field):
            yield f"{field} is {getattr(found, field)}, not {getattr(expected, field)} as its manifest says"
    if expected.head_recorded_at not in {None, found.head_recorded_at}:  # which an older program does not say
        yield f"head_recorded_at is {found.head_recorded_at}, not {expected.head_recorded_at} as its manifest says"
    for table in sorted(found.rows.keys() | expected.rows.keys()):
        if found.rows.get(table) != expected.rows.get(table):
            yield f"{table} has {found.rows.get(table)} rows, not {expected.rows.get(table)} as its manifest says"


def _tail_problems(connection: sqlite3.Connection, head: int) -> Sequence[str]:
    query = Query(after=max(0, head - TAIL_EVENTS), upto=head)
    try:
        while query.after < head:
            statement, parameters = chunk_select(query, CHUNK_EVENTS)
            chunk = chunk_of(connection.execute(statement, parameters).fetchall())
            if not chunk:
                raise CorruptLog(query.after + 1, "missing")
            refuse_gap(query.after, chunk)
            refuse_altered(chunk)
            query = query.beyond(positions(chunk)[-1])
    except CorruptLog as error:
        return [f"the log, {error}"]
    return []
