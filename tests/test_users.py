"""Users: registered, changed and erased; names and emails that belong to one at a time."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from byjy_events import (
    EventLog,
    LoginSucceeded,
    Role,
    UserEmailChanged,
    UserRegistered,
    VersionConflict,
    new_event_id,
    user_stream,
)
from byjy_events.chunk import Chunk, positions
from byjy_events.errors import UpgradeRequired
from byjy_events.event import EVENT_TYPES
from byjy_events.query import Query
from byjy_events.sealing import SealedElsewhere, StrangeWrappingKey, UnknownWrappingKey
from byjy_events.secret import Secret
from projections import OWNERSHIP, catch_up, rebuild, verify
from projections.errors import AlreadyTaken
from projections.users.current import RECENT, current_user, folded
from projections.users.errors import InvalidEmail, InvalidPassword, InvalidUsername, UnknownUser, UserRefused
from projections.users.queries import UserQueries
from tests.replay import assert_rows_are_the_log, events_of
from tests.sample_events import SAMPLES
from tests.sealing import local_key, raw_bytes, shown, stored_keys
from tests.user_stories import EMAIL, PASSWORD, WRONG, house


async def test_a_registered_user_is_found_by_name_and_email_of_any_spelling(database: str) -> None:
    """In the log at once and in the table as soon as it follows; what was given is kept as it was given."""
    async with house(database) as it:
        ada = await it.ada("Ada Löve")
        for spelled in ("Ada Löve", "ADA LO\u0308VE", "ａｄａ löve"):
            assert await it.directory.find(spelled) == ada
        for spelled in ("ada@example.org", "  ADA@EXAMPLE.ORG ", "ａda@example.org"):
            assert await it.directory.find_by_email(Secret(spelled)) == ada
        assert await it.directory.find("Eve") is None
        assert await it.directory.find_by_email(Secret("eve@example.org")) is None
        assert (await it.directory.email_of(ada)).reveal() == "Ada@Example.org"
        row = await it.directory.user(ada)
        assert (row.username, row.role, row.is_active, row.failed_login_count) == ("Ada Löve", Role.TRADER, True, 0)
        await catch_up(it.log, OWNERSHIP)
        queries = UserQueries(it.log.engine)
        assert await queries.user(ada) == row
        assert await queries.by_username("ADA LÖVE") == row
        assert row.email_hash is not None
        assert await queries.by_email_hash(row.email_hash) == row


async def test_nothing_personal_is_stored_in_the_clear(database: str, backend: str) -> None:
    """Neither email, password nor its hash, in whatever spelling, in any event; nor in SQLite's files."""
    async with house(database) as it:
        await it.ada()
        await it.directory.change_password((await it.directory.find("ada")) or new_event_id(), WRONG)
        await catch_up(it.log, OWNERSHIP)
        stored = b"".join([one.payload for one in await events_of(it.log)])
        if backend == "sqlite":
            stored += await raw_bytes(database)
        for secret in (b"xample.org", b"XAMPLE.ORG", b"correct horse", b"wrong donkey", b"argon2"):
            assert secret not in stored
        assert b'"Ada"' in stored  # so that the search can find something


@pytest.mark.parametrize(
    ("username", "email", "kind"),
    [("ADA", "eve@example.org", "username"), ("Eve", "ada@EXAMPLE.org", "email")],
)
async def test_name_and_email_belong_to_one_user(database: str, username: str, email: str, kind: str) -> None:
    """Who comes second is told what is taken; nothing is stored, and no key is made."""
    async with house(database) as it:
        ada = await it.ada()
        head, keys = await it.log.head(), await stored_keys(database)
        with pytest.raises(AlreadyTaken) as refused:
            await it.ada(username, Secret(email))
        assert (refused.value.kind, refused.value.holder) == (kind, ada)
        assert await it.log.head() == head
        assert await stored_keys(database) == keys


async def test_of_many_who_register_at_once_each_name_goes_to_one(database: str) -> None:
    """Five names, each wanted by four in two processes; also under a swap of names all tables agree with the log."""
    async with house(database) as one, house(database) as other:
        calls = [
            it.ada(name if it is one else name.upper(), Secret(f"{name}.{number}.{it is one}@example.org"))
            for it in (one, other)
            for number in range(2)
            for name in ("Ann", "Bob", "Cid", "Dan", "Eve")
        ]
        answers = await asyncio.gather(*calls, return_exceptions=True)
        refused = [answer for answer in answers if isinstance(answer, AlreadyTaken | VersionConflict)]
        assert len(refused) == 15
        ann, bob = await one.directory.find("ann"), await one.directory.find("bob")
        assert ann is not None
        assert bob is not None
        await one.directory.rename(ann, "x")
        await one.directory.rename(bob, "ANN")
        await one.directory.rename(ann, "Bob")
        assert (await one.directory.find("ann"), await one.directory.find("bob")) == (bob, ann)
        await catch_up(one.log, OWNERSHIP)
        await assert_rows_are_the_log(one.log, OWNERSHIP)


