"""``byjy verify``: the proof that tables equal the log, or every row that does not."""

from __future__ import annotations

from typing import Any

from byjy_events import ByjyError, EventLog
from byjy_ops.difference import as_json as difference_as_json
from byjy_ops.difference import column_by_column, counted, overview, unshown
from byjy_ops.groups import raise_first, wanted_groups
from byjy_ops.listing import emit, tell, write_json
from byjy_ops.progress import replay_progress
from byjy_ops.reading import existing_log
from byjy_ops.rebuilding import replayed
from byjy_ops.session import NO, YES
from projections import Group, Verification, verify


async def verify_groups(database: str, *, group: str | None, limit: int, as_json: bool) -> int:
    """Verify one group, or all that are installed; the answer is no where a row differs.

    What is wrong with one group harms no other: it is raised when the others are done.

    Args:
        limit: rows to show of each table and kind; 0: all.

    Raises:
        GroupRebuilding: the rows of a group are of no one position.
        ReplayFailed, CorruptLog, TablesUnusable, LogUnavailable: a group could not be verified.
        UnknownGroup, BrokenEntryPoint, GroupsCollide: some group cannot be used.
    """
    groups, trouble = wanted_groups(group)
    summaries: list[dict[str, Any]] = []
    async with existing_log(database, read_only=True) as log:
        for one in groups:
            try:
                found = await _verified(log, one, limit or None)
            except ByjyError as error:
                trouble.append(error)
                continue
            summaries.append(_summary(one, found))
            _write(one, found, as_json=as_json)
    equal = not trouble and not any(one["differences"] for one in summaries)
    if as_json:
        errors = [" ".join(str(error).split()) for error in trouble]
        write_json([{"type": "summary", "equal": equal, "groups": summaries, "errors": errors}])
    raise_first(trouble)
    return YES if equal else NO


async def _verified(log: EventLog, group: Group, examples: int | None) -> Verification:
    with replay_progress(f"verifying {group.name}") as advance:
        return await verify(log, group, examples=examples, progress=advance)


def _write(group: Group, found: Verification, *, as_json: bool) -> None:
    for table in found.tables:
        for row in table.rows:
            if as_json:
                write_json([{"type": "difference", "group": group.name, **difference_as_json(row)}])
            else:
                emit(column_by_column(row))
    if not as_json:
        for table in found.tables:
            for sentence in unshown(table):
                tell(sentence)
        emit(_sentences(group, found))


def _sentences(group: Group, found: Verification) -> str:
    verdict = f"{found.differences} rows differ from the log" if found.differences else "tables equal the log"
    lines = f"{group.name}: {verdict} at position {found.position}\n{overview(found.tables)}"
    if not group.accepts(found.version):
        lines += f"the rows are of version [{found.version}], this program makes [{group.version}]: "
        lines += f"byjy rebuild {group.name}\n"
    return f"{lines}{replayed(found.events, found.replay_seconds)}\n"


def _summary(group: Group, found: Verification) -> dict[str, Any]:
    return {
        "group": group.name,
        "position": found.position,
        "equal": not found.differences,
        "differences": found.differences,
        "tables": list(map(counted, found.tables)),
        "version": found.version,
        "program_version": group.version,
        "outdated": not group.accepts(found.version),
        "events": found.events,
        "replay_seconds": found.replay_seconds,
    }
