"""``byjy import``: files into the log, with a summary."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from datetime import date
from pathlib import Path

from byjy_events import EventLog
from byjy_ops.listing import emit, tell
from byjy_ops.lobster.file import MessageFile
from byjy_ops.lobster.importer import ACTOR, Imported, import_file
from byjy_ops.lobster.message import MessageType
from byjy_ops.progress import progress

_SKIPPED = {MessageType.HIDDEN_EXECUTION: "hidden executions", MessageType.HALT: "halts"}


async def import_lobster(database: str, paths: Sequence[Path], *, on: date | None, account: str) -> None:
    """Import message files one after the other. A file that is not there spoils all of them before any begins.

    Raises:
        InvalidInput: names the file, and the line if there is one. The lines before it are stored.
    """
    files = [MessageFile(path, on) for path in paths]
    async with EventLog.open(database, actor=ACTOR) as log:
        for file in files:
            with progress(file.path.name, file.bytes) as advance:
                imported = await import_file(log, file, account=account, progress=advance)
            emit(f"{_summary(imported)}\n")
        project = f"byjy --database {shlex.quote(log.url)} project"
        tell(f"the log is at {await log.head()}; to bring the tables up to it: {project}")


def _summary(imported: Imported) -> str:
    events = imported.stored + imported.duplicates + imported.contradicting
    skipped = ", ".join(f"{count} {_SKIPPED[kind]}" for kind, count in sorted(imported.skipped.items())) or "nothing"
    contradicting = f", {imported.contradicting} kept as contradicting" if imported.contradicting else ""
    return (
        f"{imported.day}: {imported.lines} lines, {imported.stored} events stored, {imported.duplicates} known before"
        f"{contradicting}; skipped {skipped}; {imported.seconds:.1f} s, {events / imported.seconds:.0f} events/s"
    )