async def test_a_name_that_was_given_up_is_free(database: str) -> None:
    """Also an email; another spelling of one's own is no conflict, and the same one is nothing."""
    async with house(database) as it:
        ada = await it.ada()
        assert await it.directory.rename(ada, "ADA")
        assert await it.directory.rename(ada, "ADA") is None
        assert await it.directory.rename(ada, "Grace")
        assert await it.directory.change_email(ada, Secret("ADA@example.org"))
        assert (await it.directory.email_of(ada)).reveal() == "ADA@example.org"
        assert await it.directory.change_email(ada, Secret("grace@example.org"))
        second = await it.ada()
        assert await it.directory.find("ada") == second
        with pytest.raises(AlreadyTaken):
            await it.directory.rename(ada, "ada")
        with pytest.raises(AlreadyTaken):
            await it.directory.change_email(ada, EMAIL)


async def test_what_is_so_already_is_not_stored_again(database: str) -> None:
    """Roles and states, each way."""
    async with house(database) as it:
        ada = await it.ada()
        assert await it.directory.change_role(ada, Role.TRADER) is None
        assert await it.directory.change_role(ada, Role.ADMIN)
        assert await it.directory.reactivate(ada) is None
        assert await it.directory.deactivate(ada, "on leave")
        assert await it.directory.deactivate(ada) is None
        assert await it.directory.reactivate(ada)
        assert await it.directory.unlock(ada) is None
        assert await it.types() == ["UserRegistered", "UserRoleChanged", "UserDeactivated", "UserReactivated"]
        row = await it.directory.user(ada)
        assert (row.role, row.is_active) == (Role.ADMIN, True)


async def test_who_is_not_there_is_named(database: str) -> None:
    """By every call that takes an id; and an id registers once."""
    nobody = new_event_id()
    async with house(database) as it:
        for call in (
            it.directory.rename(nobody, "Ada"),
            it.directory.change_email(nobody, EMAIL),
            it.directory.change_password(nobody, PASSWORD),
            it.directory.change_role(nobody, Role.ADMIN),
            it.directory.deactivate(nobody),
            it.directory.reactivate(nobody),
            it.directory.unlock(nobody),
            it.directory.erase(nobody),
            it.directory.email_of(nobody),
        ):
            with pytest.raises(UnknownUser) as refused:
                await call
            assert refused.value.user_id == nobody
        assert await it.log.head() == 0
        ada = await it.ada(user_id=nobody)
        keys = await stored_keys(database)
        with pytest.raises(UserRefused, match="refuses UserRegistered: it was registered before"):
            await it.ada("Eve", Secret("eve@example.org"), user_id=ada)
        await it.directory.erase(ada)
        with pytest.raises(UserRefused, match="refuses UserRegistered: it was registered before"):
            await it.ada("Eve", Secret("eve@example.org"), user_id=ada)
        assert set(await stored_keys(database)) == set(keys)


async def test_an_erased_user_is_gone_everywhere_but_in_the_log(database: str) -> None:
    """Email and hash cannot be revealed from the table, from a replay or from the log; name and email are free; the log
    verifies; and it can be said twice.
    """
    async with house(database) as it:
        ada = await it.ada()
        sealed = (await it.directory.user(ada)).email
        assert sealed is not None
        assert await it.directory.erase(ada, "left")
        assert await it.directory.erase(ada) is None
        with pytest.raises(UserRefused, match="refuses email: it was erased"):
            await it.directory.email_of(ada)
        with pytest.raises(Exception, match="erased at"):
            await it.vault.reveal(user_stream(ada), "email", sealed)
        for call in (
            it.directory.rename(ada, "x"),
            it.directory.change_email(ada, EMAIL),
            it.directory.change_password(ada, PASSWORD),
            it.directory.change_role(ada, Role.ADMIN),
            it.directory.reactivate(ada),
        ):
            with pytest.raises(UserRefused, match="it was erased"):
                await call
        second = await it.ada()
        await catch_up(it.log, OWNERSHIP)
        row = await UserQueries(it.log.engine).user(ada)
        assert row is not None
        assert row.is_erased
        assert (row.email, row.email_hash, row.password_hash, row.is_active) == (None, None, None, False)
        assert await it.directory.find("ada") == second
        await rebuild(it.log, OWNERSHIP)
        assert (await verify(it.log, OWNERSHIP)).differences == 0
        assert [one async for one in it.log.read(checked=True)]


