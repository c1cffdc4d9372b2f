"""Entities: whatever has a row that events change, and where in the log these events are.

Most have a stream of their own. A position has none: it follows the fills of any order. A pair begins with the first
event that names it, and an order may turn out to be the same as another, which had a stream of its own.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from typing import Any
from uuid import UUID

import msgspec
import sqlalchemy as sa
from msgspec import Struct

from byjy_events.errors import LogUnavailable
from byjy_events.identifiers import pair_id
from byjy_events.log import EventLog
from byjy_events.recorded import Recorded
from byjy_events.schema import events
from byjy_events.stream import (
    API_KEY,
    ORDER,
    PAIR,
    STRATEGY,
    STRATEGY_EXECUTION,
    USER,
    Stream,
    configuration_stream,
)
from byjy_events.stream import (
    CONFIGURATION as CONFIGURATION_CATEGORY,
)
from byjy_events.vocabulary.orders import OrderLinked
from byjy_events.vocabulary.pairs import PairDelisted, PairListed, PairStatusChanged
from projections.api_keys.table import api_keys
from projections.configuration.projection import CONFIGURATION
from projections.configuration.table import configurations
from projections.ownership import OWNERSHIP
from projections.pairs import NAMING_A_PAIR
from projections.places import events_at
from projections.projection import Group, Key, Projection
from projections.statements import Statement
from projections.strategies.table import strategies, strategy_executions
from projections.tables import order_fees, orders, position_cycles, position_fees, positions, trades, trading_pairs
from projections.trading import TRADING
from projections.users.table import users

POSITION = "position"

STREAMS_AT_ONCE = 500
"""Streams that are looked up one by one; of more, the log is read through."""

EVENTS_AT_ONCE = 10_000
"""Likewise of the events that they have."""

PAGE = 2_000

DERIVED_VERSION = 5
"""Of the UUIDs that are derived from what a venue calls something."""

_OF_PAIRS = tuple(kind.__name__ for kind in (PairListed, PairStatusChanged, PairDelisted))
_NAMING = tuple(kind.__name__ for kind in NAMING_A_PAIR)


class Entity(Struct, frozen=True):
    """One thing that has a row.

    Attributes:
        kind: the category of its stream, or ``position``.
        group, projection, key: whose row it is.
        stream: its own; None: it has none.
        also: other projections of the group, and what columns of their rows have to equal to belong to it.
        words: what every event spells that concerns it, besides those of its own stream.
    """

    kind: str
    group: Group
    projection: Projection[Any]
    key: Key
    stream: Stream | None = None
    also: tuple[tuple[Projection[Any], dict[str, Any]], ...] = ()
    words: tuple[str, ...] = ()


def order(order_id: UUID) -> Entity:
    """An order, with its trades and fees."""
    also = tuple((_projection(TRADING, table), {"order_id": order_id}) for table in (trades, order_fees))
    return Entity(ORDER, TRADING, _projection(TRADING, orders), order_id, Stream(ORDER, order_id), also)


def pair(exchange: str, symbol: str) -> Entity:
    """A trading pair."""
    key = pair_id(exchange, symbol)
    projection = _projection(TRADING, trading_pairs)
    return Entity(PAIR, TRADING, projection, key, Stream(PAIR, key), words=(exchange, symbol))


def position(exchange: str, symbol: str, account: str, *, is_test: bool = False) -> Entity:
    """What an account holds of a pair, with the trades it comes from, the holdings that were closed, and its fees."""
    key = (pair_id(exchange, symbol), account, is_test)
    named = dict(zip(("trading_pair_id", "account", "is_test"), key, strict=True))
    also = tuple((_projection(TRADING, table), named) for table in (trades, position_cycles, position_fees))
    words = (exchange, symbol, account)
    return Entity(POSITION, TRADING, _projection(TRADING, positions), key, also=also, words=words)


def user(user_id: UUID) -> Entity:
    """A user."""
    return _owned(USER, users, user_id)


def api_key(api_key_id: UUID) -> Entity:
    """A user's key to an exchange."""
    return _owned(API_KEY, api_keys, api_key_id)


def strategy(strategy_id: UUID) -> Entity:
    """A strategy."""
    return _owned(STRATEGY, strategies, strategy_id)


def strategy_execution(execution_id: UUID) -> Entity:
    """One run of a strategy: how it began and ended. What it traded is in the history of its orders."""
    return _owned(STRATEGY_EXECUTION, strategy_executions, execution_id)


def setting(key: str) -> Entity:
    """A configuration key."""
    projection = _projection(CONFIGURATION, configurations)
    return Entity(CONFIGURATION_CATEGORY, CONFIGURATION, projection, key, configuration_stream(key))


