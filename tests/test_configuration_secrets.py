"""Secret configuration: sealed, shown by revealing alone, and every revealing is recorded."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from byjy_events import (
    ConfigurationRevealed,
    ConfigurationSet,
    EventLog,
    InvalidEvent,
    ValueType,
    configuration_stream,
)
from byjy_events.json_text import InvalidJson
from byjy_events.sealing import Erased, SealBroken, SealedElsewhere, StrangeWrappingKey, UnknownWrappingKey, Vault
from byjy_events.secret import Secret
from projections import CONFIGURATION, Configuration, Json, catch_up
from projections.configuration.errors import (
    ConfigurationNotSet,
    IsSecret,
    NotSecret,
    NoVault,
    SecrecyKept,
    UnknownVersion,
    ValueMisfit,
    ValueTypeKept,
)
from tests.replay import events_of
from tests.sealing import local_key, shown

KEY = "venue.binance.token"
CANARY = "canary-7f3a"


def with_vault(log: EventLog, number: int = 1, **more: Any) -> Configuration:
    return Configuration(log, vault=Vault(log, local_key(number)), **more)


async def test_a_secret_is_shown_by_revealing_alone(database: str) -> None:
    """Neither by what is read, listed, watched or kept of it, nor by the log and the table."""
    async with EventLog.open(database) as log:
        config = with_vault(log)
        made = await config.set(KEY, Secret(CANARY), secret=True, description="For orders.")
        await config.set("plain", 1)
        assert (made.is_secret, made.text, made.value_type) == (True, None, "STRING")
        with pytest.raises(IsSecret, match="version 1 is secret: reveal it") as hidden:
            await config.get(KEY)
        assert (hidden.value.key, hidden.value.version) == (KEY, 1)
        with pytest.raises(IsSecret):
            await config.get(KEY, type=str, default="x")
        await config.set(KEY, Secret(CANARY))
        with pytest.raises(IsSecret):
            await config.diff(KEY, 1, 2)
        await catch_up(log, CONFIGURATION)
        seen = [*await config.all(), *await config.history(KEY), await anext(config.watch(KEY)), *await events_of(log)]
        assert CANARY not in repr(seen)
        assert (await config.reveal(KEY, "to show it")).reveal() == CANARY


async def test_revealing_is_recorded_before_it_shows(database: str) -> None:
    """Who, which version and why; the versions of the key do not count it, and writers take no notice."""
    async with EventLog.open(database) as log:
        config = with_vault(log)
        await config.set(KEY, Secret("one"), secret=True)
        await config.set(KEY, Secret("two"))
        assert (await config.reveal(KEY, "audit", version=1, actor="auditor")).reveal() == "one"
        (*_, last) = await events_of(log)
        assert last.event == ConfigurationRevealed(key=KEY, version=1, reason="audit")
        assert (last.actor, last.stream) == ("auditor", configuration_stream(KEY))
        assert (await config.set(KEY, Secret("three"), expected_version=2)).version == 3
        assert [one.version for one in await config.history(KEY)] == [1, 2, 3]


async def test_what_is_not_recorded_is_not_shown(database: str) -> None:
    """A reason that cannot be stored, or a log that is closed."""
    async with EventLog.open(database) as log:
        config = with_vault(log)
        await config.set(KEY, Secret(CANARY), secret=True)
        for reason in ("", "x" * 4097, "a\0b"):
            with pytest.raises(InvalidEvent) as refused:
                await config.reveal(KEY, reason)
            assert refused.value.field == "reason"
        assert await log.head() == 1


@pytest.mark.parametrize(
    ("value", "revealed"),
    [("text", "text"), ({"b": 1, "a": "x"}, '{"a":"x","b":1}'), (5, "5"), (Json(Secret('{"a": 1}')), '{"a":1}')],
    ids=str,
)
async def test_a_secret_may_be_any_json(database: str, value: Any, revealed: str) -> None:
    """A text is revealed as it is, anything else as JSON."""
    async with EventLog.open(database) as log:
        config = with_vault(log)
        await config.set(KEY, value, secret=True)
        assert (await config.reveal(KEY, "why")).reveal() == revealed


async def test_what_cannot_be_revealed_says_why(database: str) -> None:
    """A plain value, none at all, a version that there is not or that took the value away."""
    async with EventLog.open(database) as log:
        config = with_vault(log)
        await config.set("plain", 1)
        with pytest.raises(NotSecret, match="version 1 is not secret"):
            await config.reveal("plain", "why")
        with pytest.raises(ConfigurationNotSet):
            await config.reveal(KEY, "why")
        await config.set(KEY, Secret("x"), secret=True)
        await config.remove(KEY)
        with pytest.raises(ConfigurationNotSet, match="removed in version 2"):
            await config.reveal(KEY, "why")
        with pytest.raises(ConfigurationNotSet):
            await config.reveal(KEY, "why", version=2)
        with pytest.raises(UnknownVersion):
            await config.reveal(KEY, "why", version=3)
        assert (await config.reveal(KEY, "why", version=1)).reveal() == "x"


# --- secret and plain --------------------------------------------------------------------------------------


async def test_secrecy_changes_only_when_somebody_says_so(database: str) -> None:
    """A value for a secret key is sealed, a secret for a plain key refused; either way round takes ``secret=``."""
    async with EventLog.open(database) as log:
        config = with_vault(log)
        await config.set(KEY, "plain")
        for value in (Secret(CANARY), Json(Secret(f'"{CANARY}"'))):
            for secret in (None, False):
                with pytest.raises(SecrecyKept) as refused:
                    await config.set(KEY, value, secret=secret)
                assert CANARY not in shown(refused.value)
        assert (await config.set(KEY, "now secret", secret=True)).is_secret
        assert (await config.set(KEY, "still secret")).is_secret
        assert (await config.reveal(KEY, "why")).reveal() == "still secret"
        opened = await config.set(KEY, "plain again", secret=False)
        assert (opened.is_secret, opened.value, opened.sealed_value) == (False, "plain again", None)


async def test_a_rollback_never_makes_a_secret_plain(database: str) -> None:
    """An old secret is sealed anew, and refused for a key that is plain now; an old plain value becomes secret."""
    async with EventLog.open(database) as log:
        config = with_vault(log)
        await config.set(KEY, "was plain")
        first = await config.set(KEY, Secret("was secret"), secret=True)
        assert (await config.rollback(KEY, 1)).is_secret
        assert (await config.reveal(KEY, "why")).reveal() == "was plain"
        again = await config.rollback(KEY, 2)
        assert again.sealed_value not in (None, first.sealed_value)
        assert (await config.reveal(KEY, "why")).reveal() == "was secret"
        await config.set(KEY, "plain", secret=False)
        with pytest.raises(SecrecyKept):
            await config.rollback(KEY, 2)
        await config.remove(KEY)
        assert (await config.rollback(KEY, 2)).is_secret


async def test_a_secret_that_was_removed_stays_secret(database: str) -> None:
    """Whoever sets it again need not remember that it was one; nor whoever goes back to what was plain once."""
    async with EventLog.open(database) as log:
        config = with_vault(log)
        await config.set(KEY, "was plain")
        await config.set(KEY, Secret("was secret"), secret=True)
        await config.remove(KEY)
        assert await config.is_secret(KEY)
        with pytest.raises(NoVault):
            await Configuration(log).set(KEY, CANARY)
        for again in (config.set(KEY, CANARY), config.set(KEY, Secret(CANARY)), config.rollback(KEY, 1)):
            assert (await again).is_secret
            await config.remove(KEY)
        await config.set("plain", 1)
        await config.remove("plain")
        assert not (await config.set("plain", 2)).is_secret
        assert not (await config.set(KEY, "plain again", secret=False)).is_secret
        await config.remove(KEY)
        assert not await config.is_secret(KEY)
        with pytest.raises(SecrecyKept):
            await config.set(KEY, Secret(CANARY))


async def test_of_secrets_the_type_is_kept_too(database: str) -> None:
    """It is no secret."""
    async with EventLog.open(database) as log:
        config = with_vault(log)
        await config.set(KEY, Secret("x"), secret=True)
        with pytest.raises(ValueTypeKept, match="is STRING, and INTEGER was given"):
            await config.set(KEY, 5)


# --- what is wrong is said, without the secret -------------------------------------------------------------


class Credentials(msgspec.Struct, forbid_unknown_fields=True):
    """A type for a secret."""

    level: int


@pytest.mark.parametrize(
    ("value", "error", "path"),
    [
        ({"level": CANARY}, ValueMisfit, "$.level"),
        ({"level": 1, CANARY: 1}, ValueMisfit, "$"),
        (Json(Secret(f'{{"{CANARY}": 1, "{CANARY}": 2}}')), InvalidJson, "$"),
        (Json(Secret(f'{{"{CANARY}": NaN}}')), InvalidJson, "$"),
        (Secret(f"{CANARY}\0"), InvalidJson, "$"),
        (Secret(f"{CANARY}\ud800"), InvalidJson, "$"),
        (Secret(CANARY * 50_000), InvalidJson, "$"),
    ],
    ids=["misfit", "unknown field", "twice", "NaN", "NUL", "surrogate", "too long"],
)
async def test_a_secret_that_is_refused_is_not_shown(
    migrated_file: str, value: Any, error: type[Exception], path: str
) -> None:
    """Neither by the error nor by those behind it; the path of a field may be told."""
    async with EventLog.open(f"sqlite:///{migrated_file}", read_only=True) as log:
        config = with_vault(log, types={KEY: Credentials})
        with pytest.raises(error) as refused:
            await config.set(KEY, value, secret=True)
    assert refused.value.path == path  # type: ignore[attr-defined]
    assert "secret" in str(refused.value)
    assert CANARY not in shown(refused.value)
    assert refused.value.__context__ is None


async def test_without_a_vault_secrets_are_refused(database: str) -> None:
    """Clearly, before anything is stored; everything else goes on, and a secret may be replaced by a plain value."""
    async with EventLog.open(database) as log:
        await with_vault(log).set(KEY, Secret("x"), secret=True)
        config = Configuration(log)
        for attempt in (
            config.set("new", Secret("y"), secret=True),
            config.set(KEY, "y"),
            config.rollback(KEY, 1),
            config.reveal(KEY, "why"),
        ):
            with pytest.raises(NoVault, match="no vault was given"):
                await attempt
        assert await log.head() == 1
        assert (await config.history(KEY))[0].is_secret
        assert (await config.set(KEY, "plain", secret=False)).value == "plain"
        assert (await config.remove(KEY)).version == 3


async def test_a_wrong_key_neither_opens_nor_seals(database: str) -> None:
    """And says which key is needed."""
    async with EventLog.open(database) as log:
        await with_vault(log).set(KEY, Secret("x"), secret=True)
        wrong = with_vault(log, 2)
        with pytest.raises(UnknownWrappingKey) as unknown:
            await wrong.reveal(KEY, "why")
        assert unknown.value.place.subject == configuration_stream(KEY)
        with pytest.raises(StrangeWrappingKey):
            await wrong.set(KEY, Secret("y"))
        assert await log.head() == 1


async def test_ciphertexts_that_were_swapped_or_altered_do_not_open(database: str) -> None:
    """A sealed value is bound to its key, whoever appends it under another."""
    async with EventLog.open(database) as log:
        config = with_vault(log)
        made = await config.set(KEY, Secret("x"), secret=True)
        sealed = made.sealed_value
        assert sealed is not None
        for key, value, error in (
            ("venue.kucoin.token", sealed, SealedElsewhere),
            (KEY, sealed[:-1] + bytes([sealed[-1] ^ 1]), SealBroken),
        ):
            forged = ConfigurationSet(
                key=key,
                value="",
                sealed_value=value,
                value_type=ValueType.STRING,
                description="",
                is_secret=True,
                version=1 if key != KEY else 2,
            )
            await log.append(configuration_stream(key), [forged])
            head = await log.head()
            with pytest.raises(error):
                await config.reveal(key, "why")
            assert await log.head() == head


async def test_an_erased_secret_is_gone_and_the_key_lives_on(database: str) -> None:
    """Of all its versions; a new one is sealed under a new data key."""
    async with EventLog.open(database) as log:
        vault = Vault(log, local_key())
        config = Configuration(log, vault=vault)
        await config.set(KEY, Secret("x"), secret=True)
        await vault.erase(configuration_stream(KEY))
        for attempt in (config.reveal(KEY, "why"), config.rollback(KEY, 1)):
            with pytest.raises(Erased):
                await attempt
        await config.set(KEY, Secret("y"))
        assert (await config.reveal(KEY, "why")).reveal() == "y"


async def test_writers_of_secrets_race_like_others(database: str) -> None:
    """Every one is sealed once, whatever it has to decide anew."""
    async with EventLog.open(database) as log, EventLog.open(database) as other:
        first, second = with_vault(log), with_vault(other)
        await first.set(KEY, Secret("0"), secret=True)
        await asyncio.gather(*(one.set(KEY, Secret("x")) for one in (first, second) for _ in range(3)))
        assert [one.version for one in await first.history(KEY)] == list(range(1, 8))
        assert sum((await first._vault.in_use()).values()) == 7  # type: ignore[union-attr]
