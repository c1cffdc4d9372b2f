"""Erasing: the data key is gone from the database's files, and the secret from every event, table and replay."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterable

import pytest

from byjy_events import EventLog, new_order_id, order_stream
from byjy_events.database import SQLITE_PRAGMAS
from byjy_events.identifiers import uuid_of
from byjy_events.sealing import Erased, Vault, sqlite_writer
from byjy_events.sealing.key_store import KeyStore
from byjy_events.sealing.sqlite_writer import SqliteKeyWriter
from byjy_events.sealing.wrapping import Wrapping
from byjy_events.secret import Secret
from byjy_events.sqlite import lane
from byjy_events.sqlite.backend import SqliteBackend
from byjy_events.vocabulary.venue import VenueMessageUnusable
from tests.sample_events import placed
from tests.sealing import carrying, local_key, open_vault, raw_bytes, stored_keys, user

SECRET = "a secret that nobody can mistake for anything else"


async def test_what_is_erased_cannot_be_revealed(database: str) -> None:
    """The error says when. Other fields and other subjects are not touched, and erasing twice erases nothing more."""
    async with open_vault(database) as vault, open_vault(database) as other_process:
        values = await vault.seal_all(user(1), {"email": SECRET, "name": SECRET})
        theirs = await vault.seal(user(2), "email", SECRET)
        before = time.time_ns()
        assert await vault.erase(user(1), "email") == 1
        assert await vault.erase(user(1), "email") == 0
        for one in (vault, other_process):
            with pytest.raises(Erased, match=f"{user(1)}/email: erased at 20") as caught:
                await one.reveal(user(1), "email", values["email"])
            assert before <= caught.value.erased_at <= time.time_ns()
            assert await one.reveal(user(1), "name", values["name"]) == Secret(SECRET)
        assert await vault.erase(user(1)) == 1
        with pytest.raises(Erased):
            await vault.reveal(user(1), "name", values["name"])
        assert await vault.reveal(user(2), "email", theirs) == Secret(SECRET)
        assert await vault.in_use() == {local_key().id: 1}
        assert list((await stored_keys(database)).values()).count(None) == 2


async def test_after_erasing_a_subject_can_have_secrets_again(database: str) -> None:
    """New ones: what was erased stays erased."""
    async with open_vault(database) as vault:
        old = await vault.seal(user(1), "email", SECRET)
        await vault.erase(user(1))
        new = await vault.seal(user(1), "email", "another")
        assert await vault.reveal(user(1), "email", new) == Secret("another")
        with pytest.raises(Erased):
            await vault.reveal(user(1), "email", old)


async def test_single_values_can_be_erased(database: str) -> None:
    """Of one subject and no other, whatever it is given; the same field may have been sealed again since."""
    async with open_vault(database) as vault:
        old, new = [await vault.seal(user(1), "email", SECRET) for _ in range(2)]
        theirs = await vault.seal(user(2), "email", SECRET)
        assert await vault.erase_values(user(1), [old, theirs, b"", b"no sealed value", bytes(60)]) == 1
        assert await vault.erase_values(user(1), [old]) == 0
        assert await vault.erase_values(user(1), []) == 0
        with pytest.raises(Erased):
            await vault.reveal(user(1), "email", old)
        assert await vault.reveal(user(1), "email", new) == Secret(SECRET)
        assert await vault.reveal(user(2), "email", theirs) == Secret(SECRET)


async def test_erasing_leaves_the_log_as_it_is(database: str) -> None:
    """Every event is there as it was appended, with a leaf hash that is right; but a replay reveals nothing."""
    async with EventLog.open(database) as log:
        vault = Vault(log, local_key())
        value = await vault.seal(user(1), "email", SECRET)
        await log.append(user(1), [carrying(value)])
        before = [one async for one in log.read(checked=True)]
        await vault.erase(user(1))
        after = [one async for one in log.read(checked=True)]
        assert [(one.payload, one.leaf_hash) for one in after] == [(one.payload, one.leaf_hash) for one in before]
        assert isinstance(after[0].event, VenueMessageUnusable)
        with pytest.raises(Erased):
            await vault.reveal(user(1), "email", after[0].event.raw)


@pytest.mark.parametrize("backend", ["sqlite"])
async def test_nothing_of_an_erased_secret_is_in_the_files(database: str) -> None:
    """Neither the plain text nor the data key ever was; the wrapped key was, and is no more, in the file or its WAL.

    Many are erased in no order, so that rows move from page to page.
    """
    subjects = [user(number) for number in range(1, 301)]
    chance = random.Random(5)
    chance.shuffle(subjects)
    async with EventLog.open(database) as log:
        vault = Vault(log, local_key())
        values = {subject: await vault.seal(subject, "email", f"{SECRET} {subject.id}") for subject in subjects}
        wrapped = await stored_keys(database)
        data_keys = await opened(log, values.values())
        raw = await raw_bytes(database)
        assert all(key is not None and key in raw for key in wrapped.values())
        gone = subjects[:250]
        for subject in gone:
            assert await vault.erase(subject) == 1
        raw = await raw_bytes(database)
        assert all(data_key not in raw for data_key in data_keys)
        assert SECRET.encode() not in raw
        gone_ids = {uuid_of(values[subject][1:17]) for subject in gone}
        kept = {data_key_id for data_key_id, key in wrapped.items() if key is not None and key in raw}
        assert kept == set(wrapped) - gone_ids


async def opened(log: EventLog, values: Iterable[bytes]) -> list[bytes]:
    """The data keys in plain text, as nobody ever gets them from a vault."""
    assert isinstance(log.backend, SqliteBackend)
    store, wrapping = KeyStore(log, SqliteKeyWriter(log.backend)), Wrapping([local_key()])
    found = []
    for value in values:
        stored = await store.find(uuid_of(value[1:17]))
        assert stored is not None
        found.append((await wrapping.unwrapped(stored)).reveal())
    return found


@pytest.mark.parametrize("backend", ["sqlite"])
async def test_a_reader_keeps_an_erased_key_in_the_wal_no_longer_than_it_reads(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The erasure does not wait for ever; when the reader is through, erasing again empties the WAL."""
    monkeypatch.setattr(sqlite_writer, "EMPTYING_ATTEMPTS", 2)
    async with EventLog.open(database) as log:
        vault = Vault(log, local_key())
        await vault.seal(user(1), "email", SECRET)
        ((_, wrapped),) = (await stored_keys(database)).items()
        assert wrapped is not None
        async with log.engine.connect() as reader:
            await reader.exec_driver_sql("SELECT count(*) FROM key_store")
            assert await vault.erase(user(1)) == 1
            assert wrapped in await raw_bytes(database)
        assert await vault.erase(user(1)) == 0
        assert wrapped not in await raw_bytes(database)


