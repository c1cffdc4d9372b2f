"""Leaf hashes: one SHA-256 per event that fixes both what it says and where it lies.

``content = SHA-256(frame(event_id) ‖ frame(category) ‖ frame(stream_id) ‖ frame(type) ‖ frame(schema_version)
‖ frame(payload) ‖ frame(occurred_at) ‖ frame(received_at) ‖ frame(actor) ‖ frame(correlation_id)
‖ frame(causation_id))`` is what the client sent; ``leaf = SHA-256(0x00 ‖ content ‖ position
‖ stream_version ‖ recorded_at)`` adds what the log decided. A frame is the length in 4 bytes and the bytes
themselves; an absent value is the length 0xFFFFFFFF alone. Numbers are 8 bytes. All big-endian, text in UTF-8,
UUIDs their 16 bytes. The 0x00 is RFC 6962's prefix of a leaf, so that no leaf can be taken for an inner node.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import sha256
from struct import Struct

_NONE = b"\xff\xff\xff\xff"
_UUID_LENGTH = b"\x00\x00\x00\x10"
_NUMBER_BYTES = 8
_length = Struct(">I").pack
_framed_number = Struct(">Iq").pack
_framed_clocks = Struct(">IqIq").pack
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
    return sha256(
        b"".join(
            (
                _UUID_LENGTH, event_id,
                _framed_category(category), stream_id,
                _framed_type(type_name, schema_version),
                _length(len(payload)), payload,
                _framed_clocks(_NUMBER_BYTES, occurred_at, _NUMBER_BYTES, received_at)
                if occurred_at is not None else _NONE + _framed_number(_NUMBER_BYTES, received_at),
                _framed_actor(actor),
                _NONE if correlation_id is None else _UUID_LENGTH + correlation_id,
                _NONE if causation_id is None else _UUID_LENGTH + causation_id,
            )
        )
    ).digest()  # fmt: skip


def leaf_hash(content: bytes, position: int, stream_version: int, recorded_at: int) -> bytes:
    """RFC 6962's leaf hash of an event at its place."""
    return sha256(b"\x00" + content + _place(position, stream_version, recorded_at)).digest()


# What follows is asked for the same few answers again and again, and joining fewer parts is faster.


@lru_cache(maxsize=1024)
def _framed_category(category: str) -> bytes:
    return _framed_text(category) + _UUID_LENGTH


@lru_cache(maxsize=1024)
def _framed_actor(actor: str) -> bytes:
    return _framed_text(actor)


@lru_cache(maxsize=1024)
def _framed_type(name: str, schema_version: int) -> bytes:
    return _framed_text(name) + _framed_number(_NUMBER_BYTES, schema_version)


def _framed_text(text: str) -> bytes:
    encoded = text.encode()
    return _length(len(encoded)) + encoded
