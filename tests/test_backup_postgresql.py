"""Backups of a PostgreSQL log: made while engines append, and restored to the same log on either kind of database."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import msgspec
import pytest
import sqlalchemy as sa
from structlog.testing import capture_logs

from byjy_events import EventLog, migrating
from byjy_events.backup import (
    BackupFailed,
    Backups,
    FolderBusy,
    Kind,
    Scheduler,
    SpaceShort,
    State,
    origin,
    restore,
    restore_database,
)
from byjy_events.copying import NotAllowed, TargetAhead, TargetIsAnother
from byjy_events.database import open_engine, parse_url
from byjy_events.errors import LogUnavailable, NotAByjyDatabase, SchemaMismatch
from byjy_events.grants import engine_grants
from byjy_events.proof.auditing import audit
from byjy_events.schema import SCHEMA_REVISION, events
from byjy_events.sealing import Erased, Vault
from byjy_events.sealing.key_store import key_store
from byjy_events.system_logs import prune
from byjy_events.vocabulary.venue import VenueMessageUnusable
from projections import TRADING, catch_up, verify
from tests.backup_child import confined, creating, killed, points
from tests.backups import files, new_log, states, told, url
from tests.copies import SECRET, Filled, assert_equal, filled, new_database, rows
from tests.database_restore_child import restored_upto
from tests.postgres import Server
from tests.schema import execute
from tests.sealed import grow, vandal
from tests.sealing import carrying, local_key, user


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for temporary files."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture
def source(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of a PostgreSQL database that holds nothing yet."""
    with new_database("postgresql", tmp_path, request) as database:
        yield database


