"""``byjy as-of``: the listings, of tables as they were."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import NamedTuple

import sqlalchemy as sa

from byjy_events import EventLog
from byjy_events.schema import events
from byjy_ops.arguments import Mark, Moment
from byjy_ops.errors import InvalidArgument
from byjy_ops.listing import emit, utc
from byjy_ops.marks import at_marks
from byjy_ops.pairs import NO_PAIRS, known_pairs
from byjy_ops.progress import replay_progress
from byjy_ops.reading import Fetch, existing_log, live_rows
from byjy_ops.tables import (
    ANOMALIES,
    LISTED,
    POSITIONS,
    Filters,
    Table,
    filtered,
    plain_listing,
    refuse_unfit,
    write_rows,
)
from projections import TRADING, Clock, Group, Instant, Past, projections_as_of
from projections.queries import EVERYTHING, Scope
from projections.registry import found_groups


class Question(NamedTuple):
    """What was asked for."""

    name: str
    table: Table
    group: Group
    filters: Filters
    marks: Sequence[Mark] = ()


def asked(name: str, filters: Filters, marks: Sequence[Mark] = ()) -> Question:
    """The question about a table.

    Raises:
        InvalidArgument: there is no such table, or it takes no such filter, or no marks.
    """
    table, group = _table(name)
    refuse_unfit(name, table, filters)
    if marks and table is not POSITIONS:
        raise InvalidArgument("--mark", f"{name} has nothing that could be valued so")
    return Question(name, table, group, filters, marks)


async def listed_as_of(
    database: str, when: Moment, question: Question, limit: int, *, clock: Clock, as_json: bool
) -> None:
    """Write what was asked for as it was, at most ``limit`` rows; 0: all.

    Raises:
        InvalidMoment: a position that the log has not reached.
        InvalidArgument: a pair, a status or a kind that there was not, or a pair that is marked twice.
        ReplayFailed, CorruptLog: an event cannot be folded, or is not what was appended.
    """
    scope = await _scope(database, question)
    async with existing_log(database, read_only=True) as log, AsyncExitStack() as stack:
        with replay_progress("folding the past") as advance:
            past = await stack.enter_async_context(
                projections_as_of(log, _point(when), group=question.group, clock=clock, progress=advance)
            )
            fetch = _fetch(past, scope)
            pairs = await known_pairs(fetch) if question.group is TRADING else NO_PAIRS
        table = at_marks(question.marks, pairs) if question.marks else question.table
        statement = filtered(question.table, question.filters, pairs)
        if not as_json:
            emit(f"as of {await _moment(log, past.position, when, clock)}\n")
        await write_rows(fetch, pairs, table, statement, limit, as_json=as_json)


def _fetch(past: Past, scope: Scope) -> Fetch:
    return lambda statement: past.fetch(statement, scope)


async def _scope(database: str, question: Question) -> Scope:
    """What has to be folded to answer: one order, one pair, or everything, as an anomaly may come of anything."""
    filters = question.filters
    if question.table is ANOMALIES or (filters.pair is None and filters.order is None):
        return EVERYTHING
    if any(mark.pair != filters.pair for mark in question.marks):
        return EVERYTHING  # else nothing would be known of the other pair, not even that there is one
    if filters.pair is None:
        return Scope(order=filters.order)
    async with live_rows(database) as fetch:
        named = (await known_pairs(fetch)).called(filters.pair)
    # The live tables only tell what to look for; what they do not know, or not for certain, the log does.
    return Scope(pair=next(iter(named))) if len(named) == 1 else EVERYTHING


async def _moment(log: EventLog, position: int, when: Moment, clock: Clock) -> str:
    c = events.c
    async with log.engine.connect() as connection:
        recorded_at = await connection.scalar(sa.select(c.recorded_at).where(c.position == position))
    end = (
        "position 0, before the first event"
        if recorded_at is None
        else f"position {position}, {_recorded(recorded_at)}"
    )
    if clock is Clock.RECORDED or when.nanoseconds is None:
        return end
    return f"{utc(when.nanoseconds)} UTC by the venue's clock: what had happened by then, as told up to {end}"


def _point(when: Moment) -> int | Instant:
    return Instant(when.nanoseconds or 0) if when.position is None else when.position


def _recorded(nanoseconds: int) -> str:
    return f"recorded {utc(nanoseconds)} UTC"


def _table(name: str) -> tuple[Table, Group]:
    if name in LISTED:
        return LISTED[name], TRADING
    found = found_groups()
    others = {table.name: (table, group) for group in found.groups for table in group.tables}
    if name not in others:
        known = [*LISTED, *sorted(others.keys() - {one.table.name for one in LISTED.values()})]
        besides = "".join(f"; {error}" for error in found.errors)
        raise InvalidArgument("TABLE", f"there is no table {name!r}; expected one of {', '.join(known)}{besides}")
    table, group = others[name]
    own = {one.table.name: one for one in LISTED.values()}
    return own.get(name) or plain_listing(table), group
