"""A process that works with backups and kills itself at the n-th thing it does to a file, or may not write much."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import resource
import signal
import sys
from collections.abc import Callable, Coroutine
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

from byjy_events import ByjyError
from byjy_events.backup import Backups, restore

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["__main__", __name__])

_DONE_TO_FILES = {"open", "os.link", "os.mkdir", "os.remove", "os.rename", "os.rmdir", "sqlite3.connect"}

Work = Callable[[], Coroutine[Any, Any, object]]


def creating(url: str, folder: Path) -> Work:
    return partial(Backups(folder).create, url)


def restoring(folder: Path, name: str, to: Path) -> Work:
    return partial(restore, folder, name, to, replace=True)


def pruning(folder: Path, keep: timedelta) -> Work:
    return partial(Backups(folder).prune, keep)


def points(work: Work, under: Path) -> list[str]:
    """What the work does to files below a folder, one after the other. It is done."""
    here, there = _context.Pipe(duplex=False)
    _ran(_counted, work, under, there)
    there.close()
    done: list[str] = here.recv()
    here.close()
    return done


def killed(work: Work, under: Path, point: int) -> bool:
    """Do the work in a process that dies before it does this thing; False: it was at its end before."""
    return _ran(_killed, work, under, point) == -signal.SIGKILL


def confined(work: Work, file_bytes: int) -> str:
    """Do the work in a process whose files may not grow longer; the answer is what it raised, or nothing."""
    here, there = _context.Pipe(duplex=False)
    _ran(_confined, work, file_bytes, there)
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
    done = _watch(under, None)
    asyncio.run(work())
    told.send(done)


def _killed(work: Work, under: Path, point: int) -> None:
    _watch(under, point)
    asyncio.run(work())


def _confined(work: Work, file_bytes: int, told: Any) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, file_bytes))
    try:
        asyncio.run(work())
    except ByjyError as error:
        told.send(f"{type(error).__name__}: {error}")
    else:
        told.send("")


def _watch(under: Path, point: int | None) -> list[str]:
    done: list[str] = []
    folder = str(under)

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event not in _DONE_TO_FILES or not arguments or folder not in str(arguments[0]):
            return
        done.append(event)
        if len(done) == point:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)
    return done
