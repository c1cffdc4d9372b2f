"""Listings of the log itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from byjy_events import Recorded
from byjy_ops.listing import Cells, Column, Listing, tell
from byjy_ops.reading import existing_log

COLUMNS = (
    Column("position", right=True, width=8),
    Column("type", width=20),
    Column("stream", width=42),
    Column("recorded_at", "recorded (UTC)", instant=True, width=23),
    Column("occurred_at", "occurred (UTC)", instant=True, width=23),
    Column("actor", width=14),
)

CHUNK = 2_000


async def list_events(database: str, after: int, types: Sequence[str] | None, limit: int, *, as_json: bool) -> None:
    """Write the events behind a position, at most ``limit``; 0: all."""
    listing = Listing(COLUMNS, as_json=as_json)
    held: list[Cells] = []
    shown = 0
    async with existing_log(database, read_only=True) as log:
        async for recorded in log.read(after=after, types=types or None, limit=limit + 1 if limit else None):
            shown += 1
            if limit and shown > limit:
                break
            held.append(cells(recorded))
            if len(held) == CHUNK:
                listing.write(held)
                held = []
    listing.write(held)
    if limit and shown > limit:
        tell(f"{limit} shown, there are more: --limit N, or 0 for all")
    if not shown:
        tell("nothing found")


async def follow_events(database: str, after: int, types: Sequence[str] | None, *, as_json: bool) -> None:
    """Write the events behind a position, and then every new one, until cancelled."""
    listing = Listing(COLUMNS, as_json=as_json)
    wanted = frozenset(types or ())
    async with existing_log(database, read_only=True) as log:
        async for chunk in log.follow_chunks(after=after):
            listing.write([cells(recorded) for recorded in chunk if not wanted or recorded.type in wanted])


def cells(recorded: Recorded) -> Cells:
    """An event by the names of its columns; the payload decoded, ``stream`` as one name."""
    return {
        "position": recorded.position,
        "event_id": recorded.event_id,
        "stream": str(recorded.stream),
        "stream_category": recorded.category,
        "stream_id": recorded.stream_id,
        "stream_version": recorded.stream_version,
        "type": recorded.type,
        "schema_version": recorded.schema_version,
        "payload": fields(recorded),
        "occurred_at": recorded.occurred_at,
        "received_at": recorded.received_at,
        "recorded_at": recorded.recorded_at,
        "actor": recorded.actor,
        "correlation_id": recorded.correlation_id,
        "causation_id": recorded.causation_id,
        "leaf_hash": recorded.leaf_hash,
    }


def fields(recorded: Recorded) -> Any:
    """What an event says, as it was stored."""
    return msgspec.json.decode(recorded.payload)
