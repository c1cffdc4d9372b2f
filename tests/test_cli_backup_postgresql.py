"""``byjy backup`` with a PostgreSQL database, as an operator uses it."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import structlog

from byjy_events.database import display, parse_url
from byjy_ops.cli import answered
from projections.checkpoints import projection_checkpoints
from projections.registry import OWN_GROUPS
from projections.tables import orders
from tests.backups import url
from tests.cli import EVENTS, imported, sample
from tests.copies import new_database, rows
from tests.sealed import vandal

Cli = Callable[..., tuple[int, str, str]]
PASSWORD = "hunter2"


@pytest.fixture(autouse=True)
def _environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Folders of the test's own. A command sets logging up for its process."""
    monkeypatch.setenv("BYJY_BACKUP_FOLDER", str(tmp_path / "backups"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    yield
    structlog.reset_defaults()


@pytest.fixture
def source(tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A PostgreSQL database with the sample imported and projected, named by the environment."""
    with new_database("postgresql", tmp_path, request) as database:
        imported(database, sample(tmp_path))
        monkeypatch.setenv("BYJY_DATABASE_URL", database.replace("postgres@", f"postgres:{PASSWORD}@"))
        yield database


@pytest.fixture
def target(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """Another one, with nothing in it."""
    with new_database("postgresql", tmp_path, request) as database:
        yield database


@pytest.fixture
def cli(capfd: pytest.CaptureFixture[str]) -> Cli:
    """Runs ``byjy`` in this process: exit status, standard output, standard error. The password is never shown."""

    def run(*arguments: str) -> tuple[int, str, str]:
        status = answered(list(arguments))
        said = capfd.readouterr()
        assert PASSWORD not in said.out + said.err
        return status, said.out, said.err

    return run


def one(out: str) -> dict[str, Any]:
    """The only line."""
    (found,) = map(json.loads, out.splitlines())
    assert isinstance(found, dict)
    return found


def test_a_day_with_backups_of_postgresql(source: str, target: str, cli: Cli, tmp_path: Path) -> None:
    """Made, verified, listed, told by status; restored into a database and into a file, whose tables are replayed."""
    assert cli("backup", "create")[0] == 0
    made = one(cli("backup", "verify", "--thorough", "--json")[1])
    assert (made["state"], made["origin"], made["facts"]["head"]) == ("VERIFIED", "postgresql", EVENTS)
    assert made["thorough_check"]["problems"] == made["thorough_check"]["notes"] == []
    assert made["name"] in cli("backup", "list")[1]
    assert one(cli("status", "--json")[1])["backup"]["state"] == "VERIFIED"

    status, out, told = cli("backup", "restore", "latest", "--into", target)
    replayed = [f"{group.name}: replayed up to {EVENTS}" for group in OWN_GROUPS]
    first, *more = out.splitlines()
    assert first.startswith(f"{display(parse_url(target))}: restored from {made['name']} up to position {EVENTS}, ")
    assert (status, more[:-1]) == (0, replayed)
    assert "byjy audit and byjy verify" in told
    again = one(cli("backup", "restore", "latest", "--into", target, "--thorough", "--json")[1])
    assert (again["before"], again["head"], again["proven"]) == (EVENTS, EVENTS, True)
    assert [group["position"] for group in again["groups"]] == [EVENTS] * len(OWN_GROUPS)

    status, out, _ = cli("backup", "restore", "latest", "--into", str(tmp_path / "new.db"))
    assert status == 0
    assert f"trading: replayed up to {EVENTS}\n" in out
    for database in (target, url(tmp_path / "new.db")):
        assert asyncio.run(rows(database, orders)) == asyncio.run(rows(source, orders))


def test_a_backup_of_a_file_is_restored_into_a_database(
    target: str, cli: Cli, tmp_path: Path, migrated_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which is how one moves from the one to the other when the file is lost."""
    path = tmp_path / "log.db"
    path.write_bytes(migrated_file.read_bytes())
    imported(url(path), sample(tmp_path))
    monkeypatch.setenv("BYJY_DATABASE_URL", url(path))
    assert cli("backup", "create")[0] == 0
    assert cli("backup", "restore", "latest", "--into", target, "--thorough")[0] == 0
    assert asyncio.run(rows(target, orders)) == asyncio.run(rows(url(path), orders))


def test_what_is_in_the_way_is_told(source: str, target: str, cli: Cli) -> None:
    """What makes sense for files only; tables of another log; a database that cannot be reached or is none."""
    assert cli("backup", "create")[0] == 0
    assert "--replace: is for a file" in cli("backup", "restore", "latest", "--into", target, "--replace")[2]

    async def leave_behind() -> None:
        async with vandal(target) as connection:
            row = {"group_name": "trading", "position": 5, "version": "x", "status": "RUNNING", "updated_at": 1}
            await connection.execute(sa.insert(projection_checkpoints).values(row))

    asyncio.run(leave_behind())
    status, _, told = cli("backup", "restore", "latest", "--into", target)
    assert (status, "tables of trading as of position 5, and a log that ends at 0" in told) == (2, True)
    for nowhere in (f"postgresql://nobody:{PASSWORD}@127.0.0.1:1/x", "mysql://nobody@127.0.0.1/x"):
        status, _, told = cli("backup", "restore", "latest", "--into", nowhere)
        assert (status, told.count("\n")) == (2, 1)
