"""An event as a text that anybody can compute its leaf hash from, without the database and without this program.

It is a JSON object with the columns of ``events`` and nothing decoded: the payload as its exact text, ids as UUIDs,
clocks as nanoseconds. ``docs/reference/leaf.md`` says how the leaf hash follows from it.
"""

from __future__ import annotations

import struct
from uuid import UUID

import msgspec

from byjy_events.errors import CorruptLog
from byjy_events.leaf import content_hash, leaf_hash
from byjy_events.proof.errors import ProofBroken
from byjy_events.recorded import Recorded


class ProvenEvent(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An event as it was appended, and where.

    Attributes:
        payload: JSON, exactly as stored.
        occurred_at, received_at, recorded_at: the venue's, the engine's and the log's clock, nanoseconds UTC.
    """

    position: int
    event_id: UUID
    stream_category: str
    stream_id: UUID
    stream_version: int
    type: str
    schema_version: int
    payload: str
    occurred_at: int | None
    received_at: int
    recorded_at: int
    actor: str
    correlation_id: UUID | None
    causation_id: UUID | None

    @property
    def leaf(self) -> bytes:
        """Its leaf hash.

        Raises:
            ProofBroken: a value is none that an event can have.
        """
        correlation, causation = self.correlation_id, self.causation_id
        try:
            content = content_hash(
                self.event_id.bytes,
                self.stream_category,
                self.stream_id.bytes,
                self.type,
                self.schema_version,
                self.payload.encode(),
                self.occurred_at,
                self.received_at,
                self.actor,
                None if correlation is None else correlation.bytes,
                None if causation is None else causation.bytes,
            )
            return leaf_hash(content, self.position, self.stream_version, self.recorded_at)
        except (struct.error, ValueError) as error:
            raise ProofBroken(f"the event has a value that none can have: {error}") from None


def proven(recorded: Recorded) -> ProvenEvent:
    """An event of the log, for a proof.

    Raises:
        CorruptLog: its payload is no text.
    """
    try:
        payload = recorded.payload.decode()
    except UnicodeDecodeError:
        raise CorruptLog(recorded.position, "its payload is no text") from None
    return ProvenEvent(
        position=recorded.position,
        event_id=recorded.event_id,
        stream_category=recorded.category,
        stream_id=recorded.stream_id,
        stream_version=recorded.stream_version,
        type=recorded.type,
        schema_version=recorded.schema_version,
        payload=payload,
        occurred_at=recorded.occurred_at,
        received_at=recorded.received_at,
        recorded_at=recorded.recorded_at,
        actor=recorded.actor,
        correlation_id=recorded.correlation_id,
        causation_id=recorded.causation_id,
    )


def proven_of(text: bytes) -> ProvenEvent:
    """The event of a text.

    Raises:
        ProofBroken: it is none.
    """
    try:
        return msgspec.json.decode(text, type=ProvenEvent)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise ProofBroken(f"the event cannot be read: {error}") from None
