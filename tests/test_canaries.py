"""A thousand secrets are planted through every interface and command, and seen only where they are asked for.

What is planted and where: ``canary_plants`` and ``canary_commands``; what is looked at: ``canary_places``. Beside the
canaries decoys are planted, which are no secrets: they have to be found in every kind of place, or the search is blind.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import io
import json
import logging
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import asyncpg
import pytest
import structlog

from byjy_events import ApiKeyAdded, ApiKeyReplaced, EventLog, configuration_stream
from byjy_events.errors import LogClosed
from byjy_events.log_sink import SystemLogSink
from byjy_events.recorded import Recorded
from byjy_events.redaction import Redactor
from byjy_events.sealing import Erased, KeyFile, Vault
from byjy_events.secret import Secret
from byjy_events.stream import Stream
from projections import CONFIGURATION, OWNERSHIP, TRAIL, Configuration, catch_up
from projections.api_keys.queries import ApiKeyQueries
from projections.users.queries import UserQueries
from tests.canaries import SHAPES, Canaries, Canary, Search, spellings
from tests.canary_commands import Operator, in_sight
from tests.canary_places import Finding, Places, see_events, see_files, see_tables
from tests.canary_plants import Plants, Sealed
from tests.conftest import BACKENDS, _new_database
from tests.logged import stored
from tests.sealing import raw_bytes, stored_keys

ROUNDS, ENTRIES = 4, 9
"""How often each interface is gone through, and in each round the logging; together they take a thousand canaries."""

KINDS = {
    "tables", "events", "exceptions", "objects", "log lines", "log records",
    "standard output", "standard error", "exports", "proofs", "process arguments", "process environment",
}  # fmt: skip
"""Where decoys have to be found; besides on SQLite the files of the database, on PostgreSQL what the server logs."""

LOGGERS = ("aiosqlite", "asyncpg", "asyncio", "sqlalchemy", "alembic", "concurrent", "engine")
"""Of the standard library: who may be told of secrets."""


class Sown(NamedTuple):
    """A database that all has been planted in, closed, with one of all subjects erased.

    Attributes:
        erased: the streams of what was erased.
        forgotten: the wrapped data keys that went with it.
        sealed: what the vault sealed by itself.
        findings: canaries, keys and decoys, wherever they are.
    """

    url: str
    key_file: Path
    canaries: Canaries
    decoys: Canaries
    places: Places
    operator: Operator
    signing_key: Path
    erased: set[Stream]
    forgotten: list[bytes]
    sealed: list[tuple[Sealed, Canary]]
    findings: list[Finding]


@pytest.fixture(scope="module", params=BACKENDS)
def sown(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sown]:
    """Planted once for each kind of database."""
    folder = tmp_path_factory.mktemp("canaries")
    for name in ("database", "exports", "proofs"):
        (folder / name).mkdir()
    if request.param == "sqlite":
        path = folder / "database" / "log.db"
        shutil.copyfile(request.getfixturevalue("migrated_file"), path)
        yield searched(sow(f"sqlite:///{path}", folder))
    else:
        server, template = request.getfixturevalue("postgresql"), request.getfixturevalue("migrated_template")
        told = server._folder / "log"
        before = len(told.read_bytes())
        with _new_database(server, template) as url:
            found = sow(url, folder)
            asyncio.run(complaint(url, found.decoys.secret("hex")))
            found.places.see("server log", "PostgreSQL", told.read_bytes()[before:])
            yield searched(found)


def searched(sown: Sown) -> Sown:
    """With what is found in all places."""
    search = Search([*sown.canaries.all, *keys_of(sown), *sown.decoys.all])
    return sown._replace(findings=list(sown.places.findings(search)))


def keys_of(sown: Sown) -> list[Canary]:
    """The key-encryption key and the signing key, as they lie in their files in Base64."""
    texts = [sown.key_file.read_text(), sown.signing_key.read_text().split()[0].split("+", 4)[4]]
    blobs = map(base64.b64decode, texts)
    return [Canary(-number, "bytes", Secret(blob.decode("latin-1"))) for number, blob in enumerate(blobs, 1)]


async def complaint(url: str, decoy: Secret[str]) -> None:
    """A statement that fails, for the server to log."""
    connection = await asyncpg.connect(url)
    with contextlib.suppress(asyncpg.DivisionByZeroError):
        await connection.execute(f"SELECT 1 / 0 AS a{decoy.reveal()}")
    await connection.close()


def sow(url: str, folder: Path) -> Sown:
    """Plant everything, and look at all that can be seen of it."""
    key_file, signing_key = folder / "trading.key", folder / "signing.key"
    canaries, decoys, places = Canaries(1), Canaries(2), Places()
    operator = Operator(url, key_file, canaries, decoys, places, folder)
    records, lines = io.StringIO(), io.StringIO()
    with listening(records):
        sealed = asyncio.run(through_the_library(url, key_file, canaries, decoys, places, lines))
        user = operator.users()
        asyncio.run(projected(url))
        operator.keys(user)
        operator.config()
        operator.databases()
        operator.processes()
        before = asyncio.run(stored_keys(url))
        erased = asyncio.run(ended(url, key_file, places))
        after = asyncio.run(stored_keys(url))
        operator.signed(signing_key)
        plain, secret = asyncio.run(told(url))
        operator.looks(str(plain.event_id), str(secret.event_id), "cli.token", decoys.all[0].secret.reveal())
        asyncio.run(looked_at(url, places, folder))
    structlog.reset_defaults()
    places.see("log lines", "structlog", lines.getvalue())
    places.see("log records", "logging", records.getvalue())
    forgotten = [wrapped for key, wrapped in before.items() if wrapped is not None and after[key] is None]
    return Sown(url, key_file, canaries, decoys, places, operator, signing_key, erased, forgotten, sealed, [])


@contextlib.contextmanager
def listening(records: io.StringIO) -> Iterator[None]:
    """To all that is logged by the standard library, also what drivers are told to do, which pytest need not keep."""
    handler = logging.StreamHandler(records)
    loggers = {logger: logger.level for logger in map(logging.getLogger, LOGGERS)}
    for logger in loggers:
        logger.addHandler(handler)
        logger.setLevel(logging.DEBUG)
        logger.propagate = False
    try:
        yield
    finally:
        for logger, level in loggers.items():
            logger.removeHandler(handler)
            logger.setLevel(level)
            logger.propagate = True


async def through_the_library(
    url: str, key_file: Path, canaries: Canaries, decoys: Canaries, places: Places, lines: io.StringIO
) -> list[tuple[Sealed, Canary]]:
    redactor = Redactor(show_locals=True)
    async with EventLog.open(url) as log, SystemLogSink(log, redactor=redactor) as sink:
        structlog.configure(
            processors=[structlog.processors.add_log_level, sink, redactor, structlog.processors.JSONRenderer()],
            logger_factory=structlog.PrintLoggerFactory(lines),
            cache_logger_on_first_use=False,
        )
        vault = Vault(log, KeyFile(key_file))
        plants = Plants(log, vault, canaries, decoys, places)
        sealed: list[tuple[Sealed, Canary]] = []
        decoy = decoys.secret("hex").reveal()
        for number in range(ROUNDS):
            user = await plants.user(number)
            await plants.api_key(user, number)
            await plants.setting(number)
            sealed += await plants.sealed(user)
            for _ in range(ENTRIES):
                plants.logged()
            await sink.flush()
        await plants.databases()
        await plants.directory.deactivate(user, reason=decoy, actor=decoy)
        structlog.get_logger("engine").info("a decoy", name=decoy)
        logging.getLogger("engine").warning("a decoy: %s", decoy)
        places.see_object("a decoy", [decoy])
        places.see_error("a decoy", ValueError(decoy))
        await sink.flush()
        places.see_object("entries", [row for row in await stored(log) if row.event == "by name"])
        see_files(places, "database files", key_file.parent / "database")
    for name, call in (
        ("password", plants.directory.change_password(user, canaries.secret())),
        ("secret", plants.credentials.add(user, "x", label="x", **plants.given())),
        ("setting", Configuration(log, vault=vault).set("x", canaries.secret(), secret=True)),
        ("vault", vault.seal(configuration_stream("x"), "value", canaries.secret())),
    ):
        with pytest.raises(LogClosed) as closed:
            await call
        places.see_error(f"closed: {name}", closed.value)
    return sealed


async def projected(url: str) -> None:
    async with EventLog.open(url) as log:
        for group in (OWNERSHIP, CONFIGURATION, TRAIL):
            await catch_up(log, group)


async def ended(url: str, key_file: Path, places: Places) -> set[Stream]:
    """Erase one of all subjects: the streams of what was erased."""
    async with EventLog.open(url) as log:
        plants = Plants(log, Vault(log, KeyFile(key_file)), Canaries(3), Canaries(4), places)
        users = [one.stream async for one in log.read(types=["UserRegistered"])]
        keys = [one.stream async for one in log.read(types=["ApiKeyAdded"])]
        await plants.directory.erase(users[0].id, "over")
        await plants.credentials.erase(keys[0].id, "over")
        setting = configuration_stream("venue.v0")
        await plants.vault.erase(setting)
        for user_id in (users[0].id, users[1].id):
            places.see_object("a row of a user", await UserQueries(log.engine).user(user_id))
        places.see_object("rows of keys", await ApiKeyQueries(log.engine).page(limit=5))
        places.see_object("settings", await Configuration(log).all())
    await projected(url)
    return {users[0], keys[0], setting}


async def told(url: str) -> tuple[Recorded, Recorded]:
    """The event of a decoy, and one with sealed values."""
    async with EventLog.open(url) as log:
        plain = [one async for one in log.read(types=["UserDeactivated"])]
        secret = [one async for one in log.read(types=["UserRegistered"])]
        return plain[0], secret[-1]


async def looked_at(url: str, places: Places, folder: Path) -> None:
    async with EventLog.open(url) as log:
        await see_events(places, log)
    await see_tables(places, url)
    see_files(places, "database files", folder / "database")
    see_files(places, "exports", folder / "exports")
    see_files(places, "proofs", folder / "proofs")


# --- the tests ---------------------------------------------------------------------------------------------


def test_no_canary_is_seen_anywhere(sown: Sown) -> None:
    """Of a thousand, the key-encryption key and the signing key none, whole or in part, in whatever spelling."""
    decoys = set(sown.decoys.all)
    assert [one for one in sown.findings if one.canary not in decoys] == []
    assert len(sown.canaries.all) >= 1_000
    assert [place for place in sown.places.all if b"$argon2" in place.content] == []


def test_decoys_are_seen_everywhere(sown: Sown) -> None:
    """What is no secret is found in every kind of place, and in every file and table where it has to be."""
    decoys = set(sown.decoys.all)
    found = [one for one in sown.findings if one.canary in decoys]
    kinds = KINDS | ({"database files"} if sown.url.startswith("sqlite") else {"server log"})
    assert {one.kind for one in found} == kinds
    names = {one.name for one in found}
    assert any(place.kind == "log records" and b"SELECT " in place.content for place in sown.places.all)
    assert names >= {"events", "system_logs", "configurations", "trail", "payloads"}
    assert names >= {"events.jsonl", "events.csv", "events.parquet, values", "of_decoy.jsonl.manifest.json"}


def test_keys_are_seen_in_their_files(sown: Sown) -> None:
    """So that they would be seen elsewhere too."""
    wrapping, signing = keys_of(sown)
    search = Search([wrapping, signing])
    assert search.found(sown.key_file.read_bytes()) == {wrapping}
    assert search.found(sown.signing_key.read_bytes()) == {signing}


def test_what_is_asked_for_is_revealed(sown: Sown) -> None:
    """By the commands that do so, on standard output."""
    assert len(sown.operator.revealed) == 5
    assert all(all(in_sight(one)) for one in sown.operator.revealed)


async def test_what_was_erased_is_revealed_to_nobody(sown: Sown) -> None:
    """Whoever has the key file reveals every sealed value of every event, but none that was erased or replaced."""
    search = Search(sown.canaries.all)
    gone = opened = 0
    async with EventLog.open(sown.url) as log:
        vault = Vault(log, KeyFile(sown.key_file, create=False))
        events = [one async for one in log.read()]
        replaced = {one.stream for one in events if isinstance(one.event, ApiKeyReplaced)}
        values = [(value, one) for one in events for value in sealed_in(one)]
        for value, one in values:
            if one.stream in sown.erased or (one.stream in replaced and isinstance(one.event, ApiKeyAdded)):
                with pytest.raises(Erased):
                    await vault.reveal(*value)
                gone += 1
            elif value.field != "password_hash":
                assert search.found((await vault.reveal(*value)).reveal())
                opened += 1
        for value, canary in sown.sealed:
            if value.subject in sown.erased:
                with pytest.raises(Erased):
                    await vault.reveal(*value)
            else:
                assert (await vault.reveal(*value)).reveal() in (canary.secret.reveal(), canary.blob.reveal())
    assert gone >= 4 + 6 + 3
    assert opened > 30


async def test_what_opened_the_erased_is_nowhere(sown: Sown) -> None:
    """Neither in a table nor, on SQLite, anywhere in the files."""
    stored = [place.content for place in sown.places.all if place.kind == "tables"]
    if sown.url.startswith("sqlite"):
        stored.append(await raw_bytes(sown.url))
    assert len(sown.forgotten) > len(SHAPES)
    assert not [wrapped for wrapped in sown.forgotten if any(wrapped in content for content in stored)]
    left = [wrapped for wrapped in (await stored_keys(sown.url)).values() if wrapped is not None]
    assert all(any(wrapped in content for content in stored) for wrapped in left)


def sealed_in(recorded: Recorded) -> list[Sealed]:
    """The sealed values of an event."""
    stored_in = {name: name for name in ("email", "password_hash", "key", "secret", "passphrase")}
    found = [
        (field, getattr(recorded.event, name, None)) for name, field in [*stored_in.items(), ("sealed_value", "value")]
    ]
    return [Sealed(recorded.stream, field, value) for field, value in found if isinstance(value, bytes) and value]


@pytest.mark.parametrize("shape", SHAPES)
def test_the_search_finds_a_canary_in_any_spelling(shape: str) -> None:
    """Also one that was cut short, whatever stands around it, and Base64 that begins anywhere."""
    canaries = Canaries(5)
    wanted = canaries.new(shape)
    for _ in range(20):
        canaries.new(*SHAPES)
    search = Search(canaries.all)
    text, blob = wanted.secret.reveal(), wanted.blob.reveal()
    ways = [*spellings(text), *(base64.b64encode(b"x" * count + blob) for count in range(3)), text.casefold().encode()]
    ways += [base64.urlsafe_b64encode(blob), quote(text).encode(), json.dumps(json.dumps(text)).encode()]
    cut = text[28:70] if shape == "pem" else text[:15]
    for way in [*ways, *spellings(cut)]:
        for around in (b"", b"a", b"\xff" * 7, b"\\x0" * 3):
            assert search.found(around + way + around) == {wanted}, way
    assert search.found(b"".join(way[:7] for way in ways)) == set()