async def events_of(log: EventLog, entity: Entity, upto: int) -> AsyncIterator[Recorded]:
    """Every event up to a position that its row may depend on, in the order of the log, and some that it does not.

    Raises:
        CorruptLog: an event is missing or altered.
        LogUnavailable: the database failed.
    """
    if entity.kind == POSITION:
        found = _of_position(log, entity, upto)
    elif entity.kind == PAIR:
        found = events_at(log, await _places_of_pair(log, entity, upto))
    elif entity.kind == ORDER:
        found = log.read(streams=await linked_streams(log, entity.key, upto), upto=upto, checked=True)
    else:
        found = log.read(stream=entity.stream, upto=upto, checked=True)
    async for recorded in found:
        yield recorded


async def linked_streams(log: EventLog, order_id: UUID, upto: int) -> set[Stream]:
    """An order's own stream, and those of orders that turned out to be the same one."""
    own = Stream(ORDER, order_id)
    # Only an order that was reported under a derived id can have turned out to be another; links are few.
    wanted = None if order_id.version == DERIVED_VERSION else own
    links = [one async for one in log.read(stream=wanted, types=[OrderLinked], upto=upto)]
    linked = {(one.stream, Stream(ORDER, _external_id(one))) for one in links}
    owners = {one for one, other in linked if other == own} | {own}
    return owners | {other for one, other in linked if one in owners}


# --- a position -----------------------------------------------------------------------------------


async def _of_position(log: EventLog, entity: Entity, upto: int) -> AsyncIterator[Recorded]:
    """All of every order with an event that spells exchange, pair and account: which fills count depends on links."""
    c = events.c
    spelled = sa.and_(c.stream_category == ORDER, c.position <= upto, *_spelling(log, entity.words))
    counted = sa.select(c.stream_id, sa.func.count().label("number")).where(spelled).group_by(c.stream_id)
    found = await _fetched(log, counted)
    if len(found) <= STREAMS_AT_ONCE and sum(row.number for row in found) <= EVENTS_AT_ONCE:
        streams = [Stream(ORDER, row.stream_id) for row in found]
        async for recorded in log.read(streams=streams, upto=upto, checked=True):
            yield recorded
        return
    wanted = frozenset(row.stream_id.bytes for row in found)
    async with aclosing(log.read_chunks(upto=upto, checked=True)) as chunks:
        async for chunk in chunks:
            for recorded in chunk:
                if recorded.category == ORDER and recorded.stream_id_bytes in wanted:
                    yield recorded


# --- a pair ---------------------------------------------------------------------------------------


async def _places_of_pair(log: EventLog, entity: Entity, upto: int) -> list[int]:
    """What was said of the pair itself, and the first event of an order that names it, if that came first."""
    places = [one.position async for one in _candidates(log, entity, _OF_PAIRS, upto) if _names(one, entity.key)]
    places += [one.position async for one in log.read(stream=entity.stream, upto=upto)]
    async for one in _candidates(log, entity, _NAMING, min(places, default=upto + 1) - 1):
        if _names(one, entity.key):
            return [one.position, *places]
    return places


async def _candidates(log: EventLog, entity: Entity, types: Sequence[str], upto: int) -> AsyncIterator[Recorded]:
    c = events.c
    after, places = 0, [0]
    while places:
        wanted = sa.and_(c.type.in_(types), c.position > after, c.position <= upto, *_spelling(log, entity.words))
        places = [
            row[0] for row in await _fetched(log, sa.select(c.position).where(wanted).order_by(c.position).limit(PAGE))
        ]
        async for recorded in events_at(log, places):
            yield recorded
        after = places[-1] if places else after


def _names(recorded: Recorded, pair_key: UUID) -> bool:
    named = getattr(recorded.event, "pair", None)
    return named is not None and named.id == pair_key


# --- helpers --------------------------------------------------------------------------------------


def _spelling(log: EventLog, words: Sequence[str]) -> list[sa.ColumnElement[bool]]:
    """The payload has these texts in it, as JSON spells them; which field they stand in it does not tell."""
    found: list[sa.ColumnElement[bool]] = []
    for word in words:
        spelled = sa.literal(msgspec.json.encode(word), sa.LargeBinary)
        if log.engine.dialect.name == "sqlite":
            found.append(sa.func.instr(events.c.payload, spelled) > 0)
        else:
            found.append(sa.func.position(spelled.op("IN")(events.c.payload)) > 0)
    return found


async def _fetched(log: EventLog, statement: Statement) -> Sequence[sa.Row[Any]]:
    try:
        async with log.engine.connect() as connection:
            return (await connection.execute(statement)).all()
    except (OSError, sa.exc.DBAPIError) as error:
        raise LogUnavailable(str(error)) from error


def _external_id(linked: Recorded) -> UUID:
    assert isinstance(linked.event, OrderLinked)
    return linked.event.external_order_id


def _owned(category: str, table: sa.Table, key: UUID) -> Entity:
    return Entity(category, OWNERSHIP, _projection(OWNERSHIP, table), key, Stream(category, key))


def _projection(group: Group, table: sa.Table) -> Projection[Any]:
    return next(one for one in group.projections if one.table is table)
