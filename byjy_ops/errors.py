"""What an operator can get wrong, beside what the log and the projections raise.

::

    ByjyError
    ├── InvalidInput           a file to import says something unusable        (names file, line and field)
    ├── InvalidArgument        an argument of a command makes no sense         (names the argument)
    ├── NoLog                  there is no log where one was to be read
    ├── DatabaseFailed         the database cannot be reached, or refuses      (names the database)
    └── OutputClosed           whoever read our output went away; no fault of anybody
"""

from __future__ import annotations

import shlex
from pathlib import Path

from byjy_events.errors import ByjyError


class InvalidInput(ByjyError):
    """A file to import says something unusable. What came before the line is stored, nothing after it is.

    Attributes:
        path: the file.
        line: counted from 1; None: the file as a whole.
        field: the column at fault; None: the line as a whole.
        reason: what is wrong.
    """

    def __init__(self, path: Path, line: int | None, field: str | None, reason: str) -> None:
        self.path = path
        self.line = line
        self.field = field
        self.reason = reason
        where = f"{path}" if line is None else f"{path}:{line}"
        super().__init__(f"{where}: {reason}" if field is None else f"{where}: {field}: {reason}")


class InvalidArgument(ByjyError):
    """An argument of a command makes no sense.

    Attributes:
        argument: as it is written on the command line, e.g. ``--since``.
        reason: what is wrong with it.
    """

    def __init__(self, argument: str, reason: str) -> None:
        self.argument = argument
        self.reason = reason
        super().__init__(f"{argument}: {reason}")


class NoLog(ByjyError):
    """There is no log where one was to be read. Nothing was created.

    Attributes:
        database: the database, as a URL without password.
        reason: what is missing.
    """

    def __init__(self, database: str, reason: str) -> None:
        self.database = database
        self.reason = reason
        super().__init__(f"{database} {reason}; to create a log: byjy --database {shlex.quote(database)} migrate")


class DatabaseFailed(ByjyError):
    """The database cannot be reached, or refuses what it is asked.

    Attributes:
        database: the database, as a URL without password.
        cause: what the driver said.
    """

    def __init__(self, database: str, error: Exception) -> None:
        from byjy_events.database import display, parse_url

        lines = str(getattr(error, "orig", None) or error).strip().splitlines()  # SQLAlchemy adds the statement
        self.database = display(parse_url(database))
        self.cause = lines[0] if lines else type(error).__name__
        super().__init__(f"{self.database}: {self.cause}")


class OutputClosed(ByjyError):
    """Whoever read our output went away, as ``head`` does when it has enough."""
