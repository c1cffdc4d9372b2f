"""The right edge of a growing tree: all that is needed to go on, and to know the root at every size on the way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from byjy_events.proof.merkle import full_root, joined


class Completed(NamedTuple):
    """A subtree that became full: the ``number``-th of its kept level, and the hash over its leaves."""

    level: int
    number: int
    hash: bytes


class Frontier:
    """A tree from nothing, of which only the edge is kept in memory: at most ``2 ** bits`` hashes of each kept level.

    Attributes:
        size: leaves so far.
    """

    def __init__(self, bits: int) -> None:
        """An empty tree.

        Args:
            bits: levels of the tree from one that is kept to the next.
        """
        self.size = 0
        self._bits = bits
        self._edge: list[list[bytes]] = [[]]
        self._done: list[int] = [0]

    def add(self, leaves: Sequence[bytes]) -> list[Completed]:
        """Grow by leaf hashes. Returns the subtrees of kept levels that became full, lower levels first."""
        self.size += len(leaves)
        self._edge[0].extend(leaves)
        completed: list[Completed] = []
        level = 0
        while len(self._edge[level]) >= 1 << self._bits:
            if level + 1 == len(self._edge):
                self._edge.append([])
                self._done.append(0)
            completed += self._carried(level)
            level += 1
        return completed

    def copy(self) -> Frontier:
        """Another one of the same leaves."""
        other = Frontier(self._bits)
        other.size = self.size
        other._edge = [list(hashes) for hashes in self._edge]
        other._done = list(self._done)
        return other

    def root(self) -> bytes:
        """The root over all leaves so far."""
        parts: list[bytes] = []
        for hashes in reversed(self._edge):
            start = 0
            while start < len(hashes):
                width = 1 << (len(hashes) - start).bit_length() - 1
                parts.append(full_root(hashes[start : start + width]))
                start += width
        return joined(parts)

    def _carried(self, level: int) -> list[Completed]:
        """What is full on a kept level goes up to the next one."""
        hashes, width = self._edge[level], 1 << self._bits
        full = len(hashes) >> self._bits
        roots = [full_root(hashes[block * width : (block + 1) * width]) for block in range(full)]
        self._edge[level] = hashes[full * width :]
        self._edge[level + 1].extend(roots)
        first = self._done[level]
        self._done[level] += full
        return [Completed(level + 1, first + number, root) for number, root in enumerate(roots)]
