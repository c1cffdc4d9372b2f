"""Secrets of API keys against those who alter events, bring wrong keys, or want what was erased; and kill -9."""

from __future__ import annotations

import asyncio
import importlib
import itertools
import os
import signal
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import keyring
import pytest
import pytest_asyncio

from byjy_events import ApiKeyAdded, ApiKeyErased, ApiKeyReplaced, EventLog, api_key_stream
from byjy_events.grants import GRANTS, Kind
from byjy_events.sealing import (
    Erased,
    KeyFile,
    KeyStoreUnavailable,
    NotSealed,
    OsKeyring,
    SealBroken,
    SealedElsewhere,
    SealingError,
    UnknownDataKey,
    UnknownWrappingKey,
    Vault,
)
from byjy_events.secret import Secret
from projections import projections_as_of, rebuild, verify
from projections.api_keys.credentials import Credentials
from projections.api_keys.queries import ApiKeyQueries
from projections.api_keys.queries import api_key as statement_of
from projections.api_keys.table import ApiKeyRow
from projections.ownership import OWNERSHIP
from projections.queries import rows_of
from tests.api_keys import GIVEN, KEY, SECRET, Desk, everything, open_desk
from tests.cli import byjy, command, environment
from tests.postgres import Server
from tests.sealing import local_key, shown, user

MANY = 3_000
"""Data keys that are rotated while somebody kills the rotation."""


async def sealed(desk: Desk, key: str) -> tuple[Any, ApiKeyAdded]:
    """A key of the user, and the event that stored it."""
    added = await desk.add(key)
    event = (await desk.events(added))[0].event
    assert isinstance(event, ApiKeyAdded)
    return added, event


async def refused(desk: Desk, api_key_id: Any, error: type[SealingError]) -> SealingError:
    """Revealing a key raises this, shows no secret, and leaves no event that says that it was revealed."""
    before = await desk.types(api_key_id)
    with pytest.raises(error) as caught:
        await desk.credentials.reveal(api_key_id, "start")
    assert "canary" not in shown(caught.value)
    assert await desk.types(api_key_id) == before
    return caught.value


async def test_ciphertexts_of_two_keys_cannot_be_swapped(database: str) -> None:
    """A sealed value opens in its own row only; the error names both."""
    async with open_desk(database) as desk:
        _, theirs = await sealed(desk, "canary-theirs")
        mine, _ = await sealed(desk, "canary-mine")
        await desk.doctor(mine, ApiKeyReplaced(fingerprint=bytes(32), key=theirs.key, secret=theirs.secret))
        error = await refused(desk, mine, SealedElsewhere)
        assert isinstance(error, SealedElsewhere)
        assert (error.place.subject, error.place.field) == (api_key_stream(mine), "key")
        assert error.sealed_for.subject != error.place.subject


async def test_ciphertexts_of_two_fields_cannot_be_swapped(database: str) -> None:
    """So nobody gets a secret printed as if it was the key."""
    async with open_desk(database) as desk:
        added, event = await sealed(desk, KEY)
        await desk.doctor(added, ApiKeyReplaced(fingerprint=bytes(32), key=event.secret, secret=event.key))
        error = await refused(desk, added, SealedElsewhere)
        assert isinstance(error, SealedElsewhere)
        assert (error.place.field, error.sealed_for.field) == ("key", "secret")


FLIPPED: dict[int, type[SealingError]] = {
    0: NotSealed,  # the version
    1: UnknownDataKey,  # the data key's id
    16: UnknownDataKey,
    17: SealBroken,  # the nonce
    29: SealBroken,  # the ciphertext
    -1: SealBroken,  # the tag
}


async def test_a_flipped_bit_is_noticed(database: str) -> None:
    """Wherever it is."""
    async with open_desk(database) as desk:
        added, event = await sealed(desk, KEY)
        for place, error in FLIPPED.items():
            altered = bytearray(event.secret)
            altered[place] ^= 1
            await desk.doctor(added, ApiKeyReplaced(fingerprint=bytes(32), key=event.key, secret=bytes(altered)))
            found = await refused(desk, added, error)
            assert found.place.field == "secret"


async def test_truncated_and_lengthened_values_are_noticed(database: str) -> None:
    """By one byte as by all but one."""
    async with open_desk(database) as desk:
        added, event = await sealed(desk, KEY)
        for altered, error in (
            (event.secret[:-1], SealBroken),
            (event.secret + b"\0", SealBroken),
            (event.secret[:45], NotSealed),
            (event.secret[:1], NotSealed),
        ):
            await desk.doctor(added, ApiKeyReplaced(fingerprint=bytes(32), key=event.key, secret=altered))
            await refused(desk, added, error)


