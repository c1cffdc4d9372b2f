"""Progress of long work: a bar on standard error when that is a terminal, else nothing."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def progress(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """A bar for as long as the context lasts; call what it yields with how much is done of the total."""
    if not sys.stderr.isatty():
        yield lambda done: None
        return
    with _bar() as bar:
        task = bar.add_task(what, total=total)
        yield lambda done: bar.update(task, completed=done)


@contextmanager
def replay_progress(what: str) -> Iterator[Callable[[int, int], None]]:
    """A bar with events/s; call what it yields with the position reached and the one aimed at."""
    if not sys.stderr.isatty():
        yield lambda reached, aimed: None
        return
    from rich.progress import ProgressColumn, Task
    from rich.text import Text

    class Rate(ProgressColumn):
        """Events per second, of late."""

        def render(self, task: Task) -> Text:
            speed = task.finished_speed or task.speed
            return Text("" if speed is None else f"{speed:,.0f} events/s")

    with _bar(Rate()) as bar:
        task = bar.add_task(what, total=None)
        yield lambda reached, aimed: bar.update(task, completed=reached, total=max(1, aimed))


def _bar(*more: Any) -> Any:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = TextColumn("{task.description}", markup=False), BarColumn(), TaskProgressColumn(), *more
    return Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True)
