"""Databases at older revisions, with rows in them, and revisions that go wrong."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import structlog

from byjy_events import revisions
from byjy_events.database import parse_url
from byjy_events.inventory import Inventory, taken
from byjy_events.migrating import exclusively
from byjy_ops.cli import answered
from projections.registry import found_groups
from tests.rows import a_row_of, every_table
from tests.schema import ROOT

EXTRA = "0013"
"""A revision that no database of this program has."""

PREVIOUS = "0011"
"""The one before the newest."""

OWNERS = {table.name: group.name for group in found_groups().groups for table in group.tables}


def inventory(url: str) -> Inventory:
    """Everything that a database holds, counted."""
    return exclusively(parse_url(url), lambda connection: taken(connection, values=True))


def fill(url: str) -> None:
    """One row in every table that there is, whatever the revision."""

    def insert(connection: sa.Connection) -> None:
        inspector = sa.inspect(connection)
        there = set(inspector.get_table_names())
        for table in every_table():
            if table.name in there:
                columns = {column["name"] for column in inspector.get_columns(table.name)}
                row = {name: value for name, value in a_row_of(table).items() if name in columns}
                connection.execute(sa.insert(table).values(row))

    exclusively(parse_url(url), insert)


def rows(url: str) -> dict[str, list[dict[str, Any]]]:
    """Every row of every table, as the database has it."""

    def read(connection: sa.Connection) -> dict[str, list[dict[str, Any]]]:
        quote = connection.dialect.identifier_preparer.quote
        names = set(sa.inspect(connection).get_table_names()) - {"alembic_version"}
        statements = {name: f"SELECT * FROM {quote(name)}" for name in names}
        return {
            name: [dict(row._mapping) for row in connection.exec_driver_sql(statement)]
            for name, statement in statements.items()
        }

    return exclusively(parse_url(url), read)


def with_revision(folder: Path, monkeypatch: pytest.MonkeyPatch, upgrade: str, downgrade: str = "pass") -> None:
    """Add a revision that does these statements to those of the program, for this test."""
    migrations = folder / "migrations"
    shutil.copytree(ROOT / "migrations", migrations, ignore=shutil.ignore_patterns("__pycache__"))
    (migrations / "versions" / f"{EXTRA}_extra.py").write_text(
        "from pathlib import Path\n"
        "import sqlalchemy as sa\n"
        "from alembic import op\n"
        f"revision, down_revision, branch_labels, depends_on = '{EXTRA}', '0012', None, None\n"
        f"def upgrade():\n{indented(upgrade)}\n"
        f"def downgrade():\n{indented(downgrade)}\n"
    )
    monkeypatch.setattr(revisions, "migrations_folder", lambda: migrations)


def indented(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.splitlines())


def migrate(url: str, *arguments: str) -> int:
    """``byjy migrate`` in this process; the answer is its exit status."""
    try:
        return answered(["--database", url, "migrate", *arguments])
    finally:
        structlog.reset_defaults()  # it sent the library's log to a standard error that pytest closes afterwards


def path_of(url: str) -> Path:
    return Path(url.removeprefix("sqlite:///"))


def backups(url: str) -> list[Path]:
    """What a migration kept beside a file."""
    return sorted(path_of(url).parent.glob(f"{path_of(url).name}.before-*"))


def left(url: str) -> set[str]:
    """What lies beside the file and is no backup, lock file or WAL."""
    name = path_of(url).name
    known = {name, f"{name}.gate", f"{name}.lock", f"{name}-wal", f"{name}-shm", f"{name}.migrating"}
    return (
        {one.name for one in path_of(url).parent.iterdir() if one not in backups(url)}
        - known
        - {"migrations", "marker"}
    )
