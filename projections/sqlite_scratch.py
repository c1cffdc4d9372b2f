"""Scratch tables on SQLite: a connection of their own, in a thread of its own.

Filling the scratch tables takes no lock of the file: BEGIN is deferred, and only the temporary database is written.
Writing the live tables takes its turn at the turnstile, as a process of its own would.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import portalocker
import sqlalchemy as sa
import structlog
from portalocker import LockFlags

from byjy_events import collector
from byjy_events.backend import NotStorable, NotStored, Unclear
from byjy_events.sqlite.lane import connect
from byjy_events.sqlite.transaction import REFUSED_DATA
from byjy_events.sqlite.turnstile import Turnstile
from projections.folding import Changes
from projections.projection import Key, Projection
from projections.revision import Ask
from projections.scratch import awaited, to_its_end
from projections.space import require_temporary_space
from projections.sqlite_store import found_by, found_rows, rows_of, selects_of, statements_of, unusable

T = TypeVar("T")

PART_ROWS = 1_024
"""Rows that are made ready for the driver at once."""

PRAGMAS = ("main.cache_size = -16384", "temp.cache_size = -32768", "temp.journal_mode = MEMORY")
"""Settings of its connection. Each row is looked at once or twice: a larger cache would only take memory."""

_log = structlog.get_logger("projections")


class SqliteScratch:
    """See :class:`projections.scratch.Scratch`."""

    live_schema = "main"

    def __init__(self, path: Path) -> None:
        self._path = path
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"byjy-scratch-{path.name}")
        self._engine = sa.create_engine("sqlite://", creator=lambda: connect(path), poolclass=sa.NullPool)
        self._connection: sa.Connection | None = None
        self._turnstile: Turnstile | None = None
        self._right: int | None = None
        self._in_snapshot = False
        self._closed = False

    async def run(self, function: Callable[[sa.Connection], T]) -> T:
        return await self._in_thread(lambda: function(self._connected()))

    @contextlib.asynccontextmanager
    async def snapshot(self) -> AsyncIterator[None]:
        await self.run(lambda connection: connection.exec_driver_sql("BEGIN"))
        self._in_snapshot = True
        yield
        self._in_snapshot = False
        await self.run(_end)  # what was put into the scratch tables meanwhile stays

    async def write(self, function: Callable[[sa.Connection], T]) -> T:
        def in_turn() -> T:
            connection = self._connected()
            if self._turnstile is None:
                self._turnstile = Turnstile(self._path)
            with self._turnstile:
                return _transaction(connection, "BEGIN IMMEDIATE", lambda: function(connection))

        return await to_its_end(self._in_thread(in_turn))

    async def load(self, projection: Projection[Any], keys: Sequence[Key]) -> Mapping[Key, Any]:
        def fetch() -> dict[Key, Any]:
            driver = _driver(self._connected())
            found: list[Any] = []
            for statement, parameters in selects_of(projection, keys):
                found += driver.execute(statement, parameters)
            return rows_of(projection, found)

        return await self._in_thread(fetch)

    async def find(self, projection: Projection[Any], ask: Ask) -> Sequence[Any]:
        def fetch() -> list[Any]:
            driver = _driver(self._connected())
            return found_rows(projection, driver.execute(*found_by(projection, ask)))

        return await self._in_thread(fetch)

    async def store(self, changes: Sequence[Changes]) -> None:
        if self._in_snapshot:
            await self._store_parts(changes)
            return
        await self._in_thread(lambda: _driver(self._connected()).execute("BEGIN"))
        try:
            await self._store_parts(changes)
        except BaseException:
            await asyncio.shield(self._in_thread(lambda: _roll_back(_driver(self._connected()))))
            raise
        await self._in_thread(lambda: _driver(self._connected()).execute("COMMIT"))

    async def _store_parts(self, changes: Sequence[Changes]) -> None:
        for part in _parts(changes):
            # Made here, not in the thread: there it would take the interpreter lock away, after every single row, from
            # the thread that reads the next events.
            with collector.paused():
                statements = list(statements_of(part))
            await self._in_thread(partial(self._execute, statements))

    def _execute(self, statements: Sequence[tuple[str, Sequence[Any]]]) -> None:
        driver = _driver(self._connected())
        for statement, parameters in statements:
            driver.execute(statement, parameters)

    async def require_space(self) -> None:
        await self._in_thread(lambda: require_temporary_space(self._path))

    async def alone(self) -> bool:
        return await self._in_thread(self._take_right)

    async def close(self) -> None:
        if not self._closed:
            self._closed = True
            closing = asyncio.get_running_loop().run_in_executor(self._thread, self._disconnect)
            self._thread.shutdown(wait=False)  # it ends behind what is queued, also when nobody waits any more
            await awaited(closing)  # whoever is cancelled twice may want to rebuild at once

    def _take_right(self) -> bool:
        if self._right is None:
            file = os.open(f"{self._path}.rebuild", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                portalocker.lock(file, LockFlags.EXCLUSIVE | LockFlags.NON_BLOCKING)
            except portalocker.exceptions.LockException:
                os.close(file)
                return False
            except BaseException:
                os.close(file)
                raise
            self._right = file
        return True

    def _connected(self) -> sa.Connection:
        if self._connection is None:
            self._connection = self._engine.connect()
            for pragma in PRAGMAS:
                self._connection.exec_driver_sql(f"PRAGMA {pragma}")
        return self._connection

    def _disconnect(self) -> None:
        try:
            if self._connection is not None:
                with self._at_the_end():
                    _roll_back(_driver(self._connection))
                    self._connection.close()
        except (sqlite3.Error, sa.exc.DBAPIError, OSError) as error:
            _log.warning("scratch_not_closed", cause=str(error))  # whatever it worked for has its result
        finally:
            if self._turnstile is not None:
                self._turnstile.close()
            if self._right is not None:
                os.close(self._right)
            self._connection = self._turnstile = self._right = None

    def _at_the_end(self) -> contextlib.AbstractContextManager[None]:
        """The last connection to a file checkpoints it when it closes, in its turn; one that may only read does not."""
        if not os.access(self._path, os.W_OK):
            return contextlib.nullcontext()
        if self._turnstile is None:
            self._turnstile = Turnstile(self._path)
        return self._turnstile

    async def _in_thread(self, function: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, _translated, function)
        except RuntimeError as error:  # of the executor, once it is shut down
            raise NotStored(str(error)) from error


def _parts(changes: Sequence[Changes]) -> Iterator[Changes]:
    """So many rows at a time that their parameters do not fill the memory."""
    for each in changes:
        for start in range(0, len(each.rows), PART_ROWS):
            yield Changes(each.projection, each.rows[start : start + PART_ROWS], [])
        if each.gone:
            yield Changes(each.projection, [], each.gone)


def _translated(function: Callable[[], T]) -> T:
    try:
        return function()
    except sa.exc.DBAPIError as error:
        if isinstance(error.orig, REFUSED_DATA):
            raise NotStorable(str(error.orig)) from error.orig
        raise unusable(error.orig) or NotStored(str(error.orig)) from error.orig
    except REFUSED_DATA as error:
        raise NotStorable(str(error)) from error
    except (sqlite3.Error, OSError) as error:
        raise unusable(error) or NotStored(str(error)) from error


def _transaction(connection: sa.Connection, begin: str, function: Callable[[], T]) -> T:
    driver = _driver(connection)
    driver.execute(begin)
    try:
        result = function()
    except BaseException:
        _roll_back(driver)
        raise
    try:
        driver.execute("COMMIT")
    except sqlite3.IntegrityError:  # a deferred constraint of somebody's own table
        _roll_back(driver)
        raise
    except sqlite3.Error as error:
        _roll_back(driver)  # it would hold up every other writer
        raise Unclear(str(error)) from error
    return result


def _roll_back(driver: sqlite3.Connection) -> None:
    if driver.in_transaction:  # SQLite rolls back by itself on some errors, a full disk for one
        with contextlib.suppress(sqlite3.Error):
            driver.execute("ROLLBACK")


def _end(connection: sa.Connection) -> None:
    if _driver(connection).in_transaction:
        connection.exec_driver_sql("COMMIT")


def _driver(connection: sa.Connection) -> sqlite3.Connection:
    driver = connection.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)
    return driver
