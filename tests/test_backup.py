"""Backups of a SQLite log: made while it is written to, found when they are damaged, and never half made."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import sqlite3
import stat
import threading
import time
from pathlib import Path

import pytest

from byjy_events import EventLog, new_order_id, order_stream
from byjy_events.backup import (
    BackupFailed,
    Backups,
    FolderOfAnother,
    FolderUnusable,
    NoSuchBackup,
    SpaceShort,
    State,
    restore,
    snapshot,
)
from byjy_events.sealing import KeyFile, Vault
from tests.backup_child import confined, creating, restoring
from tests.backups import Clock, change, event_ids, files, head, new_log, states, told, url
from tests.sample_events import placed
from tests.sealed import grow
from tests.sealing import user

SECRET = "a secret that nobody can mistake for anything else"


@pytest.fixture
def log_file(migrated_file: Path, tmp_path: Path) -> Path:
    """A database with a few events."""
    path = tmp_path / "log.db"
    asyncio.run(told(new_log(migrated_file, path)))
    return path


@pytest.fixture
def backups(tmp_path: Path) -> Backups:
    return Backups(tmp_path / "backups", clock=Clock())


async def test_a_backup_says_what_is_in_it(log_file: Path, backups: Backups) -> None:
    """The manifest tells head, rows, hashes and sizes; both files are for their owner only; nothing else is left."""
    made = await backups.create(url(log_file))
    manifest = made.known()
    assert made.state is State.VERIFIED
    assert made.name == "20240301T120000.000000Z"
    assert manifest.facts.head == manifest.facts.rows["events"] == head(log_file)
    assert manifest.facts.revision is not None
    assert manifest.compressed.size == made.path.stat().st_size < manifest.plain.size
    assert files(made.path.parent) == {made.path.name, made.manifest_path.name}
    for path in (made.path, made.manifest_path):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert backups.list() == [made]


async def test_what_was_acknowledged_before_is_in_a_backup_made_while_appends_go_on(
    migrated_file: Path, tmp_path: Path, backups: Backups
) -> None:
    """Every one of it, in its place, up to the head that the manifest names, and not one event beyond."""
    acknowledged: list[tuple[int, object]] = []
    async with EventLog.open(new_log(migrated_file, tmp_path / "log.db")) as log:
        before = await grow(log, 20_000)

        async def append() -> None:
            while True:
                receipt = await log.append(order_stream(new_order_id()), [placed()])
                acknowledged.append((receipt.position, receipt.events[0].event_id))

        appending = asyncio.create_task(append())
        while len(acknowledged) < 10:  # noqa: ASYNC110
            await asyncio.sleep(0)
        sure = len(acknowledged)
        made = await backups.create(log.url)
        appending.cancel()
        assert await log.head() > made.known().facts.head  # they did go on
    facts = made.known().facts
    assert facts.head >= before + sure
    await restore(backups.folder.path, made.name, tmp_path / "restored.db")
    found = event_ids(tmp_path / "restored.db")
    assert len(found) == facts.head
    for position, event_id in acknowledged:
        assert position > facts.head or found[position - 1] == event_id


def test_a_backup_is_as_of_the_moment_it_began(log_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever writes between two steps neither gets into it nor makes it begin anew."""
    began_at = head(log_file)
    written: list[int] = []

    def write(_seconds: float) -> None:
        if len(written) < 20:
            written.append(asyncio.run(told(url(log_file), 2 + len(written), 1)))

    monkeypatch.setattr(snapshot, "STEP_PAGES", 8)
    monkeypatch.setattr(time, "sleep", write)
    snapshot.take(log_file, tmp_path / "copy.db", threading.Event())
    assert len(written) > 5
    assert head(log_file) == written[-1] > began_at
    assert head(tmp_path / "copy.db") == began_at


async def test_a_secret_of_a_restored_database_is_revealed_with_its_key_file(
    log_file: Path, backups: Backups, tmp_path: Path
) -> None:
    """The key store travels, wrapped; the key file does not, and the backup does not hold what was sealed."""
    key_file, somebody = tmp_path / "kek", user(1)
    async with EventLog.open(url(log_file)) as log:
        value = await Vault(log, KeyFile(key_file)).seal(somebody, "email", SECRET)
    made = await backups.create(url(log_file))
    log_file.unlink()  # noqa: ASYNC240
    done = await restore(backups.folder.path, "latest", log_file)
    assert (done.backup.name, done.kept) == (made.name, None)
    assert stat.S_IMODE(log_file.stat().st_mode) == 0o600  # noqa: ASYNC240
    assert SECRET.encode() not in log_file.read_bytes()  # noqa: ASYNC240
    async with EventLog.open(url(log_file)) as log:
        revealed = await Vault(log, KeyFile(key_file, create=False)).reveal(somebody, "email", value)
    assert revealed.reveal() == SECRET