async def test_an_erasure_that_stopped_half_way_can_be_completed(database: str) -> None:
    """The keys go first: a user whose keys are gone is erased by the next call."""
    async with house(database) as it:
        ada = await it.ada()
        await it.vault.erase(user_stream(ada))
        with pytest.raises(Exception, match="erased at"):
            await it.directory.email_of(ada)
        assert await it.directory.erase(ada)
        assert (await it.directory.user(ada)).is_erased


async def test_an_email_that_was_sealed_for_another_user_is_told(database: str) -> None:
    """Whoever can append may put it there; nobody reads it as this user's."""
    async with house(database) as it:
        ada, eve = await it.ada(), await it.ada("Eve", Secret("eve@example.org"))
        row = await it.directory.user(eve)
        assert row.email is not None
        assert row.email_hash is not None
        swapped = UserEmailChanged(email=row.email, email_hash=bytes(32))
        await it.log.append(user_stream(ada), [swapped])
        with pytest.raises(SealedElsewhere):
            await it.directory.email_of(ada)
        assert (await it.directory.email_of(eve)).reveal() == "eve@example.org"


async def test_another_key_seals_nothing_and_reveals_nothing(database: str) -> None:
    """It is told, and nothing is stored."""
    async with house(database) as it:
        ada = await it.ada()
        head = await it.log.head()
    async with house(database, key=local_key(2)) as stranger:
        with pytest.raises(UnknownWrappingKey):
            await stranger.directory.email_of(ada)
        with pytest.raises(StrangeWrappingKey):
            await stranger.directory.change_password(ada, PASSWORD)
        assert await stranger.log.head() == head


async def test_only_what_is_needed_is_read_and_the_user_is_the_same(database: str) -> None:
    """As one that is folded from the whole stream, whatever came in whatever order, also on top of what was read some
    or many events before.
    """
    async with house(database) as it:
        ada = await it.ada()
        first = before = await current_user(it.log, ada)
        for number in range(12):
            with pytest.raises(Exception, match="login refused"):
                await it.logins.authenticate("ada", WRONG)
            if number % 3 == 0:
                await it.directory.change_role(ada, Role.ADMIN if number % 2 else Role.AUDITOR)
            if number % 4 == 0:
                await it.logins.authenticate("ada", PASSWORD)
            it.clock.now += 10**10
            events = [one async for one in it.log.read(stream=user_stream(ada))]
            whole = (folded(ada, events), len(events))
            assert await current_user(it.log, ada) == whole
            assert await current_user(it.log, ada, first) == whole
            assert await current_user(it.log, ada, before) == whole
            before = await current_user(it.log, ada)
        assert before.version > first.version + RECENT


