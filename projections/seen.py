"""Which keys may have a row: a filter in front of the database, for a fold that began with no rows at all."""

from __future__ import annotations

from typing import Any

BITS = 1 << 25
"""4 MiB: of a million keys one in 280 is looked for in vain, of ten million one in five."""

_MASK = BITS - 1


class Seen:
    """Remembers keys, each as two bits (Bloom, 1970). It may know one that it never met; it forgets none."""

    def __init__(self) -> None:
        self._bits = bytearray(BITS // 8)

    def before(self, key: Any) -> bool:
        """Whether the key was met before, as far as can be told. From now on it was."""
        bits = self._bits
        # Of a tuple: the hashes of neighbouring numbers are neighbours, and would share their bits.
        number = hash((key,))
        one, other = number & _MASK, number >> 25 & _MASK
        one_bit, other_bit = 1 << (one & 7), 1 << (other & 7)
        one_byte, other_byte = bits[one >> 3], bits[other >> 3]
        if one_byte & one_bit and other_byte & other_bit:
            return True
        bits[one >> 3] = one_byte | one_bit
        bits[other >> 3] |= other_bit
        return False
