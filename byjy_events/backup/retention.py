"""Which backups may go. No clock is believed for long: neither one that was set forward nor one that was set back.

Backups are counted, so their order is known, and most of them were made while the clock was right: the longest run of
times that only ever rise. One that is out of order ages with the next newer one that is in it: made while the clock
was ahead, it does not stay until its date has come; made while it was behind, such as by a machine that starts in 1970,
it makes no older one look old. No backup is from later than now.

Whatever their ages: of the newest days that have a verified backup, as many as are to be kept, the last verified one of
each stays. So a clock that was set years forward takes one backup for a day at most, and after a pause of the scheduler
there are still backups of as many days.

While the newest thorough verification says that something is wrong, nothing goes but what failed before: those made
since may be as bad, however well they restore.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from datetime import timedelta

from byjy_events.backup.folder import Backup, State

_DAY = 86_400 * 10**9


def expired(backups: Sequence[Backup], now: int, keep: timedelta) -> list[Backup]:
    """The backups that may go, oldest first: never the newest verified one, and nothing that is incomplete.

    Args:
        backups: the newest first.
        now: nanoseconds UTC.
    """
    complete = [one for one in backups if one.state is not State.INCOMPLETE]
    limit = now - keep // timedelta(microseconds=1) * 1_000
    days_wanted = max(1, math.ceil(keep / timedelta(days=1)))
    failed = failed_thoroughly(complete)
    days: set[int] = set()
    going: list[Backup] = []
    for backup, time in zip(complete, _times(complete, now), strict=True):
        day = backup.known().created_at // _DAY
        if backup.state is State.VERIFIED and day not in days and len(days) < days_wanted:
            days.add(day)
        elif time < limit and (failed is None or (backup.state is State.FAILED and backup is not failed)):
            going.append(backup)
    return going[::-1]


def failed_thoroughly(backups: Sequence[Backup]) -> Backup | None:
    """The newest backup that was verified thoroughly, if that found something; what is newer was not looked at so.

    Args:
        backups: complete ones, the newest first.
    """
    for backup in backups:
        check = backup.known().thorough_check
        if check is not None:
            return backup if check.problems else None
    return None


def _times(backups: Sequence[Backup], now: int) -> list[int]:
    """When they were made, as far as can be believed, nanoseconds UTC."""
    claimed = [min(now, one.known().created_at) for one in reversed(backups)]
    believed = _rising(claimed)
    times: list[int] = []
    time = now
    for place in range(len(claimed) - 1, -1, -1):
        time = claimed[place] if place in believed else time
        times.append(time)
    return times


def _rising(moments: Sequence[int]) -> set[int]:
    """The places of the longest run in which none is smaller than the one before."""
    lowest: list[int] = []  # by the length of a run, the lowest moment that ends one, and where it is
    ends: list[int] = []
    before: list[int] = []
    for place, moment in enumerate(moments):
        length = bisect_right(lowest, moment)
        before.append(ends[length - 1] if length else -1)
        lowest[length : length + 1], ends[length : length + 1] = [moment], [place]
    found: set[int] = set()
    place = ends[-1] if ends else -1
    while place >= 0:
        found.add(place)
        place = before[place]
    return found
