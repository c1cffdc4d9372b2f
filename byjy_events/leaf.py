"""Leaf hashes: one SHA-256 per event that fixes both what it says and where it lies.

``content = SHA-256(frame(event_id) ‖ frame(category) ‖ frame(stream_id) ‖ frame(type) ‖ frame(schema_version)
‖ frame(payload) ‖ frame(occurred_at) ‖ frame(received_at) ‖ frame(actor) ‖ frame(correlation_id)
‖ frame(causation_id))`` is what the client sent; ``leaf = SHA-256(0x00 ‖ content ‖ position
‖ stream_version ‖ recorded_at)`` adds what the log decided. A frame is the length in 4 bytes and the bytes
themselves; an absent value is the length 0xFFFFFFFF alone. Numbers are 8 bytes. All big-endian, text in UTF-8,
UUIDs their 16 bytes. The 0x00 is RFC 6962's prefix of a leaf, so that no leaf can be taken for an inner node.
"""

from __future__ import annotations

from hashlib import sha256
from struct import Struct

_NONE = b"\xff\xff\xff\xff"
_UUID_LENGTH = b"\x00\x00\x00\x10"
_NUMBER_LENGTH = b"\x00\x00\x00\x08"
_length = Struct(">I").pack
_number = Struct(">q").pack
_place = Struct(">qqq").pack


def content_hash(
    event_id: bytes,
    category: str,
    stream_id: bytes,
    type_name: str,
    schema_version: int,
    payload: bytes,
    occurred_at: int | None,
    received_at: int,
    actor: str,
    correlation_id: bytes | None,
    causation_id: bytes | None,
) -> bytes:
    """SHA-256 of everything the client sent, each part framed."""
    category_bytes, type_bytes, actor_bytes = category.encode(), type_name.encode(), actor.encode()
    return sha256(
        b"".join(
            (
                _UUID_LENGTH, event_id,
                _length(len(category_bytes)), category_bytes,
                _UUID_LENGTH, stream_id,
                _length(len(type_bytes)), type_bytes,
                _NUMBER_LENGTH, _number(schema_version),
                _length(len(payload)), payload,
                _NONE if occurred_at is None else _NUMBER_LENGTH + _number(occurred_at),
                _NUMBER_LENGTH, _number(received_at),
                _length(len(actor_bytes)), actor_bytes,
                _NONE if correlation_id is None else _UUID_LENGTH + correlation_id,
                _NONE if causation_id is None else _UUID_LENGTH + causation_id,
            )
        )
    ).digest()  # fmt: skip


def leaf_hash(content: bytes, position: int, stream_version: int, recorded_at: int) -> bytes:
    """RFC 6962's leaf hash of an event at its place."""
    return sha256(b"\x00" + content + _place(position, stream_version, recorded_at)).digest()
