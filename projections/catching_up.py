"""Catching up: a group taken to the head of the log, once."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from byjy_events.event import EVENT_TYPES
from byjy_events.log import EventLog
from projections import runner
from projections.beginning import begun
from projections.projection import EVERY_EVENT, Group
from projections.runner import Runner, available


async def catch_up(log: EventLog, group: Group, *, progress: Callable[[int, int], None] | None = None) -> int:
    """Project everything that is in the log now, and return the position reached.

    Args:
        progress: called after each step with the position reached and the one aimed at.

    Raises:
        ProjectionStopped, GroupOutdated, TablesUnusable: see there. A rebuild under way is waited for.
        LogUnavailable: the database failed; what was projected before stays.
    """
    own = Runner(log, group)
    try:
        with available():
            return await _caught_up(log, own, progress)
    finally:
        await own.close()


async def _caught_up(log: EventLog, own: Runner, progress: Callable[[int, int], None] | None) -> int:
    head = await log.head()
    reported = (await begun(log, own)).position

    def report() -> None:
        nonlocal reported
        if progress is not None and own.checkpoint.position > reported:
            reported = own.checkpoint.position
            progress(reported, head)

    while own.checkpoint.position < head:
        alone = True
        chunks = log.read_chunks(
            after=own.checkpoint.position,
            upto=head,
            without_types=_of_no_concern(own.group),
            size=runner.CHUNK_EVENTS,
        )
        async with contextlib.aclosing(chunks):
            async for chunk in chunks:
                if not (alone := await own.advance(chunk, ahead=True)):
                    break
                report()
        if not (alone and await own.settle() and await own.pass_by(head)):
            await begun(log, own)
        report()
    return own.checkpoint.position


def _of_no_concern(group: Group) -> list[str]:
    """Types of event that need not be read for a group: it would do nothing about them. Unknown ones are counted."""
    if not group.handles.isdisjoint(EVERY_EVENT):
        return []
    return sorted(EVENT_TYPES.keys() - {event_type.__name__ for event_type in group.handles})
