"""``byjy config``: what an operator does with configuration, and that secrets stay hidden."""

from __future__ import annotations

import io
import json
import os
import pty
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import structlog

from byjy_events.vocabulary.configuration import VALUE_BYTES
from byjy_ops.cli import answered
from tests.cli import SECONDS, byjy, command, environment

KEY = "risk.limits"
CANARY = "canary-7f3a"


@pytest.fixture
def key_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the key-encryption key is, for every command of the test."""
    path = tmp_path / "test.key"
    monkeypatch.setenv("BYJY_KEY_FILE", str(path))
    return path


class Ran(NamedTuple):
    """What a command said, and its exit status."""

    returncode: int
    stdout: str
    stderr: str


class Cli:
    """``byjy config`` in this process, which is faster, with something on standard input."""

    def __init__(self, database: str, patch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.database = database
        self._patch = patch
        self._capsys = capsys

    def __call__(self, *arguments: str, given: str = "") -> Ran:
        self._patch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(given.encode())))
        status = answered(["--database", self.database, "config", *arguments])
        return Ran(status, *self._capsys.readouterr())

    def done(self, *arguments: str, given: str = "") -> str:
        """What it says when it succeeds."""
        ran = self(*arguments, given=given)
        assert ran.returncode == 0, ran.stderr
        return ran.stdout

    def refused(self, *arguments: str, given: str = "") -> str:
        """What it says when it does not."""
        ran = self(*arguments, given=given)
        assert (ran.returncode, ran.stdout) == (2, ""), ran
        assert ran.stderr.count("\n") == 1
        return ran.stderr

    def rows(self, *arguments: str) -> list[dict[str, Any]]:
        """What a listing gives as JSON Lines."""
        return [json.loads(line) for line in self.done(*arguments, "--json").splitlines()]


@pytest.fixture
def cli(database: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Cli]:
    """``byjy config`` on a fresh database."""
    yield Cli(database, monkeypatch, capsys)
    structlog.reset_defaults()


def test_values_are_set_read_listed_and_removed(cli: Cli, tmp_path: Path) -> None:
    """As arguments, from standard input or a file, with no projector anywhere."""
    assert cli.done("set", KEY, '{"max": 1}', "--description", "Per pair.", "--actor", "ada") == f"{KEY}: version 1\n"
    assert cli.done("set", KEY, given=' {"max": 2} \n') == f"{KEY}: version 2\n"
    path = tmp_path / "value.json"
    path.write_text('{"max":3}')
    assert cli.done("set", KEY, "--file", str(path)) == f"{KEY}: version 3\n"
    cli.done("set", "venue.name", "binance [x]", "--string")
    assert cli.done("get", KEY) == '{"max":3}\n'
    assert cli.done("get", KEY, "--version", "1") == '{"max":1}\n'
    assert cli.done("get", "venue.name") == '"binance [x]"\n'
    assert cli.done("get", "venue.name", "--string") == "binance [x]\n"
    found = cli.rows("list")
    assert [(row["key"], row["value"], row["version"]) for row in found] == [
        (KEY, {"max": 3}, 3),
        ("venue.name", "binance [x]", 1),
    ]
    assert [row["key"] for row in cli.rows("list", "venue")] == ["venue.name"]
    assert '{"max":3}' in cli.done("list")
    assert cli.done("remove", KEY) == f"{KEY}: version 4\n"
    missing = cli("get", KEY)
    assert (missing.returncode, missing.stdout) == (1, "")
    assert missing.stderr == f"byjy: configuration {KEY}: removed in version 4\n"
    assert [row["key"] for row in cli.rows("list")] == ["venue.name"]


def test_the_history_is_there_to_compare_and_to_go_back_to(cli: Cli) -> None:
    """The newest first; a rollback is a new version."""
    for value in ('{"max": 1, "gone": true}', '{"max": 2}'):
        cli.done("set", KEY, value, "--actor", "ada")
    history = cli.rows("history", KEY)
    assert [(row["version"], row["value"], row["updated_by"]) for row in history] == [
        (2, {"max": 2}, "ada"),
        (1, {"max": 1, "gone": True}, "ada"),
    ]
    assert len(cli.rows("history", KEY, "--limit", "1")) == 1
    assert cli.rows("diff", KEY, "1") == [
        {"path": "$.gone", "kind": "REMOVED", "before": True, "after": None},
        {"path": "$.max", "kind": "CHANGED", "before": 1, "after": 2},
    ]
    table = [line.split() for line in cli.done("diff", KEY, "1", "2").splitlines()]
    assert table == [["path", "kind", "before", "after"], ["$.gone", "REMOVED", "true"], ["$.max", "CHANGED", "1", "2"]]
    assert cli("diff", KEY, "1", "1").stderr == "byjy: no difference\n"
    assert cli.done("rollback", KEY, "1", "--expected", "2") == f"{KEY}: version 3\n"
    assert cli.done("get", KEY) == '{"gone":true,"max":1}\n'
    cli.done("remove", KEY, "--expected", "3")
    assert "(removed)" in cli.done("history", KEY)


def test_secrets_come_from_standard_input_and_are_shown_by_reveal_alone(cli: Cli, key_file: Path) -> None:
    """Once it is stored that they were asked for; also to the trail."""
    said = [cli.done("set", "token", "--secret", "--string", given=f"{CANARY}\n")]
    said += [cli.done("set", "token", "--string", given=CANARY)]  # secret it stays
    for arguments in (["list"], ["list", "--json"], ["history", "token"], ["history", "token", "--json"]):
        said.append(cli.done(*arguments))
    said += [cli.refused("get", "token"), cli.refused("diff", "token", "1", "2")]
    assert "**********" in said[2]
    assert json.loads(said[3])["value"] is None
    assert json.loads(said[3])["is_secret"] is True
    assert CANARY not in "".join(said)
    assert cli.done("reveal", "token", "--reason", "rotation", "--actor", "ada") == f"{CANARY}\n"
    assert cli.done("reveal", "token", "--reason", "x", "--version", "1") == f"{CANARY}\n"
    assert cli.done("rollback", "token", "1") == "token: version 3\n"
    trail = byjy("events", "--json", database=cli.database).stdout
    assert CANARY not in trail
    assert "rotation" in trail
    assert key_file.stat().st_mode & 0o777 == 0o600
    cli.done("set", "token", '"plain"', "--plain")
    assert cli.done("get", "token") == '"plain"\n'


def test_a_secret_in_sight_is_refused(cli: Cli, key_file: Path, tmp_path: Path) -> None:
    """As an argument or in a file, whether the command line says that it is secret or the key is."""
    path = tmp_path / "value"
    path.write_text(f'"{CANARY}"')
    cli.done("set", "token", "--secret", given='"x"')
    for arguments in (
        ["new", f'"{CANARY}"', "--secret"],
        ["new", "--file", str(path), "--secret"],
        ["token", f'"{CANARY}"'],
        ["token", "--file", str(path)],
    ):
        said = cli.refused("set", *arguments)
        assert "a secret is read from standard input or a hidden prompt alone" in said
        assert CANARY not in said
    for given in (CANARY, f'{{"{CANARY}": 1, "{CANARY}": 2}}', f'"{CANARY}\\u0000"'):
        said = cli.refused("set", "token", given=given)
        assert "why is not told, since it is secret" in said
        assert CANARY not in said
    assert len(cli.rows("history", "token")) == 1
    cli.done("remove", "token")
    assert "a secret is read from" in cli.refused("set", "token", f'"{CANARY}"')
    cli.done("set", "token", given=f'"{CANARY}"')
    assert CANARY not in cli.done("history", "token", "--json")


def test_a_prompt_does_not_show_what_is_typed(cli: Cli, key_file: Path) -> None:
    """On a terminal, where nothing is read in sight."""
    here, there = pty.openpty()
    arguments = command("config", "set", "token", "--secret", "--string")
    with subprocess.Popen(
        arguments, env=environment(cli.database), stdin=there, stdout=there, stderr=there, start_new_session=True
    ) as process:
        os.close(there)
        shown = _until(here, b"(hidden): ")
        os.write(here, f"{CANARY}\n".encode())
        shown += _until(here, b"version 1")
        assert process.wait(timeout=SECONDS) == 0
    os.close(here)
    assert CANARY.encode() not in shown
    assert cli.done("reveal", "token", "--reason", "test") == f"{CANARY}\n"


def _until(terminal: int, mark: bytes) -> bytes:
    shown = b""
    while mark not in shown:
        shown += os.read(terminal, 1024)
    return shown


def test_changes_are_watched_across_processes(cli: Cli) -> None:
    """The values that there are, then what other processes do; Ctrl-C ends it quietly."""
    cli.done("set", KEY, "1")
    cli.done("set", "other", "1")
    arguments = command("config", "watch", "risk", "--json")
    with subprocess.Popen(arguments, env=environment(cli.database), stdout=-1, stderr=-1, text=True) as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["value"] == 1
        cli.done("set", "other", "2")
        cli.done("set", KEY, "2", "--actor", "ada")
        changed = json.loads(process.stdout.readline())
        assert (changed["key"], changed["value"], changed["version"], changed["updated_by"]) == (KEY, 2, 2, "ada")
        cli.done("remove", KEY)
        assert json.loads(process.stdout.readline())["is_removed"] is True
        process.send_signal(signal.SIGINT)
        _, complaint = process.communicate(timeout=SECONDS)
    assert (process.returncode, complaint) == (130, "")


# --- bad usage ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "given", "reason"),
    [
        (["set", "Risk.max", "1"], "", "character 1 is 'R'"),
        (["set", KEY, "1", "--expected", "1"], "", "expected version 1, found version 2"),
        (["set", KEY, "1", "--expected", "-1"], "", "--expected"),
        (["set", KEY, "true"], "", "is INTEGER, and BOOLEAN was given"),
        (["set", KEY, "nonsense"], "", f"{KEY}: not JSON"),
        (["set", KEY, '{"a":1,"a":2}'], "", "'a' stands in it twice"),
        (["set", KEY], "[NaN]", "NaN is no number - at $[0]"),
        (["set", KEY], "", "not JSON"),
        (["set", KEY], "1" * (VALUE_BYTES + 1), f"standard input: more than {VALUE_BYTES} bytes"),
        (["set", KEY, "1", "--file", "x"], "", "give the value or a file, not both"),
        (["set", KEY, "--file", "/no/such/file"], "", "--file: /no/such/file: No such file"),
        (["rollback", KEY, "3"], "", "there is no value of version 3, the newest is 2"),
        (["rollback", KEY, "1", "--expected", "1"], "", "expected version 1, found version 2"),
        (["diff", KEY, "1", "9"], "", "there is no value of version 9"),
        (["get", KEY, "--version", "7"], "", "there is no value of version 7"),
        (["remove", "never.set"], "", "configuration never.set: not set"),
        (["reveal", KEY, "--reason", "x"], "", "version 2 is not secret: get shows it"),
        (["reveal", KEY], "", "--reason"),
        (["list", "RISK"], "", "character 1 is 'R'"),
    ],
)
def test_bad_usage_is_named(
    migrated_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    given: str,
    reason: str,
) -> None:
    """In one line, and nothing is stored."""
    path = tmp_path / "log.db"
    path.write_bytes(migrated_file.read_bytes())
    monkeypatch.setenv("BYJY_KEY_FILE", str(tmp_path / "test.key"))
    cli = Cli(f"sqlite:///{path}", monkeypatch, capsys)
    cli.done("set", KEY, "1")
    cli.done("set", KEY, "2")
    assert reason in cli.refused(*arguments, given=given)
    assert len(cli.rows("history", KEY)) == 2
    structlog.reset_defaults()


def test_a_wrong_key_is_named(cli: Cli, key_file: Path, tmp_path: Path) -> None:
    """Neither another one nor none at all opens anything."""
    cli.done("set", "token", "--secret", given='"x"')
    wrong = tmp_path / "wrong.key"
    wrong.write_bytes(os.urandom(32).hex().encode())
    wrong.chmod(0o600)
    assert "wrong.key" in cli.refused("reveal", "token", "--reason", "x", "--key-file", str(wrong))
    gone = cli.refused("reveal", "token", "--reason", "x", "--key-file", str(tmp_path / "gone.key"))
    assert "gone.key" in gone
    assert len(byjy("events", "--json", database=cli.database).stdout.splitlines()) == 1


def test_without_a_key_the_commands_for_plain_values_work(cli: Cli) -> None:
    """No key is asked for, and none is made."""
    cli.done("set", KEY, "1")
    cli.done("rollback", KEY, "1")
    if cli.database.startswith("sqlite"):
        assert not list(Path(cli.database.removeprefix("sqlite:///")).parent.glob("*.key"))


def test_json_of_every_command_that_writes(cli: Cli, key_file: Path) -> None:
    """The version that it made, as the log has it."""
    made: list[dict[str, Any]] = [
        json.loads(cli.done("set", KEY, "[1e3]", "--json")),
        json.loads(cli.done("set", KEY, "--secret", "--json", given="[2]")),
        json.loads(cli.done("rollback", KEY, "1", "--json")),
        json.loads(cli.done("remove", KEY, "--json")),
    ]
    assert [(row["version"], row["value"], row["is_secret"], row["is_removed"]) for row in made] == [
        (1, [1000.0], False, False),
        (2, None, True, False),
        (3, None, True, False),
        (4, None, False, True),
    ]
    assert all(row["updated_by"].startswith("ops") for row in made)
    assert json.loads(cli.done("reveal", KEY, "--reason", "x", "--version", "3", "--json")) == {
        "key": KEY,
        "value": "[1000.0]",
    }
