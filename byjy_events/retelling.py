"""When an event id comes a second time: the same again, or something else?"""

from __future__ import annotations

import msgspec

from byjy_events.codec import decode
from byjy_events.event import Event, Fact, UnknownEvent


def same_fact(second: Fact, second_payload: bytes, type_name: str, schema_version: int, payload: bytes) -> bool:
    """Whether a fact says what was stored under its id. Clocks, actor and correlation do not count."""
    if payload == second_payload and type_name == type(second).__name__:
        return True
    first = _first(type_name, schema_version, payload)
    if isinstance(first, UnknownEvent):
        return type_name == type(second).__name__  # a newer program's telling, which this one cannot read
    return isinstance(first, Fact) and second.agrees_with(first)


def same_event(second: Event, second_payload: bytes, type_name: str, schema_version: int, payload: bytes) -> bool:
    """Whether an own event is the one that was stored under its id, whichever version wrote it."""
    if type_name != type(second).__name__:
        return False
    return payload == second_payload or _first(type_name, schema_version, payload) == second


def _first(type_name: str, schema_version: int, payload: bytes) -> Event | UnknownEvent | None:
    try:
        return decode(type_name, schema_version, payload)
    except msgspec.MsgspecError:
        return None  # damaged: whoever reads it is told, whoever appends needs an answer