@pytest.fixture
def target(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of another one."""
    with new_database("postgresql", tmp_path, request) as database:
        yield database


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "backups"


@pytest.fixture
def backups(folder: Path) -> Backups:
    return Backups(folder)


def name_of(database: str) -> str:
    """Of a database on the server."""
    return str(parse_url(database).database)


async def same_tables(one: str, other: str) -> None:
    """The log of the other is that of the one, its tables are replayed, and nothing is wrong with either."""
    await assert_equal(one, other)
    async with EventLog.open(other) as log:
        assert (await audit(log, ())).intact
        position = await catch_up(log, TRADING)
        found = await verify(log, TRADING)
        assert (found.position, found.differences) == (position, 0)


@pytest.mark.parametrize("backend", ["postgresql"])
async def test_a_backup_restores_to_the_same_log_in_a_file_and_in_a_database(
    source: str, empty_database: str, backups: Backups, tmp_path: Path
) -> None:
    """Positions, hashes, tree, checkpoints, wrapped keys and system logs; tables are replayed. No schema is needed."""
    original = await filled(source)
    made = await backups.create(source, thorough=True)
    manifest = made.known()
    assert (made.state, manifest.problems, manifest.origin) == (State.VERIFIED, (), Kind.POSTGRESQL)
    assert manifest.facts.head == manifest.facts.rows["events"] == original.size
    assert manifest.facts.rows["key_store"] == 3
    assert manifest.facts.checkpoint is not None
    assert files(backups.folder.path) == {made.path.name, made.manifest_path.name}
    await restore(backups.folder.path, "latest", tmp_path / "new.db")
    done = await restore_database(backups.folder.path, "latest", empty_database)
    assert (done.copied.before, done.copied.size) == (0, original.size)
    for database in (url(tmp_path / "new.db"), empty_database):
        await same_tables(source, database)
        async with EventLog.open(database) as log:
            assert (await Vault(log, local_key()).reveal(user(1), "email", original.values[1])).reveal() == SECRET


async def test_keys_of_every_event_are_in_a_backup_made_while_an_engine_appends(
    source: str, backups: Backups, tmp_path: Path
) -> None:
    """What was acknowledged before is there; the manifest says what is there; and each sealed value of it opens."""
    acknowledged = 0
    async with EventLog.open(source) as log:
        vault = Vault(log, local_key())
        await grow(log, 5_000)

        async def append() -> None:
            nonlocal acknowledged
            while True:
                subject = user()
                value = await vault.seal(subject, "email", SECRET)
                fact = msgspec.structs.replace(carrying(value), raw_sha256=value.hex())
                acknowledged = (await log.append(subject, [fact])).position

        appending = asyncio.create_task(append())
        while not acknowledged:  # noqa: ASYNC110
            await asyncio.sleep(0)
        sure = acknowledged
        made = await backups.create(source)
        appending.cancel()
        assert await log.head() > made.known().facts.head >= sure  # they did go on
    await restore(backups.folder.path, "latest", tmp_path / "new.db")
    async with EventLog.open(url(tmp_path / "new.db")) as log:
        vault, found = Vault(log, local_key()), 0
        async for one in log.read(types=[VenueMessageUnusable], checked=True):
            assert isinstance(one.event, VenueMessageUnusable)
            assert (await vault.reveal(one.stream, "email", one.event.raw)).reveal() == SECRET
            found += 1
        assert found
        assert await log.head() == made.known().facts.head
    stored = await rows(url(tmp_path / "new.db"), key_store)
    assert len(stored) == made.known().facts.rows["key_store"] >= found


async def test_what_was_erased_is_not_in_the_next_backup(source: str, backups: Backups, tmp_path: Path) -> None:
    """Neither in its key store nor anywhere else in its file."""
    original = await filled(source, orders=4)
    (wrapped,) = [row.wrapped_key for row in await rows_named(source) if row.subject_id == user(1).id]
    await backups.create(source)
    async with EventLog.open(source) as log:
        await Vault(log, local_key()).erase(user(1))
    made = await backups.create(source)
    await restore(backups.folder.path, made.name, tmp_path / "new.db")
    assert wrapped not in (tmp_path / "new.db").read_bytes()
    assert made.known().facts.head == original.size


async def rows_named(database: str) -> list[sa.Row[tuple[object, ...]]]:
    async with EventLog.open(database) as log, log.engine.connect() as connection:
        return list(await connection.execute(sa.select(key_store)))


async def test_a_backup_goes_on_from_the_one_before_and_a_thorough_one_reads_everything(
    source: str, backups: Backups
) -> None:
    """An event that was altered on the server long ago harms the first not, and is told by the second."""
    await filled(source, orders=4)
    await backups.create(source)
    async with vandal(source) as connection:
        await connection.execute(sa.update(events).where(events.c.position == 5).values(actor="nobody"))
    async with EventLog.open(source) as log:
        size = await grow(log, 3)
        await prune(log, keep_rows=0)
    made = await backups.create(source)
    assert (made.state, made.known().facts.head) == (State.VERIFIED, size)
    assert made.known().facts.rows["system_logs"] == 0  # what was pruned does not come back
    with pytest.raises(BackupFailed, match="position 5: altered"):
        await backups.create(source, thorough=True)
    assert (await backups.verify(made.name, thorough=True)).state is State.VERIFIED


async def test_a_log_that_was_restored_to_an_earlier_state_is_backed_up_anew(
    source: str, target: str, backups: Backups
) -> None:
    """Under the same name it is behind the newest backup, and then another log from there on. It is said."""
    await filled(source, orders=4)
    old = await backups.create(source)
    async with EventLog.open(source) as log:
        await grow(log, 5)
    await backups.create(source)
    await restore_database(backups.folder.path, old.name, target)
    with capture_logs() as logged:
        made = await backups.create(target)
        assert (made.state, made.known().facts.head) == (State.VERIFIED, old.known().facts.head)
        await backups.create(source)
        async with EventLog.open(target) as log:
            size = await grow(log, 9)
        made = await backups.create(target)
    causes = [one["cause"] for one in logged if one["event"] == "backup_begins_anew"]
    assert [("ends before" in one, "is another" in one) for one in causes] == [(True, False), (False, True)]
    assert (made.state, made.known().facts.head) == (State.VERIFIED, size)


async def test_a_scheduler_backs_up_postgresql(source: str, folder: Path) -> None:
    """As it does SQLite, also where nothing can be written, as on a replica."""
    await filled(source, orders=4)
    await execute(source, f"ALTER DATABASE {name_of(source)} SET default_transaction_read_only = on")
    made = await Scheduler(source, folder).turn()
    assert made is not None
    assert (made.state, made.known().origin) == (State.VERIFIED, Kind.POSTGRESQL)


# --- faults while a backup is made ------------------------------------------------------------------


async def test_a_connection_that_is_lost_in_the_middle_costs_no_backup(source: str, backups: Backups) -> None:
    """The server ends the session that reads; it is told with the database's name, and nothing is left behind."""
    await filled(source, orders=10)
    good = await backups.create(source)
    other = await asyncpg.connect(source)
    making = asyncio.create_task(
        backups.create(source, thorough=True)
    )  # which makes a schema first: that takes a while
    while not list(backups.folder.path.glob(".scratch-*/copy.db")):
        assert not making.done()
        await asyncio.sleep(0.001)
    async with other.transaction():
        await other.execute("LOCK TABLE system_logs IN ACCESS EXCLUSIVE MODE")
        waiting = "FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        while not await other.fetch(f"SELECT pg_terminate_backend(pid) {waiting}"):
            assert not making.done()
            await asyncio.sleep(0.005)
        with pytest.raises(BackupFailed) as raised:
            await making
    await other.close()
    assert raised.value.database.startswith("postgresql://")
    assert backups.list() == [good]
    assert files(backups.folder.path) == {good.path.name, good.manifest_path.name}
    assert (await backups.create(source)).state is State.VERIFIED


@contextlib.asynccontextmanager
async def silent_after(database: str, size: int) -> AsyncIterator[str]:
    """The URL of a database behind a network that fails, silently, after so many bytes of answers."""
    url, passed = parse_url(database), 0
    tasks: list[asyncio.Task[None]] = []

    async def pass_on(source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, counted: bool) -> None:
        nonlocal passed
        with contextlib.closing(sink):
            while data := await source.read(4_096):
                passed += len(data) * counted
                if passed > size:
                    await asyncio.Event().wait()
                sink.write(data)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, to_there = await asyncio.open_unix_connection(f"{url.query['host']}/.s.PGSQL.5432")
        tasks.append(asyncio.create_task(pass_on(reader, to_there, counted=False)))
        tasks.append(asyncio.create_task(pass_on(there, writer, counted=True)))

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        try:
            yield f"postgresql://postgres@127.0.0.1:{server.sockets[0].getsockname()[1]}/{url.database}"
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_network_that_fails_without_a_word_ends_a_backup(
    source: str, backups: Backups, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else it would wait for ever, and the scheduler with it."""
    await filled(source, orders=4)
    monkeypatch.setattr(origin, "ANSWER_SECONDS", 0.2)
    async with silent_after(source, 8_000) as database:
        with pytest.raises(BackupFailed, match=r"did not answer for 0\.2 s"):
            await backups.create(database)
    assert files(backups.folder.path) == set()


def test_a_killed_backup_is_one_or_none(source: str, folder: Path) -> None:
    """Whatever it was doing; older ones stay, and the next one is made and sweeps what was left."""
    size = asyncio.run(filled(source, orders=10)).size
    backups = Backups(folder)
    asyncio.run(backups.create(source))
    done = points(creating(source, folder), folder)
    renames = [point for point, event in enumerate(done, 1) if event.startswith("os.rename")]
    for point in sorted({*renames, len(done) // 2}):
        before = {one.name for one in backups.list() if one.state is not State.INCOMPLETE}
        assert killed(creating(source, folder), folder, point)
        after = {one.name for one in backups.list() if one.state is not State.INCOMPLETE}
        assert before <= after
        assert len(after - before) <= 1
    made = asyncio.run(backups.create(source))
    assert (made.state, made.known().facts.head) == (State.VERIFIED, size)
    assert not [name for name in files(folder) if name.startswith(".") or name.endswith(".part")]


def test_a_full_disk_costs_no_good_backup(source: str, folder: Path) -> None:
    """Wherever it is short: for the schema of the scratch copy, for its rows, or looked at before."""
    asyncio.run(filled(source))
    backups = Backups(folder)
    asyncio.run(backups.create(source))
    before = files(folder)
    for file_bytes in (100_000, 700_000):
        assert "was not backed up" in confined(creating(source, folder), file_bytes)
        assert files(folder) == before
    asyncio.run(backups.create(source))
    assert states(backups) == ["VERIFIED", "VERIFIED"]


async def test_a_disk_without_room_is_not_filled_up(
    source: str, backups: Backups, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It is looked at before anything is written: a copy takes about what the tables take in PostgreSQL."""
    await filled(source)
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=100_000))
    with pytest.raises(SpaceShort) as raised:
        await backups.create(source)
    assert raised.value.needed > 100_000
    assert files(backups.folder.path) == set()


