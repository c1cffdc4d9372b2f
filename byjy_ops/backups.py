"""``byjy backup``: what it prints, and how the tables of a restored database are looked at."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from msgspec import Struct, to_builtins

from byjy_events import CorruptLog, EventLog
from byjy_events.backup import Backup, BackupDamaged, Backups, FolderUnusable, Scheduler, State, restore
from byjy_events.backup.backups import KEEP
from byjy_events.backup.scheduler import EVERY, THOROUGH_EVERY
from byjy_ops.errors import InvalidArgument
from byjy_ops.groups import wanted_groups
from byjy_ops.listing import Column, Listing, age, emit, tell, write_json
from byjy_ops.session import NO, YES
from projections import GroupRebuilding, ReplayFailed, verify

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
    """

    folder: str
    name: str | None = None
    state: str | None = None
    created_at: int | None = None
    age_seconds: float | None = None
    head: int | None = None
    problem: str | None = None


async def create_backup(database: str, folder: Path, *, thorough: bool, as_json: bool) -> int:
    """Make one and verify it; the answer is no if it does not restore. Raises as :meth:`Backups.create`."""
    made = await Backups(folder).create(database, thorough=thorough, tables=table_problems)
    _show(made, as_json=as_json)
    return YES if made.state is State.VERIFIED else NO


async def list_backups(folder: Path, *, as_json: bool) -> int:
    """List them; the answer is no if none was verified.

    Raises:
        FolderUnusable: it cannot be read.
    """
    found = Backups(folder).list()
    Listing(_COLUMNS, as_json=as_json).write([_row(one, people=not as_json) for one in found])
    return YES if any(one.state is State.VERIFIED for one in found) else NO


async def verify_backups(folder: Path, name: str | None, *, thorough: bool, as_json: bool) -> int:
    """Verify one backup, or all for None; the answer is no where something is wrong.

    Raises:
        BackupError: one could not be looked at.
    """
    backups = Backups(folder)
    wanted = _newest(backups) if name == "latest" else [] if name is None else [name]
    if name is None:
        wanted = [one.name for one in backups.list() if one.state is not State.INCOMPLETE]
    well = bool(wanted)
    for one in wanted:
        verified = await backups.verify(one, thorough=thorough, tables=table_problems)
        _show(verified, as_json=as_json)
        well = well and verified.state is State.VERIFIED
    if not wanted:
        tell(f"{folder} holds no backup")
    return YES if well else NO


async def restore_backup(
    folder: Path, name: str, to: Path, *, replace: bool, force: bool, thorough: bool, as_json: bool
) -> int:
    """Restore one; the answer is no if it is damaged. Raises what else :func:`byjy_events.backup.restore` does."""
    try:
        done = await restore(folder, name, to, replace=replace, force=force, thorough=thorough, tables=table_problems)
    except BackupDamaged as error:
        tell(str(error))
        return NO
    facts = done.backup.known().facts
    for note in done.notes:
        tell(note)
    if as_json:
        kept = None if done.kept is None else str(done.kept)
        write_json(
            [
                {
                    "name": done.backup.name,
                    "path": str(done.path),
                    "kept": kept,
                    "head": facts.head,
                    "seconds": done.seconds,
                }
            ]
        )
        return YES
    emit(f"{done.path}: restored from {done.backup.name} up to position {facts.head}, verified, {done.seconds:.1f} s\n")
    if done.kept is not None:
        emit(f"{done.kept}: what was there before\n")
    return YES


async def prune_backups(folder: Path, keep: timedelta | None, *, dry_run: bool, as_json: bool) -> None:
    """Delete old backups and leftovers, or say which. Raises as :meth:`Backups.prune`."""
    done = await Backups(folder).prune(KEEP if keep is None else keep, dry_run=dry_run)
    names = [one.name for one in done.backups] + [path.name for path in done.leftovers]
    if as_json:
        write_json({"name": name, "deleted": not dry_run} for name in names)
    else:
        verb = "would be deleted" if dry_run else "deleted"
        emit("".join(f"{name}: {verb}\n" for name in names) or "nothing to delete\n")


async def run_scheduler(
    database: str,
    folder: Path,
    every: timedelta | None,
    keep: timedelta | None,
    thorough_every: timedelta | None,
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
        keep=keep or KEEP,
        thorough_every=thorough_every or THOROUGH_EVERY,
        tables=table_problems,
        told=lambda backup: _show(backup, as_json=as_json),
    )
    await scheduler.run()


async def table_problems(log: EventLog) -> tuple[list[str], list[str]]:
    """What differs between a log and its tables, and which tables could not be compared with it."""
    groups, trouble = wanted_groups(None)
    problems: list[str] = []
    notes = [str(error) for error in trouble]
    for group in groups:
        try:
            found = await verify(log, group, examples=0)
        except (CorruptLog, ReplayFailed) as error:
            problems.append(f"{group.name}: {error}")
        except GroupRebuilding as error:
            notes.append(f"{group.name} was not compared: {error}")
        else:
            if found.position and not group.accepts(found.version):
                notes.append(f"{group.name} was not compared: its rows were made by another version")
            elif found.differences:
                problems.append(f"{group.name}: {found.differences} rows differ from the log")
    return problems, notes


def newest_backup(folder: Path) -> BackupReport:
    """How the newest backup of a folder is, and how old."""
    report = BackupReport(str(folder))
    try:
        complete = [one for one in Backups(folder).list() if one.state is not State.INCOMPLETE]
    except FolderUnusable as error:
        report.problem = str(error)
        return report
    if not complete:
        report.problem = "no backup"
        return report
    newest = complete[0]
    manifest = newest.known()
    report.name, report.state = newest.name, str(newest.state)
    report.created_at, report.head = manifest.created_at, manifest.facts.head
    report.age_seconds = _age(manifest.created_at)
    if newest.state is not State.VERIFIED:
        report.problem = "; ".join(manifest.problems) or "it was not verified"
    elif manifest.every_seconds and report.age_seconds > LATE_AFTER_PERIODS * manifest.every_seconds:
        report.problem = f"one was due every {age(manifest.every_seconds)}: does byjy backup run still run?"
    return report


def _newest(backups: Backups) -> list[str]:
    """Of those that are complete; one that failed is looked at again."""
    return [one.name for one in backups.list() if one.state is not State.INCOMPLETE][:1]


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
