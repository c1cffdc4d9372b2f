"""A user as the log says now: the table may lag, the stream does not.

A stream has two events for each login, and a program logs in often. So only the last login of each kind is read: it
says all that those before it said. And who has read a user reads no more than what came after: the log does not change.
"""

from __future__ import annotations

from collections.abc import Iterable
from operator import attrgetter
from typing import NamedTuple, cast
from uuid import UUID

from byjy_events.errors import UpgradeRequired
from byjy_events.event import EVENT_TYPES, Event, UnknownEvent
from byjy_events.log import EventLog
from byjy_events.recorded import Recorded
from byjy_events.stream import Stream, user_stream
from byjy_events.vocabulary.users import LoginReserved, LoginSucceeded
from projections.folding import FoldFailed
from projections.memory import folded_in_memory
from projections.projection import Group
from projections.users.errors import UnknownUser
from projections.users.projection import Users
from projections.users.table import UserRow

_PROJECTION = Users()
_USERS = Group("users", [_PROJECTION])
_LOGINS: tuple[type[Event], ...] = (LoginReserved, LoginSucceeded)

RECENT = 16
"""Events that are read in the hope that nothing else came since the user was read before."""


class Current(NamedTuple):
    """A user and the version of the stream that says so: an append with it is decided on nothing older.

    Attributes:
        row: None: nobody was registered.
    """

    row: UserRow | None
    version: int


async def current_user(log: EventLog, user_id: UUID, known: Current | None = None) -> Current:
    """A user as the log has it.

    Args:
        known: what this function said of the same user and log before, however long ago; it makes the call cheaper.

    Raises:
        UpgradeRequired: a newer program wrote to the stream.
    """
    stream = user_stream(user_id)
    if known is not None and known.row is not None:
        newer = await _newer(log, stream, known.version)
        if newer is not None:
            return Current(_evolved(known.row, newer), newer[-1].stream_version if newer else known.version)
    # First: what comes in between then makes the append a conflict.
    last = await _last(log, stream)
    if last is None:
        return Current(None, 0)
    logins = [await _last(log, stream, kind, last.position) for kind in _LOGINS]
    events = [one async for one in log.read(stream=stream, upto=last.position, without_types=_LOGINS)]
    events += [login for login in logins if login is not None]
    for one in events:
        _refuse_unknown(one)
    return Current(folded(user_id, sorted(events, key=attrgetter("position"))), last.stream_version)


async def existing_user(log: EventLog, user_id: UUID) -> tuple[UserRow, int]:
    """The same for a user that has to be there.

    Raises:
        UnknownUser: nobody was registered.
        UpgradeRequired: a newer program wrote to the stream.
    """
    row, version = await current_user(log, user_id)
    if row is None:
        raise UnknownUser(user_id)
    return row, version


def folded(user_id: UUID, events: list[Recorded]) -> UserRow | None:
    """The row that the events of a user make; None: they register nobody."""
    try:
        return folded_in_memory(_USERS, events).tables[_PROJECTION].get(user_id)
    except FoldFailed as failed:
        raise failed.cause from None


async def _newer(log: EventLog, stream: Stream, version: int) -> list[Recorded] | None:
    """The events after a version; None: they are many."""
    last = [one async for one in log.read(stream=stream, backward=True, limit=RECENT)]
    if last and last[-1].stream_version > version + 1:
        return None
    newer = [one for one in reversed(last) if one.stream_version > version]
    for one in newer:
        _refuse_unknown(one)
    return newer


def _evolved(row: UserRow, events: Iterable[Recorded]) -> UserRow:
    for one in events:
        if type(one.event) in _PROJECTION.handles:
            row = cast("UserRow", _PROJECTION.evolve(row, one, row.id))
    return row


async def _last(
    log: EventLog, stream: Stream, kind: type[Event] | None = None, upto: int | None = None
) -> Recorded | None:
    types = None if kind is None else [kind]
    async for one in log.read(stream=stream, types=types, upto=upto, backward=True, limit=1):
        return one
    return None


def _refuse_unknown(recorded: Recorded) -> None:
    if isinstance(recorded.event, UnknownEvent):
        known = EVENT_TYPES.get(recorded.type)
        version = 0 if known is None else known.version
        raise UpgradeRequired(recorded.type, recorded.schema_version, version, recorded.position)
