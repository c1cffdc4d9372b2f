"""Which keys may have a row: a filter in front of the database, for a fold that began with no rows at all."""

from __future__ import annotations

from typing import Any

BITS = 1 << 25
"""4 MiB: of a million keys one in 33 is looked for in vain at most, of ten million one in four."""


class Seen:
    """Remembers keys, each as one bit at the place of its hash. It may know one that it never met; it forgets none."""

    def __init__(self) -> None:
        self._bits = bytearray(BITS // 8)

    def before(self, key: Any) -> bool:
        """Whether the key was met before, as far as can be told. From now on it was."""
        place = hash(key) % BITS
        index, bit = place >> 3, 1 << (place & 7)
        known = self._bits[index] & bit
        self._bits[index] |= bit
        return bool(known)
