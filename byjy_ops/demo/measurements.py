"""What the demo measures while it runs."""

from __future__ import annotations

import time
from collections.abc import Sequence

from msgspec import Struct, field

from byjy_events import Outcome, Receipt


class Latencies(Struct):
    """Many durations, in seconds."""

    seconds: list[float] = field(default_factory=list)

    def add(self, seconds: float) -> None:
        """One more."""
        self.seconds.append(seconds)

    def percentile_ms(self, percent: float) -> float:
        """The duration, in milliseconds, that this share of all did not exceed; 0.0 of none."""
        return percentile(self.seconds, percent) * 1000


class Measurements(Struct):
    """Of one run.

    Attributes:
        acknowledgements: from calling ``append`` to its return, when the events are durable.
        lags: from the acknowledgement to the row being visible.
        events: stored; ``duplicates`` and ``conflicts`` were told again and recognised.
        denied: orders that the engine's own limit stopped.
    """

    acknowledgements: Latencies = field(default_factory=Latencies)
    lags: Latencies = field(default_factory=Latencies)
    events: int = 0
    duplicates: int = 0
    conflicts: int = 0
    started: float = field(default_factory=time.perf_counter)
    seconds: float = 0.0

    def acknowledged(self, receipt: Receipt, seconds: float) -> None:
        """An append returned."""
        self.acknowledgements.add(seconds)
        for stored in receipt.events:
            self.duplicates += stored.outcome is Outcome.DUPLICATE
            self.conflicts += stored.outcome is Outcome.CONFLICTED
            self.events += stored.outcome is not Outcome.DUPLICATE  # a conflict is kept as an event of its own

    def finish(self) -> None:
        """The run is over."""
        self.seconds = time.perf_counter() - self.started


def percentile(values: Sequence[float], percent: float) -> float:
    """By the nearest rank: a value that was measured; 0.0 of none."""
    if not values:
        return 0.0
    rank = -(-len(values) * percent // 100)
    return sorted(values)[max(int(rank), 1) - 1]
