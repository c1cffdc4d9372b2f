"""Everything that projections raise on purpose.

::

    ByjyError
    ├── ProjectionStopped      a group stopped at an event that it could not fold
    ├── GroupOutdated          the rows were made by another version of the group's projections
    ├── GroupRebuilding        a process is mending the rows, or died while it did
    ├── RebuildRunning         another process rebuilds
    ├── ReplayFailed           an event could not be folded again; nothing was changed
    ├── TemporarySpaceShort    too little room to fold the log again           (names folder and bytes)
    ├── TablesUnusable         a table of the group is not there, or other than the program thinks
    ├── UnknownGroup           no installed group is called so                 (lists those that are)
    ├── BrokenEntryPoint       a package announces a group that cannot be had  (names package and entry point)
    ├── GroupsCollide          two groups want one name or one table           (names both)
    ├── IntentRefused          what was wanted of an order is not legal now    (names order, status, intent)
    │   └── FilterViolated     a quantity or price that the pair's filters do not let through
    ├── AlreadyTaken           somebody else has what only one may have        (names what, and who has it)
    └── WaitTimeout            the position was not projected in time
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from uuid import UUID

from byjy_events.errors import ByjyError
from byjy_events.numbers import spelled
from byjy_events.vocabulary.orders import OrderStatus


class ProjectionStopped(ByjyError):
    """A group stopped at an event. The log and the other groups go on; ``byjy status`` shows it.

    Starting a projector for the group tries the event again.

    Attributes:
        group: the group's name.
        position, event_type: the event that could not be folded.
        error: what was raised, type and message.
    """

    def __init__(self, group: str, position: int, event_type: str, error: str) -> None:
        self.group = group
        self.position = position
        self.event_type = event_type
        self.error = error
        super().__init__(f"group {group} stopped at position {position} ({event_type}): {error}")


class GroupOutdated(ByjyError):
    """The rows were made by another version of the group's projections; running on would mix the two.

    Attributes:
        group: the group's name.
        found: the version that made the rows.
        expected: the version of this program.
    """

    def __init__(self, group: str, found: str, expected: str) -> None:
        self.group = group
        self.found = found
        self.expected = expected
        versions = f"rows are of version [{found}], this program has [{expected}]"
        super().__init__(f"group {group}: {versions}; byjy rebuild {group} brings them up to date")


class GroupRebuilding(ByjyError):
    """The rows of a group are being mended, so they are of no one position. Projectors wait for the end of it.

    Attributes:
        group: the group's name.
    """

    def __init__(self, group: str) -> None:
        self.group = group
        super().__init__(f"group {group}: its rows are being rebuilt")


class RebuildRunning(ByjyError):
    """Another process rebuilds in this database; one does at a time. Nothing was changed.

    Attributes:
        group: the group that was to be rebuilt.
    """

    def __init__(self, group: str) -> None:
        self.group = group
        super().__init__(f"group {group}: another process is rebuilding in this database")


class ReplayFailed(ByjyError):
    """An event could not be folded again. The tables are as they were.

    Attributes:
        group: the group's name.
        position, event_type: the event.
        error: what was raised, type and message.
    """

    def __init__(self, group: str, position: int, event_type: str, error: str) -> None:
        self.group = group
        self.position = position
        self.event_type = event_type
        self.error = error
        super().__init__(f"group {group}: replay failed at position {position} ({event_type}): {error}")


class TemporarySpaceShort(ByjyError):
    """The folder of SQLite's temporary files clearly has too little room to fold the log again. Nothing was changed.

    ``SQLITE_TMPDIR`` names another folder.

    Attributes:
        folder: where the files would be.
        free_bytes: what is free there.
        wanted_bytes: the least that a replay is not begun without.
    """

    def __init__(self, folder: Path, free_bytes: int, wanted_bytes: int) -> None:
        self.folder = folder
        self.free_bytes = free_bytes
        self.wanted_bytes = wanted_bytes
        super().__init__(
            f"{folder}: {free_bytes} bytes are free for temporary files, and at least {wanted_bytes} are wanted;"
            " SQLITE_TMPDIR names another folder"
        )


class TablesUnusable(ByjyError):
    """A table of the group is not there, is other than the program thinks, or may not be written. Nothing was.

    Attributes:
        reason: what the database said, e.g. ``no such table: daily_volume``.
    """

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"tables of the read side cannot be used: {reason}")


class UnknownGroup(ByjyError):
    """No installed group is called so.

    Attributes:
        group: the name that was asked for.
        known: the names of the groups that are installed.
        unusable: what is wrong with those that are installed and cannot be used; it may be one of them.
    """

    def __init__(self, group: str, known: Sequence[str], unusable: Sequence[ByjyError] = ()) -> None:
        self.group = group
        self.known = tuple(known)
        self.unusable = tuple(unusable)
        besides = "".join(f"; {error}" for error in unusable)
        super().__init__(f"there is no group {group!r}; installed are {', '.join(known)}{besides}")


class BrokenEntryPoint(ByjyError):
    """An installed package announces groups that cannot be loaded.

    Attributes:
        entry_point: the entry point as the package declares it, e.g. ``volume = daily_volume:GROUP``.
        package: the package, as it is installed.
        reason: what went wrong.
    """

    def __init__(self, entry_point: str, package: str, reason: str) -> None:
        self.entry_point = entry_point
        self.package = package
        self.reason = reason
        super().__init__(f"package {package}, entry point [{entry_point}]: {reason}")


class GroupsCollide(ByjyError):
    """Two installed groups want the same name or the same table; neither can be used, unless one is our own.

    Attributes:
        what: ``name`` or ``table``.
        value: the name that both want.
        groups: who they are, e.g. ``group volume of package daily-volume``.
    """

    def __init__(self, what: str, value: str, groups: tuple[str, str]) -> None:
        self.what = what
        self.value = value
        self.groups = groups
        super().__init__(f"{what} {value} belongs to {groups[0]} and to {groups[1]}")


class WaitTimeout(ByjyError, TimeoutError):
    """The position was not projected in time; the projector goes on.

    Attributes:
        group: the group's name.
        position: the position waited for.
        projected: how far the group had come.
        timeout_seconds: how long was waited.
    """

    def __init__(self, group: str, position: int, projected: int, timeout_seconds: float) -> None:
        self.group = group
        self.position = position
        self.projected = projected
        self.timeout_seconds = timeout_seconds
        super().__init__(f"group {group} is at {projected}, not at {position}, after {timeout_seconds} s")


class IntentRefused(ByjyError):
    """What was wanted of an order is not legal as the order stands. Nothing was stored.

    Attributes:
        order_id: the order.
        status: its status when that was decided; None: the order is not known.
        intent: the type of the event that would have been stored, e.g. ``OrderCancelRequested``.
        reason: why not, e.g. ``the order is closed``.
    """

    def __init__(self, order_id: UUID, status: OrderStatus | None, intent: str, reason: str) -> None:
        self.order_id = order_id
        self.status = status
        self.intent = intent
        self.reason = reason
        at = "" if status is None else f", which is {status},"
        super().__init__(f"order {order_id}{at} refuses {intent}: {reason}")


class FilterViolated(IntentRefused):
    """A quantity or a price that a filter of the trading pair does not let through. Nothing was stored.

    Attributes:
        field: ``quantity``, ``price`` or ``stop_price``.
        filter: the filter, named as the column of ``trading_pairs``, e.g. ``step_size``.
        limit: what the filter says.
        value: what was asked for.
        off_by: how much too small or too large that is; for ``step_size`` and ``tick_size`` how far above the next
            lower multiple. More than zero.
    """

    def __init__(
        self,
        order_id: UUID,
        status: OrderStatus | None,
        intent: str,
        *,
        field: str,
        filter_name: str,
        limit: Decimal,
        value: Decimal,
        off_by: Decimal,
    ) -> None:
        self.field = field
        self.filter = filter_name
        self.limit = limit
        self.value = value
        self.off_by = off_by
        where = {"min": "below", "max": "above"}.get(filter_name[:3], "above a multiple of")
        reason = f"{field} {spelled(value)} is {spelled(off_by)} {where} {filter_name} {spelled(limit)}"
        super().__init__(order_id, status, intent, reason)


class AlreadyTaken(ByjyError):
    """Somebody else has what only one may have at a time. Nothing was stored.

    Attributes:
        kind: what it is, e.g. ``username``.
        holder: who has it, e.g. a user's id.
    """

    def __init__(self, kind: str, holder: UUID) -> None:
        self.kind = kind
        self.holder = holder
        super().__init__(f"{kind}: taken by {holder}")
