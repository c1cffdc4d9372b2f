"""On what it was measured."""

from __future__ import annotations

import os
import platform
import sqlite3
import sys
from importlib.metadata import version
from pathlib import Path

PACKAGES = ("byjy-events", "msgspec", "sqlalchemy", "aiosqlite", "asyncpg")


def machine(folder: Path) -> dict[str, str]:
    """What makes figures comparable, as text by name."""
    return {
        "processor": _processor(),
        "cores": str(os.cpu_count()),
        "load": f"{os.getloadavg()[0]:.1f} before the run",
        "system": f"{platform.system()} {platform.release()}",
        "disk": f"{_file_system(folder)} at {folder.parent}",
        "python": platform.python_version(),
        "switch interval": f"{sys.getswitchinterval() * 1000:g} ms",
        "sqlite": sqlite3.sqlite_version,
        **{name: version(name) for name in PACKAGES if _installed(name)},
    }


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())


def _file_system(folder: Path) -> str:
    """The kind of the file system: on tmpfs, durability costs nothing and figures mean little."""
    mounts = Path("/proc/mounts")
    if not mounts.exists():
        return "unknown"
    found = [line.split()[1:3] for line in mounts.read_text().splitlines()]
    above = [(point, kind) for point, kind in found if folder.is_relative_to(point)]
    return max(above, key=lambda mount: len(mount[0]))[1]


def _installed(name: str) -> bool:
    try:
        version(name)
    except ModuleNotFoundError:
        return False
    return True
