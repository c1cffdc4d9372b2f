"""Deciding on what the log says now, and recording the decision only if that is still so."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypedDict, Unpack
from uuid import UUID

from byjy_events.errors import VersionConflict
from byjy_events.log import EventLog
from byjy_events.recorded import Receipt, Write

DECISIONS = 5
"""Times that one call decides. What changes in each of these moments is told to the caller."""


class Acting(TypedDict, total=False):
    """Who acts, and in what connection, as :meth:`byjy_events.log.EventLog.append` takes it.

    Attributes:
        actor: who wants it; the log's actor if it is not given.
        correlation_id: what this is part of.
        causation_id: the event that caused it.
    """

    actor: str | None
    correlation_id: UUID | None
    causation_id: UUID | None


async def recorded(
    log: EventLog, decide: Callable[[], Awaitable[Sequence[Write]]], **acting: Unpack[Acting]
) -> Receipt | None:
    """Append what is decided, all or nothing, and decide anew when a stream changed meanwhile.

    Args:
        decide: reads streams, raises what speaks against it, and returns the writes, each with the exact version that
            it read; none: there is nothing to do.

    Returns:
        The receipt; None: nothing had to be done.

    Raises:
        VersionConflict: the streams changed :data:`DECISIONS` times in a row; nothing was stored.
        LogUnavailable, LogClosed, OutcomeUnknown: as :meth:`byjy_events.log.EventLog.append_all` does.
    """
    decisions = 0
    while True:
        writes = await decide()
        if not writes:
            return None
        decisions += 1
        try:
            return await log.append_all(writes, **acting)
        except VersionConflict:
            if decisions == DECISIONS:
                raise
