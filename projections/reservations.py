"""Taking and giving up what only one may have at a time: a username, a fingerprint, the name of a strategy.

The answers are writes for the append that they belong to, each with the exact version that was read: what was free, or
one's own, is so where the append stands, or the append is a conflict and nothing was stored.
"""

from __future__ import annotations

from uuid import UUID

from byjy_events.log import EventLog
from byjy_events.recorded import Recorded, Write
from byjy_events.stream import Stream
from byjy_events.vocabulary.reservations import ReservationMade, ReservationReleased
from projections.errors import AlreadyTaken


async def holder_of(log: EventLog, reservation: Stream) -> UUID | None:
    """Who has it now; None: nobody."""
    return _holder(await _last(log, reservation))


async def taken(log: EventLog, reservation: Stream, kind: str, holder: UUID) -> list[Write]:
    """What takes it; nothing to write, if the holder has it already.

    Raises:
        AlreadyTaken: somebody else has it.
    """
    last = await _last(log, reservation)
    held_by = _holder(last)
    if held_by == holder:
        return []
    if held_by is not None:
        raise AlreadyTaken(kind, held_by)
    return [Write(reservation, [ReservationMade(kind=kind, holder=holder)], _version(last))]


async def given_up(log: EventLog, reservation: Stream, kind: str, holder: UUID) -> list[Write]:
    """What gives it up; nothing to write, if the holder does not have it."""
    last = await _last(log, reservation)
    if _holder(last) != holder:
        return []
    return [Write(reservation, [ReservationReleased(kind=kind, holder=holder)], _version(last))]


async def _last(log: EventLog, reservation: Stream) -> Recorded | None:
    async for recorded in log.read(stream=reservation, backward=True, limit=1):
        return recorded
    return None


def _holder(last: Recorded | None) -> UUID | None:
    return last.event.holder if last is not None and isinstance(last.event, ReservationMade) else None


def _version(last: Recorded | None) -> int:
    return 0 if last is None else last.stream_version
