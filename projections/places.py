"""Events at chosen positions of the log, which lie anywhere in it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import aclosing

from byjy_events.log import EventLog
from byjy_events.recorded import Recorded

GAP = 50
"""So many events between two wanted ones are read in vain, since that is cheaper than another read."""


async def events_at(log: EventLog, positions: Iterable[int]) -> AsyncIterator[Recorded]:
    """The events at these positions, in the order of the log, their leaf hashes checked.

    Raises:
        CorruptLog: an event is missing or altered.
    """
    for run in _runs(sorted(set(positions))):
        wanted = frozenset(run)
        async with aclosing(log.read_chunks(after=run[0] - 1, upto=run[-1], checked=True)) as chunks:
            async for chunk in chunks:
                for recorded in chunk:
                    if recorded.position in wanted:
                        yield recorded


def _runs(positions: list[int]) -> Iterator[list[int]]:
    """Positions that lie close together."""
    run: list[int] = []
    for position in positions:
        if run and position - run[-1] > GAP:
            yield run
            run = []
        run.append(position)
    if run:
        yield run
