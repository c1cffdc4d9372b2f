"""Where the rows of an export come from."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from typing import NamedTuple

from byjy_ops.exporting.columns import Chunk
from byjy_ops.exporting.filters import Chosen
from byjy_ops.exporting.manifest import GroupVersion

Progress = Callable[[int, int], None]
"""Called with the position reached and the one aimed at."""


class Source(NamedTuple):
    """Rows, and what they are the truth of.

    Attributes:
        chunks: the rows, to be closed.
        as_of: the position that they are of.
        head: of the log.
        group: which projections made them; None: they are events.
    """

    chunks: AsyncGenerator[Chunk, None]
    chosen: Chosen
    as_of: int
    head: int
    group: GroupVersion | None
