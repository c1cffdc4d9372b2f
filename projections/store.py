"""What the runner asks of a database: checkpoints, rows by key, and one atomic step forward."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import msgspec

from projections.checkpoints import Checkpoint
from projections.folding import Changes
from projections.projection import Key, Projection


class Step(msgspec.Struct):
    """One step of a group: from a checkpoint to a later position, with everything that changed in between."""

    before: Checkpoint
    position: int
    passed_over: int
    changes: list[Changes]


class Store(Protocol):
    """The rows and checkpoints of one database, for one runner."""

    async def checkpoint(self, group: str, version: str) -> Checkpoint:
        """The group's checkpoint; a group that has none begins at position 0."""
        ...

    async def load(self, projection: Projection[Any], keys: Sequence[Key]) -> Mapping[Key, Any]:
        """Those of these rows that exist."""
        ...

    async def advance(self, step: Step) -> bool:
        """Take the step in one transaction, the checkpoint first. False: it had moved, and nothing was written.

        Raises:
            NotStorable: a row breaks a constraint.
            NotStored, Unclear: the database failed; look at the checkpoint again.
        """
        ...

    async def stop(self, before: Checkpoint, position: int, event_type: str, error: str) -> None:
        """Mark the group as stopped at an event, unless it moved on meanwhile."""
        ...

    async def close(self) -> None:
        """Give connections back."""