async def test_a_cancelled_backup_leaves_nothing_behind(source: str, backups: Backups) -> None:
    """Neither a file, nor the lock, nor a connection."""
    await filled(source, orders=10)
    for pauses in (1, 12, 30):
        task = asyncio.create_task(backups.create(source))
        await asyncio.sleep(0.01 * pauses)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        left = files(backups.folder.path) if backups.folder.path.exists() else set()
        assert not [name for name in left if name.startswith(".") or name.endswith(".part")]
    assert (await backups.create(source)).state is State.VERIFIED


# --- what is refused --------------------------------------------------------------------------------


@pytest.mark.parametrize(("revision", "advice"), [("9999", "upgrade byjy-events"), ("0011", "migrate")])
async def test_a_log_of_another_schema_is_refused_with_what_to_do(
    source: str, backups: Backups, revision: str, advice: str
) -> None:
    """Newer or older: its rows would be read as something that they are not."""
    await execute(source, f"UPDATE alembic_version SET version_num = '{revision}'")
    with pytest.raises(SchemaMismatch, match=advice):
        await backups.create(source)
    with pytest.raises(SchemaMismatch, match=advice):
        await Scheduler(source, backups.folder.path).run()
    assert not backups.folder.path.exists()


@pytest.mark.parametrize("backend", ["postgresql"])
async def test_what_is_no_log_is_refused_and_left_alone(empty_database: str, backups: Backups) -> None:
    """An empty database gets no schema, a server that is not there is named without the password."""
    with pytest.raises(BackupFailed, match="no log"):
        await backups.create(empty_database)
    engine = open_engine(parse_url(empty_database))
    assert await migrating.current_revision(engine) is None
    await engine.dispose()
    with pytest.raises(BackupFailed) as raised:
        await backups.create("postgresql://somebody:hunter2@127.0.0.1:1/trading")
    assert raised.value.database == "postgresql://somebody:***@127.0.0.1:1/trading"
    assert "hunter2" not in str(raised.value)


