"""API keys: added, changed, replaced, revoked, revealed, used, erased; and each refused where it may not be."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest

from byjy_events import (
    ApiKeyAdded,
    ApiKeyChanged,
    ApiKeyErased,
    ApiKeyReactivated,
    ApiKeyReplaced,
    ApiKeyRevealed,
    ApiKeyRevoked,
    ApiKeyUsed,
    Permission,
    SecretField,
    api_key_stream,
    new_event_id,
    user_stream,
)
from byjy_events.errors import InvalidAppend, InvalidEvent
from byjy_events.sealing import Erased, KeyStoreUnavailable, Vault
from byjy_events.secret import Secret
from projections.api_keys.credentials import Credentials
from projections.api_keys.deciding import REFUSED, state_of
from projections.api_keys.errors import (
    ApiKeyRefused,
    ApiKeyState,
    CredentialTaken,
    InvalidCredential,
    OwnerRefused,
)
from projections.errors import AlreadyTaken
from tests.api_keys import KEY, PASSPHRASE, SECRET, Desk, everything, new_user, open_desk
from tests.sample_events import SAMPLES
from tests.sealing import local_key, shown

HOUR = 3600 * 10**9
EXPIRED = ApiKeyChanged(label="x", permissions=(), expires_at=1)


async def test_a_key_is_revealed_as_it_was_given(database: str) -> None:
    """With all that is known about it; and printing it shows no secret."""
    async with open_desk(database) as desk:
        added = await desk.add(exchange=" Binance", expires_at=time.time_ns() + HOUR)
        credential = await desk.credentials.reveal(added, "start", actor="strategy:mm-1")
        assert (credential.key, credential.secret) == (Secret(KEY), Secret(SECRET))
        assert credential.passphrase == Secret(PASSPHRASE)
        assert (credential.exchange, credential.permissions) == ("binance", (Permission.READ, Permission.TRADE))
        assert "canary" not in repr(credential)
        assert "canary" not in await everything(desk.log)
        told = (await desk.events(added))[-1]
        assert told.actor == "strategy:mm-1"
        assert told.event == ApiKeyRevealed(fields=tuple(SecretField), reason="start")


async def test_a_key_without_a_passphrase_has_none(database: str) -> None:
    """And the event says that only two secrets were given out."""
    async with open_desk(database) as desk:
        added = await desk.add(passphrase=None)
        assert (await desk.credentials.reveal(added, "start")).passphrase is None
        assert (await desk.events(added))[-1].event == ApiKeyRevealed(
            fields=(SecretField.KEY, SecretField.SECRET), reason="start"
        )


async def test_a_user_has_a_key_once_at_an_exchange(database: str) -> None:
    """However the exchange is spelled; others may have it, and the user may have it elsewhere."""
    async with open_desk(database) as desk:
        added = await desk.add()
        head = await desk.log.head()
        for exchange in ("binance", "BINANCE", " Binance "):
            with pytest.raises(CredentialTaken, match=f"for binance: taken by {added}$") as caught:
                await desk.add(exchange=exchange)
            assert isinstance(caught.value, AlreadyTaken)
            error = caught.value
            assert (error.field, error.user_id, error.exchange, error.holder) == ("key", desk.user_id, "binance", added)
            assert "canary" not in shown(error)
        assert await desk.log.head() == head
        assert await desk.vault.in_use() == {local_key().id: 4}  # three secrets and the root of the keyed hashes
        await desk.add(exchange="kraken")
        await desk.credentials.add(await new_user(desk.log), "binance", label="x", key=KEY, secret=SECRET)


async def test_of_many_who_add_the_same_key_at_once_one_succeeds(database: str) -> None:
    """The others are told which one it is."""
    async with open_desk(database) as desk:
        answers = await asyncio.gather(*(desk.add() for _ in range(10)), return_exceptions=True)
        (added,) = [one for one in answers if not isinstance(one, BaseException)]
        assert [one.holder for one in answers if isinstance(one, CredentialTaken)] == [added] * 9


async def test_adding_can_be_repeated_when_nobody_knows_what_became_of_it(database: str) -> None:
    """With the same id it is stored once."""
    async with open_desk(database) as desk:
        api_key_id = new_event_id()
        assert await desk.add(api_key_id=api_key_id) == api_key_id
        with pytest.raises(ApiKeyRefused, match="refuses ApiKeyAdded: there is one of this id") as caught:
            await desk.add(api_key_id=api_key_id)
        assert (caught.value.api_key_id, caught.value.state) == (api_key_id, ApiKeyState.ACTIVE)
        assert await desk.types(api_key_id) == ["ApiKeyAdded"]


async def test_what_is_known_of_a_key_can_be_changed(database: str) -> None:
    """All at once; the same again is no event; and an expiry that is past stays only if it was so."""
    async with open_desk(database) as desk:
        added = await desk.add()
        await desk.doctor(added, EXPIRED)
        past = EXPIRED.expires_at
        assert past is not None
        about: dict[str, Any] = {"label": " desk 2 ", "permissions": [Permission.WITHDRAW], "expires_at": past}
        assert await desk.credentials.change(added, **about) is not None
        assert await desk.credentials.change(added, **about) is None
        with pytest.raises(InvalidCredential, match="expires_at: it is past"):
            await desk.credentials.change(added, **{**about, "expires_at": past + 1})
        row = await desk.row(added)
        assert (row.label, row.permitted, row.expires_at) == ("desk 2", (Permission.WITHDRAW,), past)
        with pytest.raises(ApiKeyRefused, match="it has expired"):
            await desk.credentials.reveal(added, "start")
        await desk.credentials.change(added, **{**about, "expires_at": None})
        assert (await desk.credentials.reveal(added, "start")).expires_at is None


async def test_a_key_that_is_replaced_takes_its_old_secrets_with_it(database: str) -> None:
    """They open no more; the old key is free for others, the new one is not."""
    async with open_desk(database) as desk:
        added, other = await desk.add("old"), await desk.add("other")
        before = await desk.row(added)
        with pytest.raises(CredentialTaken) as caught:
            await desk.credentials.replace(added, key="other", secret="s")
        assert caught.value.holder == other
        await desk.credentials.replace(added, key="new", secret="new secret")
        credential = await desk.credentials.reveal(added, "start")
        assert (credential.key, credential.secret, credential.passphrase) == (Secret("new"), Secret("new secret"), None)
        assert credential.permissions == before.permitted
        for field in ("key", "secret", "passphrase"):
            with pytest.raises(Erased):
                await desk.vault.reveal(api_key_stream(added), field, getattr(before, f"encrypted_{field}"))
        await desk.add("old")
        with pytest.raises(CredentialTaken):
            await desk.add("new")


async def test_a_replacement_that_dies_half_way_is_completed_by_calling_again(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The old secrets are left when the process dies after the append; the next call erases all that are past."""
    async with open_desk(database) as desk:
        added = await desk.add("old")
        before = await desk.row(added)

        async def dies(*_: object) -> int:
            raise KeyStoreUnavailable("gone")

        with monkeypatch.context() as patched:
            patched.setattr(Vault, "erase_values", dies)
            with pytest.raises(KeyStoreUnavailable):
                await desk.credentials.replace(added, key="new", secret="s")
        assert before.encrypted_key is not None
        assert await desk.vault.reveal(api_key_stream(added), "key", before.encrypted_key) == Secret("old")
        await desk.credentials.replace(added, key="new", secret="s")
        with pytest.raises(Erased):
            await desk.vault.reveal(api_key_stream(added), "key", before.encrypted_key)
        assert (await desk.credentials.reveal(added, "start")).key == Secret("new")
        assert await desk.vault.in_use() == {local_key().id: 3}


