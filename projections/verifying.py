"""Verifying: a proof, row by row, that the tables of a group equal the log at their checkpoint."""

from __future__ import annotations

from msgspec import Struct

from byjy_events.log import EventLog
from projections.checkpoints import GroupState
from projections.comparison import Comparison
from projections.difference import TableDifference
from projections.errors import GroupRebuilding
from projections.projection import Group
from projections.replay import Progress, replay_of


class Verification(Struct, frozen=True):
    """What a verification found.

    Attributes:
        position: the checkpoint at which tables and log were compared.
        tables: what differs, by table.
        version: of the rows; they may differ from what this program makes because another version made them.
        events: events that were folded again, in ``replay_seconds``.
    """

    group: str
    position: int
    version: str
    tables: tuple[TableDifference, ...]
    events: int
    replay_seconds: float

    @property
    def differences(self) -> int:
        """Rows that are not what the log makes of them; 0: the tables equal the log."""
        return sum(table.count for table in self.tables)


async def verify(
    log: EventLog, group: Group, *, examples: int | None = None, progress: Progress | None = None
) -> Verification:
    """Fold the log again, and compare every row of every table of a group with the result.

    Checkpoint and tables are read in one snapshot, so projectors go on meanwhile. Nothing is changed, nobody waits.
    The leaf hash of every event is checked on the way.

    Args:
        examples: differing rows to return for each table and kind; None: every one.
        progress: called with the position reached and the one aimed at.

    Raises:
        GroupRebuilding: its rows are of no one position.
        ReplayFailed, CorruptLog: an event cannot be folded, or is not what was appended.
        TemporarySpaceShort: see there.
        TablesUnusable: a table is missing, or other than the program thinks.
        LogUnavailable: the database failed, or its temporary space is full.
    """
    async with replay_of(log, group) as replay:
        found, tables = await Comparison(group, replay).taken(progress, examples)
        if found.status == GroupState.REBUILDING:
            raise GroupRebuilding(group.name)
    return Verification(group.name, found.position, found.version, tables, replay.position, replay.seconds)
