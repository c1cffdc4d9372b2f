"""``byjy migrate`` rehearses: what would go wrong or be lost is found before the database is touched."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

import pytest

from byjy_events.database import is_sqlite, parse_url
from tests.revised import EXTRA, backups, inventory, left, migrate, path_of, rows, with_revision

REBUILD_EVENTS = """
with op.batch_alter_table("events", recreate="always") as batch:
    batch.add_column(sa.Column("lot", sa.Integer))
"""

MADE_BY_HAND = """
op.execute("CREATE TABLE anew AS SELECT * FROM order_fees")
op.drop_table("order_fees")
op.rename_table("anew", "order_fees")
"""

REBUILD_TRAIL = """
import warnings
with warnings.catch_warnings(action="ignore"), op.batch_alter_table("trail", recreate="always"):
    pass  # SQLAlchemy passes by indexes on expressions
"""

REBUILD_PARENTS = """
for table in ("trading_pairs", "orders"):
    with op.batch_alter_table(table, recreate="always") as batch:
        batch.add_column(sa.Column("lot", sa.Integer))
"""

OF_OTHERS = """
CREATE TABLE notes (id INTEGER PRIMARY KEY AUTOINCREMENT, order_id BLOB REFERENCES orders ON DELETE CASCADE);
INSERT INTO notes (id, order_id) SELECT 4, id FROM orders;
INSERT INTO notes (id) VALUES (5);
DELETE FROM notes WHERE id = 5;
PRAGMA user_version = 7;
PRAGMA application_id = 8;
"""
"""A child of orders that never gives a number twice, and what the file says of itself."""

REFUSED = {
    "UPDATE orders SET status = 'LOST'": "ck_orders_status",
    "UPDATE orders SET quantity = '1x'": "ck_orders_money",
    "UPDATE orders SET lot = 'many'": "cannot store TEXT value in INTEGER column orders.lot",
    "UPDATE orders SET trading_pair_id = x'00'": "FOREIGN KEY",
}
"""What a row of orders must not become, and what keeps it from that."""


def test_a_rehearsal_alone_changes_nothing(older: str, capsys: pytest.CaptureFixture[str]) -> None:
    """It says how long it took and how much it compared."""
    before = inventory(older)
    assert migrate(older, "--rehearse") == 0
    assert f"{before.rows} rows compared" in capsys.readouterr().out
    assert inventory(older) == before
    if is_sqlite(parse_url(older)):
        assert (backups(older), left(older)) == ([], set())


def test_a_rehearsal_can_take_place_elsewhere(older_file: str, tmp_path: Path) -> None:
    """In a folder that is left empty."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    assert migrate(older_file, "--scratch", str(folder)) == 0
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("statement", ["raise ValueError('half way')", "op.execute('INSERT INTO nowhere VALUES (1)')"])
def test_a_revision_that_fails_leaves_the_database_as_it_was(
    older: str, statement: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Though those before it went well. The error names the revision and the reason; no useless backup is left."""
    with_revision(tmp_path, monkeypatch, f"op.drop_table('trades')\n{statement}")
    before, content = inventory(older), rows(older)
    assert migrate(older, "--to", EXTRA) == 2
    complaint = capsys.readouterr().err.splitlines()[-1]
    assert f"failed at revision {EXTRA}: " in complaint
    assert "half way" in complaint or "nowhere" in complaint
    assert (inventory(older), rows(older)) == (before, content)
    if is_sqlite(parse_url(older)):
        assert (backups(older), left(older)) == ([], set())


def test_a_revision_that_fails_after_a_good_rehearsal_leaves_the_database_as_it_was(
    older_file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What a copy cannot foresee, such as a full disk, is rolled back; the backup stays and is named."""
    marker = tmp_path / "marker"
    statements = (
        f"marker = Path({str(marker)!r})",
        "marker.write_text('x' + (marker.read_text() if marker.exists() else ''))",
        "op.create_table('half', sa.Column('id', sa.Integer))",
        "if len(marker.read_text()) == 3: raise OSError('power cut')",  # after the copy and a fresh database
    )
    with_revision(tmp_path, monkeypatch, "\n".join(statements))
    before, content = inventory(older_file), rows(older_file)
    assert migrate(older_file, "--to", EXTRA) == 2
    said = capsys.readouterr()
    assert "rehearsed in" in said.out
    assert f"the migration failed at revision {EXTRA}: power cut; the database is as it was" in said.err
    assert str(backups(older_file)[0]) in said.err
    assert (inventory(older_file), rows(older_file)) == (before, content)
    assert migrate(older_file, "--to", EXTRA) == 0  # nothing stands in the way of the next attempt


LOSSES = {
    "trades: rows 1 -> 0": "op.execute('DELETE FROM trades')",
    "key_store: values in wrapped_key 1 -> 0": "op.execute('UPDATE key_store SET wrapped_key = NULL, erased_at = 1')",
    "would change the log itself: events: rows 1 -> 0": (
        "op.execute('DROP TRIGGER events_no_delete')\nop.execute('DELETE FROM events')"
    ),
    "another leaf hash": (
        "op.execute('DROP TRIGGER events_no_update')\nop.execute('UPDATE events SET leaf_hash = randomblob(32)')"
    ),
    "break references": "op.execute('DELETE FROM trading_pairs')",
}


@pytest.mark.parametrize("reason", LOSSES)
def test_a_revision_that_loses_something_is_found_out_by_the_rehearsal(
    older_file: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Rows, values, events, references: it is not done to the database at all."""
    with_revision(tmp_path, monkeypatch, LOSSES[reason])
    before, content = inventory(older_file), rows(older_file)
    assert migrate(older_file, "--to", EXTRA) == 2
    assert reason in capsys.readouterr().err
    assert (inventory(older_file), rows(older_file)) == (before, content)
    assert backups(older_file) == []


def test_a_table_that_is_made_anew_by_the_book_would_lose_its_triggers(
    older_file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What nobody but the rehearsal notices: it knows which triggers an events table has."""
    with_revision(tmp_path, monkeypatch, REBUILD_EVENTS)
    before = inventory(older_file)
    assert migrate(older_file, "--to", EXTRA) == 2
    complaint = capsys.readouterr().err
    for trigger in ("events_append_only", "events_no_delete", "events_no_update"):
        assert f"trigger {trigger} of events" in complaint
    assert inventory(older_file) == before


def test_a_table_that_is_made_anew_by_hand_would_lose_what_stands_behind_its_columns(
    older_file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """STRICT and WITHOUT ROWID, which are no constraints and have no name."""
    with_revision(tmp_path, monkeypatch, MADE_BY_HAND)
    before = inventory(older_file)
    assert migrate(older_file, "--to", EXTRA) == 2
    complaint = capsys.readouterr().err
    assert "option STRICT of order_fees; option WITHOUT ROWID of order_fees" in complaint
    assert inventory(older_file) == before


def test_a_table_that_is_made_anew_keeps_its_checks_and_its_children(
    older_file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dropping the old one cascades to nobody, and the new one refuses what the old one refused."""
    with_revision(tmp_path, monkeypatch, REBUILD_PARENTS)
    with contextlib.closing(sqlite3.connect(path_of(older_file))) as connection:
        connection.executescript(OF_OTHERS)
    before = rows(older_file)
    assert len(before["trades"]) == len(before["order_fees"]) == len(before["order_aliases"]) == 1
    assert migrate(older_file, "--to", EXTRA) == 0
    after = rows(older_file)
    assert set(after) == set(before)
    for table in before:
        assert [{**row, "lot": None} for row in before[table]] == [{**row, "lot": None} for row in after[table]], table
    with contextlib.closing(sqlite3.connect(path_of(older_file))) as connection:
        connection.execute("PRAGMA foreign_keys = ON")
        for statement, refusal in REFUSED.items():
            with pytest.raises(sqlite3.IntegrityError, match=refusal):
                connection.execute(statement)
        assert connection.execute("INSERT INTO notes (order_id) SELECT id FROM orders RETURNING id").fetchone() == (6,)
        assert connection.execute("SELECT * FROM pragma_user_version, pragma_application_id").fetchone() == (7, 8)
        connection.execute("DELETE FROM trading_pairs")
        for table in ("order_fees", "notes"):
            assert connection.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)


def test_what_somebody_added_by_hand_is_not_lost_silently(
    older_file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A trigger or an index of one's own on a table that is made anew is named; they go only when told."""
    with_revision(tmp_path, monkeypatch, REBUILD_TRAIL)
    with contextlib.closing(sqlite3.connect(path_of(older_file))) as connection, connection:
        connection.execute("CREATE TRIGGER mine AFTER INSERT ON trail BEGIN SELECT 1; END")
        connection.execute("CREATE INDEX folded ON trail (lower(type))")
    connection.close()
    assert migrate(older_file, "--to", EXTRA) == 2
    assert "index folded of trail; trigger mine of trail" in capsys.readouterr().err
    assert backups(older_file) == []
    assert migrate(older_file, "--to", EXTRA, "--lose-data") == 0


def test_what_was_removed_before_is_no_reason_to_refuse(older_file: str, capsys: pytest.CaptureFixture[str]) -> None:
    """It is told, and stays as it was."""
    with contextlib.closing(sqlite3.connect(path_of(older_file))) as connection, connection:
        connection.execute("DROP INDEX ix_orders_status")
    connection.close()
    assert migrate(older_file) == 0
    assert "the database lacks index ix_orders_status of orders" in capsys.readouterr().err
