"""A process that kills itself at the n-th thing it does to a file or to a database, or may not write much.

What it does is listed first by a process that does all of it: files that were opened to be written and have nothing in
them yet, those that get a name, lose it, or are made durable, databases that are copied by half, and the statements of
SQL that change something or end a transaction.
"""

from __future__ import annotations

import asyncio
import builtins
import ctypes
import io
import itertools
import multiprocessing
import os
import resource
import shutil
import signal
import sqlite3
import sys
from collections.abc import Callable, Coroutine, Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path
from sqlite3 import dbapi2
from typing import Any, ClassVar

from sqlalchemy.exc import SQLAlchemyError

from byjy_events import ByjyError, EventLog
from byjy_events.backup import Backups, Segments, restore
from byjy_ops.migration import Wanted, migrate

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["__main__", __name__, "tests.crash_backup.operations", "alembic.command"])

_DONE_TO_FILES = {"os.link", "os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.truncate", "sqlite3.connect"}
_WRITES = os.O_WRONLY | os.O_RDWR
_HALF_PAGES = 40
_HARMLESS = ("SELECT", "PRAGMA", "EXPLAIN", "WITH", "--")

Work = Callable[[], Coroutine[Any, Any, object]]


def creating(url: str, folder: Path) -> Work:
    return partial(Backups(folder).create, url)


def verifying(folder: Path, name: str) -> Work:
    return partial(Backups(folder).verify, name)


def restoring(folder: Path, name: str, to: Path) -> Work:
    return partial(restore, folder, name, to, replace=True)


def pruning(folder: Path, keep: timedelta) -> Work:
    return partial(Backups(folder).prune, keep)


def segmenting(url: str, folder: Path) -> Work:
    return partial(_segmented, url, folder)


async def _segmented(url: str, folder: Path) -> None:
    async with EventLog.open(url, read_only=True) as log:
        await Segments(log, folder).turn()


def migrating(url: str, to: str) -> Work:
    return partial(migrate, url, Wanted(to))


def points(work: Work, under: Path) -> list[str]:
    """What the work does below a folder, one after the other. It is done."""
    here, there = _context.Pipe(duplex=False)
    _ran(_counted, work, under, there)
    there.close()
    done: list[str] = here.recv()
    here.close()
    return done


def images(work: Work, under: Path, wanted: Sequence[int], to: Path) -> None:
    """Do the work, and copy all below the folder as a kill would leave it at each of these points, to ``to/POINT``."""
    assert _ran(_copied, work, under, wanted, to) == 0


def killed(work: Work, under: Path, point: int) -> bool:
    """Do the work in a process that dies before it does this thing; False: it was at its end before."""
    return _ran(_killed, work, under, point) == -signal.SIGKILL


def killed_after(work: Work, seconds: float) -> bool:
    """Do the work in a process that is killed at some instant; False: it was at its end before."""
    here, there = _context.Pipe(duplex=False)
    process = _context.Process(target=_told, args=(work, there), daemon=True)
    process.start()
    there.close()
    here.recv()
    process.join(seconds)
    process.kill()
    process.join()
    here.close()
    code = process.exitcode
    process.close()
    return code == -signal.SIGKILL


def confined(work: Work, file_bytes: int) -> str:
    """Do the work in a process whose files may not grow longer; the answer is what it raised, or nothing."""
    here, there = _context.Pipe(duplex=False)
    _ran(_confined, work, file_bytes, there)
    there.close()
    said: str = here.recv()
    here.close()
    return said


def powerless(work: Work) -> str:
    """Do the work in a process that may write only where its user may, also if that is root; the answer as before."""
    here, there = _context.Pipe(duplex=False)
    _ran(_powerless, work, there)
    there.close()
    said: str = here.recv()
    here.close()
    return said


def squeezed(work: Work) -> str:
    """Do the work in a process that believes that there is room on the disk; the answer as for :func:`confined`."""
    here, there = _context.Pipe(duplex=False)
    _ran(_squeezed, work, there)
    there.close()
    said: str = here.recv()
    here.close()
    return said


def _ran(target: Callable[..., None], *arguments: object) -> int | None:
    process = _context.Process(target=target, args=arguments, daemon=True)
    process.start()
    process.join()
    code = process.exitcode
    process.close()
    return code


