"""``byjy migrate``: nothing is done to a database before it was backed up and rehearsed."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import stat
import subprocess
import tempfile
from collections import namedtuple
from pathlib import Path

import asyncpg
import pytest

from byjy_events import migrating, rehearsing
from byjy_events.database import is_sqlite, parse_url
from byjy_events.schema import SCHEMA_REVISION
from byjy_ops.cli import answered
from tests.cli import SECONDS, command, environment, imported, sample
from tests.revised import EXTRA, fill, inventory, rows, with_revision

PREVIOUS = "0011"

REBUILD_EVENTS = """
with op.batch_alter_table("events", recreate="always") as batch:
    batch.add_column(sa.Column("lot", sa.Integer))
"""


@pytest.fixture(scope="module")
def older_template(migrated_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file that is one revision behind, with a row in every table, to be copied."""
    path = tmp_path_factory.mktemp("older") / "older.db"
    shutil.copyfile(migrated_file, path)
    asyncio.run(migrating.downgrade(f"sqlite:///{path}", PREVIOUS))
    fill(f"sqlite:///{path}")
    return path


@pytest.fixture
def older_file(older_template: Path, tmp_path: Path) -> str:
    """A copy of it."""
    shutil.copyfile(older_template, tmp_path / "log.db")
    return f"sqlite:///{tmp_path / 'log.db'}"


@pytest.fixture
def older(database: str, older_template: Path) -> str:
    """The same, on both."""
    if is_sqlite(parse_url(database)):
        shutil.copyfile(older_template, path_of(database))
    else:
        asyncio.run(migrating.downgrade(database, PREVIOUS))
        fill(database)
    return database


def migrate(url: str, *arguments: str) -> int:
    return answered(["--database", url, "migrate", *arguments])


def path_of(url: str) -> Path:
    return Path(url.removeprefix("sqlite:///"))


def backups(url: str) -> list[Path]:
    return sorted(path_of(url).parent.glob(f"{path_of(url).name}.before-*"))


def left(url: str) -> set[str]:
    """What lies beside the file and is no backup, lock file or WAL."""
    name = path_of(url).name
    known = {name, f"{name}.gate", f"{name}.lock", f"{name}-wal", f"{name}-shm", f"{name}.migrating"}
    return (
        {one.name for one in path_of(url).parent.iterdir() if one not in backups(url)}
        - known
        - {"migrations", "marker"}
    )


