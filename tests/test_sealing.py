"""Sealing and revealing on both databases: what was sealed comes back, and whatever was meddled with does not open."""

from __future__ import annotations

import asyncio
import base64
import os
from uuid import uuid4

import msgspec
import pytest

from byjy_events import EventLog, LogClosed
from byjy_events.identifiers import uuid_of
from byjy_events.sealing import (
    MAX_BYTES,
    DataKeyBroken,
    InvalidSecret,
    KeyStoreUnavailable,
    KeyUnavailable,
    NotSealed,
    SealBroken,
    SealedElsewhere,
    SealingError,
    StrangeWrappingKey,
    UnknownDataKey,
    UnknownWrappingKey,
    Vault,
)
from byjy_events.sealing.local_key import LocalKey
from byjy_events.secret import Secret
from byjy_events.sqlite.backend import SqliteBackend
from byjy_events.vocabulary.venue import VenueMessageUnusable
from tests.schema import execute
from tests.sealing import carrying, change_stored, local_key, open_vault, shown, stored_keys, user

CANARY = "canary-7f3a9c"


async def opening_fails(vault: Vault, kind: type[SealingError], value: bytes, field: str = "email") -> SealingError:
    """Whoever opens the value for user 1 gets exactly this error, which names the place and shows no secret."""
    with pytest.raises(SealingError) as caught:
        await vault.reveal(user(1), field, value)
    assert type(caught.value) is kind
    assert str(caught.value).startswith(f"{user(1)}/{field}: ")
    assert CANARY not in shown(caught.value)
    return caught.value


@pytest.mark.parametrize(
    "secret",
    ["", "s3cret", "ключ 🔑\0", b"", b"\xff\0\1", b"\1text", os.urandom(1_000_000), "x" * MAX_BYTES],
    ids=["empty", "text", "unicode", "no-bytes", "bytes", "marked", "a-megabyte", "the-longest"],
)
async def test_what_was_sealed_is_revealed(database: str, secret: str | bytes) -> None:
    """Text as text and bytes as bytes, by another process too."""
    async with open_vault(database) as vault:
        value = await vault.seal(user(1), "email", secret)
        assert len(value) == 46 + len(secret.encode() if isinstance(secret, str) else secret)
    async with open_vault(database) as vault:
        assert (await vault.reveal(user(1), "email", value)).reveal() == secret


async def test_a_secret_that_hides_itself_is_sealed_as_what_it_holds(database: str) -> None:
    """It makes no difference to the revealed value, which hides itself too."""
    async with open_vault(database) as vault:
        value = await vault.seal(user(1), "email", Secret(CANARY))
        revealed = await vault.reveal(user(1), "email", value)
    assert revealed.reveal() == CANARY
    assert CANARY not in repr(revealed)


async def test_several_fields_are_sealed_at_once(database: str) -> None:
    """Each under a data key of its own."""
    async with open_vault(database) as vault:
        values = await vault.seal_all(user(1), {"key": "k", "secret": b"s", "passphrase": Secret("p")})
        assert [await vault.reveal(user(1), field, value) for field, value in values.items()] == [
            Secret("k"), Secret(b"s"), Secret("p"),
        ]  # fmt: skip
        assert await vault.in_use() == {local_key().id: 3}
    assert len({value[1:17] for value in values.values()}) == 3


@pytest.mark.parametrize("backend", ["sqlite"])
async def test_the_key_store_waits_for_the_disk(database: str) -> None:
    """Each change is a transaction of the write lane with full durability: no power failure parts a value from its key.

    Projections, which follow from the log, are written with less; so the lane is watched.
    """
    async with EventLog.open(database) as log:
        assert isinstance(log.backend, SqliteBackend)
        said: list[str] = []
        assert await log.backend.lane.run(lambda lane: lane.execute("PRAGMA synchronous").fetchone()) == (2,)
        await log.backend.lane.run(lambda lane: lane.set_trace_callback(said.append))
        vault = Vault(log, local_key(1))
        await vault.seal(user(1), "email", CANARY)
        await vault.rotate(local_key(2))
        await vault.erase(user(1))
        await log.backend.lane.run(lambda lane: lane.set_trace_callback(None))
    assert said.count("COMMIT") == 3
    assert not [statement for statement in said if "synchronous" in statement]