def _counted(work: Work, under: Path, told: Any) -> None:
    done = _watch(under, lambda number: None)
    _do(work)
    told.send(list(done))


def _killed(work: Work, under: Path, point: int) -> None:
    _watch(under, lambda number: os.kill(os.getpid(), signal.SIGKILL) if number == point else None)
    _do(work)


def _copied(work: Work, under: Path, wanted: Sequence[int], to: Path) -> None:
    _watch(under, lambda number: shutil.copytree(under, to / str(number)) if number in wanted else None)
    _do(work)


def _told(work: Work, told: Any) -> None:
    told.send(None)
    _do(work)


def _do(work: Work) -> None:
    with Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), 1)
        os.dup2(nowhere.fileno(), 2)
    asyncio.run(work())


def _confined(work: Work, file_bytes: int, told: Any) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, file_bytes))
    _answer(work, told)


def _powerless(work: Work, told: Any) -> None:
    """Root without its capabilities is a user like any other, and a mode of 0500 stops it. Linux only."""
    version, nothing = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    assert ctypes.CDLL(None).capset(version, nothing) == 0
    _answer(work, told)


def _squeezed(work: Work, told: Any) -> None:
    """Somebody else fills the disk after it was looked at."""
    really = shutil.disk_usage
    shutil.disk_usage = lambda path: really(path)._replace(free=1 << 60)
    _answer(work, told)


def _answer(work: Work, told: Any) -> None:
    try:
        _do(work)
    except (ByjyError, SQLAlchemyError, sqlite3.Error, OSError) as error:
        told.send(f"{type(error).__name__}: {error}")
    else:
        told.send("")


def _watch(under: Path, reached: Callable[[int], object]) -> list[str]:
    """Begin to list what is done, and tell of the number of each thing before it is done."""
    done: list[str] = []
    folder = str(under)
    telling = False

    def seen(what: str) -> None:
        nonlocal telling
        if not telling:
            done.append(what)
            telling = True
            reached(len(done))
            telling = False

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event in _DONE_TO_FILES and folder in str(arguments[0]):
            seen(f"{event} {Path(arguments[0]).name}")

    def opened(path: object) -> None:
        if folder in str(path):
            seen(f"opened {Path(str(path)).name}")

    sys.addaudithook(hook)
    _tell_of_opened(opened)
    _tell_of_fsync(seen)
    _tell_of_statements(seen)
    return done


def _tell_of_opened(opened: Callable[[object], None]) -> None:
    by_number, really = os.open, builtins.open

    def numbered(path: Any, flags: int, *given: Any, **more: Any) -> int:
        file = by_number(path, flags, *given, **more)
        if flags & _WRITES:
            opened(path)
        return file

    def written(path: Any, mode: str = "r", *given: Any, **more: Any) -> Any:
        file = really(path, mode, *given, **more)
        if set(mode) & set("wax+") and not more.get("opener"):  # which has told already
            opened(path)
        return file

    os.open = numbered
    builtins.open = io.open = written  # type: ignore[assignment]


def _tell_of_fsync(seen: Callable[[str], None]) -> None:
    really = os.fsync

    def durable(file: int) -> None:
        seen("os.fsync")
        really(file)

    os.fsync = durable  # type: ignore[assignment]


class _CopiedByHalf(sqlite3.Connection):
    """Tells of copies that have begun and are not whole."""

    seen: ClassVar[Callable[[str], None]]

    def backup(self, target: sqlite3.Connection, **given: Any) -> None:
        told = itertools.count()

        def progress(_status: int, remaining: int, _total: int) -> None:
            if remaining and next(told) == 0:
                _CopiedByHalf.seen("copied by half")

        super().backup(target, **{**given, "pages": _HALF_PAGES, "progress": progress})


def _tell_of_statements(seen: Callable[[str], None]) -> None:
    really: Callable[..., sqlite3.Connection] = sqlite3.connect
    _CopiedByHalf.seen = seen

    def stated(statement: str) -> None:
        if not statement.lstrip().upper().startswith(_HARMLESS):
            seen(" ".join(statement.split()[:3]))

    def connected(*given: Any, **more: Any) -> sqlite3.Connection:
        connection = really(*given, **{"factory": _CopiedByHalf, **more})
        connection.set_trace_callback(stated)
        return connection

    sqlite3.connect = dbapi2.connect = connected  # type: ignore[assignment]
