"""A checkpoint as the command line names it: by the size of a stored one, by a file with the note, or the newest."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

import sqlalchemy as sa

from byjy_events import EventLog
from byjy_events.proof.checkpoint import unverified
from byjy_events.proof.entry import notes_of
from byjy_events.proof.errors import InvalidNote
from byjy_events.proof.tables import tree_checkpoints
from byjy_ops.errors import InvalidArgument

LARGEST = 2**63 - 1
"""What a size can be; none is stored that is larger."""


async def note_of(log: EventLog, wanted: str | None, option: str) -> str:
    """The note of a checkpoint.

    Args:
        wanted: a size, or a file; None: the newest one that is stored. Of a file that checkpoints are appended to it
            is the last one in it.

    Raises:
        InvalidArgument: none of that size is stored, there is no such file, it holds no checkpoint, or nothing is
            stored at all.
    """
    if wanted is not None and not (wanted.isascii() and wanted.isdigit()):
        return _read(Path(wanted), option)
    c = tree_checkpoints.c
    statement = sa.select(c.note).order_by(c.size.desc()).limit(1)
    if wanted is not None:
        statement = statement.where(c.size == min(int(wanted[:20]), LARGEST))
    async with log.engine.connect() as connection:
        note: str | None = await connection.scalar(statement)
    if note is None:
        which = "no checkpoint" if wanted is None else f"no checkpoint of {wanted} events"
        raise InvalidArgument(option, f"{which} is stored: byjy checkpoints lists them, byjy seal makes one")
    return note


def _read(path: Path, option: str) -> str:
    try:
        text = path.read_bytes().decode().replace("\r\n", "\n")  # no note has a carriage return of its own
        *_, note = [text, *notes_of(StringIO(text, newline="\n"))]
        return unverified(note).note
    except InvalidNote as error:
        raise InvalidArgument(option, f"{path}: no checkpoint: {error}") from None
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "no text"
        raise InvalidArgument(option, f"{path}: neither a size nor a file with a checkpoint: {reason}") from None
