"""A database that a newer program migrated is refused by every command, and left as it is."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
import structlog

from byjy_events.database import is_sqlite, parse_url
from byjy_events.schema import SCHEMA_REVISION
from byjy_ops.cli import answered
from tests.cli import sample
from tests.revised import path_of
from tests.schema import execute, revision
from tests.test_cli_usage import commands

NEWER = "9999"
ONE = str(uuid4())

WITHOUT_DATABASE = {"backup list", "backup prune", "backup restore", "backup verify", "export check", "proof check",
                    "signing-key init", "signing-key rotate", "signing-key show"}  # fmt: skip
"""Commands that open no database, or make one."""

ARGUMENTS: dict[str, list[str]] = {
    "as-of": ["1", "orders"],
    "config diff": ["key", "1"],
    "config rollback": ["key", "1"],
    "config set": ["key", "1"],
    "keys add": ["binance", "--user", ONE, "--label", "main"],
    "keys erase": [ONE, "--yes"],
    "keys rotate": ["--new-key-file", "new.key"],
    "logs prune": ["--keep", "1"],
    "users add": ["alice", "admin"],
    "users erase": [ONE, "--yes"],
    **{
        f"export {table}": ["--output", "x.jsonl"] for table in ("anomalies", "events", "orders", "positions", "trades")
    },
}
"""What is to stand behind a command that does not take a UUID for everything."""

SAID = {
    "keys add": {"key": "k", "secret": "s"},
    "keys replace": {"key": "k", "secret": "s"},
    "users add": {"email": "a@example.org", "password": "correct horse battery staple"},
    "users password": {"password": "correct horse battery staple"},
}
"""What is to stand on standard input."""


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    """In this process the command sends the library's log to a standard error that pytest closes afterwards."""
    yield
    structlog.reset_defaults()


@pytest.fixture(scope="module")
def newer(migrated_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of a revision that nobody wrote yet, with a key to sign with."""
    path = tmp_path_factory.mktemp("newer") / "newer.db"
    shutil.copyfile(migrated_file, path)
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = ?", [NEWER])
    connection.close()
    assert answered(["--database", f"sqlite:///{path}", "signing-key", "init", "--name", "log"]) == 0
    return path


def names() -> list[str]:
    """Every command that opens a database and can do so with SQLite."""
    known = {name.removeprefix("byjy ") for name, _ in commands()}
    assert known >= {*WITHOUT_DATABASE, *ARGUMENTS}
    return sorted(known - WITHOUT_DATABASE - {"copy", "grants", "status"})


def arguments(name: str, folder: Path) -> list[str]:
    if name in ARGUMENTS:
        return ARGUMENTS[name]
    found = []
    for parameter in dict(commands())[f"byjy {name}"].params:
        if parameter.required:
            option = parameter.param_type_name == "option"
            value = str(sample(folder)) if parameter.name == "files" else "admin" if parameter.name == "role" else ONE
            found += [parameter.opts[0], value] if option else [value]
    return found


def test_every_command_refuses_a_newer_database(
    database: str, newer: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With status 2 and a line that names both revisions and what to do; a file stays as it is.

    A revision that nobody knows beside a known one, as a mistake might leave it, counts as newer.
    """
    asyncio.run(execute(database, f"INSERT INTO alembic_version VALUES ('{NEWER}')"))
    sqlite = is_sqlite(parse_url(database))
    before = path_of(database).read_bytes() if sqlite else b""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BYJY_SIGNING_KEY_FILE", str(newer.with_name("newer.db.signing-key")))
    for name in (*names(), *(() if sqlite else ("grants",))):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(json.dumps(SAID.get(name)).encode())))
        status = answered(["--database", database, *name.split(), *arguments(name, tmp_path)])
        said = capsys.readouterr()
        complaint = said.err.splitlines()[-1]
        assert f"has schema {NEWER}, this program works with {SCHEMA_REVISION}: upgrade byjy-events" in complaint, name
        assert (name, status, said.out) == (name, 2, "")
        assert not sqlite or path_of(database).read_bytes() == before, name


def test_status_says_what_is_wrong_with_a_newer_database(newer: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is there to tell, and its answer is no."""
    assert answered(["--database", f"sqlite:///{newer}", "status"]) == 1
    assert f"{NEWER}; this program works with {SCHEMA_REVISION}: upgrade byjy-events" in capsys.readouterr().out


@pytest.mark.parametrize("to_it", [True, False])
def test_nothing_is_copied_from_or_to_a_newer_database(
    newer: Path, migrated_file: Path, to_it: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whichever end it is."""
    other = tmp_path / "other.db"
    shutil.copyfile(migrated_file, other)
    ends = (other, newer) if to_it else (newer, other)
    assert answered(["copy", *(f"sqlite:///{end}" for end in ends)]) == 2
    assert f"has schema {NEWER}, this program works with {SCHEMA_REVISION}" in capsys.readouterr().err


@pytest.mark.parametrize("how", [["--to", "0001"], ["--dry-run"], ["--rehearse"]])
def test_a_newer_database_is_not_taken_down(database: str, how: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """To a schema that this program knows: only the newer one knows the way."""
    asyncio.run(execute(database, f"UPDATE alembic_version SET version_num = '{NEWER}'"))
    assert answered(["--database", database, "migrate", *how]) == 2
    said = capsys.readouterr().err
    assert f"has schema {NEWER}, this program works with {SCHEMA_REVISION}: upgrade byjy-events" in said
    assert asyncio.run(revision(database)) == NEWER
