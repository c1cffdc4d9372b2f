"""Everything that projections raise on purpose.

::

    ByjyError
    ├── ProjectionStopped      a group stopped at an event that it could not fold
    ├── GroupOutdated          the rows were made by another version of the group's projections
    ├── TablesUnusable         a table of the group is not there, or other than the program thinks
    └── WaitTimeout            the position was not projected in time
"""

from __future__ import annotations

from byjy_events.errors import ByjyError


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
        super().__init__(f"group {group}: rows are of version [{found}], this program has [{expected}]")


class TablesUnusable(ByjyError):
    """A table of the group is not there, is other than the program thinks, or may not be written. Nothing was.

    Attributes:
        reason: what the database said, e.g. ``no such table: daily_volume``.
    """

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"tables of the read side cannot be used: {reason}")


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