async def test_equal_secrets_are_sealed_differently(database: str) -> None:
    """Nobody learns from sealed values that two users have the same password."""
    async with open_vault(database) as vault:
        first, second = [await vault.seal(user(1), "email", CANARY) for _ in range(2)]
    assert first[1:17] != second[1:17]
    assert first[17:29] != second[17:29]
    assert first[29:] != second[29:]


async def test_a_sealed_value_travels_in_an_event_as_base64(database: str) -> None:
    """The log holds the ciphertext and hashes it; the plain text is nowhere in the event."""
    async with EventLog.open(database) as log:
        vault = Vault(log, local_key())
        value = await vault.seal(user(1), "email", CANARY)
        await log.append(user(1), [carrying(value)])
        (recorded,) = [one async for one in log.read(checked=True)]
        assert base64.b64encode(value) in recorded.payload
        assert CANARY.encode() not in recorded.payload
        assert isinstance(recorded.event, VenueMessageUnusable)
        assert await vault.reveal(user(1), "email", recorded.event.raw) == Secret(CANARY)


async def test_each_byte_that_is_flipped_is_noticed(database: str) -> None:
    """Version, data key, nonce, ciphertext or tag: each has its own error, and none shows the secret."""
    async with open_vault(database) as vault:
        value = await vault.seal(user(1), "email", CANARY)
        for place in range(len(value)):
            flipped = bytearray(value)
            flipped[place] ^= 1 << place % 8
            kind = NotSealed if place == 0 else UnknownDataKey if place < 17 else SealBroken
            error = await opening_fails(vault, kind, bytes(flipped))
            assert error.data_key_id == (None if place == 0 else uuid_of(bytes(flipped[1:17])))
        assert await vault.reveal(user(1), "email", value) == Secret(CANARY)


async def test_what_is_cut_off_or_added_is_noticed(database: str) -> None:
    """At any length."""
    async with open_vault(database) as vault:
        value = await vault.seal(user(1), "email", CANARY)
        for length in range(len(value)):
            await opening_fails(vault, NotSealed if length < 46 else SealBroken, value[:length])
        await opening_fails(vault, SealBroken, value + b"\0")
        await opening_fails(vault, NotSealed, CANARY)  # type: ignore[arg-type]
        await opening_fails(vault, NotSealed, b"\2" + value[1:])


async def test_a_sealed_value_opens_in_its_own_row_and_field_only(database: str) -> None:
    """Whoever moves a ciphertext is told where it came from, and so is whoever swaps parts of two."""
    async with open_vault(database) as vault:
        mine = await vault.seal_all(user(1), {"email": CANARY, "password_hash": CANARY})
        theirs = await vault.seal(user(2), "email", CANARY)
        error = await opening_fails(vault, SealedElsewhere, theirs)
        assert isinstance(error, SealedElsewhere)
        assert str(error.sealed_for) == f"{user(2)}/email"
        await opening_fails(vault, SealedElsewhere, mine["password_hash"])
        await opening_fails(vault, SealBroken, mine["email"][:17] + theirs[17:])
        with pytest.raises(SealedElsewhere):
            await vault.reveal(user(1)._replace(category="admin"), "email", mine["email"])


