"""What a run of the benchmarks wrote, read back."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
from msgspec import Struct

from benchmarks.figure import Floor


class Told(Struct):
    """A figure as it was written."""

    name: str
    unit: str
    median: float
    floor: Floor | None = None
    missed: bool = False
    note: str = ""
    spread: dict[str, float] = {}


class Run(Struct):
    """What one run wrote."""

    machine: dict[str, str]
    figures: list[Told]

    def medians(self, pattern: str) -> dict[float, float]:
        """The medians of the figures whose name matches, by the number in the pattern's first group."""
        found = [(re.fullmatch(pattern, one.name), one.median) for one in self.figures]
        return {float(match[1].replace(",", "")): median for match, median in found if match is not None}


def read(path: Path) -> Run:
    """The run that a JSON file holds.

    Raises:
        OSError, msgspec.DecodeError: there is none.
    """
    return msgspec.json.decode(path.read_bytes(), type=Run)
