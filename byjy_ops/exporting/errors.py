"""What can go wrong with exports, beside what the log and the projections raise.

::

    ByjyError
    ├── UnknownFormat          no format is called so, and no file name ends so     (lists those there are)
    ├── FormatUnavailable      a format needs a library that is not installed        (names the extra)
    ├── OutputExists           there is a file already, and it was left alone
    ├── OutputUnwritable       a file cannot be written: folder, rights, space       (names it)
    └── NotCheckable           an export or its manifest cannot be read as one       (names the file)
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from byjy_events.errors import ByjyError


class UnknownFormat(ByjyError):
    """No format is called so, or the name of the file does not tell which one is meant. Nothing was written.

    Attributes:
        given: a format, or the name of a file.
        known: the formats that there are.
    """

    def __init__(self, given: str, known: Sequence[str]) -> None:
        self.given = given
        self.known = tuple(known)
        super().__init__(f"{given!r} tells no format: expected one of {', '.join(known)}")


class FormatUnavailable(ByjyError):
    """A format needs a library that is not installed. Nothing was written.

    Attributes:
        format: the format.
        needs: the library that is missing.
        extra: the extra of byjy-events that brings it.
    """

    def __init__(self, file_format: str, needs: str, extra: str) -> None:
        self.format = file_format
        self.needs = needs
        self.extra = extra
        super().__init__(f"{file_format} needs {needs}, which is not installed: pip install 'byjy-events[{extra}]'")


class OutputExists(ByjyError):
    """There is a file already; it was left as it is.

    Attributes:
        path: of the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        super().__init__(f"{path}: exists already; --force puts the export in its place")


class OutputUnwritable(ByjyError):
    """A file cannot be written. Nothing half written was left.

    Attributes:
        path: of the file.
        reason: what the system says, e.g. that the disk is full.
    """

    def __init__(self, path: Path, reason: str) -> None:
        self.path = path
        self.reason = reason
        super().__init__(f"{path}: {reason}")


class NotCheckable(ByjyError):
    """There is no export with a manifest to be checked, or the manifest is none.

    Attributes:
        path: the file at fault.
        reason: what is wrong with it.
    """

    def __init__(self, path: Path, reason: str) -> None:
        self.path = path
        self.reason = reason
        super().__init__(f"{path}: {reason}")
