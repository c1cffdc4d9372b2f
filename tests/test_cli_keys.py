"""``byjy keys``: secrets come in by a prompt or standard input, and go out only by ``reveal``."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import pytest
import structlog

from byjy_events import EventLog
from byjy_ops.cli import answered
from projections import catch_up
from projections.ownership import OWNERSHIP
from tests.api_keys import new_user
from tests.cli import SECONDS, command, environment

KEY, SECRET, PASSPHRASE = "canary-key-7Jq", "canary-secret-x81", "canary-passphrase-Zr4"
GIVEN = {"key": KEY, "secret": SECRET, "passphrase": PASSPHRASE}


class Said(NamedTuple):
    """What came of a command."""

    status: int
    out: str
    complaint: str


class Operator:
    """Somebody who runs ``byjy keys``, in this process, which is faster."""

    def __init__(
        self, database: str, folder: Path, user: UUID, capsys: pytest.CaptureFixture[str], patch: pytest.MonkeyPatch
    ) -> None:
        self.database, self.user = database, user
        self.file = folder / "trading.key"
        self._capsys, self._patch = capsys, patch

    def __call__(self, *arguments: str, given: Any = None) -> Said:
        """Run a command; what is given goes to its standard input, as JSON unless it is bytes."""
        whole = given if isinstance(given, bytes) else json.dumps(given).encode()
        self._patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(whole)))
        status = answered(["keys", *arguments, "--database", self.database])
        return Said(status, *self._capsys.readouterr())

    def add(self, *options: str, given: Any = None) -> Said:
        """Add a key to binance."""
        where = ["--user", str(self.user), "--label", "main", "--key-file", str(self.file)]
        return self("add", "Binance", *where, *options, given=GIVEN if given is None else given)

    def added(self, *options: str, given: Any = None) -> str:
        """The id of a key that was added."""
        said = self.add(*options, given=given)
        assert (said.status, said.complaint) == (0, ""), said
        return said.out.strip()

    def rows(self) -> list[dict[str, Any]]:
        """All keys, once they are projected."""
        asyncio.run(projected(self.database))
        return [json.loads(line) for line in self("list", "--json").out.splitlines()]


async def projected(database: str) -> None:
    async with EventLog.open(database) as log:
        await catch_up(log, OWNERSHIP)


async def registered(database: str) -> UUID:
    async with EventLog.open(database) as log:
        return await new_user(log)


@pytest.fixture
def operator(
    database: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Operator]:
    """An operator, and a user whose keys they look after."""
    monkeypatch.delenv("BYJY_KEY_FILE", raising=False)
    monkeypatch.setenv("LOGNAME", "alice")
    yield Operator(database, tmp_path, asyncio.run(registered(database)), capsys, monkeypatch)
    structlog.reset_defaults()


def test_a_key_is_added_listed_and_revealed(operator: Operator) -> None:
    """Its secrets are seen where they are asked for, and nowhere else; the log says who asked and why."""
    added = operator.added("--permission", "trade", "--permission", "READ", "--expires", "90d")
    assert operator.file.stat().st_mode & 0o777 == 0o600
    (row,) = operator.rows()
    assert (row["id"], row["exchange"], row["state"], row["username"]) == (added, "binance", "ACTIVE", "Ada")
    assert row["permissions"] == ["READ", "TRADE"]
    assert len(row["fingerprint"]) == 12
    assert not [name for name in row if "encrypted" in name]
    shown = operator("list")
    assert [word in shown.out for word in (added, "READ,TRADE", row["fingerprint"], "ACTIVE")] == [True] * 4
    assert "canary" not in str(row) + shown.out
    revealing = ("reveal", added, "--reason", "moving house", "--key-file", str(operator.file))
    assert operator(*revealing) == (0, f"key: {KEY}\nsecret: {SECRET}\npassphrase: {PASSPHRASE}\n", "")
    assert json.loads(operator(*revealing, "--json", "--actor", "ops:bob").out) == GIVEN
    assert asyncio.run(revealed(operator.database)) == [("ops:alice", "moving house"), ("ops:bob", "moving house")]


async def revealed(database: str) -> list[tuple[str, str]]:
    async with EventLog.open(database) as log:
        return [
            (one.actor, one.event.reason)  # type: ignore[union-attr]
            async for one in log.read()
            if one.type == "ApiKeyRevealed"
        ]


def test_an_owner_is_found_by_name_before_the_tables_know_of_them(
    operator: Operator, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Adding asks the log; a listing tells what is in the tables, and of whom they know nothing it says so."""
    new = {"email": "eve@example.org", "password": "correct horse"}
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(json.dumps(new).encode())))
    line = ["users", "add", "Eve", "TRADER", "--key-file", str(operator.file), "--database", operator.database]
    assert answered(line) == 0
    eve = capsys.readouterr().out.strip()
    where = ("--user", "EVE", "--label", "x", "--key-file", str(operator.file))
    assert operator("add", "kraken", *where, given=GIVEN).status == 0
    assert "nobody is called 'eve'" in operator("list", "--user", "eve").complaint
    assert [row["user_id"] for row in operator.rows()] == [eve]
    assert operator("list", "--user", "eve").status == 0


