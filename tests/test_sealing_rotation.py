"""Rotation of the key-encryption key: everything is wrapped anew, and nothing is lost on the way."""

from __future__ import annotations

import asyncio
import random
import sys
import time

import pytest

from byjy_events.identifiers import uuid_of
from byjy_events.sealing import (
    DataKeyBroken,
    Erased,
    InvalidKey,
    KeyUnavailable,
    StrangeWrappingKey,
    UnknownWrappingKey,
    rotation,
)
from byjy_events.sealing.local_key import LocalKey
from byjy_events.secret import Secret
from tests.sealing import change_stored, local_key, open_vault, stored_keys, user
from tests.sealing_child import rotating

OLD, NEW = local_key(1), local_key(2)
KILLS = 20
KEYS = 600


class Pausing(LocalKey):
    """A key that waits before it wraps the n-th time, until it may go on."""

    def __init__(self, number: int, nth: int) -> None:
        super().__init__(Secret(bytes([number]) * 32))
        self._left = nth
        self.waits, self.goes_on = asyncio.Event(), asyncio.Event()

    async def wrap(self, data_key: Secret[bytes], context: bytes) -> bytes:
        self._left -= 1
        if self._left == 0:
            self.waits.set()
            await self.goes_on.wait()
        return await super().wrap(data_key, context)


class Forgetful(LocalKey):
    """A key that returns something else than it was given."""

    async def unwrap(self, wrapped: bytes, context: bytes) -> Secret[bytes]:
        return Secret(bytes(32))


class Failing(LocalKey):
    """A key in a service that answers so many times."""

    def __init__(self, number: int, answers: int) -> None:
        super().__init__(Secret(bytes([number]) * 32))
        self._answers = answers

    async def wrap(self, data_key: Secret[bytes], context: bytes) -> bytes:
        self._answers -= 1
        if self._answers < 0:
            raise KeyUnavailable("the service", "does not answer")
        return await super().wrap(data_key, context)


