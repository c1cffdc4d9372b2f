"""Logging in: who has the password, how often anybody may guess, and what a refusal gives away."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import AsyncExitStack

import pytest

from byjy_events import LoginReserved, Role, UserPasswordChanged, user_stream
from byjy_events.sealing import SealedElsewhere, UnknownWrappingKey
from byjy_events.secret import Secret
from projections import OWNERSHIP, catch_up, verify
from projections.users.errors import LoginRefused
from projections.users.lockout import LockoutPolicy
from projections.users.login import Logins
from projections.users.passwords import Cost, Passwords
from tests.replay import assert_rows_are_the_log
from tests.sealing import local_key, shown
from tests.user_stories import CHEAP, EMAIL, PASSWORD, SECOND, WRONG, House, house

GUESSES = 500


async def refused(it: House, password: Secret[str] = WRONG, name: str | Secret[str] = "ada") -> LoginRefused:
    with pytest.raises(LoginRefused) as error:
        await it.logins.authenticate(name, password)
    return error.value


async def test_who_has_the_password_gets_in(database: str) -> None:
    """By name and by email in any spelling; the table says when, and the failures before are forgotten."""
    async with house(database) as it:
        ada = await it.ada()
        await refused(it)
        assert (await it.directory.user(ada)).failed_login_count == 1
        for name in ("Ada", "ADA", EMAIL, " ada@EXAMPLE.org "):
            it.clock.now += SECOND
            found = await it.logins.authenticate(name, PASSWORD, actor="web")
            assert (found.user_id, found.username, found.role) == (ada, "Ada", Role.TRADER)
        await catch_up(it.log, OWNERSHIP)
        row = await it.directory.user(ada)
        assert (row.last_login_at, row.failed_login_count, row.locked_until) == (it.clock.now, 0, None)
        await assert_rows_are_the_log(it.log, OWNERSHIP)
        assert (await verify(it.log, OWNERSHIP)).differences == 0
        actors = {one.actor async for one in it.log.read(types=["LoginSucceeded"])}
        assert actors == {"web"}


async def test_of_many_parallel_guesses_the_policy_lets_few_through(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """500 at once, on four logs as four processes have them: passwords that were looked at are no more than the free
    failures, by name and email together; the right one among the others does not get in; the log has no more events.
    """
    looked_at: list[bool] = []
    fits = Passwords.fits

    async def watched(self: Passwords, password: Secret[str], password_hash: Secret[str] | None) -> bool:
        looked_at.append(password_hash is not None)
        return await fits(self, password, password_hash)

    monkeypatch.setattr(Passwords, "fits", watched)
    async with AsyncExitStack() as stack:
        processes = [await stack.enter_async_context(house(database)) for _ in range(4)]
        ada = await processes[0].ada()
        names = ("ada", EMAIL)
        guesses = [
            processes[number % 4].logins.authenticate(names[number % 7 == 0], Secret(f"guess {number:05}"))
            for number in range(GUESSES)
        ]
        answers = await asyncio.gather(*guesses, return_exceptions=True)
        assert Counter(map(type, answers)) == {LoginRefused: GUESSES}
        assert Counter(looked_at) == {True: 5, False: GUESSES - 5}
        assert Counter(await processes[0].types()) == {"UserRegistered": 1, "LoginReserved": 5}
        await refused(processes[1], PASSWORD)
        row = await processes[0].directory.user(ada)
        assert (row.failed_login_count, row.locked_until) == (5, processes[0].clock.now + SECOND)


async def test_right_passwords_at_once_do_not_lock_out(database: str) -> None:
    """In one process they come one after another, however many they are."""
    async with house(database) as it:
        await it.ada()
        found = await asyncio.gather(*(it.logins.authenticate("ada", PASSWORD) for _ in range(20)))
        assert len({one.receipt.position for one in found}) == 20


async def test_the_delay_doubles_until_somebody_gets_in_or_unlocks(database: str) -> None:
    """Five failures are free. While locked even the right password is refused, and nothing is stored."""
    async with house(database, policy=LockoutPolicy(free_failures=2, longest_delay_seconds=5)) as it:
        ada = await it.ada()
        await refused(it)
        for delay in (1, 2, 4, 5, 5):
            await refused(it)
            row, head = await it.directory.user(ada), await it.log.head()
            assert row.locked_until == it.clock.now + delay * SECOND
            it.clock.now += delay * SECOND - 1
            await refused(it, PASSWORD)
            assert await it.log.head() == head
            it.clock.now += 1
        await refused(it)
        assert await it.directory.unlock(ada, "asked")
        assert (await it.directory.user(ada)).locked_until is None
        await refused(it)
        await it.logins.authenticate("ada", PASSWORD)
        assert (await it.directory.user(ada)).failed_login_count == 0


async def test_nothing_but_unlocking_ends_a_lock_out(database: str) -> None:
    """Neither another name, email or password, nor to be inactive for a while, nor the other way to say who it is."""
    async with house(database) as it:
        ada = await it.ada()
        for name in ("ada", EMAIL, "ADA", "ａda", Secret("ada@example.ORG")):
            await refused(it, name=name)
        await it.directory.rename(ada, "Grace")
        await it.directory.change_email(ada, Secret("grace@example.org"))
        await it.directory.change_password(ada, PASSWORD)
        await it.directory.deactivate(ada)
        await it.directory.reactivate(ada)
        for name in ("grace", Secret("grace@example.org")):
            await refused(it, PASSWORD, name)
        assert (await it.directory.user(ada)).failed_login_count == 5
        await it.directory.unlock(ada)
        assert (await it.logins.authenticate("grace", PASSWORD)).user_id == ada


async def test_refusals_of_a_locked_user_are_told_as_one_number(database: str) -> None:
    """With the next attempt that is recorded, once."""
    async with house(database, policy=LockoutPolicy(free_failures=1)) as it:
        ada = await it.ada()
        await refused(it)
        for _ in range(30):
            await refused(it)
        for _ in range(2):
            it.clock.now += 60 * SECOND
            await refused(it)
        reserved = [one.event async for one in it.log.read(stream=user_stream(ada), types=[LoginReserved])]
        assert [one.refused for one in reserved if isinstance(one, LoginReserved)] == [0, 30, 0]


async def test_a_refusal_says_nothing(database: str) -> None:
    """Unknown, impossible, wrong, locked, inactive, erased: the same error, which shows no password."""
    async with house(database, policy=LockoutPolicy(free_failures=1)) as it:
        for name in ("Ada", "Locked", "Inactive", "Erased"):
            await it.ada(name, Secret(f"{name}@example.org"))
        await refused(it, name="locked")
        for name, change in (("inactive", it.directory.deactivate), ("erased", it.directory.erase)):
            user_id = await it.directory.find(name)
            assert user_id is not None
            await change(user_id)
        head = await it.log.head()
        right = ("locked", "inactive", "erased", "nobody", "nobody@example.org", "", "a\x00", "a\ud800@b", "x" * 10**6)
        errors = [await refused(it, PASSWORD, name) for name in right]
        errors += [await refused(it, password, "nobody") for password in (Secret(""), Secret("\ud800canary1"))]
        assert await it.log.head() == head
        errors += [await refused(it, Secret("canary passphrase"))]
        for error in errors:
            assert (type(error), error.args, vars(error)) == (LoginRefused, ("login refused",), {})
            assert "canary" not in shown(error)


async def test_a_refusal_costs_one_check_whatever_its_cause(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hash with the parameters of now, of as many bytes; and it is answered at the end of a quantum."""
    checked: list[str] = []

    def noted(given: Secret[str], password_hash: Secret[str]) -> bool:
        checked.append(password_hash.reveal())
        return False

    monkeypatch.setattr("projections.users.passwords._equal", noted)
    slept: list[float] = []
    sleep = asyncio.sleep

    async def noting(seconds: float) -> None:
        if seconds:
            slept.append(seconds)
        await sleep(0)

    async with house(database, policy=LockoutPolicy(free_failures=1)) as it:
        inactive = await it.ada("Inactive", Secret("inactive@example.org"))
        await it.directory.deactivate(inactive)
        await it.ada()
        logins = Logins(it.log, it.vault, Passwords(CHEAP), quantum_seconds=1000.0)
        monkeypatch.setattr("projections.users.login.asyncio.sleep", noting)
        for name in ("nobody", "inactive", "ada", "ada", "", "nobody@example.org"):
            with pytest.raises(LoginRefused):
                await logins.authenticate(name, WRONG)
    assert len(checked) == 6
    assert {(len(one), one.split("$")[3]) for one in checked} == {(len(checked[0]), "m=8,t=1,p=1")}
    assert len([one for one in slept if 900 < one <= 1000]) == 6