async def test_a_wrong_key_encryption_key_opens_nothing(database: str) -> None:
    """And adds nothing: the error says which one is needed."""
    async with open_desk(database) as desk:
        added = await desk.add()
        head = await desk.log.head()
        wrong = Credentials(desk.log, Vault(desk.log, local_key(9)))
        with pytest.raises(UnknownWrappingKey) as caught:
            await wrong.reveal(added, "start")
        assert (caught.value.key_id, caught.value.provided) == (local_key().id, (local_key(9).id,))
        with pytest.raises(UnknownWrappingKey):
            await wrong.add(desk.user_id, "binance", **GIVEN)
        assert await desk.log.head() == head


async def test_replacing_after_an_altered_event_erases_only_what_is_the_keys_own(database: str) -> None:
    """A doctored event that names another key's secrets does not get them erased."""
    async with open_desk(database) as desk:
        theirs, event = await sealed(desk, "theirs")
        mine, _ = await sealed(desk, "mine")
        await desk.doctor(mine, ApiKeyReplaced(fingerprint=bytes(32), key=event.key, secret=b"no sealed value"))
        await desk.credentials.replace(mine, key="new", secret="s")
        assert (await desk.credentials.reveal(theirs, "start")).key == Secret("theirs")
        assert (await desk.credentials.reveal(mine, "start")).key == Secret("new")


# --- erasing ----------------------------------------------------------------------------------------------


async def test_what_is_erased_is_gone_from_everywhere_but_the_log(database: str) -> None:
    """Not in a table, not in the past, not after a rebuild; the log reads as before, and every hash holds."""
    async with open_desk(database) as desk:
        added, event = await sealed(desk, KEY)
        assert (await desk.row(added)).encrypted_key == event.key
        head = await desk.log.head()
        before = [(one.payload, one.leaf_hash) async for one in desk.log.read(checked=True)]
        await desk.credentials.erase(added, "asked for")
        after = [(one.payload, one.leaf_hash) async for one in desk.log.read(checked=True)]
        assert after[: len(before)] == before
        row = await desk.row(added)
        assert (row.encrypted_key, row.is_active) == (None, False)
        assert (await verify(desk.log, OWNERSHIP)).differences == 0
        await rebuild(desk.log, OWNERSHIP)
        assert await desk.row(added) == row
        assert "canary" not in await everything(desk.log)
        async with projections_as_of(desk.log, head, group=OWNERSHIP) as past:
            (then,) = rows_of(ApiKeyRow, await past.fetch(statement_of(added)))
        assert then.erased_at is None
        for field in ("key", "secret", "passphrase"):
            value = getattr(then, f"encrypted_{field}")
            assert value == getattr(event, field)
            with pytest.raises(Erased):
                await desk.vault.reveal(api_key_stream(added), field, value)


async def test_an_erasure_that_dies_half_way_is_completed_by_calling_again(database: str) -> None:
    """The event is first; until the data keys are gone too, nobody reveals the key any more."""
    async with open_desk(database) as desk:
        added, event = await sealed(desk, KEY)
        await desk.doctor(added, ApiKeyErased())
        assert await desk.vault.reveal(api_key_stream(added), "key", event.key) == Secret(KEY)
        assert await desk.credentials.erase(added) is None
        with pytest.raises(Erased):
            await desk.vault.reveal(api_key_stream(added), "key", event.key)


async def test_erasing_one_key_leaves_the_others(database: str) -> None:
    """Also those of the same user and exchange, and the keyed hashes."""
    async with open_desk(database) as desk:
        first, second = await desk.add("first"), await desk.add("second")
        await desk.credentials.erase(first)
        assert (await desk.credentials.reveal(second, "start")).key == Secret("second")
        await desk.add("first")


# --- rotating ---------------------------------------------------------------------------------------------