async def test_rows_of_the_key_store_that_are_changed_open_nothing(database: str) -> None:
    """A data key that is given to another place, or that takes the place of another: the database cannot be believed,
    and is not.
    """
    async with open_vault(database) as vault:
        mine = await vault.seal(user(1), "email", CANARY)
        theirs = await vault.seal(user(2), "email", CANARY)
        my_id, their_id = uuid_of(mine[1:17]), uuid_of(theirs[1:17])
        wrapped = await stored_keys(database)
        await change_stored(database, their_id, subject_id=user(1).id)
        await opening_fails(vault, DataKeyBroken, theirs)
        await change_stored(database, my_id, wrapped_key=wrapped[their_id])
        error = await opening_fails(vault, DataKeyBroken, mine)
        assert isinstance(error, DataKeyBroken)
        assert (error.data_key_id, error.key_id) == (my_id, local_key().id)
        await change_stored(database, my_id, wrapped_key=b"")
        await opening_fails(vault, DataKeyBroken, mine)
        await change_stored(database, my_id, wrapped_key=wrapped[my_id], key_encryption_key_id="local-other")
        await opening_fails(vault, UnknownWrappingKey, mine)


async def test_the_wrong_key_encryption_key_opens_and_seals_nothing(database: str) -> None:
    """The error names the key that is needed. Sealing on would split the secrets between two keys."""
    right, wrong = local_key(1), local_key(2)
    async with open_vault(database, right) as vault:
        value = await vault.seal(user(1), "email", CANARY)
    async with open_vault(database, wrong) as vault:
        error = await opening_fails(vault, UnknownWrappingKey, value)
        assert isinstance(error, UnknownWrappingKey)
        assert (error.key_id, error.provided) == (right.id, (wrong.id,))
        with pytest.raises(StrangeWrappingKey, match=f"{wrong.id} is not in use here, {right.id} is"):
            await vault.seal(user(1), "email", CANARY)
        assert await vault.in_use() == {right.id: 1}
    async with open_vault(database, wrong, right) as vault:  # with both it is no mistake
        await vault.seal(user(1), "email", CANARY)
        assert await vault.reveal(user(1), "email", value) == Secret(CANARY)
        assert await vault.in_use() == {right.id: 1, wrong.id: 1}


@pytest.mark.parametrize(
    ("field", "secret", "reason"),
    [
        ("email", CANARY + "\ud800", "character 14 is a lone surrogate"),
        ("email", CANARY.encode() * 100_000, "1300000 bytes, at most 1048576"),
        ("email", 5, "int cannot be sealed"),
        ("", CANARY, "1 to 128 characters, not 0"),
        ("f" * 129, CANARY, "1 to 128 characters, not 129"),
        ("a\0b", CANARY, "cannot be printed"),
        ("a\ud800", CANARY, "cannot be printed"),
    ],
)
async def test_what_cannot_be_sealed_is_refused(database: str, field: str, secret: str | bytes, reason: str) -> None:
    """Nothing is stored, and the error names the field and does not show the secret."""
    async with open_vault(database) as vault:
        with pytest.raises(InvalidSecret, match=reason) as caught:
            await vault.seal_all(user(1), {"fine": "x", field: secret})
        assert caught.value.place.subject == user(1)
        shown(caught.value).encode()  # can be printed
        assert "canary" not in "".join(str(argument) for argument in caught.value.args)
        assert caught.value.__context__ is None
        assert await vault.in_use() == {}


async def test_no_frame_of_an_error_holds_a_secret(database: str) -> None:
    """Tools that show the locals of a traceback show neither the plain text nor a data key, wherever it fails."""

    class Failing(LocalKey):
        async def wrap(self, data_key: Secret[bytes], context: bytes) -> bytes:
            seen.append(data_key)
            if fails:
                raise KeyUnavailable("service", "away")
            return await super().wrap(data_key, context)

    seen: list[Secret[bytes]] = []
    fails = False
    async with open_vault(database, Failing(Secret(bytes(32)))) as vault:
        value = await vault.seal(user(1), "email", Secret(CANARY))
        fails = True
        for attempt in (
            vault.seal(user(1), "email", Secret(CANARY)),
            vault.seal(user(1), "email", Secret(CANARY * 100_000)),
            vault.seal(user(1), "email", Secret(CANARY + "\ud800")),
            vault.reveal(user(1), "email", value + b"x"),
        ):
            with pytest.raises((SealingError, KeyUnavailable)) as caught:
                await attempt
            shown_locals = "".join(repr(entry.locals) for entry in caught.traceback[1:])
            assert len(caught.traceback) > 1
            assert CANARY not in shown_locals
            assert not any(repr(one.reveal())[2:-1] in shown_locals for one in seen)


