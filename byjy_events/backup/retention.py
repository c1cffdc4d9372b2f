"""Which backups may go. No clock is believed for long: neither one that was set forward nor one that was set back.

The time of a backup is at most that of any newer one, and at most now. So one that was made while the clock was ahead
ages with those made after it, instead of staying until its date has come.

Whatever their ages: of the newest days that have a verified backup, as many as are to be kept, the last verified one of
each stays. So a clock that was set years forward takes one backup for a day at most, and after a pause of the scheduler
there are still backups of as many days.
"""

from __future__ import annotations

import math
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
    limit = now - keep // timedelta(microseconds=1) * 1_000
    days_wanted = max(1, math.ceil(keep / timedelta(days=1)))
    days: set[int] = set()
    going: list[Backup] = []
    time = now
    for backup in backups:
        if backup.state is State.INCOMPLETE:
            continue
        created_at = backup.known().created_at
        time, day = min(time, created_at), created_at // _DAY
        if backup.state is State.VERIFIED and day not in days and len(days) < days_wanted:
            days.add(day)
        elif time < limit:
            going.append(backup)
    return going[::-1]
