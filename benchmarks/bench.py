"""What every measurement needs: how much to do, and fresh databases to do it in."""

from __future__ import annotations

import gc
import itertools
import shutil
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

from byjy_events import EventLog

T = TypeVar("T")


class Bench:
    """One run of the benchmarks.

    Attributes:
        rounds: that count; one more goes before them.
        scale: how much of the usual amount of work is done, e.g. 0.1.
        folder: where the databases are made; its disk is what gets measured.
        recording: a long log and what it is, once somebody made it; see ``recording.py``.
        million: a longer one with its tables, and how many events it has; see ``million.py``.
    """

    def __init__(self, folder: Path, *, rounds: int, scale: float) -> None:
        self.folder = folder
        self.rounds = rounds
        self.scale = scale
        self._numbers = itertools.count(1)
        self._template: Path | None = None
        self.recording: tuple[Path, str] | None = None
        self.million: tuple[Path, int] | None = None

    def events(self, usual: int) -> int:
        """An amount of work for this run; never so little that nothing can be seen."""
        return max(int(usual * self.scale), 50)

    async def new_file(self) -> Path:
        """A SQLite file with the schema and no event, made the way that users get theirs."""
        if self._template is None:
            template = self.folder / "template.db"
            async with EventLog.open(f"sqlite:///{template}"):
                pass
            self._template = template
        return self.copy_of(self._template)

    def copy_of(self, file: Path) -> Path:
        """A copy of a file that nobody has open."""
        copy = self.folder / f"{next(self._numbers)}.db"
        shutil.copyfile(file, copy)
        return copy

    @asynccontextmanager
    async def new_log(self) -> AsyncIterator[EventLog]:
        """An open, empty log on SQLite; its file is removed in the end."""
        path = await self.new_file()
        async with EventLog.open(f"sqlite:///{path}") as log:
            yield log
        self.remove(path)

    def remove(self, file: Path) -> None:
        """A file with what lies beside it."""
        for path in self.folder.glob(f"{file.name}*"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    async def in_turns(self, contenders: Mapping[str, Callable[[], Awaitable[T]]]) -> dict[str, list[T]]:
        """Run the contenders in turns, round by round; the first round is thrown away."""
        results: dict[str, list[T]] = {name: [] for name in contenders}
        for number in range(self.rounds + 1):
            for name, contender in contenders.items():
                result = await contender()
                if number:
                    results[name].append(result)
        return results

    async def repeated(self, measure: Callable[[], Awaitable[T]]) -> list[T]:
        """One contender alone."""
        return (await self.in_turns({"alone": measure}))["alone"]


class Clock:
    """A context manager that measures how long it lasted, and for how long this process kept a processor busy.

    What was there before it is out of the garbage collector's sight meanwhile: no engine carries a generated workload
    around.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self.busy_seconds = 0.0

    def __enter__(self) -> Clock:
        gc.collect()
        gc.freeze()
        self._busy = time.process_time()
        self._started = time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds = time.perf_counter() - self._started
        self.busy_seconds = time.process_time() - self._busy
        gc.unfreeze()
