"""What a process has open, to see that nothing was left behind. Empty where there is no /proc to look into."""

from __future__ import annotations

import contextlib
import threading
import time
from pathlib import Path

SQLITE_TEMPORARY = "etilqs_"
"""How the names of SQLite's temporary files begin."""

PATIENCE_SECONDS = 5.0


def left_behind(folder: Path) -> list[str]:
    """Files of a folder and temporary files of SQLite that are open, and threads of scratch connections that live.

    They get a moment to go.
    """
    end = time.monotonic() + PATIENCE_SECONDS
    while (left := _left(folder)) and time.monotonic() < end:
        time.sleep(0.01)
    return left


def _left(folder: Path) -> list[str]:
    files: list[str] = []
    for link in Path("/proc/self/fd").glob("*"):
        with contextlib.suppress(OSError):
            files.append(str(link.readlink()))
    found = [file for file in files if file.startswith(str(folder)) or SQLITE_TEMPORARY in file]
    return found + [one.name for one in threading.enumerate() if one.name.startswith("byjy-scratch")]
