"""``byjy migrate``: a backup, a rehearsal on the real rows, then the migration; each step says what it found.

The steps run in a thread that looks between them, and last before the commit, whether it was told to end: Ctrl-C ends
it there, and the database is as it was, or comes too late, and the migration is done and told as such.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from byjy_events import migrating, revisions
from byjy_events.database import display, is_sqlite, open_engine, parse_url, sqlite_path
from byjy_events.errors import ByjyError, SchemaMismatch
from byjy_events.inventory import Difference
from byjy_events.moving import Moved, is_up, move
from byjy_events.rehearsing import needed_bytes, one_at_a_time, rehearse
from byjy_events.schema import SCHEMA_REVISION
from byjy_events.sqlite.kept_copy import keep_copy, refuse_full, size_of
from byjy_ops.errors import DatabaseFailed, InvalidArgument, NoLog, OutputClosed
from byjy_ops.listing import age, emit, tell
from byjy_ops.reading import own_revision
from projections.registry import found_groups

T = TypeVar("T")
GoingOn = Callable[[], None]
"""Raises where the work has to end."""


class _Ended(Exception):
    """Somebody pressed Ctrl-C."""


class Wanted(NamedTuple):
    """How it is to be done.

    Attributes:
        to: a revision, or ``head``.
        dry_run: only write the SQL.
        rehearse: only try it out.
        scratch: where it is tried out.
    """

    to: str = "head"
    dry_run: bool = False
    rehearse: bool = False
    backup: bool = True
    scratch: Path | None = None
    lose_data: bool = False


async def migrate(database: str, wanted: Wanted) -> None:
    """
    Raises:
        NotAByjyDatabase: it holds tables of something else; nothing was changed.
        SchemaMismatch: its schema is newer than this program, or unknown to it.
        UnknownRevision: there is none such to go to.
        DatabaseFailed: it cannot be opened.
        NoRoom, CopyUnsound, SchemaIncomplete, WouldLoseData, LogChanged, MigrationFailed, BrokenReferences: see there;
            the database is as it was.
    """
    url = parse_url(database)
    _refuse_odd(url, wanted)
    found = await _found(url)
    to = SCHEMA_REVISION if wanted.to == "head" else revisions.resolved(wanted.to)
    if found == to:
        _tell_done(url, found, to, comment="-- " if wanted.dry_run else "")
        return
    if wanted.dry_run:
        emit(revisions.sql(url, found, to))
        return
    if found is None:
        await _create(url, to, wanted)
    elif is_sqlite(url):
        found = await _in_thread(lambda going_on: _one_at_a_time(url, to, wanted, going_on))
    elif is_up(found, to) and not wanted.rehearse:
        await _in_thread(lambda going_on: _up(url, to, going_on))  # without counting, which locks every table
    else:
        await _in_thread(lambda going_on: _on_postgresql(url, to, wanted, going_on))
    if not wanted.rehearse:
        _tell_done(url, found, to)


async def _in_thread(work: Callable[[GoingOn], T]) -> T:
    """Cancelled, it ends before its next step; who was too late gets the answer. Cancelled again, nobody waits for it.

    So the thread is none of the loop's own, which an interpreter that ends would wait for.
    """
    ended, done = threading.Event(), concurrent.futures.Future[T]()

    def going_on() -> None:
        if ended.is_set():
            raise _Ended

    def run() -> None:
        try:
            done.set_result(work(going_on))
        except BaseException as error:  # noqa: BLE001 - whoever waits gets it
            done.set_exception(error)

    done.set_running_or_notify_cancel()  # from now on it cannot be cancelled
    threading.Thread(target=run, name="migration", daemon=True).start()
    task = asyncio.wrap_future(done)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        ended.set()
        tell("ends as soon as nothing is half done")
        with contextlib.suppress(_Ended):
            return await task
        tell("ended: the database is as it was")
        raise


def _up(url: sa.URL, to: str, going_on: GoingOn) -> None:
    def work(connection: sa.Connection) -> None:
        migrating.migrate(connection, "upgrade", to)
        going_on()

    migrating.exclusively(url, work)


def _refuse_odd(url: sa.URL, wanted: Wanted) -> None:
    if wanted.dry_run and wanted.rehearse:
        raise InvalidArgument("--dry-run", "only prints what would run; --rehearse runs it: choose one")
    if wanted.scratch is None:
        return
    if not is_sqlite(url):
        raise InvalidArgument("--scratch", "is for SQLite; PostgreSQL rehearses in a transaction")
    if not wanted.scratch.is_dir():
        raise InvalidArgument("--scratch", f"{wanted.scratch} is no folder")


async def _found(url: sa.URL) -> str | None:
    """The revision of the database; None: it has nothing, or is not there."""
    if is_sqlite(url) and not sqlite_path(url).exists():
        return None
    engine = open_engine(url)
    try:
        return await _known_revision(engine)
    except sa.exc.DBAPIError as error:  # SQLite makes a file to open one, for which there may be no room
        raise DatabaseFailed(display(url), error) from error
    finally:
        await engine.dispose()


async def _known_revision(engine: AsyncEngine) -> str | None:
    found = await own_revision(engine)
    if found is None or found == SCHEMA_REVISION:
        return found
    if found > SCHEMA_REVISION:
        raise SchemaMismatch(display(engine.url), found, SCHEMA_REVISION, "upgrade byjy-events")
    if found not in revisions.lineage():
        raise SchemaMismatch(display(engine.url), found, SCHEMA_REVISION, "no revision of byjy-events leads there")
    return found


async def _create(url: sa.URL, to: str, wanted: Wanted) -> None:
    if wanted.rehearse:
        tell(f"{display(url)} is empty: there is nothing to rehearse on")
        return
    await _in_thread(lambda going_on: _up(url, to, going_on))


# --- SQLite ----------------------------------------------------------------------------------------


def _one_at_a_time(url: sa.URL, to: str, wanted: Wanted, going_on: GoingOn) -> str:
    """The revision that was found when it was our turn: another process may have been at it meanwhile."""
    told = threading.Event()

    def waiting() -> None:
        going_on()
        if not told.is_set():
            tell("another process migrates this database: waiting for it")
        told.set()

    with one_at_a_time(sqlite_path(url), wanted.scratch, waiting=waiting):
        found = asyncio.run(_found(url))
        if found is None:
            raise NoLog(display(url), "is gone, or empty now")
        if found != to:
            _on_sqlite(url, found, to, wanted, going_on)
        return found


def _on_sqlite(url: sa.URL, found: str, to: str, wanted: Wanted, going_on: GoingOn) -> None:
    path = sqlite_path(url)
    backed_up = wanted.backup and not wanted.rehearse
    _refuse_full(path, wanted, backed_up=backed_up)
    backup = keep_copy(path, found) if backed_up else None
    if backup is not None:
        _say(f"backup: {backup} ({backup.stat().st_size:,} bytes, verified)\n")
    try:
        going_on()
        _rehearse(path, to, wanted, backup, going_on)
        if wanted.rehearse:
            return
        up = is_up(found, to)
        moved = move(url, to, owners=_owners(), lose_data=wanted.lose_data, values=not up, going_on=going_on)
        _tell_rebuilds(moved.rebuilt)
    except (ByjyError, _Ended) as error:
        if isinstance(error, migrating.MigrationFailed) and not error.rehearsal:
            raise migrating.MigrationFailed(error.revision, error.cause, backup=backup) from error
        _drop(backup)
        raise


def _refuse_full(path: Path, wanted: Wanted, *, backed_up: bool) -> None:
    scratch = wanted.scratch or path.parent
    needed = needed_bytes(size_of(path), path.parent, scratch, backup=backed_up, migrates=not wanted.rehearse)
    free = refuse_full(needed)
    for folder, number in needed.items():
        tell(f"{folder}: up to {number:,} bytes are needed for a while, {free[folder]:,} are free")


def _rehearse(path: Path, to: str, wanted: Wanted, backup: Path | None, going_on: GoingOn) -> None:
    done = rehearse(
        path,
        to,
        owners=_owners(),
        lose_data=wanted.lose_data,
        backup=backup,
        scratch=wanted.scratch,
        going_on=going_on,
    )
    _tell_rehearsed(done.moved, done.seconds)
    for part in done.lacking:
        tell(f"the database lacks {part}, as it did before; somebody removed it")


def _drop(backup: Path | None) -> None:
    """Of a database that nobody touched."""
    if backup is not None:
        backup.unlink()
        tell(f"nothing was changed, so {backup} was removed again")


# --- PostgreSQL ------------------------------------------------------------------------------------


def _on_postgresql(url: sa.URL, to: str, wanted: Wanted, going_on: GoingOn) -> None:
    began = time.monotonic()
    moved = move(url, to, owners=_owners(), lose_data=wanted.lose_data, keep=not wanted.rehearse, going_on=going_on)
    if wanted.rehearse:
        _tell_rehearsed(moved, time.monotonic() - began)
    else:
        _tell_rebuilds(moved.rebuilt)


# --- both ------------------------------------------------------------------------------------------


def _owners() -> dict[str, str]:
    """Who makes a table anew, by table."""
    return {table.name: group.name for group in found_groups().groups for table in group.tables}


def _tell_done(url: sa.URL, found: str | None, to: str, *, comment: str = "") -> None:
    done = f"schema {found} already, nothing to do" if found == to else f"schema {found or 'none'} -> {to}"
    _say(f"{comment}{display(url)}: {done}\n")


def _say(line: str) -> None:
    """Nobody has to read it: a migration does not end because of that."""
    with contextlib.suppress(OutputClosed):
        emit(line)


def _tell_rehearsed(moved: Moved, seconds: float) -> None:
    before = moved.before
    _say(f"rehearsed in {age(seconds)}: {len(before.tables)} tables, {before.rows:,} rows compared\n")
    for one in moved.rebuilt:
        tell(f"would change {one}; byjy rebuild brings it back")


def _tell_rebuilds(rebuilt: Sequence[Difference]) -> None:
    owners = _owners()
    for group in sorted({owners[one.table] for one in rebuilt}):
        tell(
            f"{group}: rows are gone that the log brings back, once the schema has room for them: byjy rebuild {group}"
        )