async def test_a_rotation_that_is_killed_is_completed_by_running_it_again(database: str, tmp_path: Path) -> None:
    """``byjy keys rotate``, kill -9 in the midst of it, and again: every API key opens with the new key alone."""
    files = [tmp_path / f"{n}.key" for n in range(6)]
    async with open_desk(database, KeyFile(files[0])) as desk:
        keys = [await desk.add(f"key {n}") for n in range(3)]
        await desk.vault.seal_all(user(1), {f"f{n}": "x" for n in range(MANY)})
        midway = False
        for old, new in itertools.pairwise(files):  # until one was caught in the midst
            arguments = ("keys", "rotate", "--key-file", str(old), "--new-key-file", str(new))
            midway = await killed_midway(desk.vault, database, *arguments)
            done = await asyncio.to_thread(byjy, *arguments, "--json", database=database)
            assert (done.returncode, done.stderr) == (0, "")
            assert '"remaining":0' in done.stdout
            credentials = Credentials(desk.log, Vault(desk.log, KeyFile(new, create=False)))
            assert [(await credentials.reveal(one, "start")).key.reveal() for one in keys] == [
                f"key {n}" for n in range(3)
            ]
            if midway:
                break
        assert midway


async def killed_midway(vault: Vault, database: str, *arguments: str) -> bool:
    """Run a command until some data keys are under another key; whether it was killed before all were."""
    before = await vault.in_use()
    process = subprocess.Popen(  # noqa: ASYNC220
        command(*arguments), env=environment(database), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    while await vault.in_use() == before and process.poll() is None:  # noqa: ASYNC110
        await asyncio.sleep(0.001)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    return len(await vault.in_use()) == 2


# --- providers and roles ----------------------------------------------------------------------------------


async def test_the_keyring_of_the_operating_system_keeps_the_key(database: str) -> None:
    """Through the real library and a backend of its own kind, in memory."""
    backend = in_memory()
    before = keyring.get_keyring()
    keyring.set_keyring(backend)
    try:
        async with open_desk(database, OsKeyring(service="trading")) as desk:
            added = await desk.add()
            elsewhere = Credentials(desk.log, Vault(desk.log, OsKeyring(service="trading", create=False)))
            assert (await elsewhere.reveal(added, "start")).secret == Secret(SECRET)
        assert list(backend.entries) == [("trading", "default")]
    finally:
        keyring.set_keyring(before)


def in_memory() -> Any:
    base: Any = importlib.import_module("keyring.backend").KeyringBackend

    class InMemory(base):  # type: ignore[misc]
        priority = 1

        def __init__(self) -> None:
            super().__init__()
            self.entries: dict[tuple[str, str], str] = {}

        def get_password(self, service: str, username: str) -> str | None:
            return self.entries.get((service, username))

        def set_password(self, service: str, username: str, password: str) -> None:
            self.entries[service, username] = password

    return InMemory()


@pytest_asyncio.fixture
async def roles(database: str, postgresql: Server) -> AsyncIterator[dict[Kind, str]]:
    """URLs of an engine and an auditor, each with its grants alone."""
    owner = await asyncpg.connect(database)
    name = await owner.fetchval("SELECT current_database()")
    names = {kind: f"keys_{kind}" for kind in (Kind.ENGINE, Kind.AUDITOR)}
    for kind, role in names.items():
        await owner.execute(f"CREATE ROLE {role} LOGIN")
        for statement in GRANTS[kind](role, database=name):
            await owner.execute(statement)
    yield {kind: postgresql.url(name, role) for kind, role in names.items()}
    for role in names.values():
        await owner.execute(f"DROP OWNED BY {role}")
        await owner.execute(f"DROP ROLE {role}")
    await owner.close()


@pytest.mark.parametrize("backend", ["postgresql"])
async def test_an_engine_does_all_of_it_and_an_auditor_sees_no_secret(roles: dict[Kind, str]) -> None:
    """With the least rights of PostgreSQL: the auditor reads the table and the log, and no key."""
    async with open_desk(roles[Kind.ENGINE]) as desk:
        added = await desk.add()
        await desk.credentials.used(added)
        await desk.credentials.replace(added, key="new", secret="s")
        row = await desk.row(added)
        async with EventLog.open(roles[Kind.AUDITOR]) as log:
            assert await ApiKeyQueries(log.engine).page() == [row]
            assert (await verify(log, OWNERSHIP)).differences == 0
            auditor = Credentials(log, Vault(log, local_key()))
            with pytest.raises(KeyStoreUnavailable, match="permission denied for table key_store"):
                await auditor.reveal(added, "curious")
        assert (await desk.credentials.reveal(added, "start")).key == Secret("new")
        await desk.vault.rotate(local_key(2))
        await desk.credentials.erase(added)
        assert "ApiKeyErased" in await desk.types(added)
