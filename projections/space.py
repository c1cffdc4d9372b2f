"""Room for SQLite's temporary files. The temporary schema is written to disk as soon as it outgrows its cache."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from projections.errors import TemporarySpaceShort

LEAST_SHARE = 0.1
"""Of the file's size. What a replay needs is not known before it; mostly the events are the larger part of a file, so
whoever has less than this has clearly too little."""


def require_temporary_space(database: Path) -> None:
    """Refuse to begin what would fill the disk.

    Raises:
        TemporarySpaceShort: see there.
    """
    folder = temporary_folder()
    wanted, free = int(database.stat().st_size * LEAST_SHARE), shutil.disk_usage(folder).free
    if free < wanted:
        raise TemporarySpaceShort(folder, free, wanted)


def temporary_folder() -> Path:
    """Where SQLite puts temporary files: https://www.sqlite.org/tempfiles.html, section 5."""
    if os.name != "posix":
        return Path(tempfile.gettempdir())
    named = (os.environ.get("SQLITE_TMPDIR"), os.environ.get("TMPDIR"), "/var/tmp", "/usr/tmp", "/tmp")
    folders = (Path(one) for one in named if one)
    return next((one for one in folders if one.is_dir() and os.access(one, os.W_OK | os.X_OK)), Path())
