"""What disks and people do to a file: some bytes of it are others, or are gone."""

from __future__ import annotations

from pathlib import Path
from random import Random

LONGEST = 4096


def damaged(path: Path, chance: Random) -> str:
    """Harm a file at a place that is left to chance, and say how. It is another file afterwards."""
    data = bytearray(path.read_bytes())
    at = chance.randrange(len(data))
    length = min(chance.randrange(1, LONGEST), len(data) - at)
    kinds = ("a bit", "truncated", "zeros", "noise", "a hole", "something behind it")
    kind = chance.choice(kinds)
    if kind == "a bit":
        data[at] ^= 1 << chance.randrange(8)
    elif kind == "truncated":
        del data[at:]
    elif kind == "zeros":
        data[at : at + length] = b"\0" * length
    elif kind == "noise":
        data[at : at + length] = chance.randbytes(length)
    elif kind == "a hole":
        del data[at : at + length]
    else:
        data += chance.randbytes(length)
    path.unlink()  # copies of a folder share files that nobody writes
    path.write_bytes(data)
    return f"{path.name}: {kind} at {at}, {length} bytes"
