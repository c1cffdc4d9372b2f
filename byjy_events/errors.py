"""Everything that byjy_events raises on purpose.

::

    ByjyError
    ├── InvalidEvent           an event does not say what its type promises     (names type and field)
    ├── InvalidAppend          an append call that makes no sense as a whole
    ├── VersionConflict        the stream is not where the caller expected it
    ├── EventIdReused          an own event's id is in the log with other content
    ├── OutcomeUnknown         the commit may or may not have happened, and cannot be looked up now
    ├── LogUnavailable         the database cannot be written or reached; nothing was stored
    ├── LogClosed              the log was closed before the call could be served
    ├── UpgradeRequired        an event was written by a newer program than this one
    ├── CorruptLog             what is stored contradicts itself                 (names the position)
    └── SchemaMismatch         the database is older or newer than this program
        └── NotAByjyDatabase   tables are there, but none of ours

An error's facts are attributes; the sentence in ``str(error)`` is made of them and carries nothing more.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING
from uuid import UUID

if TYPE_CHECKING:
    from byjy_events.stream import Stream


class ByjyError(Exception):
    """The root of every error that byjy_events, projections and byjy_ops raise on purpose."""


class InvalidEvent(ByjyError):
    """An event does not say what its type promises. Nothing was stored.

    Attributes:
        event_type: the event type, e.g. ``OrderPlaced``.
        field: the field at fault as a path, e.g. ``quantity`` or ``pair.symbol``.
        reason: what is wrong with it, e.g. ``NaN is not a finite number``.
    """

    def __init__(self, event_type: str, field: str, reason: str) -> None:
        self.event_type = event_type
        self.field = field
        self.reason = reason
        super().__init__(f"{event_type}.{field}: {reason}")


class InvalidAppend(ByjyError):
    """An append call that makes no sense as a whole, e.g. one without events. Nothing was stored.

    Attributes:
        argument: the argument at fault.
        reason: what is wrong with it.
    """

    def __init__(self, argument: str, reason: str) -> None:
        self.argument = argument
        self.reason = reason
        super().__init__(f"append({argument}): {reason}")


class VersionConflict(ByjyError):
    """The stream is not at the version the caller expected. Nothing of the append was stored.

    Attributes:
        stream: the stream that moved on.
        expected: the version the caller named; 0 stands for ``NO_STREAM``.
        actual: the version the stream was at when the append was decided.
        known_event_ids: those of the caller's event ids that the log already holds. Never all of them:
            then the append would have been answered with the first receipts.
    """

    def __init__(self, stream: Stream, expected: int, actual: int, known_event_ids: Sequence[UUID] = ()) -> None:
        self.stream = stream
        self.expected = expected
        self.actual = actual
        self.known_event_ids = tuple(known_event_ids)
        wanted = "no stream" if expected == 0 else f"version {expected}"
        found = "no stream" if actual == 0 else f"version {actual}"
        known = f"; {len(self.known_event_ids)} of its events are stored already" if known_event_ids else ""
        super().__init__(f"{stream}: expected {wanted}, found {found}{known}")


class EventIdReused(ByjyError):
    """An own event carries the id of a stored event that says something else. Nothing was overwritten.

    A venue's fact never raises this: its contradiction is stored as ``FactConflicted``.

    Attributes:
        event_id: the id that was used twice.
        position: where the first event with this id lies; None: in the same transaction.
    """

    def __init__(self, event_id: UUID, position: int | None) -> None:
        self.event_id = event_id
        self.position = position
        where = "in the same transaction" if position is None else f"at position {position}"
        super().__init__(f"event {event_id} is stored {where} with other content or on another stream")


class OutcomeUnknown(ByjyError):
    """The commit failed in a way that leaves open whether it happened, and the log cannot be asked now.

    Repeating the same append with the same event ids is safe: what is stored already is recognised.

    Attributes:
        event_ids: the ids whose fate is open.
    """

    def __init__(self, event_ids: Sequence[UUID], cause: str) -> None:
        self.event_ids = tuple(event_ids)
        self.cause = cause
        super().__init__(f"outcome of {len(self.event_ids)} event(s) unknown: {cause}")


class LogUnavailable(ByjyError):
    """The database cannot be reached or written. Nothing of the append was stored.

    Attributes:
        cause: what the database said, e.g. ``database or disk is full``.
    """

    def __init__(self, cause: str) -> None:
        self.cause = cause
        super().__init__(f"log unavailable: {cause}")


class LogClosed(ByjyError):
    """The log was closed before the call could be served. Nothing of it was stored."""

    def __init__(self) -> None:
        super().__init__("the log is closed")


class UpgradeRequired(ByjyError):
    """An event was written by a newer program than this one, in a schema version it does not know.

    Attributes:
        event_type: the type, which this program knows in older versions.
        schema_version: the version found.
        known_version: the newest version this program knows.
        position: where the event lies in the log.
    """

    def __init__(self, event_type: str, schema_version: int, known_version: int, position: int) -> None:
        self.event_type = event_type
        self.schema_version = schema_version
        self.known_version = known_version
        self.position = position
        super().__init__(
            f"{event_type} at position {position} has schema version {schema_version}, "
            f"this program knows {known_version}: upgrade it"
        )


class CorruptLog(ByjyError):
    """What is stored contradicts itself: a gap, a payload that does not decode, a wrong leaf hash.

    Attributes:
        position: the first position at fault.
        reason: what is wrong there.
    """

    def __init__(self, position: int, reason: str) -> None:
        self.position = position
        self.reason = reason
        super().__init__(f"position {position}: {reason}")


class SchemaMismatch(ByjyError):
    """The database is older or newer than this program.

    Attributes:
        database: the database, as a URL without password.
        found: the schema revision in the database.
        expected: the revision this program works with.
    """

    def __init__(self, database: str, found: str, expected: str, advice: str | None = None) -> None:
        self.database = database
        self.found = found
        self.expected = expected
        advice = advice or f"run: byjy --database {shlex.quote(database)} migrate"
        super().__init__(f"{database} has schema {found}, this program works with {expected}: {advice}")


class NotAByjyDatabase(SchemaMismatch):
    """The database holds tables, but none of ours; it is left untouched."""

    def __init__(self, database: str, expected: str) -> None:
        super().__init__(database, "of something else", expected, "choose another database")