def test_a_backup_is_kept_and_named(older_file: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Beside the database, of its owner only, at the revision from before, with every row."""
    before, content = inventory(older_file), rows(older_file)
    assert migrate(older_file) == 0
    said = capsys.readouterr()
    (backup,) = backups(older_file)
    assert left(older_file) == set()
    assert f"backup: {backup} (" in said.out
    assert f"schema {PREVIOUS} -> {SCHEMA_REVISION}" in said.out
    assert "rehearsed in" in said.out
    assert "bytes are needed for a while" in said.err
    assert stat.S_IMODE(backup.stat().st_mode) == 0o600
    assert not any(Path(f"{backup}{suffix}").exists() for suffix in ("-wal", "-shm", ".lock"))
    assert (inventory(f"sqlite:///{backup}"), rows(f"sqlite:///{backup}")) == (before, content)
    assert inventory(older_file).revision == SCHEMA_REVISION


def test_no_backup_where_none_is_wanted(older_file: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The rehearsal takes a copy of its own and removes it."""
    assert migrate(older_file, "--no-backup") == 0
    assert "rehearsed" in capsys.readouterr().out
    assert (backups(older_file), left(older_file)) == ([], set())


def test_what_a_killed_process_left_is_removed(older_file: str, tmp_path: Path) -> None:
    """Copies that nobody will finish, of this database and of no other."""
    dead = Path(tempfile.mkdtemp(prefix=rehearsing._prefix(path_of(older_file)), dir=tmp_path))
    (dead / "copy.db").write_bytes(b"half")
    (tmp_path / ".log.db.rehearsal-of-another").mkdir()
    (tmp_path / ".log.db.before-dead.partial").write_bytes(b"half")
    (tmp_path / ".log.db.before-dead.partial-journal").write_bytes(b"half")
    (tmp_path / ".other.db.before-dead.partial").write_bytes(b"half")
    assert migrate(older_file) == 0
    assert left(older_file) == {".other.db.before-dead.partial", ".log.db.rehearsal-of-another"}


def test_of_two_that_migrate_at_once_one_finds_the_work_done(older_file: str) -> None:
    """It waits for the other, and makes no backup of its own."""
    both = [
        subprocess.Popen(
            command("--database", older_file, "migrate"), env=environment(None), stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    said = [one.communicate(timeout=SECONDS)[0].splitlines()[-1] for one in both]
    assert [one.returncode for one in both] == [0, 0]
    assert sorted(one.partition(": schema ")[2] for one in said) == [
        f"{PREVIOUS} -> {SCHEMA_REVISION}",
        f"{SCHEMA_REVISION} already, nothing to do",
    ]
    assert len(backups(older_file)) == 1


def test_a_rehearsal_alone_changes_nothing(older: str, capsys: pytest.CaptureFixture[str]) -> None:
    """It says how long it took and how much it compared."""
    before = inventory(older)
    assert migrate(older, "--rehearse") == 0
    assert f"{before.rows} rows compared" in capsys.readouterr().out
    assert inventory(older) == before
    if is_sqlite(parse_url(older)):
        assert (backups(older), left(older)) == ([], set())


def test_a_rehearsal_can_take_place_elsewhere(older_file: str, tmp_path: Path) -> None:
    """In a folder that is left empty."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    assert migrate(older_file, "--scratch", str(folder)) == 0
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("statement", ["raise ValueError('half way')", "op.execute('INSERT INTO nowhere VALUES (1)')"])
def test_a_revision_that_fails_leaves_the_database_as_it_was(
    older: str, statement: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Though those before it went well. The error names the revision, the reason, and the backup."""
    with_revision(tmp_path, monkeypatch, f"op.drop_table('trades')\n{statement}")
    before, content = inventory(older), rows(older)
    assert migrate(older, "--to", EXTRA) == 2
    complaint = capsys.readouterr().err.splitlines()[-1]
    assert f"failed at revision {EXTRA}: " in complaint
    assert "half way" in complaint or "nowhere" in complaint
    assert (inventory(older), rows(older)) == (before, content)
    if is_sqlite(parse_url(older)):
        (backup,) = backups(older)
        assert f"a backup lies in {backup}" in complaint
        assert left(older) == set()


def test_a_revision_that_fails_after_a_good_rehearsal_leaves_the_database_as_it_was(
    older_file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What a copy cannot foresee, such as a full disk, is rolled back."""
    marker = tmp_path / "marker"
    statements = (
        f"marker = Path({str(marker)!r})",
        "marker.write_text('x' + (marker.read_text() if marker.exists() else ''))",
        "op.create_table('half', sa.Column('id', sa.Integer))",
        "if len(marker.read_text()) == 3: raise OSError('power cut')",  # after the copy and a fresh database
    )
    with_revision(tmp_path, monkeypatch, "\n".join(statements))
    before, content = inventory(older_file), rows(older_file)
    assert migrate(older_file, "--to", EXTRA) == 2
    said = capsys.readouterr()
    assert "rehearsed in" in said.out
    assert f"the migration failed at revision {EXTRA}: power cut; the database is as it was" in said.err
    assert str(backups(older_file)[0]) in said.err
    assert (inventory(older_file), rows(older_file)) == (before, content)
    assert migrate(older_file, "--to", EXTRA) == 0  # nothing stands in the way of the next attempt


LOSSES = {
    "trades: rows 1 -> 0": "op.execute('DELETE FROM trades')",
    "key_store: values in wrapped_key 1 -> 0": "op.execute('UPDATE key_store SET wrapped_key = NULL, erased_at = 1')",
    "would change the log itself: events: rows 1 -> 0": (
        "op.execute('DROP TRIGGER events_no_delete')\nop.execute('DELETE FROM events')"
    ),
    "another leaf hash": (
        "op.execute('DROP TRIGGER events_no_update')\nop.execute('UPDATE events SET leaf_hash = randomblob(32)')"
    ),
    "break references": "op.execute('DELETE FROM trading_pairs')",
}


@pytest.mark.parametrize("reason", LOSSES)
def test_a_revision_that_loses_something_is_found_out_by_the_rehearsal(
    older_file: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Rows, values, events, references: it is not done to the database at all."""
    with_revision(tmp_path, monkeypatch, LOSSES[reason])
    before, content = inventory(older_file), rows(older_file)
    assert migrate(older_file, "--to", EXTRA) == 2
    assert reason in capsys.readouterr().err
    assert (inventory(older_file), rows(older_file)) == (before, content)


def test_a_table_that_is_made_anew_by_the_book_would_lose_its_triggers(
    older_file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What nobody but the rehearsal notices: it knows which triggers an events table has."""
    with_revision(tmp_path, monkeypatch, REBUILD_EVENTS)
    before = inventory(older_file)
    assert migrate(older_file, "--to", EXTRA) == 2
    complaint = capsys.readouterr().err
    for trigger in ("events_append_only", "events_no_delete", "events_no_update"):
        assert f"trigger {trigger} of events" in complaint
    assert inventory(older_file) == before


def test_what_somebody_added_by_hand_is_not_lost_silently(
    older_file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A trigger of one's own on a table that is made anew is named; it goes only when told."""
    recreate = "with op.batch_alter_table('trail', recreate='always') as batch:\n    pass"
    with_revision(tmp_path, monkeypatch, recreate)
    with sqlite3.connect(path_of(older_file)) as connection:
        connection.execute("CREATE TRIGGER mine AFTER INSERT ON trail BEGIN SELECT 1; END")
    connection.close()
    assert migrate(older_file, "--to", EXTRA) == 2
    assert "trigger mine of trail" in capsys.readouterr().err
    assert backups(older_file) == []
    assert migrate(older_file, "--to", EXTRA, "--lose-data") == 0


def test_what_was_removed_before_is_no_reason_to_refuse(older_file: str, capsys: pytest.CaptureFixture[str]) -> None:
    """It is told, and stays as it was."""
    with sqlite3.connect(path_of(older_file)) as connection:
        connection.execute("DROP INDEX ix_orders_status")
    connection.close()
    assert migrate(older_file) == 0
    assert "the database lacks index ix_orders_status of orders" in capsys.readouterr().err


def test_going_down_is_refused_where_data_would_be_lost(older: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The tables and the number of their rows are named; what the log brings back is no loss. --lose-data does it."""
    before = inventory(older)
    assert migrate(older, "--to", "0003") == 2
    complaint = capsys.readouterr().err
    assert "key_store: rows 1 -> 0" in complaint
    assert "users: rows" not in complaint.splitlines()[-1]
    assert inventory(older) == before
    if is_sqlite(parse_url(older)):
        assert (backups(older), left(older)) == ([], set())

    assert migrate(older, "--to", "0003", "--lose-data") == 0
    assert "byjy rebuild ownership" in capsys.readouterr().err
    after = inventory(older)
    assert (after.revision, after.head) == ("0003", before.head)
    assert after.tables["events"] == before.tables["events"]


def test_a_group_that_lost_rows_is_rebuilt_before_it_goes_on(
    database: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Down and up again, it does not take what is left of its tables for the truth."""
    imported(database, sample(tmp_path))
    assert migrate(database, "--to", "0001") == 0
    assert "byjy rebuild trading" in capsys.readouterr().err
    assert migrate(database) == 0
    assert answered(["--database", database, "project", "trading"]) == 1
    assert "byjy rebuild trading" in capsys.readouterr().err
    assert answered(["--database", database, "rebuild", "trading"]) == 0
    assert answered(["--database", database, "verify", "trading"]) == 0


def test_the_base_is_nowhere_to_go(older: str, capsys: pytest.CaptureFixture[str]) -> None:
    """There the log itself would be gone; nor is there a revision that nobody wrote."""
    before = inventory(older)
    for to in ("base", "-1", "9999", ""):
        assert migrate(older, "--to", to, "--lose-data") == 2
        assert f"there is no revision '{to}'; expected one of 0001, " in capsys.readouterr().err
    assert inventory(older) == before


@pytest.mark.parametrize("to", ["head", "0001"])
def test_the_dry_run_prints_what_would_run(older: str, to: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Up and down: it changes nothing, and whoever runs the script has the same schema in the end."""
    before = inventory(older)
    assert migrate(older, "--dry-run", "--to", to) == 0
    script = capsys.readouterr().out
    assert inventory(older) == before
    run_script(older, script)
    by_hand = inventory(older)
    asyncio.run(migrating.upgrade(older) if to != "head" else migrating.downgrade(older, PREVIOUS))
    assert migrate(older, "--to", to, "--lose-data") == 0
    by_command = inventory(older)
    assert (by_hand.revision, by_hand.parts) == (by_command.revision, by_command.parts)
    assert by_hand.revision == (SCHEMA_REVISION if to == "head" else to)


def run_script(url: str, script: str) -> None:
    """As ``sqlite3`` or ``psql`` would."""
    if is_sqlite(parse_url(url)):
        with sqlite3.connect(path_of(url), isolation_level=None) as connection:
            connection.executescript(script)
        connection.close()
        return

    async def run() -> None:
        connection = await asyncpg.connect(url)
        await connection.execute(script)
        await connection.close()

    asyncio.run(run())


def test_the_dry_run_of_a_database_that_is_not_there_creates_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It prints the whole schema."""
    assert migrate(f"sqlite:///{tmp_path / 'new.db'}", "--dry-run") == 0
    assert "CREATE TABLE events" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


def test_a_new_database_is_neither_backed_up_nor_rehearsed(
    empty_database: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """There is nothing in it. It can be made at an older revision too."""
    assert migrate(empty_database, "--rehearse") == 0
    assert migrate(empty_database, "--to", "0005") == 0
    said = capsys.readouterr().out
    assert said.splitlines()[-1].endswith("schema none -> 0005")
    assert "backup" not in said


def test_too_little_room_is_said_before_anything_is_written(
    older_file: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """How much is needed, four times the file, and how much there is."""
    usage = namedtuple("usage", "total used free")
    size = path_of(older_file).stat().st_size
    for free, status in ((4 * size - 1, 2), (4 * size, 0)):
        monkeypatch.setattr(shutil, "disk_usage", lambda folder, free=free: usage(10**12, 0, free))
        assert migrate(older_file) == status
        said = capsys.readouterr()
        if status:
            assert f"{4 * size:,} bytes free are needed, {free:,} are there" in said.err
            assert (backups(older_file), left(older_file), said.out) == ([], set(), "")


def test_a_damaged_database_is_not_migrated(older_file: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Its backup would be worth nothing, and none is kept."""
    with sqlite3.connect(path_of(older_file)) as connection:
        connection.execute("DELETE FROM trading_pairs")  # foreign keys are off
    connection.close()
    before = bytes_of(older_file)
    assert migrate(older_file) == 2
    assert "refers to nothing in trading_pairs" in capsys.readouterr().err
    assert (backups(older_file), left(older_file)) == ([], set())
    assert bytes_of(older_file) == before


def bytes_of(url: str) -> bytes:
    return path_of(url).read_bytes()


def test_options_that_make_no_sense_are_refused(older: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By name."""
    assert migrate(older, "--dry-run", "--rehearse") == 2
    assert "--dry-run" in capsys.readouterr().err
    assert migrate(older, "--scratch", str(tmp_path / "none")) == 2
    assert "--scratch" in capsys.readouterr().err
