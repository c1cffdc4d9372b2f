"""``byjy seal``, ``byjy checkpoints``, ``byjy signing-key``, and what ``byjy status`` says of them."""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from byjy_events import EventLog
from byjy_events.database import open_engine, parse_url
from byjy_events.proof import AppendedFile, Checkpoint, Folder, Sealer, checkpoint_of, verifier_of
from byjy_ops.cli import answered
from byjy_ops.status import reported
from tests.cli import SECONDS, command, environment, rows
from tests.sealed import NAME, grow, keys

Cli = Callable[..., tuple[int, str, str]]

ONLY_SQLITE = pytest.mark.parametrize("backend", ["sqlite"])


@pytest.fixture
def key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the signing key of the tests is."""
    monkeypatch.setenv("BYJY_SIGNING_KEY_FILE", str(tmp_path / "key"))
    return tmp_path / "key"


@pytest.fixture
def cli(database: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Cli:
    """Runs ``byjy`` in this process: exit status, standard output, standard error."""
    monkeypatch.setenv("BYJY_DATABASE_URL", database)

    def run(*arguments: str) -> tuple[int, str, str]:
        status = answered(arguments)
        return status, *capfd.readouterr()

    return run


def grown(database: str, count: int) -> int:
    async def work() -> int:
        async with EventLog.open(database) as log:
            return await grow(log, count)

    return asyncio.run(work())


def test_a_log_is_sealed_and_its_checkpoints_listed(database: str, key: Path, cli: Cli, tmp_path: Path) -> None:
    """From the first key on; into a file, a folder and standard output; with the keys before and after a rotation."""
    file, folder = tmp_path / "checkpoints", tmp_path / "folder"
    first = cli("signing-key", "init", "--name", NAME)
    assert (first[0], first[2]) == (0, "")
    assert cli("signing-key", "show") == first
    assert cli("seal") == (0, "the log is empty, nothing to seal\n", "")
    grown(database, 3)
    assert cli("seal", "--to-file", str(file), "--to-folder", str(folder)) == (0, "sealed at 3, 3 events more\n", "")
    assert cli("seal") == (0, "sealed at 3 already\n", "")
    status, out, told = cli("signing-key", "rotate")
    assert (status, out.splitlines()[1:]) == (0, first[1].splitlines())
    assert "sealers that run sign with the old key until they are started anew" in told
    grown(database, 2)
    status, entry, told = cli("seal", "--to-stdout", "--to-file", str(file))
    assert (status, told) == (0, "byjy: sealed at 5, 2 events more\n")
    assert file.read_text().endswith(f".\n{entry}")
    trusted = [verifier_of(line) for line in out.splitlines()]
    assert [checkpoint_of(note, trusted).size for note in AppendedFile(file).notes()] == [3, 5]
    assert [checkpoint_of(note, trusted).size for note in Folder(folder).notes()] == [3]

    listed = [json.loads(line) for line in cli("checkpoints", "--json")[1].splitlines()]
    assert [(row["size"], row["signed_by"]) for row in listed] == [(5, [trusted[0].label]), (3, [trusted[1].label])]
    assert listed[0]["note"] == entry.removesuffix(".\n")
    assert listed[0]["root"] == entry.splitlines()[2]
    assert cli("checkpoints", "--limit", "1")[2] == "byjy: 1 shown, there are more: --limit N, or 0 for all\n"
    assert len(cli("checkpoints", "--limit", "0")[1].splitlines()) == 3
    shown = [json.loads(line) for line in cli("signing-key", "show", "--json")[1].splitlines()]
    assert [(row["name"], row["current"]) for row in shown] == [(NAME, True), (NAME, False)]
    assert [row["public_key"] for row in shown] == [str(one) for one in trusted]


@ONLY_SQLITE
def test_the_key_lies_beside_a_sqlite_file_unless_told(database: str, cli: Cli, tmp_path: Path) -> None:
    """And nothing of it is ever printed."""
    printed = "".join(cli("signing-key", "init", "--name", NAME)[1:])
    path = tmp_path / "log.db.signing-key"
    for arguments in (["signing-key", "show"], ["signing-key", "show", "--json"], ["seal"], ["status", "--json"]):
        printed += "".join(cli(*arguments)[1:])
    (private,) = path.read_text().split()
    assert private.startswith("PRIVATE+KEY+")
    assert private.split("+", 4)[4] not in printed
    elsewhere = tmp_path / "elsewhere"
    assert cli("signing-key", "init", "--name", NAME, "--file", str(elsewhere))[0] == 0
    assert cli("seal", "--signing-key", str(elsewhere))[0] == 0
    again = cli("signing-key", "init", "--name", NAME)
    assert again[0] == 2
    assert "there is a file already" in again[2]


def test_a_lost_key_is_followed_by_another(database: str, key: Path, cli: Cli, tmp_path: Path) -> None:
    """Which vouches for nothing signed before, unless the old public key is given."""
    (public,) = cli("signing-key", "init", "--name", NAME)[1].split()
    grown(database, 1)
    cli("seal")
    key.unlink()
    cli("signing-key", "init", "--name", NAME)
    status, _, told = cli("seal")
    assert status == 2
    assert f"signed by {verifier_of(public).label}, trusted is {NAME}+" in told
    key.unlink()
    assert cli("signing-key", "init", "--name", NAME, "--earlier", public)[0] == 0
    assert cli("seal") == (0, "sealed at 1 already\n", "")


def test_status_shows_the_window_that_is_not_sealed(
    database: str, key: Path, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the database, and in the places that options or the environment name; nothing before the first seal."""
    file, folder = tmp_path / "checkpoints", tmp_path / "folder"
    cli("signing-key", "init", "--name", NAME)
    grown(database, 3)
    assert "sealed" not in cli("status")[1]
    cli("seal", "--to-file", str(file))
    grown(database, 2)
    status, out, _ = cli("status", "--checkpoint-file", str(file))
    assert status == 0
    assert "sealed    database: at 3, 2 events and " in out
    assert f"sealed    {file}: at 3, 2 events and " in out
    monkeypatch.setenv("BYJY_CHECKPOINT_FILE", str(file))
    monkeypatch.setenv("BYJY_CHECKPOINT_FOLDER", str(folder))
    cli("seal")  # the same variables
    grown(database, 1)
    (report,) = [json.loads(line) for line in cli("status", "--json")[1].splitlines()]
    assert [(one["place"], one["size"], one["lag_events"]) for one in report["sealed"]] == [
        ("database", 5, 1),
        (str(file), 5, 1),
        (str(folder), 5, 1),
    ]
    assert all(0 < one["lag_seconds"] < SECONDS for one in report["sealed"])
    file.write_text("nonsense\n.\n")
    status, out, _ = cli("status")
    assert status == 1
    assert f"problem   cannot be read: {file}: near its end: " in out


