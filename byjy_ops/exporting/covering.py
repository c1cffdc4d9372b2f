"""The signed checkpoint that covers an export."""

from __future__ import annotations

from byjy_events.log import EventLog
from byjy_events.proof.tree import Tree


async def covering_checkpoint(log: EventLog, position: int) -> str | None:
    """The newest signed checkpoint whose tree holds the event at a position, as its text; None: there is none."""
    async with log.engine.connect() as connection:
        newest = await Tree(connection).checkpoint()
    return newest.note if newest is not None and newest.size >= position else None
