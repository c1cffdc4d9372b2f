"""The lineage of schemas: which revisions there are, which lie between two, and the SQL from one to the other.

Alembic is imported late: it is slow to load, and a program whose schema is current never needs it.
"""

from __future__ import annotations

from collections.abc import Sequence
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa

from byjy_events.database import is_sqlite
from byjy_events.errors import ByjyError

if TYPE_CHECKING:
    from alembic.config import Config


_BEFORE_SQLITE = """\
-- Run it with sqlite3 -bail: else an error would not keep it from the COMMIT.

PRAGMA foreign_keys = OFF;

"""


class UnknownRevision(ByjyError):
    """There is no such revision to go to. The base, where there is no log at all, is none either.

    Attributes:
        revision: what was asked for.
        known: those that there are, oldest first.
    """

    def __init__(self, revision: str, known: Sequence[str]) -> None:
        self.revision = revision
        self.known = tuple(known)
        super().__init__(f"there is no revision {revision!r}; expected one of {', '.join(known)} or head")


def migrations_folder() -> Path:
    """Where the revisions lie: inside the installed package, or beside it in a working copy."""
    package = Path(__file__).resolve().parent
    installed = package / "_migrations"
    return installed if installed.is_dir() else package.parent / "migrations"


def alembic_config(connection: sa.Connection | None = None) -> Config:
    """Alembic's configuration without a file, for one connection."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(migrations_folder()).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def lineage() -> list[str]:
    """All revisions, oldest first."""
    from alembic.script import ScriptDirectory

    script = ScriptDirectory.from_config(alembic_config())
    return [one.revision for one in script.walk_revisions()][::-1]


def resolved(revision: str) -> str:
    """The revision that is meant: itself, or the newest for ``head``.

    Raises:
        UnknownRevision: there is none such.
    """
    known = lineage()
    if revision == "head":
        return known[-1]
    if revision not in known:
        raise UnknownRevision(revision, known)
    return revision


def sql(url: sa.URL, found: str | None, to: str) -> str:
    """The script that brings a database from one revision to another, in its dialect and in one transaction.

    It checks nothing, and counts no rows. On SQLite it turns foreign keys off first, as changing tables there wants.
    """
    from alembic import command

    config = alembic_config()
    config.attributes["url"] = url
    config.output_buffer = StringIO()
    direction = command.upgrade if found is None or lineage().index(to) >= lineage().index(found) else command.downgrade
    direction(config, f"{found}:{to}" if found else to, sql=True)
    return (_BEFORE_SQLITE if is_sqlite(url) else "") + config.output_buffer.getvalue()