async def test_a_password_that_changed_while_it_was_checked_does_not_get_in(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor a user that was deactivated meanwhile."""
    async with house(database) as it:
        ada = await it.ada()
        fits = Passwords.fits
        meanwhile = [it.directory.change_password(ada, WRONG), it.directory.deactivate(ada)]

        async def slow(self: Passwords, password: Secret[str], password_hash: Secret[str] | None) -> bool:
            found = await fits(self, password, password_hash)
            await meanwhile.pop(0)
            return found

        monkeypatch.setattr(Passwords, "fits", slow)
        await refused(it, PASSWORD)
        await refused(it, WRONG)
        assert "LoginSucceeded" not in await it.types()


async def test_a_hash_of_the_past_is_made_anew_by_the_next_login(database: str) -> None:
    """With the success, once; the password is the same, for those with the old parameters too."""
    async with house(database) as old:
        ada = await old.ada()
    async with house(database, cost=Cost(16, 2, 1)) as it:
        for _ in range(2):
            await it.logins.authenticate("ada", PASSWORD)
        changed = [one.event async for one in it.log.read(types=[UserPasswordChanged])]
        assert [one.rehash for one in changed if isinstance(one, UserPasswordChanged)] == [True]
        sealed = (await it.directory.user(ada)).password_hash
        assert sealed is not None
        plain = await it.vault.reveal(user_stream(ada), "password_hash", sealed)
        assert plain.reveal().startswith("$argon2id$v=19$m=16,t=2,p=1$")
        await refused(it)


async def test_trouble_with_keys_is_no_refusal(database: str) -> None:
    """Whoever runs the program has to hear of it: the wrong key, another user's hash."""
    async with house(database) as it:
        ada, eve = await it.ada(), await it.ada("Eve", Secret("eve@example.org"))
        theirs = (await it.directory.user(eve)).password_hash
        assert theirs is not None
        async with house(database, key=local_key(2)) as stranger:
            with pytest.raises(UnknownWrappingKey):
                await stranger.logins.authenticate("ada", PASSWORD)
        await it.log.append(user_stream(ada), [UserPasswordChanged(password_hash=theirs)])
        with pytest.raises(SealedElsewhere):
            await it.logins.authenticate("ada", PASSWORD)


async def test_a_changed_password_is_the_only_one(database: str) -> None:
    """From the moment on that the change is durable."""
    async with house(database) as it:
        ada = await it.ada()
        await it.directory.change_password(ada, WRONG)
        await refused(it, PASSWORD)
        assert (await it.logins.authenticate("ada", WRONG)).user_id == ada


@pytest.mark.parametrize(
    "numbers",
    [
        {"free_failures": 0},
        {"first_delay_seconds": 0},
        {"first_delay_seconds": 10, "longest_delay_seconds": 9},
    ],
)
def test_a_policy_that_is_none_is_refused(numbers: dict[str, int]) -> None:
    """At once, and with its numbers."""
    with pytest.raises(ValueError, match="no policy"):
        LockoutPolicy(**numbers)


def test_the_usual_policy_is_as_the_guide_says() -> None:
    """Five free, then 1 s doubling to 15 minutes; any number of failures has a delay."""
    until = LockoutPolicy().locked_until
    assert [until(failures, 0) for failures in (1, 4)] == [None, None]
    seconds = [(until(failures, 0) or 0) // SECOND for failures in range(5, 18)]
    assert seconds == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900, 900]
    assert until(10**9, 7) == 7 + 900 * SECOND
