"""How a database is: its schema, its log, and how far behind the tables are."""

from __future__ import annotations

import shlex
import sqlite3
import time
from collections.abc import Iterator, Sequence
from typing import Any

import sqlalchemy as sa
from msgspec import Struct, to_builtins
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from byjy_events.database import display, is_sqlite, parse_url
from byjy_events.proof import CheckpointPlace
from byjy_events.schema import SCHEMA_REVISION, events
from byjy_ops.backup_segments import SegmentsReport, segments_sentence
from byjy_ops.backups import BackupReport, newest_backup
from byjy_ops.listing import age, emit, text, utc, write_json
from byjy_ops.reading import Fetch, existing_database, own_revision
from byjy_ops.sealed import SealedReport, exported, sealed
from byjy_ops.session import NO, YES
from projections import Group
from projections.checkpoints import GroupState, projection_checkpoints
from projections.registry import found_groups

SAFE_SQLITE = (3, 51, 3)
"""The first version without the WAL-reset bug, https://sqlite.org/wal.html#walresetbug."""

NEVER_RUN = "NEVER_RUN"
OUTDATED = "the rows were made by another version of the projections: byjy rebuild {group}"
REBUILDING = "its rows are being rebuilt; if nobody is at it any more, to finish it: byjy rebuild {group}"


class GroupReport(Struct):
    """One group.

    Attributes:
        lag_events: events in the log that are not projected yet.
        lag_seconds: for how long the oldest of them has been in the log.
        problem: why somebody should look; None: nobody need.
    """

    group: str
    status: str
    position: int
    lag_events: int
    lag_seconds: float
    generation: int
    version: str
    passed_over: int = 0
    error_position: int | None = None
    error_event_type: str | None = None
    error: str | None = None
    stopped_at: int | None = None
    problem: str | None = None


class Report(Struct):
    """The whole database.

    Attributes:
        groups: those that are installed, and others that have a checkpoint.
        problems: what is wrong with installed groups that cannot be used.
        sealed: the newest checkpoint of the log in the database, and in each place outside that is known.
        backup: the newest one, if the folder is known.
    """

    database: str
    schema_revision: str | None
    expected_revision: str
    head: int | None = None
    head_recorded_at: int | None = None
    groups: list[GroupReport] = []
    sealed: list[SealedReport] = []
    backup: BackupReport | None = None
    problems: list[str] = []
    warnings: list[str] = []

    @property
    def well(self) -> bool:
        """Whether nothing needs attention."""
        wrong = [*self.problems, *(group.problem for group in self.groups), *(one.problem for one in self.sealed)]
        if self.backup is not None:
            wrong.append(self.backup.problem)
            wrong.append(None if self.backup.segments is None else self.backup.segments.problem)
        return self.schema_revision == self.expected_revision and not any(wrong)


async def status(
    database: str, places: Sequence[CheckpointPlace] = (), backups: str | None = None, *, as_json: bool
) -> int:
    """Show the report; the answer is no when something needs attention."""
    backup = None if backups is None else newest_backup(backups)  # first: so the log is at least as far as segments are
    async with existing_database(database) as engine:
        report = await reported(engine, places)
        report.backup = backup
        if backup is not None and backup.segments is not None and report.head is not None:
            await _compare(engine, backup.segments, report.head)
    if as_json:
        write_json([to_builtins(report)])
    else:
        emit(_sentences(report))
    return YES if report.well else NO


async def _compare(engine: AsyncEngine, segments: SegmentsReport, head: int) -> None:
    async with engine.connect() as connection:
        position = (segments.position or 0) + 1
        waiting = await connection.scalar(sa.select(events.c.recorded_at).where(events.c.position == position))
    segments.against(head, waiting)


async def reported(engine: AsyncEngine, places: Sequence[CheckpointPlace] = ()) -> Report:
    """Look at everything, in one snapshot.

    Args:
        places: where checkpoints are exported to.

    Raises:
        NotAByjyDatabase: it holds tables of something else.
    """
    report = Report(display(engine.url), await own_revision(engine), SCHEMA_REVISION)
    if is_sqlite(engine.url) and sqlite3.sqlite_version_info < SAFE_SQLITE:
        fixed = ".".join(map(str, SAFE_SQLITE))
        report.warnings.append(
            f"SQLite {sqlite3.sqlite_version} has the WAL-reset bug that {fixed} fixed: byjy's own processes take turns"
            " and are safe from it, but let no other program write to this file"
        )
    installed = found_groups()
    report.problems = [str(error) for error in installed.errors]
    if report.schema_revision == SCHEMA_REVISION:
        outside = await exported(places)
        async with engine.connect() as connection:
            await _look(connection, report, installed.groups)
            assert report.head is not None
            report.sealed = await sealed(connection, report.head, outside)
    return report


