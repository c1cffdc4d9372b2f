"""The venue's bad manners: what goes wrong, and with which order."""

from __future__ import annotations

from collections import deque
from enum import Enum, auto
from random import Random


class Mishap(Enum):
    """What the venue does to an order besides what it was asked."""

    NONE = auto()
    TOLD_TWICE = auto()
    TOLD_OTHERWISE = auto()
    LATE_FILL = auto()
    OVERFILL = auto()
    BUSTED = auto()
    CORRECTED = auto()
    GARBLED = auto()
    STRANGER = auto()


_SOMETIMES = {
    Mishap.TOLD_TWICE: 4.0,
    Mishap.LATE_FILL: 2.0,
    Mishap.TOLD_OTHERWISE: 0.2,
    Mishap.BUSTED: 0.2,
    Mishap.CORRECTED: 0.2,
    Mishap.GARBLED: 0.2,
    Mishap.STRANGER: 0.2,
    Mishap.NONE: 93.0,
}
"""In percent of the orders."""


class Mishaps:
    """Deals out mishaps: every kind once among the first orders, later at random. There is one overfill in all."""

    def __init__(self, seed: int) -> None:
        self._random = Random(f"{seed} mishaps")
        first = [mishap for mishap in Mishap if mishap is not Mishap.NONE]
        self._random.shuffle(first)
        self._first = deque(first)

    def next(self) -> Mishap:
        """What will happen to the next order."""
        if self._first:
            return self._first.popleft()
        return self._random.choices(list(_SOMETIMES), list(_SOMETIMES.values()))[0]
