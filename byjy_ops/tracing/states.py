"""What the events of a trace changed: of an order its status and what is filled, of a position what is held.

Orders and everything else with a stream of its own are folded from that. A position follows the fills of all orders of
its pair, so what was held is taken from the trades in the tables where that is certain to be what was known then, and
folded from the log where it is not: the tables lag, or a trade that counts was busted or corrected since.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing
from decimal import Decimal
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from msgspec import Struct
from sqlalchemy.ext.asyncio import AsyncConnection

from byjy_events import EventLog, Recorded
from byjy_events.database import is_sqlite
from byjy_events.numbers import CONTEXT
from byjy_events.stream import API_KEY, CONFIGURATION, ORDER, PAIR, STRATEGY, STRATEGY_EXECUTION, USER, Stream
from byjy_events.vocabulary.orders import OrderFilled, TradeBusted, TradeCorrected
from byjy_ops.states import WORKING, changed, masked
from byjy_ops.tracing.events import Trace
from projections import TRADING, GroupState, TradeRow, TradeStatus, entities
from projections.changes import changes_among, changes_of
from projections.checkpoints import projection_checkpoints
from projections.entities import Entity
from projections.holdings import after_fill
from projections.positions import flat
from projections.queries import rows_of
from projections.tables import position_cycles, trades

PAGE = 2_000
"""Trades that one statement fetches."""

_OF_ORDERS = frozenset({"status", "filled_quantity"})

_OWN: dict[str, Callable[[UUID], Entity]] = {
    USER: entities.user,
    API_KEY: entities.api_key,
    STRATEGY: entities.strategy,
    STRATEGY_EXECUTION: entities.strategy_execution,
}


class State(Struct, frozen=True):
    """What one event made of one row.

    Attributes:
        of: the kind of entity, e.g. ``order``.
        name: of the pair and account of a position; else empty: it is that of the event's stream.
        columns: what changed, by column: before and after.
    """

    of: str
    name: str
    columns: Mapping[str, tuple[Any, Any]]


States = dict[int, list[State]]
"""By the position of the event."""


async def states_of(log: EventLog, trace: Trace) -> States:
    """What the events of a trace changed.

    Raises:
        ReplayFailed, CorruptLog: an event cannot be folded, or is not what was appended.
    """
    states: States = {}
    for stream in trace.orders.keys() - trace.same.keys():
        await _add_order(trace, stream, states)
    for stream in {one.stream for one in trace.events.values()} - trace.orders.keys():
        await _add_own(log, trace, stream, states)
    for position, fills in _of_positions(trace.events.values()).items():
        await _add_position(log, position, fills, states)
    return states


# --- what has a stream of its own -----------------------------------------------------------------


async def _add_order(trace: Trace, stream: Stream, states: States) -> None:
    streams = [stream, *(other for other, own in trace.same.items() if own == stream)]
    whole = sorted((one for each in streams for one in trace.orders[each]), key=lambda one: one.position)
    for one in streams:  # before the link each had a row of its own
        async for change in changes_among(entities.order(one.id), _in_order(whole)):
            columns = _changed(change.before, change.after, _OF_ORDERS)
            if columns and (one == stream or change.recorded.stream == one):
                states.setdefault(change.recorded.position, []).append(State(ORDER, "", columns))


async def _add_own(log: EventLog, trace: Trace, stream: Stream, states: States) -> None:
    entity = _entity(trace, stream)
    if entity is None:
        return
    async for change in changes_among(entity, log.read(stream=stream, upto=max(trace.events), checked=True)):
        columns = _changed(change.before, change.after, None)
        if columns and change.recorded.position in trace.events:
            states.setdefault(change.recorded.position, []).append(State(stream.category, "", columns))


def _entity(trace: Trace, stream: Stream) -> Entity | None:
    if stream.category in _OWN:
        return _OWN[stream.category](stream.id)
    told: Any = next(one.event for one in trace.events.values() if one.stream == stream)
    if stream.category == CONFIGURATION and hasattr(told, "key"):
        return entities.setting(told.key)
    if stream.category == PAIR and hasattr(told, "pair"):
        return entities.pair(told.pair.exchange, told.pair.symbol)
    return None


def _changed(before: Any, after: Any, only: frozenset[str] | None) -> dict[str, tuple[Any, Any]]:
    """Of a row that comes or goes what it holds: everything would be more than one can take in."""
    names = [name for name in changed(before, after) if name not in WORKING and (only is None or name in only)]
    if (before is None or after is None) and only is None:
        names = [name for name in names if name == "status"]
    told = {name: (masked(getattr(before, name, None)), masked(getattr(after, name, None))) for name in names}
    return {name: (old, new) for name, (old, new) in told.items() if old or new}


async def _in_order(whole: Iterable[Recorded]) -> AsyncIterator[Recorded]:
    for one in whole:
        yield one


# --- positions ------------------------------------------------------------------------------------


class _Position(Struct, frozen=True):
    exchange: str
    symbol: str
    account: str
    is_test: bool
    key: tuple[UUID, str, bool]

    def __str__(self) -> str:
        return f"{self.exchange}:{self.symbol} {self.account}{' on paper' if self.is_test else ''}"


def _of_positions(events: Iterable[Recorded]) -> dict[_Position, list[Recorded]]:
    found: dict[_Position, list[Recorded]] = {}
    for one in events:
        event = one.event
        if isinstance(event, OrderFilled | TradeBusted | TradeCorrected):
            pair = event.pair
            key = (pair.id, event.account, event.is_test)
            named = _Position(pair.exchange, pair.symbol, event.account, event.is_test, key)
            found.setdefault(named, []).append(one)
    return found


async def _add_position(log: EventLog, named: _Position, told: Sequence[Recorded], states: States) -> None:
    wanted = {one.position for one in told}
    found = None
    if all(isinstance(one.event, OrderFilled) for one in told):
        async with log.engine.connect() as connection:
            if not is_sqlite(log.engine.url):  # else a bust that is projected meanwhile could be in one page only
                await connection.execution_options(isolation_level="REPEATABLE READ")
            found = await _from_tables(connection, named, wanted)
    if found is None:
        found = await _from_log(log, named, wanted)
    for position, columns in found.items():
        states.setdefault(position, []).append(State(entities.POSITION, str(named), columns))


async def _from_tables(
    connection: AsyncConnection, named: _Position, wanted: set[int]
) -> dict[int, dict[str, tuple[Any, Any]]] | None:
    """None: the tables do not know what was known then."""
    first, last = min(wanted), max(wanted)
    t, of = trades.c, _equal(trades, named)
    if not await _are_projected(connection, last):
        return None
    revised = sa.select(sa.func.count()).where(*of, t.position <= last, t.revised_position > first)
    if await connection.scalar(revised):
        return None
    c = position_cycles.c
    flat_at = sa.select(sa.func.max(c.closed_position)).where(
        *_equal(position_cycles, named), c.closed_position < first, sa.not_(c.reversed)
    )
    after = await connection.scalar(flat_at) or 0
    row = flat(named.key, 0)
    found: dict[int, dict[str, tuple[Any, Any]]] = {}
    while True:
        page = sa.select(trades).where(*of, t.position > after, t.position <= last).order_by(t.position).limit(PAGE)
        rows = rows_of(TradeRow, (await connection.execute(page)).all())
        for trade in rows:
            if trade.status is not TradeStatus.BUSTED:
                before = row
                row, _ = after_fill(before, trade, trade.fee_in, trade.executed_at, trade.position)
                if trade.position in wanted:
                    found[trade.position] = _held(before, row)
        if len(rows) < PAGE:
            return found
        after = rows[-1].position


async def _from_log(log: EventLog, named: _Position, wanted: set[int]) -> dict[int, dict[str, tuple[Any, Any]]]:
    entity = entities.position(named.exchange, named.symbol, named.account, is_test=named.is_test)
    found: dict[int, dict[str, tuple[Any, Any]]] = {}
    async with aclosing(changes_of(log, entity, upto=max(wanted))) as changes:
        async for change in changes:
            if change.recorded.position in wanted:
                found[change.recorded.position] = _held(change.before, change.after)
    return found


def _held(before: Any, after: Any) -> dict[str, tuple[Any, Any]]:
    """What was held, and what was realised by this event; before it, so far, says nothing that matters here."""
    columns = {"quantity": (_number(before, "quantity"), _number(after, "quantity"))}
    gained = CONTEXT.subtract(_number(after, "realized_pnl"), _number(before, "realized_pnl"))
    return {**columns, "realized": (None, gained)} if gained else columns


def _number(row: Any, name: str) -> Decimal:
    return getattr(row, name, None) or Decimal(0)


async def _are_projected(connection: AsyncConnection, position: int) -> bool:
    c = projection_checkpoints.c
    statement = sa.select(c.position, c.version, c.status).where(c.group_name == TRADING.name)
    row = (await connection.execute(statement)).first()
    if row is None or row.status == GroupState.REBUILDING:
        return False
    return bool(row.position >= position) and TRADING.accepts(row.version)


def _equal(table: sa.Table, named: _Position) -> list[sa.ColumnElement[bool]]:
    pair, account, is_test = named.key
    return [table.c.trading_pair_id == pair, table.c.account == account, table.c.is_test == is_test]