# --- restoring into a database ----------------------------------------------------------------------


@pytest.fixture
async def original(source: str, backups: Backups) -> Filled:
    """What the source holds, and a backup of it."""
    found = await filled(source)
    await backups.create(source)
    return found


async def test_a_killed_restore_goes_on_where_it_ended(
    source: str, target: str, original: Filled, folder: Path, temporary: Path
) -> None:
    """While it runs another one is refused. In the end it is the same log, and nothing is left of the scratch file."""
    with restored_upto(100, folder, target, temporary) as told, pytest.raises(FolderBusy):
        await restore_database(folder, "latest", target)
    assert list(temporary.glob("*/.scratch-*"))  # noqa: ASYNC240
    done = await restore_database(folder, "latest", target)
    assert told == done.copied.before < done.copied.size == original.size
    await same_tables(source, target)
    again = await restore_database(folder, "latest", target)
    assert again.copied.before == original.size
    assert not list(temporary.glob("*/.scratch-*"))  # noqa: ASYNC240


async def test_a_log_that_was_rolled_back_is_filled_up(source: str, target: str, backups: Backups) -> None:
    """Such as by a physical backup that is older than the newest logical one. What it knows to be erased stays so."""
    original = await filled(source, orders=10)
    old = await backups.create(source)
    async with EventLog.open(source) as log:
        size = await grow(log, 50)
    await backups.create(source)
    await restore_database(backups.folder.path, old.name, target)
    async with EventLog.open(target) as log:
        await catch_up(log, TRADING)
        await Vault(log, local_key()).erase(user(1))
    done = await restore_database(backups.folder.path, "latest", target)
    assert (done.copied.before, done.copied.size) == (old.known().facts.head, size)
    assert await rows(source, events) == await rows(target, events)
    async with EventLog.open(target) as log:
        await catch_up(log, TRADING)
        assert (await verify(log, TRADING)).differences == 0
        with pytest.raises(Erased):
            await Vault(log, local_key()).reveal(user(1), "email", original.values[1])
    with pytest.raises(TargetAhead):
        await restore_database(backups.folder.path, old.name, target)


