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
    GARBLED = auto()
    STRANGER = auto()


_SOMETIMES = (Mishap.TOLD_TWICE, Mishap.LATE_FILL, Mishap.TOLD_OTHERWISE, Mishap.GARBLED, Mishap.STRANGER, Mishap.NONE)
_WEIGHTS = (4.0, 2.0, 0.2, 0.2, 0.2, 93.4)


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
        return self._random.choices(_SOMETIMES, _WEIGHTS)[0]
