"""Identifiers: time-ordered for what we make ourselves, derived for what others may tell us twice.

Own orders and events get UUIDv7: neighbours in time are neighbours in the index, which keeps appends
as fast at a million events as at ten thousand. Facts of a venue get a UUIDv5 of what identifies them
there, so that the same fact told twice has the same id.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from uuid import UUID

import msgspec
import uuid_utils
from asyncpg.pgproto.pgproto import UUID as DriverUuid
from uuid_utils import compat

# Fixed for ever: every derived id in every log hangs on it.
NAMESPACE = UUID("6c1f0c3e-6f1b-5d0e-9a53-62796a790001")

_VERSION_AND_VARIANT_MASK = ~((0xF << 76) | (0x3 << 62))
_VERSION_5_RFC_VARIANT = (5 << 76) | (2 << 62)


uuid_of: Callable[[bytes], UUID] = DriverUuid
"""The UUID of 16 bytes. It is a ``uuid.UUID`` to everybody, and equal to one; but it is made and hashed in C, which the
standard library's is not, and a fold makes and hashes some for every event."""


def new_order_id() -> UUID:
    """A fresh id for an own order (UUIDv7)."""
    return compat.uuid7()


def new_event_id() -> UUID:
    """A fresh id for an own event (UUIDv7)."""
    return compat.uuid7()


def new_event_id_bytes() -> bytes:
    """A fresh event id as its 16 bytes, without the price of a UUID object."""
    return uuid_utils.uuid7().bytes


def derived_id_bytes(*parts: str) -> bytes:
    """The UUIDv5 of some parts as 16 bytes. The parts are framed, so ("a", "bc") is not ("ab", "c")."""
    digest = hashlib.sha1(NAMESPACE.bytes + msgspec.json.encode(parts), usedforsecurity=False).digest()
    number = int.from_bytes(digest[:16], "big")
    return (number & _VERSION_AND_VARIANT_MASK | _VERSION_5_RFC_VARIANT).to_bytes(16, "big")


def derived_id(*parts: str) -> UUID:
    """The UUIDv5 of some parts: the same parts, the same id, on every machine and for ever."""
    return uuid_of(derived_id_bytes(*parts))


def pair_id(exchange: str, symbol: str) -> UUID:
    """The id of a trading pair: the same for everybody who names the exchange and the symbol alike."""
    return derived_id("pair", exchange, symbol)


def venue_id(exchange: str, account: str) -> UUID:
    """The id of one account at one venue."""
    return derived_id("venue", exchange, account)


def external_order_id(exchange: str, account: str, symbol: str, exchange_order_id: str) -> UUID:
    """The id of an order that the engine did not place: derived from what the venue calls it."""
    return derived_id("order", exchange, account, symbol, exchange_order_id)
