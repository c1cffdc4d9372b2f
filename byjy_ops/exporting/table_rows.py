"""The rows of a table, to be exported: of one moment, in the order of a key that they do not share."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from typing import Any

import sqlalchemy as sa

from byjy_events.log import EventLog
from byjy_events.schema import events
from byjy_events.stream import ORDER
from byjy_ops.exporting.columns import LAYOUTS, Chunk, Column, ColumnType, Kind, Layout
from byjy_ops.exporting.filters import Filters, NamedPair, chosen, named_pair
from byjy_ops.exporting.manifest import GroupVersion
from byjy_ops.exporting.snapshot import snapshot
from byjy_ops.exporting.source import Progress, Source
from byjy_ops.pairs import Pairs, known_pairs
from byjy_ops.reading import Fetch
from projections import TRADING, GroupOutdated, GroupRebuilding, Past, projections_as_of
from projections.checkpoints import GroupState, projection_checkpoints
from projections.queries import EVERYTHING, Scope

PAGE_ROWS = 2_000
"""Rows that one statement fetches."""


@contextlib.asynccontextmanager
async def live_rows(log: EventLog, kind: Kind, filters: Filters) -> AsyncIterator[Source]:
    """The rows of a table as they are, all of one moment.

    Raises:
        GroupRebuilding: they are of no one position.
        GroupOutdated: another version of the projections made them.
        InvalidArgument: no pair is called so, or several are.
        LogUnavailable: the database failed.
    """
    async with snapshot(log) as fetch:
        [(head,)] = await fetch(sa.select(sa.func.coalesce(sa.func.max(events.c.position), 0)))
        position, version = await _standing(fetch)
        pairs = await known_pairs(fetch)
        pair = named_pair(pairs, filters)
        pages = _pages(fetch, kind, filters, pair, pairs, _collated(log))
        async with contextlib.aclosing(pages) as chunks:
            yield Source(chunks, chosen(filters, pair), position, head, GroupVersion(TRADING.name, version))


@contextlib.asynccontextmanager
async def past_rows(
    log: EventLog, kind: Kind, filters: Filters, as_of: int, progress: Progress | None
) -> AsyncIterator[Source]:
    """The rows of a table as they were at a position, folded from the log.

    Raises:
        ReplayFailed, CorruptLog: an event cannot be folded, or is not what was appended.
        InvalidArgument: there was no pair called so, or there were several.
        LogUnavailable: the database failed, or its temporary space is full.
    """
    head = await log.head()
    scope = await _scope(log, kind, filters)
    async with projections_as_of(log, as_of, group=TRADING, progress=progress) as past:
        fetch = _fetch(past, scope)
        pairs = await known_pairs(fetch)
        pair = named_pair(pairs, filters)
        pages = _pages(fetch, kind, filters, pair, pairs, _collated(log))
        async with contextlib.aclosing(pages) as chunks:
            yield Source(chunks, chosen(filters, pair), as_of, head, GroupVersion(TRADING.name, TRADING.version))


async def _standing(fetch: Fetch) -> tuple[int, str]:
    """The position that the rows are of, and the version that made them."""
    c = projection_checkpoints.c
    found = await fetch(sa.select(c.position, c.version, c.status).where(c.group_name == TRADING.name))
    if not found:
        return 0, TRADING.version
    row = found[0]
    if row.status == GroupState.REBUILDING:
        raise GroupRebuilding(TRADING.name)
    if not TRADING.accepts(row.version):
        raise GroupOutdated(TRADING.name, row.version, TRADING.version)
    return row.position, row.version


async def _scope(log: EventLog, kind: Kind, filters: Filters) -> Scope:
    """What has to be folded: one pair, or everything, as an anomaly may come of anything."""
    if filters.pair is None or kind is Kind.ANOMALIES:
        return EVERYTHING
    async with snapshot(log) as fetch:
        named = (await known_pairs(fetch)).called(filters.pair)
    # The live tables only tell what to look for; what they do not know, or not for certain, the log does.
    return Scope(pair=next(iter(named))) if len(named) == 1 else EVERYTHING


def _fetch(past: Past, scope: Scope) -> Fetch:
    return lambda statement: past.fetch(statement, scope)


def _collated(log: EventLog) -> str | None:
    """The collation in which texts are in the order of their bytes, on every database; None: it is the usual one."""
    return None if log.engine.dialect.name == "sqlite" else "C"


async def _pages(
    fetch: Fetch, kind: Kind, filters: Filters, pair: NamedPair | None, pairs: Pairs, collation: str | None
) -> AsyncGenerator[Chunk, None]:
    layout = LAYOUTS[kind]
    statement = sa.select(layout.table).where(*_conditions(kind, layout, filters, pair))
    key = _order_by(layout, collation)
    page = statement
    while rows := await fetch(page.order_by(*key).limit(PAGE_ROWS)):
        yield _chunk(layout, pairs, rows)
        if len(rows) < PAGE_ROWS:
            return
        page = statement.where(*_behind(layout, key, rows[-1]))


def _conditions(kind: Kind, layout: Layout, filters: Filters, pair: NamedPair | None) -> list[sa.ColumnElement[bool]]:
    c = layout.table.c
    conditions: list[sa.ColumnElement[bool]] = []
    if filters.since is not None:
        conditions.append(c[layout.time] >= filters.since)
    if filters.until is not None:
        conditions.append(c[layout.time] < filters.until)
    if pair is not None:
        conditions.append(c.trading_pair_id == pair.id)
    if filters.account is not None:
        conditions.append(c.account == filters.account)
    if filters.actor is not None:
        conditions.append(_caused_by(kind, layout.table, filters.actor))
    return conditions


def _caused_by(kind: Kind, table: sa.Table, actor: str) -> sa.ColumnElement[bool]:
    """An order is caused by whoever began its stream, any other row by the event at its position."""
    c = events.c
    if kind is Kind.ORDERS:
        event = sa.and_(c.stream_id == table.c.id, c.stream_category == ORDER, c.stream_version == 1)
    else:
        event = c.position == table.c.position
    return sa.exists().where(event, c.actor == actor)


def _order_by(layout: Layout, collation: str | None) -> list[sa.ColumnElement[Any]]:
    texts = {column.name for column in layout.columns if column.type is ColumnType.TEXT}
    return [
        sa.collate(layout.table.c[name], collation) if collation and name in texts else layout.table.c[name]
        for name in layout.key
    ]


def _behind(
    layout: Layout, key: Sequence[sa.ColumnElement[Any]], last: sa.Row[Any]
) -> tuple[sa.ColumnElement[bool], ...]:
    columns = [layout.table.c[name] for name in layout.key]
    there = [sa.literal(last._mapping[column.name], column.type) for column in columns]
    # The first says nothing new, but an index serves it whatever the collation of the others.
    return columns[0] >= there[0], sa.tuple_(*key) > sa.tuple_(*there)


def _chunk(layout: Layout, pairs: Pairs, rows: Sequence[sa.Row[Any]]) -> Chunk:
    cells = [pairs.named(row) for row in rows]
    return [_values(column, [one.get(column.name) for one in cells]) for column in layout.columns]


def _values(column: Column, values: Sequence[Any]) -> Sequence[Any]:
    if column.type in (ColumnType.UUID, ColumnType.TEXT):
        return [None if value is None else str(value) for value in values]
    return values