async def test_a_revoked_key_is_not_revealed_until_it_is_reactivated(database: str) -> None:
    """It can be exchanged for a new one meanwhile, and keeps the user from adding the same key again."""
    async with open_desk(database) as desk:
        added = await desk.add()
        await desk.credentials.revoke(added, "leaked")
        with pytest.raises(ApiKeyRefused, match=r"refuses ApiKeyRevealed: it is revoked$"):
            await desk.credentials.reveal(added, "start")
        with pytest.raises(CredentialTaken):
            await desk.add()
        await desk.credentials.replace(added, key="new", secret="s")
        assert not (await desk.row(added)).is_active
        await desk.credentials.reactivate(added, "new key")
        assert (await desk.credentials.reveal(added, "start")).key == Secret("new")
        assert (await desk.events(added))[1].event == ApiKeyRevoked(reason="leaked")


async def test_an_erased_key_can_be_added_again_as_another(database: str) -> None:
    """Erasing twice is one event; nothing else can be done with it."""
    async with open_desk(database) as desk:
        added = await desk.add()
        assert await desk.credentials.erase(added, "asked for") is not None
        assert await desk.credentials.erase(added) is None
        row = await desk.row(added)
        gone = (row.fingerprint, row.encrypted_key, row.encrypted_secret, row.encrypted_passphrase)
        assert gone == (None, None, None, None)
        assert row.erased_at is not None
        assert not row.is_active
        assert await desk.add() != added
        assert await desk.types(added) == ["ApiKeyAdded", "ApiKeyErased"]


