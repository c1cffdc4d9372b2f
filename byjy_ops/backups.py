"""``byjy backup``: what it prints, and how the tables of a restored database are looked at."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from msgspec import Struct, to_builtins

from byjy_events.backup import (
    LATEST,
    LATEST_POINT,
    Backup,
    BackupDamaged,
    Backups,
    FolderUnusable,
    Point,
    Scheduler,
    State,
    restore,
)
from byjy_events.backup.access import shown
from byjy_events.backup.backups import KEEP
from byjy_events.backup.retention import failed_thoroughly
from byjy_events.backup.scheduler import EVERY, THOROUGH_EVERY
from byjy_events.backup.segments import SEGMENTS_EVERY
from byjy_ops.arguments import Moment
from byjy_ops.backup_segments import (
    SegmentsReport,
    restored_row,
    restored_sentence,
    segments_report,
    segments_sentence,
    verify_segments,
)
from byjy_ops.database_restore import fill, lacks_tables, place_of, restore_into_database, sqlite_url
from byjy_ops.errors import InvalidArgument
from byjy_ops.listing import Column, Listing, age, emit, tell, write_json
from byjy_ops.session import NO, YES
from byjy_ops.tables_check import table_problems

LATE_AFTER_PERIODS = 2

_COLUMNS = (
    Column("name"),
    Column("state"),
    Column("age", right=True),
    Column("size", right=True, written=lambda size: "" if size is None else f"{size:,}"),
    Column("head", right=True),
    Column("verified", "verified ago", right=True),
    Column("problem"),
)


class BackupReport(Struct):
    """The newest backup of a folder, for ``byjy status``.

    Attributes:
        problem: why somebody should look; None: nobody need.
        segments: how far they reach; None: there are none.
    """

    folder: str
    name: str | None = None
    state: str | None = None
    created_at: int | None = None
    age_seconds: float | None = None
    head: int | None = None
    problem: str | None = None
    segments: SegmentsReport | None = None


async def create_backup(database: str, folder: str, *, thorough: bool, as_json: bool) -> int:
    """Make one and verify it; the answer is no if it does not restore. Raises as :meth:`Backups.create`."""
    made = await Backups(folder).create(database, thorough=thorough, tables=table_problems)
    _show(made, as_json=as_json)
    return YES if made.state is State.VERIFIED else NO


async def list_backups(folder: str, *, as_json: bool) -> int:
    """List them; the answer is no if none was verified.

    Raises:
        FolderUnusable: it cannot be read.
    """
    backups = Backups(folder)
    found, segments = backups.list(), segments_report(backups.folder)
    Listing(_COLUMNS, as_json=as_json).write([_row(one, people=not as_json) for one in found])
    if segments is not None:
        _show_segments(segments, as_json=as_json)
    damaged = segments is not None and segments.problem is not None
    return YES if any(one.state is State.VERIFIED for one in found) and not damaged else NO


async def verify_backups(folder: str, name: str | None, *, thorough: bool, as_json: bool) -> int:
    """Verify one backup, or all for None; the answer is no where something is wrong.

    Raises:
        BackupError: one could not be looked at.
    """
    backups = Backups(folder)
    listed = backups.list()
    complete = [one.name for one in listed if one.state is not State.INCOMPLETE]
    wanted = complete if name is None else complete[:1] if name == LATEST else [name]
    damaged = _damaged(listed, complete[0] if complete and name == LATEST else "") if name in {None, LATEST} else []
    for problem in damaged:
        tell(problem)
    well = bool(wanted) and not damaged
    for one in wanted:
        verified = await backups.verify(one, thorough=thorough, tables=table_problems)
        _show(verified, as_json=as_json)
        well = well and verified.state is State.VERIFIED
    if wanted:
        known = [one.known() for one in listed if one.name in wanted]
        since, number = min(one.facts.head for one in known), min(one.segment for one in known)
        well = await verify_segments(backups, since, number, as_json=as_json) == YES and well
    if not wanted:
        tell(f"{backups.folder.where} holds no backup")
    return YES if well else NO


async def restore_backup(
    folder: str,
    name: str,
    into: str,
    to: Moment | None,
    *,
    replace: bool,
    force: bool,
    thorough: bool,
    as_json: bool,
) -> int:
    """Restore one; the answer is no if something is damaged. Raises what else :func:`byjy_events.backup.restore` does.

    Args:
        into: a file, or the URL of a database: then see :func:`byjy_ops.database_restore.restore_into_database`.
    """
    place = place_of(into)
    point = LATEST_POINT if to is None else Point(to.position, to.nanoseconds)
    if not isinstance(place, Path):
        if replace or force:
            raise InvalidArgument("--replace" if replace else "--force", "is for a file; a database has to be empty")
        return await restore_into_database(folder, name, place, point, thorough=thorough, as_json=as_json)
    began = time.monotonic()
    try:
        done = await restore(
            folder, name, place, to=point, replace=replace, force=force, thorough=thorough, tables=table_problems
        )
    except BackupDamaged as error:
        tell(str(error))
        return NO
    for line in (*done.problems, *done.notes):
        tell(line)
    kept = None if done.kept is None else str(done.kept)
    row = {**restored_row(done), "path": str(done.path), "kept": kept, "seconds": done.seconds}
    if not as_json:
        emit(f"{done.path}: {restored_sentence(done)}, verified, {done.seconds:.1f} s\n")
        emit(f"{done.kept}: what was there before\n" if done.kept is not None else "")
    well = not done.problems
    if lacks_tables(done.backup):
        filled = await fill(sqlite_url(done.path), row, began, thorough=thorough, as_json=as_json)
        well = well and filled == YES
    elif as_json:
        write_json([row])
    return YES if well else NO


async def prune_backups(folder: str, keep: timedelta | None, *, dry_run: bool, as_json: bool) -> None:
    """Delete old backups and leftovers, or say which. Raises as :meth:`Backups.prune`."""
    done = await Backups(folder).prune(KEEP if keep is None else keep, dry_run=dry_run)
    names = [one.name for one in done.backups] + done.segments + done.leftovers
    if as_json:
        write_json({"name": name, "deleted": not dry_run} for name in names)
    else:
        verb = "would be deleted" if dry_run else "deleted"
        emit("".join(f"{name}: {verb}\n" for name in names) or "nothing to delete\n")


async def run_scheduler(
    database: str,
    folder: str,
    every: timedelta | None,
    keep: timedelta | None,
    thorough_every: timedelta | None,
    segments_every: timedelta | None,
    *,
    as_json: bool,
) -> None:
    """Make backups until it is cancelled. Raises as :meth:`Scheduler.run`."""
    for option, value in (("--every", every), ("--keep", keep), ("--thorough-every", thorough_every)):
        if value is not None and not value:
            raise InvalidArgument(option, "a span of time that is longer than nothing is needed")
    scheduler = Scheduler(
        database,
        folder,
        every=every or EVERY,
        segments_every=SEGMENTS_EVERY if segments_every is None else segments_every or None,
        keep=keep or KEEP,
        thorough_every=thorough_every or THOROUGH_EVERY,
        tables=table_problems,
        told=lambda backup: _show(backup, as_json=as_json),
    )
    await scheduler.run()


def newest_backup(folder: str) -> BackupReport:
    """How the newest backup of a folder is, and how old."""
    report = BackupReport(shown(folder))
    try:
        backups = Backups(folder)
        listed = backups.list()
    except FolderUnusable as error:
        report.problem = str(error)
        return report
    complete = [one for one in listed if one.state is not State.INCOMPLETE]
    damaged = _damaged(listed, complete[0].name if complete else "")
    if not complete:
        report.problem = "; ".join(damaged) or "no backup"
        return report
    newest, failed = complete[0], failed_thoroughly(complete)
    manifest = newest.known()
    report.name, report.state = newest.name, str(newest.state)
    report.created_at, report.head = manifest.created_at, manifest.facts.head
    report.age_seconds = _age(manifest.created_at)
    report.segments = segments_report(backups.folder)
    if damaged:
        report.problem = "; ".join(damaged)
    elif newest.state is not State.VERIFIED:
        report.problem = "; ".join(manifest.problems) or "it was not verified"
    elif failed is not None:
        report.problem = f"{failed.name} failed the newest thorough verification: {failed.known().problems[0]}"
    elif manifest.every_seconds and report.age_seconds > LATE_AFTER_PERIODS * manifest.every_seconds:
        report.problem = f"one was due every {age(manifest.every_seconds)}: does byjy backup run still run?"
    return report


def _damaged(listed: Sequence[Backup], since: str) -> list[str]:
    """What is wrong with those that were finished, cannot be used any more, and are newer than the one of that name."""
    return [f"{one.name}: {one.problem}" for one in listed if one.is_damaged and one.name > since]


def _show(backup: Backup, *, as_json: bool) -> None:
    if as_json:
        write_json([_row(backup, people=False)])
        return
    manifest = backup.known()
    thorough = manifest.check is not None and manifest.check.thorough
    emit(
        f"{backup.name}: {backup.state}{' thoroughly' if thorough and not manifest.problems else ''},"
        f" position {manifest.facts.head}, {manifest.compressed.size:,} bytes of {manifest.plain.size:,},"
        f" {manifest.seconds:.1f} s\n"
    )
    for problem in manifest.problems:
        tell(f"{backup.name}: {problem}")
    for note in manifest.check.notes if manifest.check is not None else ():
        tell(f"{backup.name}: {note}")


def _show_segments(report: SegmentsReport, *, as_json: bool) -> None:
    if as_json:
        write_json([{"segments": to_builtins(report)}])
        return
    emit(f"segments: {segments_sentence(report)}\n")
    if report.problem is not None:
        tell(report.problem)


def _row(backup: Backup, *, people: bool) -> Mapping[str, Any]:
    manifest = backup.manifest
    if not people:
        told = {"sequence": None} if manifest is None else to_builtins(manifest)
        return {"name": backup.name, "state": str(backup.state), "problem": backup.problem, **told}
    check = None if manifest is None else manifest.check
    problems: Sequence[str] = () if manifest is None else manifest.problems
    return {
        "name": backup.name,
        "state": str(backup.state),
        "age": "" if manifest is None else age(_age(manifest.created_at)),
        "size": None if manifest is None else manifest.compressed.size,
        "head": None if manifest is None else manifest.facts.head,
        "verified": "" if check is None else age(_age(check.at)),
        "problem": backup.problem or "; ".join(problems),
    }


def _age(nanoseconds: int) -> float:
    return max(0.0, (time.time_ns() - nanoseconds) / 1e9)
