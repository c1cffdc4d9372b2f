"""A small log that was sealed several times while it grew, to be tampered with again and again."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from byjy_events import EventLog, Stream, Write, new_order_id, order_stream
from byjy_events.database import open_engine, parse_url
from byjy_events.proof.checkpoint import signed_checkpoint
from byjy_events.proof.note import Signer, Verifier
from byjy_events.proof.tables import FAN_OUT
from byjy_events.proof.tree import StoredCheckpoint, Tree
from byjy_events.proof.tree_writer import writer_of
from tests.sample_events import filled, placed

ORIGIN = "example.com/trading"
SIZES = (90, 256, 300, 600, 700)
"""The log was sealed at these; 256 events are one stored subtree."""

EVENTS = SIZES[-1]
STREAMS = 40

TABLES = ("events", "merkle_nodes", "tree_checkpoints")


class Sealed(NamedTuple):
    """A sealed log.

    Attributes:
        signer: who signed its checkpoints.
        notes: the checkpoints, as they left the database.
    """

    url: str
    signer: Signer
    notes: tuple[str, ...]

    @property
    def trusted(self) -> list[Verifier]:
        return [self.signer.verifier]


async def sealed_log(url: str) -> Sealed:
    """Fill an empty database with orders and their fills, sealing it now and then."""
    signer, notes = Signer.new(ORIGIN), []
    orders = [order_stream(new_order_id()) for _ in range(STREAMS)]
    async with EventLog.open(url) as log:
        for first, last in pairwise((0, *SIZES)):
            await log.append_all([_of_order(orders, number, first, last) for number in range(STREAMS)], actor="mm-1")
            notes.append(await seal(log, signer))
    return Sealed(url, signer, tuple(notes))


def _of_order(orders: list[Stream], order: int, first: int, last: int) -> Write:
    """What happens to one order between two positions, if the orders take turns."""
    turns = range(first + (order - first) % STREAMS, last, STREAMS)
    told = [placed() if turn < STREAMS else filled(f"x-{turn}", price=str(100 + turn)) for turn in turns]
    return Write(orders[order], told)


async def seal(log: EventLog, signer: Signer) -> str:
    """Store the subtrees and a checkpoint of all that is in the log. Returns the checkpoint."""
    head, writer = await log.head(), writer_of(log.backend)
    async with log.engine.connect() as connection:
        tree = Tree(connection)
        stored, wanted = await tree.nodes_missing(head)
        nodes = await tree.made(1, stored, wanted - stored)
        newest, root = await tree.checkpoint(), await tree.root(head)
    if nodes:
        await writer.add_nodes(nodes)
    checkpoint = signed_checkpoint(head, root, [signer])
    after = 0 if newest is None else newest.size
    assert await writer.add_checkpoint(StoredCheckpoint(head, root, checkpoint.note, 1), after=after)
    return checkpoint.note


async def unguarded(url: str) -> None:
    """Take the triggers away and keep a copy of the tables, as only the owner of the database can."""
    engine = open_engine(parse_url(url), writable=True)
    async with engine.begin() as connection:
        if connection.dialect.name == "sqlite":
            names = await connection.execute(sa.text("SELECT name FROM sqlite_master WHERE type = 'trigger'"))
            for name in names.scalars().all():
                await connection.execute(sa.text(f"DROP TRIGGER {name}"))
        for table in TABLES:
            if connection.dialect.name == "postgresql":
                await connection.execute(sa.text(f"ALTER TABLE {table} DISABLE TRIGGER ALL"))
            await connection.execute(sa.text(f"CREATE TABLE good_{table} AS SELECT * FROM {table}"))
    await engine.dispose()


async def restored(connection: AsyncConnection) -> None:
    """Put everything back."""
    for table in TABLES:
        await connection.execute(sa.text(f"DELETE FROM {table}"))
        await connection.execute(sa.text(f"INSERT INTO {table} SELECT * FROM good_{table}"))


assert SIZES[1] == FAN_OUT