async def test_a_login_reads_no_more_the_more_there_were(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it fetches from the log stays the same, however long the stream is."""
    fetched: list[int] = []
    async with house(database) as it:
        await it.ada()
        await it.logins.authenticate("ada", PASSWORD)
        fetch = it.log.backend.fetch

        async def counted(query: Query, limit: int) -> Chunk:
            chunk = await fetch(query, limit)
            fetched.append(len(positions(chunk)))
            return chunk

        monkeypatch.setattr(it.log.backend, "fetch", counted)
        sums = []
        for _ in range(25):
            await it.logins.authenticate("ada", PASSWORD)
            sums.append(sum(fetched))
            fetched.clear()
        assert sums[-1] == sums[10] < 3 * RECENT


async def test_what_a_newer_program_wrote_is_not_decided_upon(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may mean that the user has no rights any more."""
    async with house(database) as it:
        ada = await it.ada()
        with monkeypatch.context() as newer:
            newer.setattr(UserEmailChanged, "schema_version", 99)
            await it.log.append(user_stream(ada), [UserEmailChanged(email=b"", email_hash=b"")])
        with pytest.raises(UpgradeRequired):
            await it.directory.change_role(ada, Role.ADMIN)


async def test_what_a_newer_program_wrote_is_found_behind_events_that_are_known(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a type that this program does not know at all; by whoever reads the user for the first time and after that."""
    async with house(database) as it:
        ada = await it.ada()
        known = await current_user(it.log, ada)
        await it.log.append(user_stream(ada), [SAMPLES["PairListed"], LoginSucceeded()])
        monkeypatch.delitem(EVENT_TYPES, "PairListed")
        for before in (None, known):
            with pytest.raises(UpgradeRequired):
                await current_user(it.log, ada, before)


async def test_events_of_users_that_nobody_registered_make_no_rows(database: str) -> None:
    """Whoever appends them by hand does not stop the projector; a second registration changes nothing."""
    stray = new_event_id()
    async with house(database) as it:
        ada = await it.ada()
        registered = [one.event for one in await events_of(it.log) if isinstance(one.event, UserRegistered)]
        await it.log.append(user_stream(stray), [UserEmailChanged(email=b"x", email_hash=b"x")])
        await it.log.append(user_stream(ada), [registered[0]])
        await catch_up(it.log, OWNERSHIP)
        assert [row.id for row in await UserQueries(it.log.engine).page()] == [ada]


BAD_NAMES: list[tuple[Any, str]] = [
    ("", "0 characters, not 1 to 64"),
    ("x" * 65, "65 characters, not 1 to 64"),
    ("\ufdfa" * 4, "72 characters, not 1 to 64"),
    ("\u1112\u1161\u11ab" * 86, "258 characters, not 1 to 64"),  # 86 in NFKC, which nobody computes
    ("a" + "\u0315\u0300" * 500_000, "1000001 characters, not 1 to 64"),  # which would take many minutes
    ("019A0000-0000-7000-8000-000000000001", "a UUID makes it an id"),
    ("019a0000000070008000000000000001", "a UUID makes it an id"),
    (" ada", "white space at an end"),
    ("ada\u3000", "white space at an end"),
    ("ada\n", "white space at an end"),
    ("a\tb", "characters that are not seen"),
    ("a\u200db", "characters that are not seen"),
    ("a\u202eb", "characters that are not seen"),
    ("a\u2028b", "characters that are not seen"),
    ("a\ufe0fb", "characters that are not seen"),
    ("a\u3164b", "characters that are not seen"),
    ("a\ue000b", "characters that are not seen"),
    ("ada@x", "an @ makes it an email address"),
    ("ada\uff20x", "an @ makes it an email address"),
    ("a\x00b", "holds a NUL character or a lone surrogate"),
    ("a\ud800b", "holds a NUL character or a lone surrogate"),
    (7, "expected a text, not int"),
]


@pytest.mark.parametrize(("username", "reason"), BAD_NAMES)
async def test_what_can_be_nobodys_name_is_refused(migrated_file: Any, username: Any, reason: str) -> None:
    """In registering and renaming, and the error names the field and the reason."""
    async with EventLog.open(f"sqlite:///{migrated_file}", read_only=True) as log:
        it = UserQueries(log.engine)
        with pytest.raises(InvalidUsername) as refused:
            await it.by_username(username)
    assert (refused.value.field, refused.value.reason) == ("username", reason)
    assert str(refused.value) == f"username: {reason}"


@pytest.mark.parametrize(
    ("email", "reason"),
    [
        ("canary", "not of the form name@domain"),
        ("@canary.org", "not of the form name@domain"),
        ("canary@", "not of the form name@domain"),
        ("canary@b@c", "not of the form name@domain"),
        ("a", "1 characters, not 3 to 254"),
        ("canary@" + "b" * 248, "255 characters, not 3 to 254"),
        ("canary b@c", "holds blanks or characters that are not seen"),
        ("canary\u200d@c", "holds blanks or characters that are not seen"),
        ("canary\x00@c", "holds a NUL character or a lone surrogate"),
        ("canary\udfff@c", "holds a NUL character or a lone surrogate"),
    ],
)
async def test_what_is_no_email_is_refused_and_not_shown(database: str, email: str, reason: str) -> None:
    """Nothing is stored."""
    async with house(database) as it:
        with pytest.raises(InvalidEmail) as refused:
            await it.ada(email=Secret(email))
        assert (refused.value.field, str(refused.value)) == ("email", f"email: {reason}")
        assert "canary" not in shown(refused.value)
        with pytest.raises(InvalidEmail, match="expected a Secret text"):
            await it.ada(email="ada@example.org")  # type: ignore[arg-type]
        assert await it.log.head() == 0


async def test_a_password_that_is_none_registers_nobody(database: str) -> None:
    """And changes none."""
    async with house(database) as it:
        with pytest.raises(InvalidPassword, match=r"^password: 7 characters, not 8 to 1024$"):
            await it.directory.register("Ada", EMAIL, Secret("canary7"), Role.ADMIN)
        assert await it.log.head() == 0
        ada = await it.ada()
        with pytest.raises(InvalidPassword):
            await it.directory.change_password(ada, Secret("\ud800" * 9))
        assert await it.types() == ["UserRegistered"]
