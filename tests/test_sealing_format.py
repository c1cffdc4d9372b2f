"""The format of sealed values and wrapped keys, without a database: any content, every byte, and the test vectors."""

from __future__ import annotations

import random
import re
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from byjy_events.sealing import MAX_BYTES, DataKeyBroken, InvalidSecret, NotSealed, SealBroken
from byjy_events.sealing.blind_index import BlindIndex
from byjy_events.sealing.key_store import StoredKey
from byjy_events.sealing.local_key import LocalKey
from byjy_events.sealing.place import Place, place_of
from byjy_events.sealing.sealed import new_data_key, opened, sealed, unpacked
from byjy_events.sealing.wrapping import Wrapping
from byjy_events.secret import Secret
from byjy_events.stream import Stream
from tests.sealing import local_key

REFERENCE = Path(__file__).parents[1] / "docs" / "reference" / "sealing.md"
ID = UUID("019a0000-0000-7000-8000-000000000001")
PLACE = Place(Stream("user", ID), "email")
DATA_KEY = Secret(bytes(range(32)))
NAMES = st.text(min_size=1, max_size=60).filter(str.isprintable)


@given(st.binary() | st.text())
def test_any_content_comes_back_as_it_was(content: str | bytes) -> None:
    """Bytes as bytes, text as text; the sealed value is 46 bytes longer."""
    key = new_data_key()
    value = sealed(PLACE, ID, key, content).packed()
    assert opened(PLACE, key, unpacked(PLACE, value)).reveal() == content
    assert len(value) == 46 + len(content.encode() if isinstance(content, str) else content)


@given(st.integers(0, MAX_BYTES), st.integers(0, 2**32))
def test_content_of_any_size_comes_back_as_it_was(size: int, seed: int) -> None:
    """From nothing to a megabyte."""
    content = random.Random(seed).randbytes(size)
    value = sealed(PLACE, ID, DATA_KEY, content).packed()
    assert opened(PLACE, DATA_KEY, unpacked(PLACE, value)) == Secret(content)


def test_content_beyond_the_limit_is_refused() -> None:
    """By one byte, counted as UTF-8."""
    for content in (bytes(MAX_BYTES + 1), "é" * (MAX_BYTES // 2) + "e"):
        with pytest.raises(InvalidSecret, match="user-019a0000-0000-7000-8000-000000000001/email: 1048577 bytes"):
            sealed(PLACE, ID, DATA_KEY, content)


@given(st.binary(max_size=200), st.data())
def test_any_byte_that_is_altered_is_noticed(content: bytes, data: st.DataObject) -> None:
    """Also in the data key's id and in what is authenticated but not stored."""
    value = bytearray(sealed(PLACE, ID, DATA_KEY, content).packed())
    place = data.draw(st.integers(0, len(value) - 1))
    value[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises((NotSealed, SealBroken)):
        opened(PLACE, DATA_KEY, unpacked(PLACE, bytes(value)))


@given(st.binary(max_size=120))
def test_bytes_of_any_kind_are_refused_with_an_error_of_ours(garbage: bytes) -> None:
    """Nothing that the library below raises gets out, and nothing opens."""
    with pytest.raises((NotSealed, SealBroken)):
        opened(PLACE, DATA_KEY, unpacked(PLACE, garbage))


@given(NAMES, NAMES, NAMES, NAMES, st.uuids(), st.uuids())
def test_no_two_places_are_bound_alike(
    kind: str, field: str, other_kind: str, other_field: str, one: UUID, two: UUID
) -> None:
    """However their names may be put together: a value opens in its own place only."""
    here, there = place_of(Stream(kind, one), field), place_of(Stream(other_kind, two), other_field)
    assert (here.binding(ID) == there.binding(ID)) == (here == there)
    shifted = Place(Stream(kind + field[:1], one), field[1:])
    value = sealed(here, ID, DATA_KEY, b"content")
    for elsewhere in (there, shifted):
        if elsewhere != here:
            with pytest.raises(SealBroken):
                opened(elsewhere, DATA_KEY, value)


def test_content_of_a_kind_to_come_is_refused() -> None:
    """A newer program may seal other things than text and bytes."""
    value = sealed(PLACE, ID, DATA_KEY, b"")
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    newer = AESGCM(DATA_KEY.reveal()).encrypt(value.nonce, b"\2...", PLACE.binding(ID))
    with pytest.raises(NotSealed, match="a kind of content that this program does not know"):
        opened(PLACE, DATA_KEY, value._replace(ciphertext=newer))


async def test_each_byte_of_a_wrapped_key_counts() -> None:
    """Flipped, cut off, added, or of another row: the data key does not open, and the error names it."""
    key, wrapping = local_key(1), Wrapping([local_key(1)])
    wrapped = await key.wrap(DATA_KEY, PLACE.binding(ID))
    stored = StoredKey(ID, PLACE, key.id, wrapped, 1)
    assert await wrapping.unwrapped(stored) == DATA_KEY
    assert DATA_KEY.reveal() not in wrapped
    flipped = [wrapped[:n] + bytes([wrapped[n] ^ 1 << n % 8]) + wrapped[n + 1 :] for n in range(len(wrapped))]
    cut = [wrapped[:n] for n in range(len(wrapped))]
    for bad in (*flipped, *cut, wrapped + b"\0"):
        with pytest.raises(DataKeyBroken, match=f"email: data key {ID} does not open with key-encryption key local-"):
            await wrapping.unwrapped(stored._replace(wrapped=bad))
    for moved in (stored._replace(id=UUID(int=1)), stored._replace(place=PLACE._replace(field="name"))):
        with pytest.raises(DataKeyBroken):
            await wrapping.unwrapped(moved)
    short = await key.wrap(Secret(bytes(16)), PLACE.binding(ID))
    with pytest.raises(DataKeyBroken):
        await wrapping.unwrapped(stored._replace(wrapped=short))


async def test_the_format_is_what_the_reference_says() -> None:
    """Every value of the test vectors, so that another program may open what this one sealed, for ever."""
    vectors = dict(re.findall(r"^(\w+) = (\w+)$", REFERENCE.read_text(), re.MULTILINE))
    place = place_of(Stream("user", UUID(hex=vectors["subject_id"])), "email")
    data_key_id, data_key = UUID(hex=vectors["data_key_id"]), Secret(bytes.fromhex(vectors["data_key"]))
    assert place.binding(data_key_id).hex() == vectors["binding"]
    for name, secret in (("sealed_text", "s3cret"), ("sealed_bytes", b"s3cret"), ("sealed_empty", b"")):
        nonce = bytes.fromhex(vectors["nonce"])
        assert sealed(place, data_key_id, data_key, secret, nonce=nonce).packed().hex() == vectors[name]
        assert opened(place, data_key, unpacked(place, bytes.fromhex(vectors[name]))).reveal() == secret
    key = LocalKey(Secret(bytes.fromhex(vectors["key_encryption_key"])))
    assert key.id == f"local-{vectors['key_id_digits']}"
    wrapped = bytes.fromhex(vectors["wrapped_key"])
    assert await key.unwrap(wrapped, place.binding(data_key_id)) == data_key
    index = BlindIndex(Secret(bytes.fromhex(vectors["root_key"])), "user.email")
    assert index.of("ada@example.org").hex() == vectors["index_of_one_part"]
    assert index.of(bytes.fromhex(vectors["subject_id"]), "ada@example.org").hex() == vectors["index_of_two_parts"]
