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
from byjy_events.event import EVENT_TYPES, Event, EventType, UnknownEvent, invalid_event, storable
from byjy_events.numbers import InexactNumber, canonical, spelled

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
    event = _exact(known, event)
    try:
        payload = _encode(event)
    except (UnicodeEncodeError, TypeError) as error:
        raise InvalidEvent(name, _unstorable(event), f"cannot be encoded: {error}") from None
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


def _exact(known: EventType, event: Event) -> Event:
    """``msgspec.structs.replace`` brings in numbers that no constructor saw: check them, spell them canonically."""
    respelled = {}
    for name in known.decimals:
        value = getattr(event, name)
        if value is not None:
            try:
                exact = canonical(value)
            except InexactNumber as error:
                raise InvalidEvent(known.name, name, str(error)) from None
            if exact is not value:
                respelled[name] = exact
    return msgspec.structs.replace(event, **respelled) if respelled else event


def _read_back(known: EventType, payload: bytes) -> Event:
    """What would not read back must not get in: it would stop every reader for ever."""
    if len(payload) > PAYLOAD_LIMIT:
        raise InvalidEvent(known.name, "?", f"{len(payload)} bytes, more than {PAYLOAD_LIMIT}")
    try:
        decoded = known.decode(payload)
    except msgspec.ValidationError as error:
        raise invalid_event(known.name, error) from None
    if b"\\u0000" in payload and _NUL.search(payload):
        raise InvalidEvent(known.name, _unstorable(decoded), "holds a NUL character")
    decoded._check()
    return decoded


def _unstorable(struct: msgspec.Struct) -> str:
    """The path of the first text that cannot be stored."""
    for name in struct.__struct_fields__:
        value = getattr(struct, name)
        if isinstance(value, str) and not storable(value):
            return name
        if isinstance(value, msgspec.Struct) and (path := _unstorable(value)) != "?":
            return f"{name}.{path}"
    return "?"


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return spelled(value)
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value
