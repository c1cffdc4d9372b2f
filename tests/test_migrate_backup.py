"""``byjy migrate`` on SQLite begins with a backup: verified, named and kept, where there is room for it."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import stat
import subprocess
import tempfile
from collections import namedtuple
from pathlib import Path

import pytest

from byjy_events import rehearsing
from byjy_events.schema import SCHEMA_REVISION
from tests.cli import SECONDS, command, environment
from tests.revised import PREVIOUS, backups, inventory, left, migrate, path_of, rows


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
    with contextlib.closing(sqlite3.connect(path_of(older_file))) as connection, connection:
        connection.execute("DELETE FROM trading_pairs")  # foreign keys are off
    connection.close()
    before = bytes_of(older_file)
    assert migrate(older_file) == 2
    assert "refers to nothing in trading_pairs" in capsys.readouterr().err
    assert (backups(older_file), left(older_file)) == ([], set())
    assert bytes_of(older_file) == before


def bytes_of(url: str) -> bytes:
    return path_of(url).read_bytes()
