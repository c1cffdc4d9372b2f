"""The history of an entity: every event that changed it, what it said, and its row before and after."""

from __future__ import annotations

import textwrap
from collections import deque
from collections.abc import Iterator
from contextlib import aclosing
from typing import Any

from byjy_events import Recorded
from byjy_ops.entity import Named, found
from byjy_ops.events import cells
from byjy_ops.listing import emit, tell, terminal_width, text, utc, write_json
from byjy_ops.progress import progress
from byjy_ops.reading import existing_log, live_rows
from byjy_ops.session import NO, YES
from byjy_ops.states import changed, difference, row_cells, said, written
from projections.changes import Change, RowChange, changes_of
from projections.entities import Entity

CHUNK = 500
"""Events that are written at once."""

_INDENT = "    "


async def entity_history(database: str, asked: Named, since: int | None, limit: int, *, as_json: bool) -> int:
    """Write the newest changes of an entity, at most ``limit``, the oldest of them first; 0: all.

    The answer is no where the log knows no such thing.

    Raises:
        InvalidArgument: nothing is called so, or several things are.
        ReplayFailed, CorruptLog: an event cannot be folded, or is not what was appended.
    """
    async with live_rows(database) as fetch:
        entity = await found(fetch, asked)
    held: deque[Change] = deque(maxlen=limit or None)
    number = 0
    async with existing_log(database, read_only=True) as log:
        with progress(f"folding {asked}", await log.head()) as advance:
            async with aclosing(changes_of(log, entity, since=since)) as changes:
                async for change in changes:
                    number += 1
                    held.append(change)
                    advance(change.recorded.position)
                    if not limit and len(held) == CHUNK:
                        _write(entity, held, as_json=as_json)
                        held.clear()
    _write(entity, held, as_json=as_json)
    if limit and number > limit:
        tell(f"the newest {limit} of {number} shown: --limit N, or 0 for all")
    if not number:
        tell(f"the log knows no {asked}{'' if since is None else ' since then'}")
    return YES if number else NO


def _write(entity: Entity, changes: deque[Change], *, as_json: bool) -> None:
    if as_json:
        write_json(map(change_cells, changes))
    else:
        emit("".join(f"{line}\n" for change in changes for line in _block(entity, change)))


def change_cells(change: Change) -> dict[str, Any]:
    """A change for programs: the event, the rows before and after it, and the names of the columns that differ."""
    return {
        **cells(change.recorded),
        "payload": said(change.recorded),
        **_states(change),
        "also": [{"table": one.table, **_states(one)} for one in change.also],
    }


def _states(change: Change | RowChange) -> dict[str, Any]:
    before, after = change.before, change.after
    return {"before": row_cells(before), "after": row_cells(after), "changed": changed(before, after)}


# --- for people -----------------------------------------------------------------------------------


def _block(entity: Entity, change: Change) -> Iterator[str]:
    recorded = change.recorded
    of = "" if recorded.stream == entity.stream else f" of {text(recorded.stream)}"
    yield f"{recorded.position}  {text(recorded.type)}{of}  (version {recorded.stream_version})"
    for line in (*_clocks(recorded), f"by {text(recorded.actor)}", _words(recorded), *_became(change)):
        yield from _wrapped(line)
    yield ""


def _clocks(recorded: Recorded) -> Iterator[str]:
    for name, clock in (
        ("occurred", recorded.occurred_at),
        ("received", recorded.received_at),
        ("recorded", recorded.recorded_at),
    ):
        yield f"{name} {'-' if clock is None else utc(clock)}"


def _words(recorded: Recorded) -> str:
    told = said(recorded)
    if not isinstance(told, dict):
        return written("", told)
    held = [(name, value) for name, value in told.items() if value not in (None, "", False)]
    return " ".join(f"{text(name)}={written(name, value)}" for name, value in held)


def _became(change: Change) -> Iterator[str]:
    told = list(difference(change.before, change.after)) if change.before is not change.after else []
    for row in change.also:
        # A new trade is what the event says, word for word.
        if row.before is not None or row.table != "trades":
            told.append(f"{row.table}{_which(row)}: {', '.join(difference(row.before, row.after))}")
    yield from (f"| {line}" for line in told or ["nothing else changed"])


def _which(row: RowChange) -> str:
    one = row.before if row.after is None else row.after
    name = next((name for name in ("id", "asset", "closed_position") if hasattr(one, name)), None)
    return "" if name is None else f" {text(getattr(one, name))}"


def _wrapped(line: str) -> list[str]:
    width = terminal_width()
    if not line or width is None or len(line) + len(_INDENT) <= width:
        return [f"{_INDENT}{line}"] if line else []
    deeper = _INDENT + ("|   " if line.startswith("| ") else "    ")
    return textwrap.wrap(line, width, initial_indent=_INDENT, subsequent_indent=deeper)