@ONLY_SQLITE
def test_a_database_that_was_rolled_back_is_found(database: str, key: Path, cli: Cli, tmp_path: Path) -> None:
    """By the status and by the sealer, from what left the database; exit status 1."""
    file, folder = Path(database.removeprefix("sqlite:///")), tmp_path / "folder"
    cli("signing-key", "init", "--name", NAME)
    grown(database, 3)
    shutil.copyfile(file, tmp_path / "copy")
    grown(database, 2)
    cli("seal", "--to-folder", str(folder))
    shutil.copyfile(tmp_path / "copy", file)
    status, out, _ = cli("status", "--checkpoint-folder", str(folder))
    assert status == 1
    assert f"problem   the log ends at 3, and a checkpoint in {folder} is of size 5: it was rolled back" in out
    status, out, told = cli("seal", "--to-folder", str(folder))
    assert (status, out) == (1, "")
    assert told == (
        f"byjy: the log was rolled back: it ends at 3, and was signed up to 5 (checkpoint of size 5 in {folder})\n"
    )
    grown(database, 3)
    status, out, told = cli("seal", "--to-folder", str(folder))
    assert (status, out) == (1, "")
    assert "the log was altered: signed is the root " in told


def test_the_log_is_followed_across_processes(database: str, key: Path, cli: Cli, tmp_path: Path) -> None:
    """Each time it has grown there is a checkpoint; Ctrl-C ends it quietly."""
    cli("signing-key", "init", "--name", NAME)
    arguments = command("seal", "--follow", "--every", "0.05", "--to-stdout")
    with subprocess.Popen(arguments, env=environment(database), stdout=-1, stderr=-1, text=True) as process:
        assert process.stdout is not None
        for size in (4, 8):
            grown(database, 4)
            entry = [process.stdout.readline() for _ in range(6)]
            assert (entry[1], entry[-1]) == (f"{size}\n", ".\n")
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=SECONDS)
    assert (process.returncode, told) == (130, "byjy: sealing the log; Ctrl-C ends it\n")
    assert [row["size"] for row in rows("checkpoints", database=database)] == [8, 4]


