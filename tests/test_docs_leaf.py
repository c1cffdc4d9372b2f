"""The test vectors of the leaf hash: what the reference says, computed by nothing of this program."""

from __future__ import annotations

import hashlib
import json
import struct
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec

from byjy_events.proof.event_text import ProvenEvent
from byjy_events.proof.merkle import root_of

TEXT = (Path(__file__).parent.parent / "docs" / "reference" / "leaf.md").read_text()
VECTORS: list[dict[str, Any]] = json.loads(TEXT.partition("```json\n")[2].partition("```")[0])
ROOT = TEXT.partition("second leaf):\n\n`")[2].partition("`")[0]


def frame(value: Any) -> bytes:
    """As the reference describes it, and not as the program does it."""
    if value is None:
        return bytes.fromhex("FFFFFFFF")
    if isinstance(value, UUID):
        value = value.bytes
    elif isinstance(value, int):
        value = struct.pack(">q", value)
    elif isinstance(value, str):
        value = value.encode()
    return struct.pack(">I", len(value)) + bytes(value)


def content(event: dict[str, Any]) -> bytes:
    def uuid(name: str) -> UUID | None:
        return None if event[name] is None else UUID(event[name])

    parts = (
        uuid("event_id"), event["stream_category"], uuid("stream_id"), event["type"], event["schema_version"],
        event["payload"], event["occurred_at"], event["received_at"], event["actor"],
        uuid("correlation_id"), uuid("causation_id"),
    )  # fmt: skip
    return hashlib.sha256(b"".join(map(frame, parts))).digest()


def test_the_vectors_follow_from_the_description() -> None:
    """Whoever implements it by the reference alone gets these hashes."""
    assert len(VECTORS) == 2
    for event in VECTORS:
        assert content(event).hex() == event["content"]
        place = struct.pack(">qqq", event["position"], event["stream_version"], event["recorded_at"])
        assert hashlib.sha256(b"\0" + content(event) + place).hexdigest() == event["leaf"]
    first, second = (bytes.fromhex(event["leaf"]) for event in VECTORS)
    assert hashlib.sha256(b"\1" + first + second).hexdigest() == ROOT


def test_the_program_agrees_with_the_vectors() -> None:
    """Both the leaf hash and the root over the two."""
    leaves = []
    for vector in VECTORS:
        fields = {name: value for name, value in vector.items() if name not in ("content", "leaf")}
        leaves.append(msgspec.convert(fields, ProvenEvent).leaf)
        assert leaves[-1].hex() == vector["leaf"]
    assert root_of(leaves).hex() == ROOT