async def test_a_log_without_events_is_backed_up(migrated_file: Path, tmp_path: Path, backups: Backups) -> None:
    """And goes on in the same folder once it has some. Odd names of folders do no harm."""
    odd = Backups(tmp_path / "a%20b?c#d & é", clock=Clock())
    database = new_log(migrated_file, tmp_path / "new.db")
    made = await odd.create(database, thorough=True)
    assert (made.state, made.known().facts.head) == (State.VERIFIED, 0)
    await told(database)
    made = await odd.create(database, thorough=True)
    assert (made.state, made.known().problems) == (State.VERIFIED, ())
    assert made.known().thorough_check is not None


async def test_a_backup_of_another_schema_is_verified_but_not_audited(log_file: Path, backups: Backups) -> None:
    """Which is told, and counts for no thorough verification."""
    change(log_file, "UPDATE alembic_version SET version_num = '0001'")
    made = await backups.create(url(log_file), thorough=True)
    assert made.state is State.VERIFIED
    check, thorough = made.known().check, made.known().thorough_check
    assert check is not None
    assert (check.thorough, thorough) == (False, None)
    assert "its schema is 0001" in check.notes[0]


# --- damage ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", [0.0, 0.1, 0.5, 0.9, 1.0])
async def test_a_flipped_bit_is_found(log_file: Path, backups: Backups, tmp_path: Path, where: float) -> None:
    """Wherever it is; the backup is marked, not restored, and an older good one is the latest."""
    good = await backups.create(url(log_file))
    await told(url(log_file), 2)
    made = await backups.create(url(log_file))
    data = bytearray(made.path.read_bytes())
    data[int(where * (len(data) - 1))] ^= 1
    made.path.write_bytes(data)
    found = await backups.verify(made.name)
    assert found.state is State.FAILED
    assert found.known().problems
    assert states(backups) == ["FAILED", "VERIFIED"]
    assert (await restore(backups.folder.path, "latest", tmp_path / "new.db")).backup.name == good.name


@pytest.mark.parametrize("damage", ["truncated", "empty", "longer", "another", "bomb"])
async def test_a_backup_of_another_length_is_found(log_file: Path, backups: Backups, damage: str) -> None:
    """Cut off, emptied, with something behind it, or with other content that decompresses as well."""
    import zstandard

    made = await backups.create(url(log_file))
    data = made.path.read_bytes()
    other = zstandard.compress(b"\0" * (made.known().plain.size * 3))
    made.path.write_bytes(
        {
            "truncated": data[:-100],
            "empty": b"",
            "longer": data + b"x" * 3_000_000,
            "another": zstandard.compress(b"x"),
            "bomb": other,
        }[damage]
    )
    assert (await backups.verify(made.name)).state is State.FAILED


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("head", 3), ("head_leaf", "00" * 32), ("log_id", None), ("revision", "0001"), ("rows", {}),
        ("head_recorded_at", 5),
    ],
)  # fmt: skip
async def test_a_manifest_that_says_something_else_is_found(
    log_file: Path, backups: Backups, tmp_path: Path, field: str, value: object
) -> None:
    """The database is held against each thing it says; nothing is put where it was to be restored to."""
    made = await backups.create(url(log_file))
    manifest = json.loads(made.manifest_path.read_text())
    manifest["facts"][field] = value
    made.manifest_path.write_text(json.dumps(manifest))
    with pytest.raises(Exception, match="manifest says"):
        await restore(backups.folder.path, made.name, tmp_path / "new.db")
    assert not list(tmp_path.glob("new.db*.part")) + list(tmp_path.glob("new.db"))  # noqa: ASYNC240
    found = await backups.verify(made.name)
    assert found.state is State.FAILED
    assert any("manifest says" in problem for problem in found.known().problems)


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b'{"format": 2}', b"\xff\xfe"])
async def test_a_manifest_that_cannot_be_read_makes_no_backup_and_is_not_deleted(
    log_file: Path, backups: Backups, text: bytes
) -> None:
    """Its data may be good: that is for a person to decide."""
    made = await backups.create(url(log_file))
    made.manifest_path.write_bytes(text)
    assert states(backups) == ["INCOMPLETE"]
    with pytest.raises(NoSuchBackup, match="manifest"):
        await backups.verify(made.name)
    assert (await backups.prune()).backups == []
    assert made.path.exists()