def test_a_place_that_fails_is_an_error_once_the_rest_is_done(
    database: str, key: Path, cli: Cli, tmp_path: Path
) -> None:
    """It names the place; the checkpoint is stored, and goes there the next time."""
    cli("signing-key", "init", "--name", NAME)
    grown(database, 1)
    missing = tmp_path / "no" / "file"
    status, _, told = cli("seal", "--to-file", str(missing), "--to-folder", str(tmp_path / "folder"))
    assert status == 2
    assert told.startswith(f"byjy: checkpoint of size 1 not exported to {missing}: FileNotFoundError")
    assert len(list(Folder(tmp_path / "folder").notes())) == 1
    missing.parent.mkdir()
    assert cli("seal", "--to-file", str(missing)) == (0, "sealed at 1 already\n", "")
    assert len(list(AppendedFile(missing).notes())) == 1


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["seal"], "there is no such file; byjy signing-key init makes one"),
        (["seal", "--every", "5"], "--every: goes with --follow"),
        (["seal", "--follow", "--every", "0"], "--every"),
        (["signing-key", "show"], "there is no such file"),
        (["signing-key", "rotate"], "there is no such file"),
        (["signing-key", "init"], "--name"),
        (["signing-key", "init", "--name", "my log"], "white space"),
        (["signing-key", "init", "--name", "x", "--earlier", "y"], "--earlier: not spelled as name+id+key"),
        (["checkpoints", "--limit", "-1"], "--limit"),
    ],
)
@ONLY_SQLITE
def test_bad_usage_is_named(cli: Cli, tmp_path: Path, arguments: list[str], reason: str) -> None:
    """In one line; nothing is made."""
    status, out, told = cli(*arguments)
    assert (status, out) == (2, "")
    assert reason in told
    assert told.count("\n") == 1
    assert not (tmp_path / "log.db.signing-key").exists()


@pytest.mark.parametrize("backend", ["postgresql"])
def test_for_a_server_the_key_has_to_be_named(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no beside."""
    monkeypatch.delenv("BYJY_SIGNING_KEY_FILE", raising=False)
    for arguments in (["seal"], ["signing-key", "show"]):
        status, _, told = cli(*arguments)
        assert status == 2
        assert "or BYJY_SIGNING_KEY_FILE in the environment" in told


@ONLY_SQLITE
def test_nothing_listed_is_said(cli: Cli) -> None:
    """On standard error."""
    assert cli("checkpoints") == (0, "", "byjy: nothing found\n")


async def test_a_log_that_is_sealed_while_the_status_is_taken_was_not_rolled_back(database: str) -> None:
    """What lies outside is looked at first; it may be of more events than there were a moment ago."""

    class Growing:
        name = "growing"

        async def put(self, checkpoint: Checkpoint) -> None: ...

        async def newest(self) -> Checkpoint | None:
            async with EventLog.open(database) as log:
                await grow(log, 3)
                return await Sealer(log, keys()).seal_once()

    engine = open_engine(parse_url(database))
    try:
        report = await reported(engine, [Growing()])
    finally:
        await engine.dispose()
    assert [(one.place, one.size, one.problem) for one in report.sealed] == [
        ("database", 3, None),
        ("growing", 3, None),
    ]
