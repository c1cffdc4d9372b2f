"""``byjy migrate --to`` an older schema: what would be lost is named first, and what the log brings back is no loss."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from byjy_events import migrating
from byjy_events.database import is_sqlite, parse_url
from byjy_ops.cli import answered
from tests.cli import imported, sample
from tests.revised import EXTRA, backups, inventory, left, migrate, path_of, with_revision


@pytest.fixture(autouse=True)
def _logging_as_usual() -> Iterator[None]:
    """A command that ran in this process sends the library's log to a standard error that pytest closes afterwards."""
    structlog.reset_defaults()
    yield
    structlog.reset_defaults()


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


def test_a_group_that_nobody_counted_is_rebuilt_before_it_goes_on(
    database: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As after Alembic's own command: nobody looked which tables lost their rows, so every group is taken for one."""
    imported(database, sample(tmp_path))
    asyncio.run(migrating.downgrade(database, "0001"))
    assert migrate(database) == 0
    capsys.readouterr()
    assert answered(["--database", database, "project", "trading"]) == 1
    assert "byjy rebuild trading" in capsys.readouterr().err


def test_rows_that_came_after_the_rehearsal_are_not_lost(
    older_file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The rehearsal's copy did not have them; the migration itself counts once more."""
    marker, live = tmp_path / "marker", path_of(older_file)
    late = (
        "INSERT INTO system_logs (id, level, logger, event, context, created_at)"
        " SELECT randomblob(16), level, logger, 'late', context, created_at FROM system_logs"
    )
    upgrade = (
        "import contextlib, sqlite3",
        f"if not Path({str(marker)!r}).exists():",
        f"    Path({str(marker)!r}).touch()",
        f"    with contextlib.closing(sqlite3.connect({str(live)!r})) as database, database:",
        f"        database.execute({late!r})",
        "op.execute(\"DELETE FROM system_logs WHERE event = 'late'\")",
    )
    with_revision(tmp_path, monkeypatch, "\n".join(upgrade))
    before = inventory(older_file)
    assert migrate(older_file, "--to", EXTRA) == 2
    assert "system_logs: rows 2 -> 1" in capsys.readouterr().err
    after = inventory(older_file)
    assert (after.revision, after.tables["system_logs"].rows) == (before.revision, 2)
