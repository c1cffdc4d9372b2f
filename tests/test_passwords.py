"""Passwords: which there can be, when two are the same, and how they are hashed."""

from __future__ import annotations

import asyncio

import pytest

from byjy_events.secret import Secret
from projections.users.errors import InvalidPassword
from projections.users.passwords import RECOMMENDED, Cost, Passwords, prepared
from tests.sealing import shown
from tests.user_stories import CHEAP, PASSWORD, WRONG


async def test_a_password_fits_its_own_hash_and_no_other() -> None:
    """Every hash has a salt of its own."""
    passwords = Passwords(CHEAP)
    first, second = await passwords.hashed(PASSWORD), await passwords.hashed(PASSWORD)
    assert first != second
    assert await passwords.fits(PASSWORD, first)
    assert await passwords.fits(PASSWORD, second)
    assert not await passwords.fits(WRONG, first)


@pytest.mark.parametrize("password", [PASSWORD, Secret(""), Secret("short"), Secret("\ud800" * 9), Secret("x" * 10**6)])
async def test_without_a_hash_and_without_a_password_nothing_fits(password: Secret[str]) -> None:
    """Also what cannot be a password is compared, and refused."""
    passwords = Passwords(CHEAP)
    assert not await passwords.fits(password, None)
    assert not await passwords.fits(password, await passwords.hashed(WRONG))


async def test_the_recommended_parameters_are_those_of_the_rfc() -> None:
    """The second of RFC 9106: 64 MiB, 3 passes, 4 lanes; a salt of 128 bits and a hash of 256."""
    found = (await Passwords().hashed(PASSWORD)).reveal()
    _, kind, version, parameters, salt, digest = found.split("$")
    assert (kind, version, parameters, len(salt), len(digest)) == ("argon2id", "v=19", "m=65536,t=3,p=4", 22, 43)
    assert not Passwords().outdated(Secret(found))
    assert Passwords(RECOMMENDED._replace(passes=4)).outdated(Secret(found))
    assert Passwords(RECOMMENDED._replace(passes=33)).outdated(Secret(found))


async def test_hashes_with_several_lanes_can_be_asked_for_at_once() -> None:
    """Of several objects, also with few lanes: OpenSSL would wait for ever; the loop goes on meanwhile."""
    several = [Passwords(Cost(256, 1, 4)), Passwords(Cost(256, 1, 2)), Passwords(CHEAP)]
    turns = 0

    async def turning() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    beside = asyncio.create_task(turning())
    found = await asyncio.gather(*(passwords.hashed(PASSWORD) for passwords in several for _ in range(20)))
    fitting = await asyncio.gather(*(several[0].fits(PASSWORD, one) for one in found))
    beside.cancel()
    assert all(fitting)
    assert turns > len(found)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("pa\u0308ssword", "p\u00e4ssword"),  # NFC
        ("pass\u00a0word\u3000", "pass word "),  # blanks of other scripts
    ],
)
async def test_spellings_of_one_password_are_one(one: str, other: str) -> None:
    """As RFC 8265 has it for opaque strings."""
    passwords = Passwords(CHEAP)
    assert await passwords.fits(Secret(one), await passwords.hashed(Secret(other)))


@pytest.mark.parametrize("other", ["Password", "ｐassword", "password ", "passwo\ufb01rd"])
async def test_case_and_width_make_another_password(other: str) -> None:
    """NFKC would make some of these one: that is for names."""
    passwords = Passwords(CHEAP)
    assert not await passwords.fits(Secret(other), await passwords.hashed(Secret("password")))
    assert prepared(Secret(other)) == Secret(other)


@pytest.mark.parametrize(
    ("password", "reason"),
    [
        (Secret("canary7"), "7 characters, not 8 to 1024"),
        (Secret("e\u0301" * 7), "7 characters, not 8 to 1024"),
        (Secret("canary7" * 147), "1029 characters, not 8 to 1024"),
        (Secret("canary7" * 10**6), "7000000 characters, not 8 to 1024"),
        (Secret("canary\x00canary"), "holds control characters"),
        (Secret("canary\ncanary"), "holds control characters"),
        (Secret("canary\ud800canary"), "holds a lone surrogate"),
        (Secret(b"canary canary"), "expected a Secret text"),
        ("canary canary", "expected a Secret text"),
    ],
)
def test_what_can_be_nobodys_password_is_refused_and_not_shown(password: Secret[str], reason: str) -> None:
    """The error names the field and the reason."""
    with pytest.raises(InvalidPassword) as refused:
        prepared(password)
    assert (refused.value.field, refused.value.reason, str(refused.value)) == (
        "password",
        reason,
        f"password: {reason}",
    )
    assert "canary" not in shown(refused.value)


@pytest.mark.parametrize("cost", [Cost(1, 1, 1), Cost(64, 0, 1), Cost(64, 1, 0)])
def test_parameters_that_argon2_does_not_know_are_refused(cost: Cost) -> None:
    """When the object is made, not when somebody logs in."""
    with pytest.raises(ValueError, match="must be"):
        Passwords(cost)
