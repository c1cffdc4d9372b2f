"""One transaction on SQLite, and what its failures mean."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable
from typing import TypeVar

from byjy_events.backend import NotStorable, NotStored, Unclear

T = TypeVar("T")

REFUSED_DATA = (
    sqlite3.IntegrityError,
    sqlite3.DataError,
    sqlite3.InterfaceError,
    sqlite3.ProgrammingError,
    OverflowError,
    UnicodeEncodeError,
)
"""What the driver raises for a value that it or the table does not take."""

_NOT_BEGUN = frozenset((sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN))


def transact(connection: sqlite3.Connection, function: Callable[[sqlite3.Connection], T]) -> T:
    """Run a function inside a transaction. What it raises rolls everything back.

    Raises:
        NotStorable, NotStored, Unclear: as for a commit of events.
    """
    try:
        connection.execute("BEGIN IMMEDIATE")
        try:
            result = function(connection)
        except BaseException:
            _roll_back(connection)
            raise
    except REFUSED_DATA as error:
        raise NotStorable(str(error)) from error
    except sqlite3.Error as error:
        raise NotStored(str(error)) from error
    try:
        connection.execute("COMMIT")
    except sqlite3.IntegrityError as error:  # a deferred constraint of somebody's own table
        _roll_back(connection)
        raise NotStorable(str(error)) from error
    except sqlite3.Error as error:
        # After a failed fsync the row is hidden now, and there after a crash: only a new connection can tell.
        raise Unclear(str(error)) from error
    return result


def transact_undurably(connection: sqlite3.Connection, function: Callable[[sqlite3.Connection], T]) -> T:
    """The same, without waiting for the disk: a power failure may take the transaction with it, as a whole."""
    try:
        connection.execute("PRAGMA synchronous = NORMAL")
        return transact(connection, function)
    except sqlite3.Error as error:
        raise NotStored(str(error)) from error
    finally:
        try:
            connection.execute("PRAGMA synchronous = FULL")
        except sqlite3.Error as error:
            # It cannot be set inside a transaction, which a COMMIT that failed may leave open. Appends would not
            # wait for the disk on this connection: the lane has to throw it away.
            raise Unclear(str(error)) from error


def execute_alone(connection: sqlite3.Connection, statement: str, values: list[object]) -> None:
    """Run one statement that is a transaction in itself, durable when this returns.

    BEGIN and COMMIT are steps for which the driver takes the interpreter lock back, each time behind a busy event
    loop; this is one, with the flush to disk inside it.

    Raises:
        NotStorable, NotStored, Unclear: as for a commit of events.
    """
    try:
        connection.execute(statement, values)
    except REFUSED_DATA as error:
        raise NotStorable(str(error)) from error
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in _NOT_BEGUN:
            raise NotStored(str(error)) from error
        raise Unclear(str(error)) from error  # nobody can tell a failed statement from a failed commit


def _roll_back(connection: sqlite3.Connection) -> None:
    if connection.in_transaction:  # SQLite rolls back by itself on some errors, a full disk for one
        with contextlib.suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
