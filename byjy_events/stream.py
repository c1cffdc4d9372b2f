"""Streams: the unit of order and of optimistic concurrency.

A stream is a category and a UUID, e.g. all events of one order. Its events are numbered 1, 2, 3, …
without gaps; version 0 means that there is no stream yet.
"""

from __future__ import annotations

from typing import Final, NamedTuple
from uuid import UUID

from byjy_events.identifiers import derived_id, pair_id, venue_id


class Stream(NamedTuple):
    """A stream's name.

    Attributes:
        category: what the stream is about, lower case, at most 64 characters, e.g. ``order``.
        id: which one of them.
    """

    category: str
    id: UUID

    def __str__(self) -> str:
        return f"{self.category}-{self.id}"


class AnyVersion:
    """The type of :data:`ANY`."""

    def __repr__(self) -> str:
        return "ANY"


ANY: Final = AnyVersion()
"""``expected=ANY``: append wherever the stream is."""

NO_STREAM: Final = 0
"""``expected=NO_STREAM``: append only if the stream has no event yet."""

Expected = AnyVersion | int
"""What an append may expect of a stream: :data:`ANY`, :data:`NO_STREAM`, or the exact version it is at."""

ORDER = "order"
PAIR = "pair"
VENUE = "venue"
USER = "user"
API_KEY = "api_key"
STRATEGY = "strategy"
STRATEGY_EXECUTION = "strategy_execution"
CONFIGURATION = "configuration"
RESERVATION = "reservation"


def order_stream(order_id: UUID) -> Stream:
    """The stream of one order: its intents and everything the venue says of it."""
    return Stream(ORDER, order_id)


def pair_stream(exchange: str, symbol: str) -> Stream:
    """The stream of one trading pair."""
    return Stream(PAIR, pair_id(exchange, symbol))


def venue_stream(exchange: str, account: str) -> Stream:
    """The stream of what a venue said on one account that belongs to no order."""
    return Stream(VENUE, venue_id(exchange, account))


def user_stream(user_id: UUID) -> Stream:
    """The stream of one person or program that may do things."""
    return Stream(USER, user_id)


def api_key_stream(api_key_id: UUID) -> Stream:
    """The stream of one exchange credential."""
    return Stream(API_KEY, api_key_id)


def strategy_stream(strategy_id: UUID) -> Stream:
    """The stream of one strategy."""
    return Stream(STRATEGY, strategy_id)


def execution_stream(strategy_execution_id: UUID) -> Stream:
    """The stream of one run of a strategy."""
    return Stream(STRATEGY_EXECUTION, strategy_execution_id)


def configuration_stream(key: str) -> Stream:
    """The stream of one configuration key."""
    return Stream(CONFIGURATION, derived_id("configuration", key))


def reservation_stream(kind: str, *parts: str) -> Stream:
    """The stream of something that only one may have at a time, e.g. a username.

    Args:
        kind: what it is, e.g. ``username``.
        parts: which one. Spell what counts as equal alike first; what is secret comes in as a keyed hash.
    """
    return Stream(RESERVATION, derived_id("reservation", kind, *parts))
