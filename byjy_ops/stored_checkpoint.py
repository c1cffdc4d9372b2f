"""A checkpoint as the command line names it: by the size of a stored one, by a file with the note, or the newest."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa

from byjy_events import EventLog
from byjy_events.proof.tables import tree_checkpoints
from byjy_ops.errors import InvalidArgument


async def note_of(log: EventLog, wanted: str | None, option: str) -> str:
    """The note of a checkpoint.

    Args:
        wanted: a size, or a file; None: the newest one that is stored.

    Raises:
        InvalidArgument: none of that size is stored, there is no such file, or nothing is stored at all.
    """
    if wanted is not None and not wanted.isdigit():
        return _read(Path(wanted), option)
    c = tree_checkpoints.c
    statement = sa.select(c.note).order_by(c.size.desc()).limit(1)
    if wanted is not None:
        statement = statement.where(c.size == int(wanted[:19]))
    async with log.engine.connect() as connection:
        note: str | None = await connection.scalar(statement)
    if note is None:
        which = "no checkpoint" if wanted is None else f"no checkpoint of {wanted} events"
        raise InvalidArgument(option, f"{which} is stored: byjy checkpoints lists them, byjy seal makes one")
    return note


def _read(path: Path, option: str) -> str:
    try:
        return path.read_bytes().decode()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "no text"
        raise InvalidArgument(option, f"{path}: neither a size nor a file with a checkpoint: {reason}") from None