async def test_many_seal_and_reveal_at_once(database: str) -> None:
    """On two vaults, as two processes would; each gets its own secret back."""

    async def there_and_back(number: int) -> None:
        here, there = vaults[number % 2], vaults[1 - number % 2]
        value = await here.seal(user(number), "email", f"secret {number}")
        assert await there.reveal(user(number), "email", value) == Secret(f"secret {number}")

    async with open_vault(database) as first, open_vault(database) as second:
        vaults = [first, second]
        await asyncio.gather(*map(there_and_back, range(100)))
        assert await first.in_use() == {local_key().id: 100}


async def test_a_vault_ends_with_its_log(database: str) -> None:
    """Nothing is opened again behind its back."""
    async with open_vault(database) as vault:
        value = await vault.seal(user(1), "email", CANARY)
    for attempt in (
        vault.seal(user(1), "email", CANARY),
        vault.reveal(user(1), "email", value),
        vault.erase(user(1)),
        vault.rotate(local_key(2)),
        vault.in_use(),
    ):
        with pytest.raises(LogClosed):
            await attempt


async def test_a_key_store_that_cannot_be_used_says_so(database: str) -> None:
    """A table that is missing stands for whatever may be wrong with a database."""
    async with open_vault(database) as vault:
        value = await vault.seal(user(1), "email", CANARY)
        await execute(database, "DROP TABLE key_store")
        for attempt in (
            vault.seal(user(1), "email", CANARY),
            vault.reveal(user(1), "email", value),
            vault.erase(user(1)),
            vault.in_use(),
        ):
            with pytest.raises(KeyStoreUnavailable, match="key_store") as caught:
                await attempt
            assert CANARY not in str(caught.value)


async def test_a_blind_index_is_the_same_everywhere_and_for_ever(database: str) -> None:
    """Two processes that make it at once make one; after a rotation it is as it was."""
    async with open_vault(database) as one, open_vault(database) as two:
        first, second = await asyncio.gather(one.blind_index("user.email"), two.blind_index("user.email"))
        found = first.of("ada@example.org")
        assert second.of(Secret("ada@example.org")) == found
        assert len(found) == 32
        assert await one.in_use() == {local_key().id: 1}
        await one.rotate(local_key(2))
        value = await one.seal(user(1), "email", CANARY)
        assert value[1:17] not in found
    async with open_vault(database, local_key(2)) as three:
        assert (await three.blind_index("user.email")).of(b"ada@example.org") == found
        assert (await three.blind_index("key.fingerprint")).of("ada@example.org") != found
    async with open_vault(database, local_key(3)) as stranger:
        with pytest.raises(UnknownWrappingKey):
            await stranger.blind_index("user.email")


async def test_a_blind_index_frames_its_parts(database: str) -> None:
    """Parts that only look alike when they are put together are told apart, and the index shows no key."""
    async with open_vault(database) as vault:
        index = await vault.blind_index("key.fingerprint")
    owner = uuid4().bytes
    hashes = [index.of("a", "bc"), index.of("ab", "c"), index.of("abc"), index.of(owner, "abc"), index.of()]
    assert len(set(hashes)) == 5
    assert index.of("a", b"bc") == hashes[0]
    assert repr(index) == "BlindIndex('key.fingerprint')"
    with pytest.raises(TypeError):
        msgspec.json.encode(index)
    with pytest.raises(ValueError, match="character 14 is a lone surrogate") as caught:
        index.of(CANARY + "\ud800")
    assert caught.value.__context__ is None
