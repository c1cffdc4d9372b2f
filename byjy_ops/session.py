"""One run of ``byjy``: the global options, and the event loop that a command's work runs in."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, NamedTuple

import typer

DEFAULT_DATABASE = "sqlite:///byjy.db"

YES, NO, BAD = 0, 1, 2
"""Exit statuses: done; a negative answer; bad usage or input."""

INTERRUPTED = 130


class Session(NamedTuple):
    """The global options.

    Attributes:
        given_database: the database if the command line itself named it. What fills a database with made-up
            events does not take one from the environment.
    """

    database: str
    given_database: str | None


def session(context: typer.Context) -> Session:
    """The session that a command runs in."""
    found: Session = context.obj
    return found


def run(context: typer.Context, work: Callable[[str], Coroutine[Any, Any, int | None]]) -> None:
    """Run a command's work on the database; its answer is the exit status, None that of success.

    Raises:
        DatabaseFailed: in place of the many things that drivers raise.
    """
    _log_to_standard_error()
    database = session(context).database
    try:
        status = asyncio.run(work(database))
    except Exception as error:
        if _is_of_the_database(error):
            from byjy_ops.errors import DatabaseFailed

            raise DatabaseFailed(database, error) from error
        raise
    if status:
        raise typer.Exit(status)


def _log_to_standard_error() -> None:
    """Standard output is for rows; a warning of the library among them would break whoever parses them."""
    import logging
    import sys

    import structlog

    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


def _is_of_the_database(error: Exception) -> bool:
    import sqlite3

    from sqlalchemy.exc import SQLAlchemyError

    if isinstance(error, SQLAlchemyError | sqlite3.Error | ConnectionError | TimeoutError):
        return True
    # A host without a name, a server that is not there; asyncpg is not imported for a look at its errors.
    return type(error).__module__.partition(".")[0] in ("asyncpg", "socket")
