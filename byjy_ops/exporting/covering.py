"""The signed checkpoint that covers an export."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import NamedTuple

import sqlalchemy as sa

from byjy_events.errors import LogUnavailable
from byjy_events.log import EventLog
from byjy_events.proof.checkpoint import unverified
from byjy_events.proof.errors import HistoryChanged, ProofBroken
from byjy_events.proof.tree import Tree
from byjy_ops.errors import InvalidArgument
from byjy_ops.exporting.range_proof import Neighbours, RangeProof, range_proof


class Covering(NamedTuple):
    """What vouches for an export.

    Attributes:
        checkpoint: as text; None: none covers it.
        proof: that the rows are events under it; None: they are no events, have gaps, or there are none.
    """

    checkpoint: str | None = None
    proof: RangeProof | None = None


async def covering(log: EventLog, position: int, neighbours: Neighbours | None) -> Covering:
    """The newest signed checkpoint whose tree holds the event at a position.

    Args:
        neighbours: the events that were exported, if they have no gaps. They are held against the checkpoint.

    Raises:
        HistoryChanged: they, or what lies around them, are not the events that it was made over.
        LogUnavailable: the database failed.
    """
    async with _tree(log) as tree:
        newest = await tree.checkpoint()
        if newest is None or newest.size < position:
            return Covering()
        if neighbours is None or neighbours.last < neighbours.first:
            return Covering(newest.note)
        proof = await range_proof(tree, neighbours.first, neighbours.last, newest.size)
    try:
        neighbours.hold_against(unverified(newest.note), proof)
    except ProofBroken:
        exported = f"positions {neighbours.first} to {neighbours.last}"
        reason = f"the log was altered: {exported} do not lead to what was signed; byjy audit says where"
        raise HistoryChanged("database", newest.size, reason) from None
    return Covering(newest.note, proof)


async def sealed_position(log: EventLog) -> int:
    """The last position that a signed checkpoint covers.

    Raises:
        InvalidArgument: none is stored.
        LogUnavailable: the database failed.
    """
    async with _tree(log) as tree:
        newest = await tree.checkpoint()
    if newest is None:
        raise InvalidArgument("--as-of", "no checkpoint is stored: byjy seal makes one")
    return newest.size


@contextlib.asynccontextmanager
async def _tree(log: EventLog) -> AsyncIterator[Tree]:
    try:
        async with log.engine.connect() as connection:
            yield Tree(connection)
    except (OSError, sa.exc.DBAPIError) as error:
        raise LogUnavailable(str(getattr(error, "orig", error))) from error