async def test_a_manifest_that_says_what_cannot_be_is_damaged(log_file: Path, backups: Backups, tmp_path: Path) -> None:
    """Which is told of it; the others are as good as before, and the next one is made."""
    good = await backups.create(url(log_file))
    made = await backups.create(url(log_file))
    text = made.manifest_path.read_text()
    for part, field, value in (
        ("", "created_at", 10**30), ("", "sequence", -1), ("facts", "log_id", "zz"), ("facts", "head", 10**30),
        ("plain", "size", 10**30), ("plain", "sha256", ""), ("check", "at", -(10**30)),
    ):  # fmt: skip
        manifest = json.loads(text)
        (manifest[part] if part else manifest)[field] = value
        made.manifest_path.write_text(json.dumps(manifest))
        assert states(backups) == ["VERIFIED", "INCOMPLETE"], field
        assert f"its manifest is damaged: Expected `{type(value).__name__}`" in (backups.list()[1].problem or "")
    assert (await restore(backups.folder.path, "latest", tmp_path / "new.db")).backup.name == good.name
    assert (await backups.create(url(log_file))).state is State.VERIFIED


async def test_the_manifest_of_another_backup_is_no_manifest(log_file: Path, backups: Backups) -> None:
    """It carries its name."""
    one, other = await backups.create(url(log_file)), await backups.create(url(log_file))
    shutil.copyfile(one.manifest_path, other.manifest_path)
    assert states(backups) == ["VERIFIED", "INCOMPLETE"]


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("UPDATE events SET payload = CAST('{}' AS BLOB) WHERE position = 7", "position 7: altered"),
        ("UPDATE events SET position = 100000 WHERE position = (SELECT max(position) FROM events)", "missing"),
        ("DELETE FROM events WHERE position = 5", "position 5: missing"),
        ("INSERT INTO order_fees VALUES (zeroblob(16), 'USDT', '1')", "order_fees refers to nothing in orders"),
    ],
)
async def test_a_log_that_was_tampered_with_is_backed_up_and_marked(
    log_file: Path, backups: Backups, statement: str, said: str
) -> None:
    """It is what there is; the older good backup stays whatever its age, and the marked one is never the latest."""
    good = await backups.create(url(log_file))
    change(log_file, statement)
    bad = await backups.create(url(log_file))
    assert bad.state is State.FAILED
    assert any(said in problem for problem in bad.known().problems)
    later = Backups(backups.folder.path, clock=Clock("2030-01-01T00:00:00+00:00"))
    assert [one.name for one in (await later.prune()).backups] == [bad.name]
    assert later.list() == [good]


async def test_a_database_with_a_damaged_page_is_backed_up_and_marked(log_file: Path, backups: Backups) -> None:
    """Although nothing that is counted or hashed lies there."""
    with contextlib.closing(sqlite3.connect(log_file)) as connection:
        statement = "SELECT rootpage FROM sqlite_master WHERE name = 'ix_key_store_wrapping'"
        ((page,),) = connection.execute(statement).fetchall()
        ((size,),) = connection.execute("PRAGMA page_size").fetchall()
    with log_file.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xff" * 16)
    made = await backups.create(url(log_file))
    assert made.state is State.FAILED
    assert [problem.partition(":")[0] for problem in made.known().problems] == ["quick_check"]