async def test_after_a_rotation_the_new_key_opens_everything_and_the_old_one_nothing(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sealed values stay as they are. Rotating to the same key again finds nothing to do."""
    monkeypatch.setattr(rotation, "SLICE", 7)
    async with open_vault(database, OLD) as vault:
        values = await vault.seal_all(user(1), {f"f{n}": f"secret {n}" for n in range(50)})
        before = await stored_keys(database)
        done = await vault.rotate(NEW)
        assert (done.key_id, done.rewrapped, done.refused, done.remaining) == (NEW.id, 50, (), 0)
        assert await vault.in_use() == {NEW.id: 50}
        assert (await vault.rotate(NEW)).rewrapped == 0
        await vault.seal(user(1), "f50", "by the same vault")
    after = await stored_keys(database)
    assert all(after[data_key_id] != wrapped for data_key_id, wrapped in before.items())
    async with open_vault(database, NEW) as vault:
        for n in range(50):
            assert await vault.reveal(user(1), f"f{n}", values[f"f{n}"]) == Secret(f"secret {n}")
    async with open_vault(database, OLD) as vault:
        with pytest.raises(UnknownWrappingKey):
            await vault.reveal(user(1), "f0", values["f0"])


async def test_in_the_midst_of_a_rotation_everything_goes_on(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some is wrapped by one key and some by the other: all is revealed, sealed and erased, here and elsewhere.

    What was erased after the rotation had read it stays erased.
    """
    monkeypatch.setattr(rotation, "SLICE", 10)
    new = Pausing(2, nth=37)  # the first one tries the key
    async with open_vault(database, OLD) as vault, open_vault(database, NEW, OLD) as elsewhere:
        values = [await vault.seal(user(n), "email", f"secret {n}") for n in range(40)]
        rotating = asyncio.create_task(vault.rotate(new))
        await new.waits.wait()
        assert await vault.in_use() == {OLD.id: 10, NEW.id: 30}
        for one in (vault, elsewhere):
            for n, value in enumerate(values):
                assert await one.reveal(user(n), "email", value) == Secret(f"secret {n}")
        assert await elsewhere.erase(user(33)) == 1
        assert await elsewhere.erase(user(3)) == 1
        added = await elsewhere.seal(user(40), "email", "added")
        new.goes_on.set()
        done = await rotating
        assert (done.rewrapped, done.refused, done.remaining) == (39, (), 0)
        for n in (3, 33):
            with pytest.raises(Erased):
                await vault.reveal(user(n), "email", values[n])
        assert await vault.reveal(user(40), "email", added) == Secret("added")


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
async def test_a_rotation_that_is_killed_goes_on_where_it_ended(database: str) -> None:
    """Twenty times, each at another point, there and back again: at no moment is a secret out of reach."""
    chance = random.Random(11)
    old, new, midway = 1, 2, 0
    async with open_vault(database, local_key(old)) as vault:
        values = await vault.seal_all(user(1), {f"f{n}": f"secret {n}" for n in range(KEYS)})
    for _ in range(KILLS):
        with rotating(database, old, new, nth=chance.randrange(2, KEYS), slice_=20):
            time.sleep(chance.random() * 0.01)  # noqa: ASYNC251 - the other process goes on meanwhile
        async with open_vault(database, local_key(new), local_key(old)) as vault:
            in_use = await vault.in_use()
            assert sum(in_use.values()) == KEYS
            for n in chance.sample(range(KEYS), 25):
                assert await vault.reveal(user(1), f"f{n}", values[f"f{n}"]) == Secret(f"secret {n}")
        midway += len(in_use) == 2
        if in_use == {local_key(new).id: KEYS}:
            old, new = new, old
    assert midway > KILLS // 4
    async with open_vault(database, local_key(new), local_key(old)) as vault:
        done = await vault.rotate(local_key(new))
        assert (done.refused, done.remaining) == ((), 0)
    async with open_vault(database, local_key(new)) as vault:
        for n in range(KEYS):
            assert await vault.reveal(user(1), f"f{n}", values[f"f{n}"]) == Secret(f"secret {n}")


async def test_two_rotations_at_once_lose_nothing(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """To different keys: each data key ends up under one of them, and both rotations end."""
    monkeypatch.setattr(rotation, "SLICE", 5)
    third = local_key(3)
    async with open_vault(database, OLD, NEW, third) as one, open_vault(database, OLD, NEW, third) as two:
        values = await one.seal_all(user(1), {f"f{n}": f"secret {n}" for n in range(60)})
        await asyncio.gather(one.rotate(NEW), two.rotate(third))
        in_use = await one.in_use()
        assert sum(in_use.values()) == 60
        assert OLD.id not in in_use
        for n in range(60):
            assert await two.reveal(user(1), f"f{n}", values[f"f{n}"]) == Secret(f"secret {n}")


async def test_a_data_key_that_cannot_be_opened_does_not_stop_the_others(database: str) -> None:
    """It stays as it is, and the rotation says which it is and why."""
    async with open_vault(database, OLD) as vault:
        values = [await vault.seal(user(n), "email", "secret") for n in range(5)]
        await change_stored(database, uuid_of(values[2][1:17]), wrapped_key=bytes(61))
        await change_stored(database, uuid_of(values[3][1:17]), key_encryption_key_id="lost")
        done = await vault.rotate(NEW)
        assert (done.rewrapped, done.remaining) == (3, 2)
        broken, unknown = done.refused
        assert isinstance(broken, DataKeyBroken)
        assert isinstance(unknown, UnknownWrappingKey)
        assert (str(broken.place), unknown.key_id) == (f"{user(2)}/email", "lost")


async def test_a_provider_that_fails_ends_the_rotation_until_it_is_called_again(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was wrapped by then stays so."""
    monkeypatch.setattr(rotation, "SLICE", 20)
    async with open_vault(database, OLD) as vault:
        values = await vault.seal_all(user(1), {f"f{n}": "secret" for n in range(100)})
        with pytest.raises(KeyUnavailable, match="does not answer"):
            await vault.rotate(Failing(2, answers=1 + 50))
        assert await vault.in_use() == {OLD.id: 60, NEW.id: 40}
        assert (await vault.rotate(NEW)).rewrapped == 60
        assert await vault.reveal(user(1), "f0", values["f0"]) == Secret("secret")


async def test_a_key_that_does_not_open_what_it_wraps_is_refused(database: str) -> None:
    """Before anything is wrapped by it, be it a rotation or the first secret."""
    forgetful = Forgetful(Secret(bytes(32)))
    async with open_vault(database, forgetful) as vault:
        with pytest.raises(InvalidKey, match=f"Forgetful: key-encryption key {forgetful.id} does not open"):
            await vault.seal(user(1), "email", "secret")
    async with open_vault(database, OLD) as vault:
        value = await vault.seal(user(1), "email", "secret")
        with pytest.raises(InvalidKey):
            await vault.rotate(forgetful)
        assert await vault.in_use() == {OLD.id: 1}
        await vault.seal(user(1), "email", "secret")
        assert await vault.in_use() == {OLD.id: 2}
        assert await vault.reveal(user(1), "email", value) == Secret("secret")


async def test_rotating_from_the_wrong_key_changes_nothing(database: str) -> None:
    """All are refused, each named, and nothing is sealed under the new key then."""
    async with open_vault(database, OLD) as vault:
        await vault.seal_all(user(1), {"email": "secret", "name": "secret"})
    async with open_vault(database, local_key(9)) as vault:
        done = await vault.rotate(NEW)
        assert (done.rewrapped, done.remaining, len(done.refused)) == (0, 2, 2)
        with pytest.raises(StrangeWrappingKey):
            await vault.seal(user(1), "email", "secret")
        assert await vault.in_use() == {OLD.id: 2}
