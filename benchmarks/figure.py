"""A measured figure, and the floor under it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median

from msgspec import Struct


class Floor(Struct, frozen=True):
    """What a figure has to reach, or, where less is better, not to exceed."""

    value: float
    at_most: bool = False

    def met(self, value: float) -> bool:
        """Whether a value is good enough."""
        return value <= self.value if self.at_most else value >= self.value


class Figure(Struct, frozen=True, kw_only=True):
    """The median of some rounds.

    Attributes:
        rounds: the value of each, in their order.
        note: what else was seen, in a few words.
        spread: for percentiles, by their number, the median over the rounds in milliseconds; empty: there are none.
    """

    name: str
    unit: str
    rounds: Sequence[float]
    floor: Floor | None = None
    note: str = ""
    spread: Mapping[str, float] = {}

    @property
    def value(self) -> float:
        """The median of the rounds."""
        return median(self.rounds)

    @property
    def missed(self) -> bool:
        """Whether there is a floor, and the figure is on the wrong side of it."""
        return self.floor is not None and not self.floor.met(self.value)


def percentile(values: Sequence[float], percent: float) -> float:
    """By the nearest rank: a value that was measured."""
    rank = max(1, -(-len(values) * percent // 100))
    return sorted(values)[int(rank) - 1]


def milliseconds(rounds: Sequence[Sequence[float]], percent: float) -> float:
    """The median over the rounds of a percentile of their durations."""
    return median(percentile(seconds, percent) * 1000 for seconds in rounds)


def spread(rounds: Sequence[Sequence[float]]) -> dict[str, float]:
    """Of durations in seconds: percentiles that show their whole distribution."""
    return {str(percent): milliseconds(rounds, percent) for percent in (1, 10, 25, 50, 75, 90, 95, 99, 99.9)}


def busy(microseconds: Sequence[float]) -> str:
    """The processor time of an event, as a note: steadier than the clock where others use the machine too."""
    return f"{median(microseconds):.1f} µs busy"