async def test_a_backup_of_a_file_with_an_older_schema_is_migrated_on_its_way(
    migrated_file: Path, target: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as the last one before an upgrade; the backup stays as it is. One of a newer program is refused."""
    database = new_log(migrated_file, tmp_path / "log.db")
    size = await told(database)
    await migrating.downgrade(database)
    old = await Backups(folder).create(database)
    assert old.known().facts.revision != SCHEMA_REVISION
    manifest = old.manifest_path.read_text()
    done = await restore_database(folder, "latest", target)
    assert done.copied.size == size
    await migrating.upgrade(database)
    assert await rows(database, events) == await rows(target, events)
    assert manifest == old.manifest_path.read_text()
    monkeypatch.setattr(origin, "SCHEMA_REVISION", "9999")  # as a newer program has it
    await execute(database, "UPDATE alembic_version SET version_num = '9999'")
    await Backups(folder).create(database)
    with pytest.raises(SchemaMismatch, match="upgrade byjy-events"):
        await restore_database(folder, "latest", target)


async def test_a_database_with_something_else_in_it_is_left_alone(target: str, original: Filled, folder: Path) -> None:
    """Another log, data keys alone, another schema, tables of a stranger, and no database at all."""
    async with EventLog.open(target) as log:
        await Vault(log, local_key()).seal(user(5), "email", SECRET)
    with pytest.raises(TargetIsAnother, match="key_store"):
        await restore_database(folder, "latest", target)
    async with EventLog.open(target) as log:
        await grow(log, 3)
    with pytest.raises(TargetIsAnother):
        await restore_database(folder, "latest", target)
    await execute(target, "UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(SchemaMismatch, match="upgrade"):
        await restore_database(folder, "latest", target)
    with pytest.raises(LogUnavailable):
        await restore_database(folder, "latest", "postgresql://somebody@127.0.0.1:1/x")


@pytest.mark.parametrize("backend", ["postgresql"])
async def test_a_damaged_backup_makes_no_schema(empty_database: str, original: Filled, backups: Backups) -> None:
    """The database is as it was; so is one with tables of something else, with a good backup."""
    (backup,) = backups.list()
    good = backup.path.read_bytes()
    backup.path.write_bytes(good[:-100])
    with pytest.raises(Exception, match="cannot be trusted"):
        await restore_database(backups.folder.path, backup.name, empty_database)
    connection = await asyncpg.connect(empty_database)
    try:
        tables = "SELECT count(*) FROM information_schema.tables WHERE table_schema = 'public'"
        assert await connection.fetchval(tables) == 0
        await connection.execute("CREATE TABLE theirs (id int)")
        backup.path.write_bytes(good)
        with pytest.raises(NotAByjyDatabase):
            await restore_database(backups.folder.path, backup.name, empty_database)
        assert await connection.fetchval(tables) == 1
    finally:
        await connection.close()


async def test_an_engines_role_cannot_restore(target: str, original: Filled, folder: Path, postgresql: Server) -> None:
    """It may not insert events; nothing was written."""
    owner = await asyncpg.connect(target)
    try:
        await owner.execute("CREATE ROLE restoring_engine LOGIN")
        for statement in engine_grants("restoring_engine"):
            await owner.execute(statement)
        as_engine = postgresql.url(name_of(target), "restoring_engine")
        with pytest.raises(NotAllowed, match="owner of the tables"):
            await restore_database(folder, "latest", as_engine)
        assert await owner.fetchval("SELECT count(*) FROM key_store") == 0
    finally:
        await owner.execute("DROP OWNED BY restoring_engine; DROP ROLE restoring_engine")
        await owner.close()
