"""``byjy trail``: who did what when, from the trail's index and the log's own words."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
import sqlalchemy as sa

from byjy_events import pair_stream
from byjy_events.schema import events
from byjy_events.stream import PAIR
from byjy_ops.listing import Cells, Column, Listing, tell, text
from byjy_ops.pairs import known_pairs
from byjy_ops.reading import Fetch, live_rows
from byjy_ops.status import lacking
from projections import TRAIL, TrailRow
from projections.queries import rows_of
from projections.trail import trail_page

COLUMNS = (
    Column("recorded_at", "recorded (UTC)", instant=True),
    Column("position", right=True),
    Column("actor"),
    Column("type"),
    Column("entity"),
    Column("summary"),
)

CHUNK = 2_000
"""Rows that one statement fetches."""

SUMMARY_LENGTH = 160
"""Characters of a summary; what is longer ends in an ellipsis."""

VALUE_LENGTH = 40
"""Characters of one value in it."""

_ENTITY = re.compile(r"(?:([a-z][a-z0-9_]*):)?([0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})")


class Asked(NamedTuple):
    """What a command line asks for; None: everything."""

    actor: str | None = None
    entity: str | None = None
    type: str | None = None
    since: int | None = None


class _Entity(NamedTuple):
    category: str | None = None
    stream_id: UUID | None = None


async def list_trail(database: str, asked: Asked, limit: int, *, as_json: bool) -> None:
    """Write the newest rows of the trail that are asked for, at most ``limit``; 0: all.

    Standard error says how far the trail is behind the log, if it is.

    Raises:
        InvalidArgument: no pair is called as the entity is, or several are.
    """
    listing = Listing(COLUMNS, as_json=as_json)
    held: list[Cells] = []
    shown = 0
    async with live_rows(database) as fetch:
        unknown = await lacking(fetch, database, TRAIL)
        entity = await _entity(fetch, asked.entity)
        async for rows in _chunks(fetch, asked, entity, limit + 1 if limit else None):
            held += await _cells(fetch, rows[: limit - shown] if limit else rows)
            shown += len(rows)
            if as_json:
                listing.write(held)
                held = []
    listing.write(held)
    if limit and shown > limit:
        tell(f"{limit} shown, there are more: --limit N, or 0 for all")
    if not shown:
        tell("nothing found")
    if unknown:
        tell(unknown)


def said(payload: bytes) -> str:
    """An event's fields on one line, those that hold something, cut to :data:`SUMMARY_LENGTH`."""
    fields = msgspec.json.decode(payload)
    if not isinstance(fields, dict):
        return _shortened(text(fields), SUMMARY_LENGTH)
    parts = [f"{text(name)}={_value(value)}" for name, value in fields.items() if value not in (None, "", False)]
    return _shortened(" ".join(parts), SUMMARY_LENGTH)


def named(row: TrailRow, payload: bytes) -> str:
    """An entity as ``--entity`` takes it: the pair's name, where the event tells it, else ``category:UUID``."""
    if row.category == PAIR:
        fields = msgspec.json.decode(payload)
        pair = fields.get("pair", fields) if isinstance(fields, dict) else {}
        match pair:
            case {"exchange": str(exchange), "symbol": str(symbol)}:
                if pair_stream(exchange, symbol).id == row.stream_id:
                    return f"{exchange}:{symbol}"
    return f"{row.category}:{row.stream_id}"


def _value(value: Any) -> str:
    match value:
        case {"exchange": exchange, "symbol": symbol}:
            return f"{text(exchange)}:{text(symbol)}"
        case dict() | list():
            return _shortened(text(msgspec.json.encode(value).decode()), VALUE_LENGTH)
    return _shortened(text(value), VALUE_LENGTH)


def _shortened(written: str, length: int) -> str:
    return written if len(written) <= length else f"{written[: length - 1]}…"


async def _entity(fetch: Fetch, given: str | None) -> _Entity:
    if given is None:
        return _Entity()
    if match := _ENTITY.fullmatch(given):
        return _Entity(match[1], UUID(match[2]))
    return _Entity(PAIR, (await known_pairs(fetch)).resolve(given, "--entity"))


async def _chunks(fetch: Fetch, asked: Asked, entity: _Entity, limit: int | None) -> AsyncIterator[Sequence[TrailRow]]:
    last: TrailRow | None = None
    size = CHUNK if limit is None else min(limit, CHUNK)
    while size > 0:
        statement = trail_page(
            asked.actor, entity.category, entity.stream_id, asked.type, asked.since, last, size, newest_first=True
        )
        rows = rows_of(TrailRow, await fetch(statement))
        if rows:
            yield rows
            last = rows[-1]
        if len(rows) < size:
            return
        if limit is not None:
            limit -= len(rows)
            size = min(limit, CHUNK)


async def _cells(fetch: Fetch, rows: Sequence[TrailRow]) -> list[Cells]:
    c = events.c
    found = await fetch(sa.select(c.position, c.payload).where(c.position.in_([row.position for row in rows])))
    payloads = {one.position: one.payload for one in found}
    return [_row(row, payloads.get(row.position, b"null")) for row in rows]


def _row(row: TrailRow, payload: bytes) -> Cells:
    return {**msgspec.structs.asdict(row), "entity": named(row, payload), "summary": said(payload)}