# --- what is refused --------------------------------------------------------------------------------------

Doing = Callable[[Desk, Any], Awaitable[Any]]
DONE: dict[type, Doing] = {
    ApiKeyChanged: lambda desk, id_: desk.credentials.change(id_, label="x", permissions=[], expires_at=None),
    ApiKeyReplaced: lambda desk, id_: desk.credentials.replace(id_, key="x", secret="x"),
    ApiKeyRevoked: lambda desk, id_: desk.credentials.revoke(id_),
    ApiKeyReactivated: lambda desk, id_: desk.credentials.reactivate(id_),
    ApiKeyRevealed: lambda desk, id_: desk.credentials.reveal(id_, "start"),
    ApiKeyUsed: lambda desk, id_: desk.credentials.used(id_),
    ApiKeyErased: lambda desk, id_: desk.credentials.erase(id_),
}
ALLOWED: dict[ApiKeyState, set[type]] = {
    ApiKeyState.UNKNOWN: {ApiKeyAdded},
    ApiKeyState.ACTIVE: set(DONE) - {ApiKeyReactivated},
    ApiKeyState.EXPIRED: set(DONE) - {ApiKeyReactivated, ApiKeyRevealed},
    ApiKeyState.REVOKED: set(DONE) - {ApiKeyRevoked, ApiKeyRevealed},
    ApiKeyState.ERASED: {ApiKeyErased},
}


def test_the_rules_are_as_listed() -> None:
    """Every event in every state."""
    assert set(REFUSED) == {ApiKeyAdded, *DONE}
    assert {state: {one for one in REFUSED if state not in REFUSED[one]} for state in ApiKeyState} == ALLOWED


async def test_every_intent_is_refused_in_every_state_that_is_not_for_it(database: str) -> None:
    """With an error that says which state it is, and nothing stored."""
    async with open_desk(database) as desk:
        ids = {
            ApiKeyState.UNKNOWN: new_event_id(),
            ApiKeyState.ACTIVE: await desk.add("active"),
            ApiKeyState.EXPIRED: await desk.add("expired"),
            ApiKeyState.REVOKED: await desk.add("revoked"),
            ApiKeyState.ERASED: await desk.add("erased"),
        }
        await desk.credentials.revoke(ids[ApiKeyState.REVOKED])
        await desk.credentials.erase(ids[ApiKeyState.ERASED])
        await desk.doctor(ids[ApiKeyState.EXPIRED], EXPIRED)
        head = await desk.log.head()
        for state, api_key_id in ids.items():
            assert state_of(await desk.credentials.api_key(api_key_id), time.time_ns()) is state
            for intent, do in DONE.items():
                if intent not in ALLOWED[state]:
                    with pytest.raises(ApiKeyRefused) as caught:
                        await do(desk, api_key_id)
                    assert (caught.value.state, caught.value.intent) == (state, intent.__name__)
                    assert caught.value.reason == REFUSED[intent][state]
        assert await desk.log.head() == head


