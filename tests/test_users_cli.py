"""``byjy users``: registered, listed, let in or not, and erased from the command line."""

from __future__ import annotations

import asyncio
import getpass
import io
import json
import os
import pty
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import structlog

from byjy_events import EventLog
from byjy_events.sealing import KeyFile, Vault
from byjy_events.secret import Secret
from byjy_ops.cli import answered
from projections import OWNERSHIP, catch_up
from projections.users.errors import LoginRefused
from projections.users.login import Logins
from projections.users.passwords import Passwords
from tests.cli import SECONDS, command, environment
from tests.user_stories import CHEAP

IN_TERMINAL = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""
"""Makes standard input the terminal of the process, for prompts to be found there."""

NEW = {"email": "Ada@Example.org", "password": "canary passphrase"}


@pytest.fixture
def key_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the key is, as the environment says."""
    path = tmp_path / "test.key"
    monkeypatch.setenv("BYJY_KEY_FILE", str(path))
    return path


class Said(NamedTuple):
    """What came of a command."""

    status: int
    out: str
    complaint: str


class Operator:
    """Somebody who runs ``byjy`` on a database, in this process, which is faster."""

    def __init__(self, database: str, capsys: pytest.CaptureFixture[str], patch: pytest.MonkeyPatch) -> None:
        self.database = database
        self._capsys, self._patch = capsys, patch

    def __call__(self, *arguments: str, given: Any = "") -> Said:
        """Run a command; what is given goes to its standard input, as JSON unless it is a text."""
        whole = given if isinstance(given, str) else json.dumps(given)
        self._patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(whole.encode())))
        status = answered([*arguments, "--database", self.database])
        return Said(status, *self._capsys.readouterr())

    def users(self, *arguments: str, given: Any = "") -> str:
        """What a command says that succeeds."""
        done = self("users", *arguments, given=given)
        assert (done.status, done.complaint) == (0, "")
        return done.out

    def rows(self, *arguments: str) -> list[dict[str, Any]]:
        """What a listing gives as JSON Lines."""
        done = self(*arguments, "--json")
        assert done.status == 0, done.complaint
        return [json.loads(line) for line in done.out.splitlines()]


@pytest.fixture
def operator(database: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Operator]:
    """On a fresh database, with passwords that cost next to nothing."""
    monkeypatch.setattr(Passwords.__init__, "__defaults__", (CHEAP,))
    yield Operator(database, capsys, monkeypatch)
    structlog.reset_defaults()


def logged_in(database: str, key_file: Path, password: str) -> bool:
    async def work() -> bool:
        async with EventLog.open(database) as log:
            logins = Logins(log, Vault(log, KeyFile(key_file, create=False)), quantum_seconds=0.001)
            try:
                await logins.authenticate("ada", Secret(password))
            except LoginRefused:
                return False
            return True

    return asyncio.run(work())


def projected(database: str) -> None:
    async def work() -> None:
        async with EventLog.open(database) as log:
            await catch_up(log, OWNERSHIP)

    asyncio.run(work())


def test_a_user_lives_from_the_command_line(database: str, operator: Operator, key_file: Path) -> None:
    """Added, shown, changed, locked out of, and erased; nothing secret is printed unless it is asked for."""
    users, rows = operator.users, operator.rows
    ada = json.loads(users("add", "Ada", "trader", "--json", given=NEW))["id"]
    assert logged_in(database, key_file, NEW["password"])
    assert key_file.stat().st_mode & 0o777 == 0o600

    behind = operator("users", "list")
    assert "nothing found" in behind.complaint
    assert "behind the log" in behind.complaint
    projected(database)
    (row,) = rows("users", "list", "--role", "trader")
    assert (row["id"], row["username"], row["role"], row["is_active"]) == (ada, "Ada", "TRADER", True)
    assert not {"email", "email_hash", "password_hash", "username_key"} & set(row)
    assert rows("users", "list", "--role", "admin") == []

    assert users("role", "ADA", "admin") == "ADA: ADMIN\n"
    assert users("role", ada, "ADMIN") == f"{ada}: ADMIN already\n"
    assert users("deactivate", "ada", "--reason", "leave") == "ada: inactive\n"
    assert not logged_in(database, key_file, NEW["password"])
    assert users("reactivate", "ada") == "ada: active\n"
    assert users("password", "ada", given={"password": "another passphrase"}) == "ada: password changed\n"
    assert not logged_in(database, key_file, NEW["password"])
    assert rows("users", "show", "ada")[0]["failed_login_count"] == 1
    assert users("unlock", "ada") == "ada: unlocked\n"
    assert logged_in(database, key_file, "another passphrase")
    assert rows("users", "show", "ada", "--email")[0]["email"] == NEW["email"]
    shown = users("show", "ada")
    assert "role: ADMIN\n" in shown
    assert "xample" not in shown

    assert "say that it is meant" in operator("users", "erase", "ada").complaint
    assert users("erase", "ada", "--yes", "--actor", "dpo") == "ada: erased\n"
    assert "nobody is called 'ada'" in operator("users", "show", "ada").complaint
    assert rows("users", "show", ada)[0]["is_active"] is False
    gone = operator("users", "show", ada, "--email")
    assert gone == (2, "", f"byjy: user {ada} refuses email: it was erased\n")
    assert [one["actor"] for one in rows("events", "--type", "UserErased")] == ["dpo"]


def test_a_listing_is_cut_where_it_is_told(database: str, operator: Operator, key_file: Path) -> None:
    """And says so; 0 is all."""
    for number in range(3):
        operator.users("add", f"user {number}", "READ_ONLY", given={**NEW, "email": f"{number}@example.org"})
    projected(database)
    cut = operator("users", "list", "--limit", "2", "--json")
    assert [json.loads(line)["username"] for line in cut.out.splitlines()] == ["user 0", "user 1"]
    assert "there are more" in cut.complaint
    assert len(operator.rows("users", "list", "--limit", "0")) == 3
    assert operator.users("list").splitlines()[3].split()[1:4] == ["user", "2", "READ_ONLY"]


BAD_INPUT: list[tuple[list[str], Any, str]] = [
    (["add", "a@b", "TRADER"], NEW, "username: an @ makes it an email address"),
    (["add", "Ada", "KING"], NEW, "role: 'KING' is unknown; expected one of ADMIN"),
    (["add", "Ada", "TRADER"], {**NEW, "email": "canary"}, "email: not of the form name@domain"),
    (["add", "Ada", "TRADER"], {**NEW, "password": "canary"}, "password: 6 characters, not 8 to 1024"),
    (["add", "Ada", "TRADER"], {"email": "canary"}, "standard input: not the fields that were expected"),
    (["add", "Ada", "TRADER"], "canary passphrase", "standard input: not a JSON object"),
    (["add", "Ada", "TRADER", "--keyring", "x", "--key-variable", "Y"], NEW, "give one of --key-file"),
    (["add", "Ada", "TRADER", "--key-variable", "NO_SUCH"], NEW, "environment variable NO_SUCH: not set"),
    (["password", "nobody"], {"password": "canary passphrase"}, "USER: nobody is called 'nobody'"),
    (["unlock", "019a0000-0000-7000-8000-000000000001"], "", "there is no user 019a0000-"),
]


def test_bad_input_is_named_and_not_shown(operator: Operator, key_file: Path) -> None:
    """In one line, and nothing is stored."""
    for arguments, given, complaint in BAD_INPUT:
        done = operator("users", *arguments, given=given)
        assert (done.status, done.out) == (2, "")
        assert complaint in done.complaint
        assert done.complaint.count("\n") == 1
        assert "canary" not in done.complaint
    assert operator.rows("events") == []


def test_a_key_is_made_only_while_there_are_no_secrets(operator: Operator, backend: str, tmp_path: Path) -> None:
    """Beside the SQLite file; a server has no such place. A file that is lost is not made anew."""
    usual = tmp_path / "log.db.key"
    done = operator("users", "add", "Ada", "TRADER", given=NEW)
    if backend == "postgresql":
        assert done.status == 2
        assert "for a database on a server say where the key is" in done.complaint
        operator.users("add", "Ada", "TRADER", "--key-file", str(usual), given=NEW)
    assert usual.exists()
    usual.unlink()
    second = {**NEW, "email": "eve@example.org"}
    lost = operator("users", "add", "Eve", "TRADER", "--key-file", str(usual), given=second)
    assert lost.status == 2
    assert str(usual) in lost.complaint
    assert not usual.exists()


def test_a_terminal_is_asked_twice_and_shows_nothing(migrated_file: Path, key_file: Path, tmp_path: Path) -> None:
    """Email and password are typed unseen."""
    database = f"sqlite:///{shutil.copyfile(migrated_file, tmp_path / 'asked.db')}"
    ours, theirs = pty.openpty()
    with_terminal = [sys.executable, "-c", IN_TERMINAL, *command("users", "add", "Ada", "TRADER")]
    process = subprocess.Popen(
        with_terminal, env=environment(database), stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
    )
    os.close(theirs)
    seen = b""
    typed = (("email: ", NEW["email"]), ("password: ", NEW["password"]), ("again: ", NEW["password"]))
    for question, answer in typed:
        while not seen.endswith(question.encode()):
            seen += os.read(ours, 1)
        os.write(ours, f"{answer}\n".encode())
    try:
        while piece := os.read(ours, 4096):
            seen += piece
    except OSError:  # so Linux says that the other end was closed
        pass
    os.close(ours)
    assert process.wait(SECONDS) == 0, seen
    assert b"passphrase" not in seen
    assert b"xample" not in seen


@pytest.mark.parametrize(
    ("typed", "status", "complaint"),
    [
        (("canary passphrase", "canary passphrasE"), 2, "byjy: password: the two are not the same\n"),
        ((EOFError,), 2, "byjy: standard input: ended\n"),
        (("canary passphrase", KeyboardInterrupt), 130, ""),
    ],
)
def test_a_password_that_is_not_given_twice_changes_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], typed: Any, status: int, complaint: str
) -> None:
    """Another one the second time, the end of the input, Ctrl-C: the database is not even looked for."""
    answers = iter(typed)

    def asked(_: str) -> str:
        answer = next(answers)
        if isinstance(answer, str):
            return answer
        raise answer

    ours, theirs = pty.openpty()
    monkeypatch.setattr(getpass, "getpass", asked)
    with os.fdopen(theirs) as terminal:
        monkeypatch.setattr(sys, "stdin", terminal)
        assert answered(["users", "password", "ada", "--database", "sqlite:////nowhere/log.db"]) == status
    os.close(ours)
    assert capsys.readouterr() == ("", complaint)
