"""``byjy backup restore`` into a PostgreSQL database, and the tables of what was restored without any."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import sqlalchemy as sa

from byjy_events import EventLog
from byjy_events.backup import Backup, BackupDamaged, Kind, Point, restore_database
from byjy_events.backup.database_restore import has_log
from byjy_events.database import is_sqlite, parse_url, sqlite_path
from byjy_ops.backup_segments import restored_row, restored_sentence
from byjy_ops.copying import Proven, proof_lines, prove, refuse_projected_ahead, replay_groups
from byjy_ops.groups import raise_first, wanted_groups
from byjy_ops.listing import emit, tell, write_json
from byjy_ops.progress import replay_progress
from byjy_ops.session import NO, YES
from byjy_ops.tables_check import table_problems


class Filled(NamedTuple):
    """What was done to the tables of a restored database.

    Attributes:
        groups: their names, and up to where they were replayed.
        proven: what an audit and the comparison of its tables found; None: nobody looked.
    """

    groups: Mapping[str, int]
    proven: Proven | None

    @property
    def holds(self) -> bool:
        """Whether nothing was found."""
        return self.proven is None or self.proven.holds

    def row(self) -> dict[str, Any]:
        """For programs."""
        groups = [{"group": name, "position": position} for name, position in self.groups.items()]
        return {"groups": groups, "proven": None if self.proven is None else self.proven.holds}


def place_of(into: str) -> Path | sa.URL:
    """Where ``--into`` leads: to a file, or to a database of a server.

    Raises:
        InvalidDatabaseUrl: it is a URL, and no database.
    """
    if "://" not in into:
        return Path(into)
    url = parse_url(into)
    return sqlite_path(url) if is_sqlite(url) else url


def sqlite_url(path: Path) -> sa.URL:
    """Of a file, whatever its name."""
    return sa.URL.create("sqlite", database=str(path))


async def restore_into_database(
    folder: str, name: str, database: sa.URL, to: Point, *, thorough: bool, as_json: bool
) -> int:
    """Restore one and replay its tables; the answer is no if it is damaged, or if a thorough look finds something.

    Raises as :func:`byjy_events.backup.restore_database`; tables of a group that cannot be replayed harm no other.
    """
    if await has_log(database):
        async with EventLog.open(database, read_only=True) as log:
            await refuse_projected_ahead(log)
    began = time.monotonic()
    try:
        with replay_progress("restoring") as advance:
            done = await restore_database(
                folder, name, database, to=to, thorough=thorough, tables=table_problems, progress=advance
            )
    except BackupDamaged as error:
        tell(str(error))
        return NO
    copied, file = done.copied, done.file
    if not as_json:
        goes_on = f"; {copied.before} events were there" if copied.before else ""
        emit(f"{done.database}: {restored_sentence(file)}, verified{goes_on}\n")
    for line in (*file.problems, *file.notes):
        tell(line)
    row = {**restored_row(file), "database": done.database, "head": copied.size, "before": copied.before}
    filled = await fill(database, row, began, thorough=thorough, as_json=as_json)
    return YES if filled == YES and not file.problems else NO


def lacks_tables(backup: Backup) -> bool:
    """Whether the tables of a restored file are empty, however long its log is."""
    return backup.known().origin is Kind.POSTGRESQL


async def fill(database: sa.URL, row: Mapping[str, Any], began: float, *, thorough: bool, as_json: bool) -> int:
    """Replay the tables of a restored database, tell it, and prove it where that is wanted.

    Args:
        row: what a program is told beside.
        began: by the monotonic clock.
    """
    groups, trouble = wanted_groups(None)
    async with EventLog.open(database, actor="byjy") as log:
        replayed = await replay_groups(log, groups, trouble)
        known = [one for one in groups if one.name in replayed]
        filled = Filled(replayed, await prove([log], known, trouble) if thorough else None)
    seconds = time.monotonic() - began
    if as_json:
        write_json([{**row, "seconds": seconds, **filled.row()}])
    else:
        _tell(filled, seconds)
    raise_first(trouble)
    return YES if filled.holds else NO


def _tell(filled: Filled, seconds: float) -> None:
    emit("".join(f"{name}: replayed up to {position}\n" for name, position in filled.groups.items()))
    if filled.proven is None:
        tell("the new database was neither audited nor verified: byjy audit and byjy verify do it at any time")
    else:
        emit("".join(f"{line}\n" for line in proof_lines(filled.proven)))
    emit(f"{seconds:.1f} s\n")
