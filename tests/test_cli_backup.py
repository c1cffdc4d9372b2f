"""``byjy backup`` as an operator uses it, and what ``byjy status`` tells of backups."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from byjy_events import EventLog
from byjy_events.backup import Backups
from byjy_ops.cli import answered
from tests.backups import change, head, new_log, states, url
from tests.cli import byjy, command, environment, imported, sample
from tests.story import place


@pytest.fixture
def database(migrated_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A SQLite file with the sample imported and projected, named by the environment, as is the folder of backups."""
    path = tmp_path / "log.db"
    imported(new_log(migrated_file, path), sample(tmp_path))
    monkeypatch.setenv("BYJY_DATABASE_URL", url(path))
    monkeypatch.setenv("BYJY_BACKUP_FOLDER", str(tmp_path / "backups"))
    yield url(path)
    structlog.reset_defaults()


def rows(capsys: pytest.CaptureFixture[str], *arguments: str, status: int = 0) -> list[dict[str, Any]]:
    capsys.readouterr()
    assert answered([*arguments, "--json"]) == status, capsys.readouterr().err
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_a_day_with_backups(database: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Made, listed, verified with its tables, restored, pruned."""
    assert answered(["backup", "create"]) == 0
    (made,) = rows(capsys, "backup", "create")
    assert (made["state"], made["facts"]["head"]) == ("VERIFIED", 13)
    listed = rows(capsys, "backup", "list")
    assert [one["sequence"] for one in listed] == [2, 1]
    assert answered(["backup", "list"]) == 0
    assert made["name"] in capsys.readouterr().out
    (verified,) = rows(capsys, "backup", "verify", "--thorough")
    assert verified["name"] == made["name"]
    assert verified["thorough_check"]["problems"] == verified["thorough_check"]["notes"] == []
    assert len(rows(capsys, "backup", "verify", "--all")) == 2
    target = tmp_path / "new.db"
    (done,) = rows(capsys, "backup", "restore", "latest", "--into", str(target))
    assert (done["name"], done["head"], done["kept"]) == (made["name"], 13, None)
    assert head(target) == 13
    assert answered(["backup", "restore", "latest", "--into", str(target)]) == 2
    assert "--replace" in capsys.readouterr().err
    assert answered(["backup", "restore", "latest", "--into", str(target), "--replace"]) == 0
    assert "what was there before" in capsys.readouterr().out
    going = rows(capsys, "backup", "prune", "--keep", "0s", "--dry-run")
    assert going == [{"name": listed[1]["name"], "deleted": False}]
    assert rows(capsys, "backup", "prune", "--keep", "0s") == [{"name": listed[1]["name"], "deleted": True}]
    assert len(rows(capsys, "backup", "list")) == 1


def test_tables_that_differ_from_the_log_fail_a_thorough_verification(
    database: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A quick one does not look at them. The answer is no, the problem is told, and status tells it again."""
    change(tmp_path / "log.db", "UPDATE trades SET executed_at = 1")
    assert answered(["backup", "create"]) == 0
    (made,) = rows(capsys, "backup", "create", "--thorough", status=1)
    assert made["state"] == "FAILED"
    assert any("rows differ from the log" in problem for problem in made["thorough_check"]["problems"])
    (report,) = rows(capsys, "status", status=1)
    assert report["backup"]["state"] == "FAILED"
    assert "rows differ" in report["backup"]["problem"]


def test_status_tells_of_the_newest_backup(database: str, capsys: pytest.CaptureFixture[str]) -> None:
    """None, one, one that is later than was promised; without a folder nothing is told."""
    (report,) = rows(capsys, "status", status=1)
    assert "No such file" in report["backup"]["problem"]
    assert answered(["backup", "create"]) == 0
    (report,) = rows(capsys, "status")
    assert (report["backup"]["state"], report["backup"]["head"], report["backup"]["problem"]) == ("VERIFIED", 13, None)
    assert answered(["status"]) == 0
    assert "backup    " in capsys.readouterr().out
    (backup,) = Backups(report["backup"]["folder"]).list()
    manifest = json.loads(backup.manifest_path.read_text())
    backup.manifest_path.write_text(json.dumps({**manifest, "every_seconds": 1e-6}))
    (report,) = rows(capsys, "status", status=1)
    assert "byjy backup run" in report["backup"]["problem"]


def test_a_damaged_backup_is_a_negative_answer(
    database: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of verify, of restore, and of list, when there is no other."""
    assert answered(["backup", "create"]) == 0
    (backup,) = Backups(tmp_path / "backups").list()
    backup.path.write_bytes(backup.path.read_bytes()[:-100])
    assert answered(["backup", "restore", backup.name, "--into", str(tmp_path / "new.db")]) == 1
    assert "cannot be trusted" in capsys.readouterr().err
    (found,) = rows(capsys, "backup", "verify", status=1)
    assert found["state"] == "FAILED"
    assert rows(capsys, "backup", "list", status=1)[0]["state"] == "FAILED"
    assert answered(["backup", "restore", "latest", "--into", str(tmp_path / "new.db")]) == 2


def test_a_backup_that_is_lost_is_a_negative_answer(
    database: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of verify, status and restore, which name it, although the one before is as good as ever."""
    for _ in range(2):
        assert answered(["backup", "create"]) == 0
    newest, older = Backups(tmp_path / "backups").list()
    newest.manifest_path.write_text("{")
    for arguments in (["verify"], ["verify", "--all"], ["restore", "latest", "--into", str(tmp_path / "new.db")]):
        capsys.readouterr()
        assert answered(["backup", *arguments]) == 1
        assert f"{newest.name}: its manifest is damaged" in capsys.readouterr().err
    (report,) = rows(capsys, "status", status=1)
    assert (report["backup"]["name"], report["backup"]["state"]) == (older.name, "VERIFIED")
    assert f"{newest.name}: its manifest is damaged" in report["backup"]["problem"]
    assert answered(["backup", "verify", older.name]) == 0
    assert answered(["backup", "create"]) == 0
    assert answered(["backup", "verify"]) == 0
    assert answered(["backup", "verify", "--all"]) == 1


@contextlib.contextmanager
def running(database: str, folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A scheduler that has made a backup, and writes segments beside it."""
    often = ["--every", "0.01s", "--segments-every", "0.01s"]
    arguments = command("backup", "run", "--folder", str(folder), *often, "--json")
    with subprocess.Popen(arguments, env=environment(database), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["state"] == "VERIFIED"
        yield process


async def appended(database: str) -> None:
    async with EventLog.open(database) as log:
        await place(log)


def test_a_scheduler_that_is_killed_makes_room_for_the_next_one(
    database: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """While it runs another one is refused, with all options as they are unless told; segments are written beside its
    backups; Ctrl-C ends both.
    """
    folder = tmp_path / "backups"
    with running(database, folder) as process:
        assert answered(["backup", "run"]) == 2
        assert "another process makes backups there" in capsys.readouterr().err
        process.kill()
    with running(database, folder) as process:
        while not list(folder.glob("segments-*.seg")):  # what came before the newest backup is in none
            assert process.poll() is None
            asyncio.run(appended(database))
        process.send_signal(signal.SIGINT)
        assert process.wait() == 130
    assert answered(["backup", "prune"]) == 0
    assert {"VERIFIED"} <= set(states(Backups(folder))) <= {"VERIFIED", "UNVERIFIED", "INCOMPLETE"}


def test_what_cannot_be_done_is_said_in_one_line(
    database: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In a process of its own, so that nothing slow is needed for it."""
    done = byjy("backup", "create", "--folder", str(tmp_path), database="postgresql://somebody@127.0.0.1:1/trading")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "postgresql://somebody@127.0.0.1:1/trading was not backed up: " in done.stderr
    assert answered(["backup", "run", "--every", "0s"]) == 2
    assert "--every: a span" in capsys.readouterr().err
    assert answered(["backup", "list", "--folder", str(tmp_path / "missing")]) == 2
