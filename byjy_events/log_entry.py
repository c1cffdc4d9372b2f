"""One entry of ``system_logs``: made in the thread that logs, so that nothing of the caller is kept."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from secrets import randbits
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from byjy_events.identifiers import new_event_id
from byjy_events.log_table import LogLevel
from byjy_events.redaction import Redactor

CONTEXT_BYTES = 256 * 1024
"""A context that is longer as JSON is left out."""

LOGGER_CHARACTERS = 255

_INT64 = 2**63
_OVERHEAD_BYTES = 512
_LEVELS = {
    **{level.lower(): level for level in LogLevel},
    "trace": LogLevel.DEBUG,
    "notset": LogLevel.DEBUG,
    "msg": LogLevel.INFO,
    "warn": LogLevel.WARNING,
    "err": LogLevel.ERROR,
    "exception": LogLevel.ERROR,
    "fatal": LogLevel.CRITICAL,
}
_OF_STRUCTLOG = ("_record", "_from_structlog", "timestamp")
"""Put there by other processors: the row has its own instant."""


class LogEntry(NamedTuple):
    """What one row will hold, but for its id.

    Attributes:
        context: JSON text.
        created_at: nanoseconds UTC.
    """

    level: LogLevel
    logger: str
    event: str
    context: str
    correlation_id: bytes | None
    event_position: int | None
    created_at: int

    @property
    def size(self) -> int:
        """Bytes of memory, about."""
        return _OVERHEAD_BYTES + len(self.logger) + len(self.event) + len(self.context)


class Batch:
    """Entries that are stored together, once: a batch whose fate is unclear is recognised by its first id.

    Attributes:
        first_id: of the last attempt; None: there was none.
    """

    def __init__(self, entries: Sequence[LogEntry]) -> None:
        self.entries = entries
        self.first_id: bytes | None = None

    def numbered(self, newest: bytes | None) -> list[bytes]:
        """Ids for one attempt, above the newest that is stored. To be asked for under the write lock."""
        first = new_event_id().int
        if newest is not None and first <= (last := int.from_bytes(newest)):
            # A clock stands behind that of another machine. By chance, or two attempts might come by the same ids.
            first = last + 1 + randbits(32)
        ids = [(first + number).to_bytes(16) for number in range(len(self.entries))]
        self.first_id = ids[0]
        return ids


def entry_of(redactor: Redactor, method: str, said: Any, logger: Any = None) -> LogEntry:
    """What a row will hold of what structlog hands over, without secrets.

    ``level``, ``logger``, ``event``, ``correlation_id`` and ``event_position`` have columns of their own, where they
    fit them; everything else is the context.
    """
    fields = redactor.entry(said if isinstance(said, Mapping) else {"event": said})
    for name in _OF_STRUCTLOG:
        fields.pop(name, None)
    level = level_of(fields.pop("level", None), method)
    name = fields.pop("logger", None) or getattr(logger, "name", None) or ""
    event = fields.pop("event", "")
    correlation_id, event_position = _correlation_id(fields), _event_position(fields)
    context = _context(fields)
    return LogEntry(
        level, _text(name)[:LOGGER_CHARACTERS], _text(event), context, correlation_id, event_position, time.time_ns()
    )


def own_entry(event: str, **context: Any) -> LogEntry:
    """A warning of the sink itself."""
    return entry_of(Redactor(), "warning", {"event": event, "logger": "byjy_events", **context})


def level_of(level: object, method: str) -> LogLevel:
    """The level of an entry, by its name or else by that of the method; what nobody knows is INFO."""
    for name in (level, method):
        if isinstance(name, str) and (found := _LEVELS.get(name.lower())) is not None:
            return found
    return LogLevel.INFO


def _correlation_id(fields: dict[str, Any]) -> bytes | None:
    value = fields.get("correlation_id")
    try:
        found = value if isinstance(value, UUID) else UUID(value) if isinstance(value, str) else None
    except ValueError:
        return None
    if found is not None:
        del fields["correlation_id"]
    return None if found is None else found.bytes


def _event_position(fields: dict[str, Any]) -> int | None:
    value = fields.get("event_position")
    if type(value) is not int or not 1 <= value < _INT64:
        return None
    del fields["event_position"]
    return value


def _context(fields: dict[str, Any]) -> str:
    written = msgspec.json.encode(fields)
    if len(written) > CONTEXT_BYTES:
        written = msgspec.json.encode({"left_out": f"a context of {len(written)} bytes"})
    return written.decode()


def _text(value: Any) -> str:
    """PostgreSQL has no place for NUL in a text."""
    return (value if isinstance(value, str) else str(value)).replace("\0", "\\x00")