async def test_only_a_thorough_verification_overrules_a_thorough_one(
    migrated_file: Path, tmp_path: Path, backups: Backups, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What lies before the log's tail is looked at by the audit; a quick look afterwards does not make it good."""
    path = tmp_path / "log.db"
    monkeypatch.setattr("byjy_events.backup.checking.TAIL_EVENTS", 100)
    async with EventLog.open(new_log(migrated_file, path)) as log:
        await grow(log, 200)
    change(path, "UPDATE events SET actor = 'nobody' WHERE position = 7")
    made = await backups.create(url(path))
    assert made.state is State.VERIFIED
    thorough = await backups.verify(made.name, thorough=True)
    assert thorough.state is State.FAILED
    assert any("ALTERED at 7" in problem for problem in thorough.known().problems)
    assert (await backups.verify(made.name)).state is State.FAILED


# --- what is refused, and faults ------------------------------------------------------------------


async def test_what_is_no_log_is_refused(tmp_path: Path, log_file: Path, backups: Backups) -> None:
    """A file that is missing, one that is no database, one whose schema is no text, and one without a log."""
    with pytest.raises(BackupFailed, match="does not exist"):
        await backups.create(url(tmp_path / "missing.db"))
    (tmp_path / "text.db").write_text("no database " * 1000)
    with pytest.raises(BackupFailed, match="not a database"):
        await backups.create(url(tmp_path / "text.db"))
    broken = log_file.read_bytes().replace(b"CREATE TABLE ", b"CREATE TABL\xc5 ", 1)  # noqa: ASYNC240
    log_file.write_bytes(broken)  # noqa: ASYNC240
    with pytest.raises(BackupFailed, match="was not backed up: 'utf-8'"):
        await backups.create(url(log_file))
    (tmp_path / "empty.db").touch()
    with pytest.raises(BackupFailed, match="no log"):
        await backups.create(url(tmp_path / "empty.db"))
    assert backups.list() == []
    assert files(backups.folder.path) == set()


async def test_a_folder_belongs_to_one_log(migrated_file: Path, log_file: Path, backups: Backups) -> None:
    """Also a log that was lost and begun anew does not go on there."""
    await backups.create(url(log_file))
    other = new_log(migrated_file, log_file.with_name("other.db"))
    with pytest.raises(FolderOfAnother):
        await backups.create(other)
    await told(other, 2)
    with pytest.raises(FolderOfAnother):
        await backups.create(other)
    assert states(backups) == ["VERIFIED"]


async def test_a_backup_that_failed_does_not_say_whose_folder_it_is(log_file: Path, backups: Backups) -> None:
    """The next one is made, and is newer."""
    made = await backups.create(url(log_file))
    manifest = json.loads(made.manifest_path.read_text())
    manifest["facts"]["log_id"] = "00" * 32
    made.manifest_path.write_text(json.dumps(manifest))
    await backups.verify(made.name)
    newer = await backups.create(url(log_file))
    assert (states(backups), newer.known().sequence) == (["VERIFIED", "FAILED"], 2)


async def test_a_name_is_no_path(log_file: Path, backups: Backups) -> None:
    """Nothing outside the folder is restored."""
    made = await backups.create(url(log_file))
    for name in ("../backups/" + made.name, str(made.path), "", "20240301T120000.000001Z"):
        with pytest.raises(NoSuchBackup):
            await backups.verify(name)


def test_a_full_disk_costs_no_good_backup(log_file: Path, tmp_path: Path) -> None:
    """The one that did not fit is told and leaves nothing behind; the next one is made."""
    folder = tmp_path / "backups"
    backups = Backups(folder)
    asyncio.run(backups.create(url(log_file)))
    before = files(folder)
    assert "was not backed up" in confined(creating(url(log_file), folder), 100_000)
    assert files(folder) == before
    target = tmp_path / "new.db"
    name = backups.list()[0].name
    assert "FolderUnusable" in confined(restoring(folder, name, target), 100_000)
    assert not target.exists()
    assert not target.with_name("new.db.part").exists()
    asyncio.run(backups.create(url(log_file)))
    assert states(backups) == ["VERIFIED", "VERIFIED"]


async def test_a_disk_without_room_is_not_filled_up(
    log_file: Path, backups: Backups, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is looked at before anything is written."""
    usage = shutil.disk_usage(log_file.parent)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=100_000))
    with pytest.raises(SpaceShort) as raised:
        await backups.create(url(log_file))
    assert (raised.value.free, raised.value.folder) == (100_000, backups.folder.path)
    assert raised.value.needed >= 2 * log_file.stat().st_size  # noqa: ASYNC240
    assert files(backups.folder.path) == set()


@pytest.mark.parametrize("folder", ["file", "/proc"])
async def test_a_folder_that_cannot_be_written_is_named(log_file: Path, tmp_path: Path, folder: str) -> None:
    """A file in its place, and a read-only one."""
    (tmp_path / "file").touch()
    with pytest.raises(FolderUnusable) as raised:
        await Backups(tmp_path / folder).create(url(log_file))
    assert raised.value.folder == tmp_path / folder


async def test_a_cancelled_backup_leaves_nothing_behind(log_file: Path, backups: Backups) -> None:
    """Neither a file nor the lock: the next one is made at once."""
    cancelled = 0
    backups.folder.path.mkdir()
    for pauses in range(8):
        task = asyncio.create_task(backups.create(url(log_file)))
        await asyncio.sleep(0.001 * pauses)
        cancelled += task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        assert not [name for name in files(backups.folder.path) if name.startswith(".") or name.endswith(".part")]
    assert cancelled > 2
    assert (await backups.create(url(log_file))).state is State.VERIFIED
