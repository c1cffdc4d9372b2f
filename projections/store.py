"""What the runner asks of a database: checkpoints, rows by key, and one atomic step forward."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

import msgspec

from byjy_events.backend import NotStorable
from projections.checkpoints import Checkpoint
from projections.folding import Changes
from projections.projection import Key, Projection
from projections.revision import Ask
from projections.stretches import Source


class Step(msgspec.Struct):
    """One step of a group: from a checkpoint to a later position, with everything that changed in between."""

    before: Checkpoint
    position: int
    passed_over: int
    changes: list[Changes]


class Store(Source, Protocol):
    """The rows and checkpoints of one database, for one runner."""

    async def checkpoint(self, group: str, version: str) -> Checkpoint:
        """The group's checkpoint; a group that has none begins at position 0."""
        ...

    async def load(self, projection: Projection[Any], keys: Sequence[Key]) -> Mapping[Key, Any]:
        """Those of these rows that exist.

        Raises:
            NotStorable: a key is not of its columns' types.
            NotStored, Unclear: the database failed.
            TablesUnusable: see there; so do the other methods.
        """
        ...

    async def find(self, projection: Projection[Any], ask: Ask) -> Sequence[Any]:
        """The rows asked for. Raises as :meth:`load`."""
        ...

    async def advance(self, step: Step) -> bool:
        """Take the step in one transaction, the checkpoint first. False: it had moved, and nothing was written.

        Raises:
            NotStorable: a row breaks a constraint.
            NotStored, Unclear: the database failed; look at the checkpoint again.
        """
        ...

    async def stop(self, before: Checkpoint, position: int, event_type: str, error: str) -> bool:
        """Mark the group as stopped at an event. False: it had moved on, and is not."""
        ...

    async def close(self) -> None:
        """Give connections back."""


@contextlib.contextmanager
def fitting() -> Iterator[None]:
    """Around the way of values to the driver: one that is not of its column's type is refused data.

    Raises:
        NotStorable: see there.
    """
    try:
        yield
    except (TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise NotStorable(f"{type(error).__name__}: {error}") from error
