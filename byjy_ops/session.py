"""One run of ``byjy``: the global options, and the event loop that a command's work runs in."""

from __future__ import annotations

import asyncio
import contextlib
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

    Asked by SIGTERM to end, as by Ctrl-C, the work ends in order: what it had begun is thrown away.

    Raises:
        DatabaseFailed: in place of the many things that drivers raise.
    """
    _log_to_standard_error()
    database = session(context).database
    try:
        status = asyncio.run(_cancelled_by_sigterm(work(database)))
    except asyncio.CancelledError:
        _end_by_sigterm()
        raise
    except Exception as error:
        if _is_of_the_database(error):
            from byjy_ops.errors import DatabaseFailed

            raise DatabaseFailed(database, error) from error
        raise
    if status:
        raise typer.Exit(status)


async def _cancelled_by_sigterm(work: Coroutine[Any, Any, int | None]) -> int | None:
    import signal

    task = asyncio.current_task()
    assert task is not None
    with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):  # on Windows, or in another thread
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await work


def _end_by_sigterm() -> None:
    """As if nothing had caught it: whoever sent it sees that it was obeyed, and systemd takes that for no failure."""
    import os
    import signal
    import sys

    sys.stdout.flush()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGTERM)


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
