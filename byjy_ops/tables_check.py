"""How the tables of a restored database are looked at."""

from __future__ import annotations

from byjy_events import CorruptLog, EventLog
from byjy_ops.groups import wanted_groups
from projections import GroupRebuilding, ReplayFailed, verify


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