def test_a_key_has_a_life(operator: Operator) -> None:
    """Each step says what it did, and a step that is not possible says why."""
    added = operator.added("--json", given={"key": KEY, "secret": SECRET})
    added = json.loads(added)["id"]
    file = ("--key-file", str(operator.file))
    reveal = ("reveal", added, "--reason", "test", *file)
    assert operator("change", added, "--label", "second") == (0, f"{added}: changed\n", "")
    assert operator("change", added, "--label", "second") == (0, f"{added}: nothing to change\n", "")
    assert operator("change", added, "--permission", "READ", "--expires", "30d").status == 0
    assert operator("change", added, "--never-expires").status == 0
    assert operator("revoke", added, "--reason", "leaked") == (0, f"{added}: revoked\n", "")
    assert operator(*reveal) == (2, "", f"byjy: API key {added} refuses ApiKeyRevealed: it is revoked\n")
    assert operator("replace", added, *file, given={"key": "new", "secret": "line 1\nline 2\x1b[2J"}).status == 0
    assert operator("reactivate", added) == (0, f"{added}: active\n", "")
    assert operator(*reveal).out == "key: new\nsecret: line 1\nline 2\\x1b[2J\n"
    assert operator("erase", added) == (2, "", "byjy: --yes: erasing cannot be undone; say that it is meant\n")
    assert operator("erase", added, "--yes", "--reason", "over") == (0, f"{added}: erased\n", "")
    assert operator(*reveal).complaint.endswith("its secrets are erased\n")
    (row,) = operator.rows()
    assert (row["label"], row["permissions"], row["state"], row["expires_at"]) == ("second", ["READ"], "ERASED", None)


BAD_INPUT: list[Any] = [
    b"",
    b"canary",
    b'"canary"',
    b'["canary"]',
    b'{"key":"canary","secret":"canary"',
    b'{"key":"canary","secret":"\xff"}',
    b"[" * 100_000,
    b'{"key":"' + b"canary" * 50_000 + b'","secret":"x"}',
    {"key": KEY},
    {**GIVEN, "canary": "more"},
    b'{"key":"canary","key":"canary","secret":"x"}',
    {"key": KEY, "secret": 5},
    {"key": KEY, "secret": None},
    {"key": KEY, "secret": {"canary": "canary"}},
    {"key": KEY, "secret": ""},
    {"key": KEY, "secret": "canary\ud800"},
]


@pytest.mark.parametrize("backend", ["sqlite"])
def test_bad_input_is_one_line_that_shows_nothing_of_it(operator: Operator) -> None:
    """Nothing is stored."""
    for given in BAD_INPUT:
        said = operator.add(given=given)
        assert (said.status, said.out) == (2, "")
        assert said.complaint.startswith(("byjy: standard input: ", "byjy: secret: "))
        assert said.complaint.count("\n") == 1
        assert "canary" not in said.complaint
    assert operator.rows() == []


@pytest.mark.parametrize("backend", ["sqlite"])
def test_a_traceback_shows_nothing_of_bad_input(operator: Operator) -> None:
    """With what is no JSON, is JSON of another form, and cannot be stored."""
    for given in (
        b'{"key":"canary","secret":"canary"',
        {"key": KEY, "secret": 5},
        {"key": KEY, "secret": "canary\ud800"},
    ):
        said = operator.add("--verbose", given=given)
        assert len(said.complaint.splitlines()) > 1
        assert "canary" not in said.complaint


