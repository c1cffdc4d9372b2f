"""``byjy backup``: what is told of segments, and of what was restored with them."""

from __future__ import annotations

import time
from typing import Any

from msgspec import Struct

from byjy_events.backup import Backups, Reach, Restored
from byjy_events.backup.folder import BackupFolder
from byjy_events.backup.segment_report import checked, reach
from byjy_events.backup.threads import in_thread
from byjy_ops.listing import age, emit, tell, utc, write_json
from byjy_ops.session import NO, YES

LATE_SECONDS = 60.0
LATE_PERIODS = 3


class SegmentsReport(Struct):
    """How far the segments of a folder reach.

    Attributes:
        number: of the newest one.
        position: up to which they have the log.
        recorded_at: of the event there.
        written_at, age_seconds: of the newest one; where nothing is new, none is written.
        lag_events: in the log, and not in a segment yet; None: nobody looked into the log.
        lag_seconds: for how long the oldest of them has been in the log.
        every_seconds: how often one was promised.
        problem: why somebody should look; None: nobody need.
    """

    number: int | None = None
    position: int | None = None
    recorded_at: int | None = None
    written_at: int | None = None
    age_seconds: float | None = None
    every_seconds: float | None = None
    lag_events: int | None = None
    lag_seconds: float | None = None
    problem: str | None = None

    def against(self, head: int, waiting_since: int | None) -> None:
        """Compare it with the log, of which an event waits since then that is in no segment."""
        if self.position is None or self.every_seconds is None:
            return
        self.lag_events = max(0, head - self.position)
        waiting = self.lag_events and waiting_since is not None
        self.lag_seconds = max(0.0, (time.time_ns() - (waiting_since or 0)) / 1e9) if waiting else 0.0
        if self.problem is None and self.position > head:
            self.problem = f"they reach to {self.position}, and the log only to {head}: is it an older state of it?"
        if self.problem is None and self.lag_seconds > LATE_SECONDS + LATE_PERIODS * self.every_seconds:
            self.problem = f"one was due every {age(self.every_seconds)}: does byjy backup run still run?"


def segments_report(folder: BackupFolder) -> SegmentsReport | None:
    """How far they reach; None: there are none. Of damaged ones only what the names and the newest one tell.

    Raises:
        FolderUnusable: the folder cannot be read.
    """
    found = reach(folder)
    return None if found is None else _report(found)


def segments_sentence(report: SegmentsReport) -> str:
    """How far they reach, for people."""
    if report.position is None:
        return "the newest segment cannot be read"
    recorded = "" if report.recorded_at is None else f", recorded {utc(report.recorded_at, 3)} UTC"
    lag = ""
    if report.lag_events:
        lag = f"; {report.lag_events} events and {report.lag_seconds or 0.0:.1f} s behind the log"
    return f"up to position {report.position}{recorded}, written {age(report.age_seconds or 0.0)} ago{lag}"


async def verify_segments(backups: Backups, since: int, number: int, *, as_json: bool) -> int:
    """Check those that were written since a backup was begun, if there are any; no: something is wrong.

    Args:
        since, number: as for :func:`byjy_events.backup.segment_report.checked`.

    Raises:
        FolderUnusable: the folder cannot be read.
    """
    found = await in_thread(lambda stop: checked(backups.folder, since, stop, number=number))
    if found is None:
        return YES
    report = _report(found)
    if as_json:
        write_json([{"segments": report.number, "position": report.position, "problems": found.problems}])
    else:
        state = "FAILED" if found.problems else "VERIFIED"
        emit(f"segments behind position {since}: {state}, {segments_sentence(report)}\n")
        for problem in found.problems:
            tell(problem)
    return NO if found.problems else YES


def restored_row(done: Restored) -> dict[str, Any]:
    """What was restored, for programs."""
    return {
        "name": done.backup.name,
        "head": done.head,
        "recorded_at": done.recorded_at or None,
        "segments": done.segments,
        "erased": done.erased,
        "problems": done.problems,
    }


def restored_sentence(done: Restored) -> str:
    """What was restored, for people."""
    segments = {0: "", 1: " and 1 segment"}.get(done.segments, f" and {done.segments} segments")
    recorded = f", recorded {utc(done.recorded_at, 3)} UTC" if done.recorded_at else ""
    erased = f", {done.erased} data keys erased again" if done.erased else ""
    return f"restored from {done.backup.name}{segments} up to position {done.head}{recorded}{erased}"


def _report(found: Reach) -> SegmentsReport:
    problem = "; ".join(found.problems) or None
    if found.last is None:
        return SegmentsReport(problem=problem)
    last = found.last
    return SegmentsReport(
        last.number,
        last.upto,
        last.recorded_at,
        last.created_at,
        max(0.0, (time.time_ns() - last.created_at) / 1e9),
        last.every_seconds,
        problem=problem,
    )
