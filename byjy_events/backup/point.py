"""A point of a log's history to restore to."""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from typing import NamedTuple


class Point(NamedTuple):
    """A point of a log's history, by the one or the other; neither: the latest that is known.

    Attributes:
        position: the last event that is wanted.
        instant: nanoseconds UTC, by the clock of the log: events that were recorded later are not wanted.
    """

    position: int | None = None
    instant: int | None = None

    @property
    def is_latest(self) -> bool:
        """Whether everything is wanted."""
        return self.position is None and self.instant is None

    def wanted(self, positions: Sequence[int], recorded_at: Sequence[int]) -> int:
        """How many of some events that follow upon each other are wanted; the log's clock never runs backwards."""
        count = len(positions)
        if self.position is not None:
            count = min(count, self.position - positions[0] + 1)
        if self.instant is not None:
            count = min(count, bisect.bisect_right(recorded_at, self.instant))
        return count


LATEST_POINT = Point()
