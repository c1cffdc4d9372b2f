"""``byjy migrate --dry-run`` prints the SQL, and what else is done without a rehearsal."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from pathlib import Path

import asyncpg
import pytest

from byjy_events import migrating
from byjy_events.database import is_sqlite, parse_url
from byjy_events.schema import SCHEMA_REVISION
from tests.revised import PREVIOUS, inventory, migrate, path_of, rows


@pytest.mark.parametrize("to", ["head", "0001"])
def test_the_dry_run_prints_what_would_run(older: str, to: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Up and down: it changes nothing, and whoever runs the script has the same schema in the end."""
    before = inventory(older)
    assert migrate(older, "--dry-run", "--to", to) == 0
    script = capsys.readouterr().out
    assert inventory(older) == before
    run_script(older, script)
    by_hand = inventory(older)
    (group,) = rows(older)["projection_checkpoints"]
    assert (group["version"] == "") == (to != "head")  # nobody counted which rows went: it has to be rebuilt
    asyncio.run(migrating.upgrade(older) if to != "head" else migrating.downgrade(older, PREVIOUS))
    assert migrate(older, "--to", to, "--lose-data") == 0
    by_command = inventory(older)
    assert (by_hand.revision, by_hand.parts) == (by_command.revision, by_command.parts)
    assert by_hand.revision == (SCHEMA_REVISION if to == "head" else to)
    capsys.readouterr()
    assert migrate(older, "--dry-run", "--to", to) == 0
    assert capsys.readouterr().out.startswith("-- ")  # a script that does nothing is one still


def run_script(url: str, script: str) -> None:
    """As ``sqlite3`` or ``psql`` would."""
    if is_sqlite(parse_url(url)):
        with contextlib.closing(sqlite3.connect(path_of(url), isolation_level=None)) as connection:
            connection.executescript(script)
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


def test_options_that_make_no_sense_are_refused(older: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By name."""
    assert migrate(older, "--dry-run", "--rehearse") == 2
    assert "--dry-run" in capsys.readouterr().err
    assert migrate(older, "--scratch", str(tmp_path / "none")) == 2
    assert "--scratch" in capsys.readouterr().err
