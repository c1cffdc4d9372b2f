"""What a venue said that fits nowhere else: kept whole, so that nothing is lost and nothing stops."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import TypeVar
from uuid import UUID

from byjy_events.event import Fact, Id, Intent, Text, VenueName, event_type

T = TypeVar("T")

RAW_LIMIT = 512 * 1024
"""Bytes of a venue message that are kept; a longer one is cut, its length and digest are not."""


@event_type()
class VenueMessageUnusable(Fact, frozen=True, kw_only=True):
    """A message that could not be decoded, or said something that cannot be represented.

    Attributes:
        raw: the bytes as they came, at most :data:`RAW_LIMIT` of them.
        raw_length: how many came.
        raw_sha256: hex digest of all of them.
        error: why they could not be used.
    """

    exchange: VenueName
    account: Id
    raw: bytes
    raw_length: int
    raw_sha256: Id
    error: Text

    def identity(self) -> tuple[str, ...]:
        """The same garbled bytes told twice are one fact."""
        return (self.exchange, self.account, self.raw_sha256)

    def agrees_with(self, other: Fact) -> bool:
        """The bytes are the fact; why they could not be used depends on the program that tried."""
        return isinstance(other, VenueMessageUnusable) and self.raw_sha256 == other.raw_sha256


@event_type()
class FactConflicted(Intent, frozen=True, kw_only=True):
    """A venue told a fact again with other content. The first telling stands; this one is kept beside it.

    Attributes:
        fact_event_id: the id that both tellings share.
        fact_type: their type.
        fact_position: where the first telling lies.
        first, second: both payloads, canonical JSON.
    """

    fact_event_id: UUID
    fact_type: Id
    fact_position: int
    first: str
    second: str


def usable_or_kept(exchange: str, account: str, raw: bytes, parse: Callable[[bytes], T]) -> T | VenueMessageUnusable:
    """What a venue adapter does with a message: parse it, or keep it whole when that fails.

    Args:
        parse: the adapter's own function from bytes to a fact, or to whatever it makes of a message. Whatever it
            raises, the message is kept.

    Returns:
        What ``parse`` returned, or a :class:`VenueMessageUnusable` for ``venue_stream(exchange, account)``.
    """
    try:
        return parse(raw)
    except Exception as error:  # noqa: BLE001 - no adapter may lose a message, whatever its defect
        return VenueMessageUnusable(
            exchange=exchange,
            account=account,
            raw=raw[:RAW_LIMIT],
            raw_length=len(raw),
            raw_sha256=hashlib.sha256(raw).hexdigest(),
            error=_sentence(error),
        )


def _sentence(error: Exception) -> str:
    try:
        told = f"{type(error).__name__}: {error}"
    except Exception:  # noqa: BLE001 - an error that cannot even be told must not take the message with it
        told = type(error).__name__
    text = told.encode("utf-8", "backslashreplace").decode()
    return text.replace("\x00", "\\x00")[:4096]
