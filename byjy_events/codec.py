"""Payloads: canonical JSON bytes, exactly as stored, hashed and exported.

Canonical means: fields in the order of the Struct, no white space, decimals as plain digits in strings,
UUIDs in lower case, bytes in base64. Once written, a payload is never re-encoded.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

import msgspec

from byjy_events.errors import InvalidEvent
from byjy_events.event import EVENT_TYPES, Event, EventType, UnknownEvent, invalid_event
from byjy_events.numbers import spelled

PAYLOAD_LIMIT = 1024 * 1024
"""Bytes that one payload may have."""

_encode = msgspec.json.Encoder().encode
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")


def encode(event: Event) -> tuple[bytes, Event]:
    """The payload of an event, and the event as every reader will see it.

    Raises:
        InvalidEvent: the event type is not registered, or a value went round the constructor's checks.
    """
    name = type(event).__name__
    known = EVENT_TYPES.get(name)
    if known is None or known.struct is not type(event):
        raise InvalidEvent(name, "type", "not a registered event type; decorate the class with @event_type()")
    try:
        payload = _encode(event)
    except (UnicodeEncodeError, TypeError) as error:
        raise InvalidEvent(name, "?", f"cannot be encoded: {error}") from None
    if b"E-" in payload:  # str(Decimal) goes scientific below 1E-6; a look at the bytes is the cheapest test
        payload = _encode(_plain(msgspec.to_builtins(event, builtin_types=(Decimal,))))
    return payload, _read_back(known, payload)


def decode(type_name: str, schema_version: int, payload: bytes) -> Event | UnknownEvent:
    """The event of a stored payload, brought up to the version this program knows.

    An unknown type, or a version newer than the known one, comes back as :class:`UnknownEvent`.

    Raises:
        msgspec.DecodeError: the payload is not what its type and version promise.
    """
    known = EVENT_TYPES.get(type_name)
    if known is None or schema_version > known.version:
        return UnknownEvent(type_name, schema_version, payload)
    if schema_version == known.version:
        return known.decode(payload)
    return _upcast(known, schema_version, payload)


def _upcast(known: EventType, schema_version: int, payload: bytes) -> Event:
    fields: dict[str, Any] = msgspec.json.decode(payload)
    for version in range(schema_version, known.version):
        fields = known.upcasters[version](fields)
    return msgspec.convert(fields, known.struct)


def _read_back(known: EventType, payload: bytes) -> Event:
    """What would not read back must not get in: it would stop every reader for ever."""
    if len(payload) > PAYLOAD_LIMIT:
        raise InvalidEvent(known.name, "?", f"{len(payload)} bytes, more than {PAYLOAD_LIMIT}")
    try:
        decoded = known.decode(payload)
    except msgspec.ValidationError as error:
        raise invalid_event(known.name, error) from None
    for name in known.decimals:
        value = getattr(decoded, name)
        if value is not None and not value.is_finite():
            raise InvalidEvent(known.name, name, f"{value} is not a finite number")
    if b"\\u0000" in payload and _NUL.search(payload):
        raise InvalidEvent(known.name, "?", "holds a NUL character")
    return decoded


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return spelled(value)
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value