async def _look(connection: AsyncConnection, report: Report, installed: Sequence[Group]) -> None:
    c = events.c
    last = (await connection.execute(sa.select(c.position, c.recorded_at).order_by(c.position.desc()).limit(1))).first()
    report.head, report.head_recorded_at = (last.position, last.recorded_at) if last else (0, None)
    rows = await connection.execute(sa.select(projection_checkpoints).order_by(projection_checkpoints.c.group_name))
    found = {row.group_name: row._mapping for row in rows}
    known = {group.name: group for group in installed}
    for name in sorted(found.keys() | known.keys()):
        position = found[name]["position"] if name in found else 0
        waiting = await connection.scalar(sa.select(c.recorded_at).where(c.position == position + 1))
        report.groups.append(
            group_report(name, found.get(name), known.get(name), lag_events=report.head - position, waiting=waiting)
        )


def group_report(name: str, row: Any, installed: Group | None, *, lag_events: int, waiting: int | None) -> GroupReport:
    """One group, by its checkpoint if it has one; ``waiting``: when the first event that it lacks was recorded."""
    lag_seconds = 0.0 if waiting is None else max(0, time.time_ns() - waiting) / 1e9
    if row is None:
        version = "" if installed is None else installed.version
        return GroupReport(name, NEVER_RUN, 0, lag_events, lag_seconds, 0, version)
    report = GroupReport(
        name,
        str(row["status"]),
        row["position"],
        lag_events,
        lag_seconds,
        row["generation"],
        row["version"],
        row["passed_over"],
        row["error_position"],
        row["error_event_type"],
        row["error"],
        row["stopped_at"],
    )
    if report.status == GroupState.STOPPED:
        report.problem = f"stopped at position {report.error_position} ({report.error_event_type}): {report.error}"
    elif report.status == GroupState.REBUILDING:
        report.problem = REBUILDING.format(group=shlex.quote(name))
    elif installed is not None and not installed.accepts(report.version):
        report.problem = OUTDATED.format(group=shlex.quote(name))
    return report


async def lacking(fetch: Fetch, database: str, group: Group) -> str | None:
    """What the tables of a group do not know of the log, and what to do about it; None: they are at its head."""
    c, groups = events.c, projection_checkpoints
    [(head,)] = await fetch(sa.select(sa.func.coalesce(sa.func.max(c.position), 0)))
    rows = await fetch(sa.select(groups).where(groups.c.group_name == group.name))
    row = rows[0]._mapping if rows else None
    position = 0 if row is None else row["position"]
    lacked = await fetch(sa.select(c.recorded_at).where(c.position == position + 1))
    waiting = lacked[0].recorded_at if lacked else None
    report = group_report(group.name, row, group, lag_events=max(0, head - position), waiting=waiting)
    if report.lag_events:
        project = f"byjy --database {shlex.quote(display(parse_url(database)))} project"
        return f"the tables are {behind(report)} the log: {report.problem or project}"
    return None if report.problem is None else f"the tables may be wrong: {report.problem}"


def behind(group: GroupReport) -> str:
    """How far a group is behind the log."""
    if not group.lag_events:
        return "up to date"
    return f"{group.lag_events} events and {group.lag_seconds:.1f} s behind"


def _sentences(report: Report) -> str:
    lines = [("database", report.database), ("schema", _schema(report))]
    if report.head is not None:
        when = "" if report.head_recorded_at is None else f", recorded {utc(report.head_recorded_at, 3)} UTC"
        lines.append(("log head", f"{report.head}{when}"))
    for group in report.groups:
        lines.append(("group", f"{group.group}: {group.status} at {group.position}, {behind(group)}"))
        if group.passed_over:
            lines.append(("", f"{group.passed_over} events of unknown type passed over"))
        if group.problem:
            lines.append(("problem", text(group.problem)))
    for one in report.sealed:
        lines.append(("sealed", f"{text(one.place)}: {_sealed_at(one)}"))
        if one.problem:
            lines.append(("problem", text(one.problem)))
    if report.backup is not None:
        lines += _backup_lines(report.backup)
    lines += [("problem", text(problem)) for problem in report.problems]
    lines += [("warning", warning) for warning in report.warnings]
    return "".join(f"{label:<9} {line}\n" for label, line in lines)


def _backup_lines(backup: BackupReport) -> Iterator[tuple[str, str]]:
    yield "backup", _backed_up(backup)
    if backup.problem:
        yield "problem", text(backup.problem)
    if backup.segments is not None:
        yield "segments", segments_sentence(backup.segments)
        if backup.segments.problem:
            yield "problem", text(backup.segments.problem)


def _backed_up(report: BackupReport) -> str:
    if report.age_seconds is None:
        return f"{text(report.folder)}: none"
    return f"{text(report.folder)}: {report.name}, {report.state}, {age(report.age_seconds)} old, up to {report.head}"


def _sealed_at(report: SealedReport) -> str:
    at = f"at {report.size}" if report.size else "no checkpoint"
    if not report.lag_events:
        return at
    return f"{at}, {report.lag_events} events and {report.lag_seconds:.1f} s behind"


def _schema(report: Report) -> str:
    found, expected = report.schema_revision, report.expected_revision
    if found == expected:
        return f"{found}, the newest"
    migrate = f"run: byjy --database {shlex.quote(report.database)} migrate"
    advice = "upgrade byjy-events" if found and found > expected else migrate
    return f"{found or 'none'}; this program works with {expected}: {advice}"