@pytest.mark.parametrize("backend", ["sqlite"])
async def test_an_erased_key_that_had_to_stay_in_the_wal_is_gone_once_others_have_written(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever in the WAL it lies, and although whoever erased it has closed his log."""
    monkeypatch.setattr(lane, "FULL_SECONDS", 0.0)
    monkeypatch.setattr(lane, "EMPTYING_SECONDS", 0.0)
    monkeypatch.setattr(sqlite_writer, "EMPTYING_ATTEMPTS", 2)
    async with EventLog.open(database) as log:
        async with log.engine.connect() as reader:
            await reader.exec_driver_sql("SELECT count(*) FROM key_store")
            await log.append(order_stream(new_order_id()), [placed()] * 500)
            async with open_vault(database) as vault:
                await vault.seal(user(1), "email", SECRET)
                ((_, wrapped),) = (await stored_keys(database)).items()
                assert wrapped is not None
                assert await vault.erase(user(1)) == 1
            assert wrapped in await raw_bytes(database)
        for _ in range(2):  # the WAL is looked after when a caller has his answer already
            await log.append(order_stream(new_order_id()), [placed()])
        assert wrapped not in await raw_bytes(database)


def test_every_connection_to_sqlite_overwrites_what_it_deletes() -> None:
    """However SQLite was compiled: some builds do so by default, others do not."""
    assert "PRAGMA secure_delete = ON" in SQLITE_PRAGMAS


@pytest.mark.parametrize("backend", ["sqlite"])
async def test_the_write_lane_overwrites_what_it_deletes(database: str) -> None:
    """The setting is in force where keys are erased."""
    async with EventLog.open(database) as log:
        assert isinstance(log.backend, SqliteBackend)
        assert await log.backend.lane.run(lambda lane: lane.execute("PRAGMA secure_delete").fetchone()) == (1,)


async def test_erasing_while_others_seal_and_reveal(database: str) -> None:
    """Whoever reveals gets the secret or is told that it was erased; nothing else happens."""

    async def reveal(value: bytes) -> bool:
        try:
            return bool(await vault.reveal(user(1), "email", value) == Secret(SECRET))
        except Erased:
            return False

    async with open_vault(database) as vault:
        values = [await vault.seal(user(1), "email", SECRET) for _ in range(20)]
        outcomes = await asyncio.gather(
            *map(reveal, values), vault.erase(user(1)), *map(reveal, values), vault.seal(user(2), "email", SECRET)
        )
        assert outcomes[20] == 20
        assert [await reveal(value) for value in values] == [False] * 20