LONG = "x" * 10_000_000
BAD: list[tuple[str, dict[str, Any], str]] = [
    ("key", {"key": ""}, "empty"),
    ("key", {"key": " \n"}, "empty"),
    ("key", {"key": "canary "}, "begins or ends with white space"),
    ("key", {"key": "canary\0"}, "holds a NUL character or a lone surrogate"),
    ("key", {"key": b"canary"}, "bytes, expected text"),
    ("key", {"key": None}, "NoneType, expected text"),
    ("secret", {"secret": "canary\ud800"}, "holds a NUL character or a lone surrogate"),
    ("secret", {"secret": LONG}, "10000000 bytes, at most 16384 can be stored"),
    ("secret", {"secret": "ü" * 10_000}, "20000 bytes, at most 16384 can be stored"),
    ("passphrase", {"passphrase": ""}, "empty"),
    ("passphrase", {"passphrase": 5}, "int, expected text"),
    ("permissions", {"permissions": ["FLY"]}, "'FLY' is unknown; expected of READ, TRADE"),
    ("permissions", {"permissions": "READ"}, "a text; expected several"),
    ("permissions", {"permissions": [LONG]}, "str is unknown"),
    ("expires_at", {"expires_at": 1}, "it is past"),
    ("expires_at", {"expires_at": 2**63}, "more than 64 bits"),
    ("expires_at", {"expires_at": 1.5}, "float, expected nanoseconds UTC"),
    ("label", {"label": " "}, "0 characters, expected 1 to 255"),
    ("label", {"label": LONG}, "10000000 characters"),
    ("label", {"label": "\0"}, "holds a NUL character or a lone surrogate"),
    ("exchange", {"exchange": ""}, "0 characters, expected 1 to 64"),
    ("exchange", {"exchange": "a" + "\u0315\u0300" * 500_000}, "1000001 characters, expected 1 to 64"),
    ("exchange", {"exchange": "\ud800"}, "holds a NUL character or a lone surrogate"),
    ("exchange", {"exchange": None}, "NoneType, expected text"),
]


@pytest.mark.parametrize("backend", ["sqlite"])
async def test_what_cannot_be_stored_is_refused_by_its_name(database: str) -> None:
    """The error names the field and shows no secret, nor do its traceback's variables in our frames."""
    async with open_desk(database) as desk:
        head = await desk.log.head()
        for field, given, reason in BAD:
            with pytest.raises(InvalidCredential) as caught:
                await desk.add(**given)
            assert caught.value.field == field
            assert str(caught.value).startswith(f"{field}: {reason}")
            assert len(str(caught.value)) < 200
            assert "canary" not in shown(caught.value)
            assert "canary" not in variables(caught.value)
        assert await desk.log.head() == head
        assert await desk.vault.in_use() == {}


def variables(error: BaseException) -> str:
    """What the frames of the program hold; those of the test itself hold the secret."""
    frames, trace = [], error.__traceback__
    while trace is not None:
        if "/projections/" in trace.tb_frame.f_code.co_filename:
            frames.append(repr(trace.tb_frame.f_locals))
        trace = trace.tb_next
    assert frames
    return "\n".join(frames)


async def test_a_reason_is_needed_to_reveal(database: str) -> None:
    """And it can be stored."""
    async with open_desk(database) as desk:
        added = await desk.add()
        for reason in ("", "  ", "x" * 5_000, "\0"):
            with pytest.raises(InvalidCredential, match=r"^reason: "):
                await desk.credentials.reveal(added, reason)
        assert await desk.types(added) == ["ApiKeyAdded"]


async def test_a_user_who_is_not_known_has_no_keys(database: str) -> None:
    """Nothing is stored, neither an event nor a data key."""
    stranger = new_event_id()
    async with open_desk(database) as desk:
        head = await desk.log.head()
        with pytest.raises(OwnerRefused, match=f"user {stranger}: there is no such user") as caught:
            await desk.credentials.add(stranger, "binance", label="x", key=KEY, secret=SECRET)
        assert caught.value.user_id == stranger
        assert await desk.log.head() == head
        assert await desk.vault.in_use() == {}


