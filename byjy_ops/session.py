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


def run(work: Callable[[], Coroutine[Any, Any, int | None]]) -> None:
    """Run a command's work; its answer is the exit status, None that of success."""
    import logging
    import sys

    import structlog

    # Standard output is for rows; a warning of the library among them would break whoever parses them.
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    status = asyncio.run(work())
    if status:
        raise typer.Exit(status)
