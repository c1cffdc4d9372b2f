"""States: rows and events as people and programs read them, what changed of a row, and nothing of what is sealed."""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import Struct

from byjy_events import Recorded
from byjy_events.sealing.sealed import data_key_id_of
from byjy_ops.events import fields
from byjy_ops.listing import text, utc

WORKING = frozenset({"updated_at", "last_position"})
"""Columns that repeat when and where the row was changed last, which the event itself tells."""

VALUE_LENGTH = 200
"""Characters of one value that people are shown."""

_INSTANTS = ("_at", "_until")


def masked(value: Any) -> Any:
    """A value without its secret: bytes are only counted, and none are an empty text."""
    if not isinstance(value, bytes):
        return value
    if not value:
        return ""
    return f"sealed ({len(value)} bytes)" if data_key_id_of(value) is not None else f"{len(value)} bytes"


def row_cells(row: Struct | None) -> dict[str, Any] | None:
    """A row by the names of its columns; None: there is none."""
    return None if row is None else {name: masked(getattr(row, name)) for name in row.__struct_fields__}


def said(recorded: Recorded) -> Any:
    """What an event says, as it was stored but for what is sealed."""
    told = fields(recorded)
    if not isinstance(told, Mapping):
        return _hidden(told)
    return {name: _told(value, getattr(recorded.event, name, None)) for name, value in told.items()}


def changed(before: Struct | None, after: Struct | None) -> list[str]:
    """The columns that are not what they were, in the order of the table; of a row that comes or goes: all."""
    row = after if before is None else before
    if row is None:
        return []
    if before is None or after is None:
        return list(row.__struct_fields__)
    return [name for name in row.__struct_fields__ if getattr(before, name) != getattr(after, name)]


def difference(before: Struct | None, after: Struct | None) -> Iterator[str]:
    """What became of a row, a line for each column that changed; of a new row one line with all that it holds."""
    columns = [name for name in changed(before, after) if name not in WORKING]
    if before is None and after is not None:
        held = [(name, getattr(after, name)) for name in columns]
        yield " ".join(["new row:", *(f"{name}={written(name, value)}" for name, value in held if value)])
    elif before is not None and after is None:
        yield "the row is gone"
    else:
        for name in columns:
            yield f"{name}: {written(name, getattr(before, name))} -> {written(name, getattr(after, name))}"


def written(name: str, value: Any) -> str:
    """A value of a column as people read it."""
    if value is None:
        return "none"
    if name.endswith(_INSTANTS) and isinstance(value, int):
        return utc(value)
    if isinstance(value, dict) and {"exchange", "symbol"} <= value.keys():
        return f"{text(value['exchange'])}:{text(value['symbol'])}"
    found = text(masked(value))
    return found if len(found) <= VALUE_LENGTH else f"{found[: VALUE_LENGTH - 1]}…"


def _told(value: Any, decoded: Any) -> Any:
    return masked(decoded) if isinstance(decoded, bytes) else _hidden(value)


def _hidden(value: Any) -> Any:
    """Of an event that this program does not know, bytes look like any text: what is sealed has its own form."""
    if isinstance(value, dict):
        return {name: _hidden(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_hidden(one) for one in value]
    if not isinstance(value, str):
        return value
    try:
        found = b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        return value
    return masked(found) if data_key_id_of(found) is not None else value