BAD_USAGE: list[tuple[list[str], str]] = [
    (["reveal", "17", "--reason", "x"], "'17' is no UUID"),
    (["reveal", str(UUID(int=1))], "--reason"),
    (["reveal", str(UUID(int=1)), "--reason", " "], "reason: 0 characters, expected 1 to 4096"),
    (["reveal", str(UUID(int=1)), "--reason", "x"], "refuses ApiKeyRevealed: it was never added"),
    (["change", str(UUID(int=1)), "--label", "x"], "refuses ApiKeyChanged: it was never added"),
    (["change", str(UUID(int=1)), "--never-expires", "--expires", "1d"], "not together with --never-expires"),
    (["erase", str(UUID(int=1)), "--yes"], "refuses ApiKeyErased: it was never added"),
    (["add", "x", "--user", "nobody", "--label", "x"], "nobody is called 'nobody'"),
    (["add", "x", "--user", "a\udcffb", "--label", "x"], "username: holds a NUL character or a lone surrogate"),
    (["list", "--user", "a\udcffb"], "username: holds a NUL character or a lone surrogate"),
    (["add", "x", "--user", str(UUID(int=1)), "--label", "x"], f"user {UUID(int=1)}: there is no such user"),
    (["add", "x", "--user", "x", "--label", "x", "--permission", "FLY"], "expected one of READ, TRADE"),
    (["add", "x", "--user", "x", "--label", "x", "--expires", "soon"], "'soon' is no instant"),
    (["add", "x", "--user", "x", "--label", "x", "--secret", "x"], "--secret"),
    (["list", "--user", "nobody"], "nobody is called 'nobody'"),
    (["rotate"], "give one of --new-key-file, --new-key-variable and --new-keyring"),
    (["rotate", "--new-key-variable", "NO_SUCH"], "environment variable NO_SUCH: not set"),
]


@pytest.mark.parametrize("backend", ["sqlite"])
def test_bad_usage_is_one_line(operator: Operator) -> None:
    """That names what is wrong."""
    for arguments, reason in BAD_USAGE:
        said = operator(*arguments, given=GIVEN)
        assert (said.status, said.out) == (2, "")
        assert reason in said.complaint
        assert said.complaint.count("\n") == 1


def test_the_key_of_a_database_on_a_server_has_to_be_named(operator: Operator, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file has its key beside it; an environment variable will do for both."""
    where = ("Binance", "--user", str(operator.user), "--label", "main")
    said = operator("add", *where, given=GIVEN)
    if operator.database.startswith("sqlite"):
        assert said.status == 0
        assert operator.file.with_name("log.db.key").exists()
    else:
        assert (said.status, said.out) == (2, "")
        assert "for a database on a server say where the key is" in said.complaint
        monkeypatch.setenv("BYJY_KEY_FILE", str(operator.file))
        assert operator("add", *where, given=GIVEN).status == 0


def test_rotating_says_how_many_and_goes_on_with_the_new_key(operator: Operator) -> None:
    """Three secrets and the root of the keyed hashes; a second time there is nothing to do."""
    added = operator.added()
    new = operator.file.with_name("new.key")
    arguments = ("rotate", "--key-file", str(operator.file), "--new-key-file", str(new))
    said = operator(*arguments)
    assert (said.status, said.complaint) == (0, "")
    assert said.out.startswith("4 data keys rewrapped in 0.")
    operator.file.unlink()  # nothing needs it any more
    assert operator(*arguments).out.startswith("0 data keys rewrapped")
    reveal = ("reveal", added, "--reason", "test", "--key-file")
    assert operator(*reveal, str(new)).status == 0
    missing = operator(*reveal, str(operator.file))
    assert (missing.status, missing.out) == (2, "")
    assert not operator.file.exists()


def test_a_rotation_from_a_wrong_key_makes_no_new_one(operator: Operator) -> None:
    """Neither from one that is not there, nor from one that was never in use here."""
    operator.added()
    wrong, new = operator.file.with_name("wrong.key"), operator.file.with_name("new.key")
    arguments = ("rotate", "--key-file", str(wrong), "--new-key-file", str(new))
    assert "No such file" in operator(*arguments).complaint
    wrong.write_bytes(b"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n")
    wrong.chmod(0o600)
    said = operator(*arguments)
    assert (said.status, said.out) == (2, "")
    assert "is not in use here" in said.complaint
    assert not new.exists()


@pytest.mark.parametrize("backend", ["sqlite"])
def test_on_a_terminal_secrets_are_asked_for_and_not_shown(operator: Operator) -> None:
    """One after the other, with the echo off; an empty passphrase is none."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        command("keys", "add", "kraken", "--user", str(operator.user), "--label", "x"),
        env=environment(operator.database), stdin=theirs, stdout=subprocess.PIPE, stderr=theirs, start_new_session=True,
    )  # fmt: skip
    os.close(theirs)
    seen = b""
    for prompt, answer in ((b"key: ", KEY), (b"secret: ", SECRET), (b"passphrase (empty: none): ", "")):
        while not seen.endswith(prompt):
            seen += os.read(ours, 1024)
        os.write(ours, f"{answer}\n".encode())
    out, _ = process.communicate(timeout=SECONDS)
    os.set_blocking(ours, False)
    with contextlib.suppress(OSError):  # nothing more was said
        seen += os.read(ours, 65_536)
    os.close(ours)
    assert process.returncode == 0
    assert b"canary" not in seen
    file = operator.file.with_name("log.db.key")
    said = operator("reveal", out.decode().strip(), "--reason", "test", "--key-file", str(file))
    assert said.out == f"key: {KEY}\nsecret: {SECRET}\n"
