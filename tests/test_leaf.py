"""Leaf hashes: computed once more here, from the description alone, and compared with what the log stores."""

from __future__ import annotations

import hashlib
import struct

import pytest

from byjy_events import Entry, EventLog, Recorded, new_order_id, order_stream
from byjy_events.leaf import content_hash, leaf_hash
from tests.sample_events import ID, SAMPLES, filled, placed


def framed(value: bytes | str | int | None) -> bytes:
    if value is None:
        return b"\xff" * 4
    if isinstance(value, int):
        return struct.pack(">iq", 8, value)
    raw = value.encode("utf-8") if isinstance(value, str) else value
    return struct.pack(">i", len(raw)) + raw


def leaf_of(recorded: Recorded) -> bytes:
    parts = (
        recorded.event_id_bytes, recorded.category, recorded.stream_id_bytes, recorded.type, recorded.schema_version,
        recorded.payload, recorded.occurred_at, recorded.received_at, recorded.actor,
        recorded.correlation_id_bytes, recorded.causation_id_bytes,
    )  # fmt: skip
    content = hashlib.sha256(b"".join(map(framed, parts))).digest()
    place = struct.pack(">qqq", recorded.position, recorded.stream_version, recorded.recorded_at)
    return hashlib.sha256(b"\0" + content + place).digest()


def test_the_hash_of_a_known_event_never_changes() -> None:
    """Two vectors, one with every value and one with every absent value; proofs of old logs hang on them."""
    content = content_hash(
        b"\x01" * 16, "order", b"\x02" * 16, "OrderSubmitted", 1, b"{}", -1, 2, "größe", b"\x03" * 16, b"\x04" * 16
    )
    assert content.hex() == "bcb88de56700082d602d7219f31f2f5284ae52efdadd7cf0dc44af80a6cebb25"
    assert (
        leaf_hash(content, 7, 3, 1_700_000_000_000_000_000).hex()
        == "d37db2425655e0806bee067f8f92dcfb8772441909b53f95688eaf951e60a831"
    )
    bare = content_hash(b"\0" * 16, "c", b"\0" * 16, "T", 1, b"", None, 0, "a", None, None)
    assert bare.hex() == "fb5a37edce09aa88fb55233d5c73125fc58b2e9e9febde040c4cb46d9ae21823"
    assert leaf_hash(bare, 1, 1, 0).hex() == "2da39e5decd2bcd0b747f8191cf5771dae7f17cf64aa599bbdc8ccb5626b298b"


@pytest.mark.parametrize(("one", "other"), [(("ab", "c"), ("a", "bc")), (("a", ""), ("", "a"))])
def test_frames_keep_neighbouring_texts_apart(one: tuple[str, str], other: tuple[str, str]) -> None:
    """A letter cannot move from one field to the next without changing the hash."""

    def hashed(type_name: str, actor: str) -> bytes:
        return content_hash(b"1" * 16, "c", b"2" * 16, type_name, 1, b"", None, 0, actor, None, None)

    assert hashed(*one) != hashed(*other)


async def test_every_stored_hash_can_be_computed_again_from_its_row(database: str) -> None:
    """On both databases alike, for every type, with and without the optional values."""
    stream = order_stream(new_order_id())
    async with EventLog.open(database) as log:
        await log.append(stream, list(SAMPLES.values()), actor="strategy:größe", correlation_id=ID, causation_id=ID)
        await log.append(stream, [placed(), Entry(filled("later"), occurred_at=-5, received_at=2**62)])
        stored = [recorded async for recorded in log.read()]
    assert len(stored) == len(SAMPLES) + 2
    assert [recorded.leaf_hash for recorded in stored] == [leaf_of(recorded) for recorded in stored]


async def test_a_follower_is_handed_the_hash_that_is_stored(database: str) -> None:
    """What the writer hands over in memory equals the row in every field, the hash included."""
    stream = order_stream(new_order_id())
    async with EventLog.open(database) as log:
        following = log.follow()
        await log.append(stream, [placed()])
        await anext(following)  # read from the database
        await log.append(stream, list(SAMPLES.values()), correlation_id=ID)
        handed_over = [await anext(following) for _ in SAMPLES]
        await following.aclose()  # type: ignore[attr-defined]
        assert handed_over == [recorded async for recorded in log.read(after=1)]
