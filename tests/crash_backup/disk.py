"""A small disk: a filesystem in memory that is soon full. Only root can mount one."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def small_disk(folder: Path, size: int) -> Iterator[bool]:
    """While the folder is one, of so many bytes; or it stays what it is, and the answer is no."""
    mounted = _run("mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder))
    try:
        yield mounted
    finally:
        if mounted:
            _run("umount", str(folder))


@contextlib.contextmanager
def filled(folder: Path, free: int) -> Iterator[None]:
    """While no more than so many bytes are free."""
    filler = folder / "filler"
    with filler.open("wb") as file:
        file.truncate(0)
        left = shutil.disk_usage(folder).free - free
        while left > 0:
            left -= file.write(bytes(min(left, 1 << 20)))
    try:
        yield
    finally:
        filler.unlink()


def _run(*command: str) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0