async def test_the_keys_of_a_user_who_is_deactivated_are_not_revealed(database: str) -> None:
    """Nor added, replaced or reactivated; revoking and erasing them is always possible."""
    async with open_desk(database) as desk:
        added, other = await desk.add("one"), await desk.add("other")
        await desk.credentials.revoke(other)
        await desk.log.append(user_stream(desk.user_id), [SAMPLES["UserDeactivated"]])
        for attempt in (
            desk.add("two"),
            desk.credentials.reveal(added, "start"),
            desk.credentials.replace(added, key="x", secret="x"),
            desk.credentials.reactivate(other),
        ):
            with pytest.raises(OwnerRefused, match=f"^user {desk.user_id}: not active$"):
                await attempt
        await desk.credentials.revoke(added)
        await desk.credentials.erase(added)


def test_permissions_have_one_order() -> None:
    """So that two events that say the same are the same; the service sorts what it is given."""
    for permissions in ((Permission.TRADE, Permission.READ), (Permission.READ, Permission.READ)):
        with pytest.raises(InvalidEvent, match="permissions: not in order, or one of them twice"):
            ApiKeyChanged(label="x", permissions=permissions)


# --- revealing and using ----------------------------------------------------------------------------------


async def test_nothing_is_given_out_that_cannot_be_recorded(database: str) -> None:
    """An append that is refused leaves the caller without the secret."""
    async with open_desk(database) as desk:
        added = await desk.add()
        with pytest.raises(InvalidAppend) as caught:
            await desk.credentials.reveal(added, "start", actor="x" * 300)
        assert "canary" not in shown(caught.value)
        assert await desk.types(added) == ["ApiKeyAdded"]


async def test_who_reveals_while_it_is_revoked_comes_before_or_is_refused(database: str) -> None:
    """In two processes, too, which do not take turns: none is revealed behind the revocation."""
    async with open_desk(database) as desk, open_desk(database) as elsewhere:
        added = await desk.add()
        reveals = [one.credentials.reveal(added, "start") for one in (desk, elsewhere) for _ in range(4)]
        answers = await asyncio.gather(*reveals, elsewhere.credentials.revoke(added), return_exceptions=True)
        given_out = [one for one in answers[:-1] if not isinstance(one, BaseException)]
        types = await desk.types(added)
        assert types[-1] == "ApiKeyRevoked"
        assert types.count("ApiKeyRevealed") == len(given_out)


async def test_many_tasks_reveal_a_key_at_once(database: str) -> None:
    """Each gets it, and each is in the log."""
    async with open_desk(database) as desk:
        added = await desk.add()
        got = await asyncio.gather(*(desk.credentials.reveal(added, f"task {n}") for n in range(40)))
        assert {one.secret.reveal() for one in got} == {SECRET}
        assert (await desk.types(added)).count("ApiKeyRevealed") == 40


async def test_an_engine_gets_the_keys_that_may_trade(database: str) -> None:
    """Those of the user at the exchange that are active, and no others; each is in the log."""
    async with open_desk(database) as desk:
        first = await desk.add("first", exchange="Kraken")
        second = await desk.add("second", exchange="kraken")
        await desk.add("elsewhere")
        await desk.add("reads", exchange="kraken", permissions=["READ"])
        revoked = await desk.add("revoked", exchange="kraken")
        await desk.row(revoked)
        await desk.credentials.revoke(revoked)  # which the table does not know yet
        found = await desk.credentials.for_trading(desk.user_id, "KRAKEN", "start", actor="engine:1")
        assert [(one.api_key_id, one.key.reveal()) for one in found] == [(first, "first"), (second, "second")]
        assert [(await desk.events(one))[-1].actor for one in (first, second)] == ["engine:1"] * 2
        assert await desk.credentials.for_trading(new_event_id(), "kraken", "start") == []


async def test_uses_are_told_once_in_a_while(database: str) -> None:
    """However many there are, and however many processes; a shorter while tells more of them."""
    async with open_desk(database) as desk:
        added = await desk.add()
        await asyncio.gather(*(desk.credentials.used(added) for _ in range(50)))
        await Credentials(desk.log, desk.vault).used(added)
        assert await desk.types(added) == ["ApiKeyAdded", "ApiKeyUsed"]
        row = await desk.row(added)
        assert row.last_used_at is not None
        assert row.last_used_at >= row.created_at == row.updated_at
        eager = Credentials(desk.log, desk.vault, used_every=timedelta(0))
        for _ in range(3):
            await eager.used(added)
        assert (await desk.types(added)).count("ApiKeyUsed") == 4
