"""Logs for tests of the tree: events, their leaf hashes, and roots as RFC 6962 defines them, by recursion."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from hashlib import sha256

import asyncpg
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from byjy_events import EventLog, OrderSubmitted, new_order_id, order_stream
from byjy_events.database import is_sqlite, parse_url
from byjy_events.proof import Checkpoint, Sealer, Signer, SigningKeys
from byjy_events.proof.note import signer_of
from byjy_events.proof.tables import merkle_nodes, tree_checkpoints
from byjy_events.proof.tree import Tree
from byjy_events.schema import events
from byjy_events.secret import Secret
from tests.rows import writable_engine

AT_ONCE = 2_000

NAME = "example.com/trading"


def signer(number: int = 1, name: str = NAME) -> Signer:
    """A signing key; the same for the same number."""
    return Signer(name, Secret(bytes([number]) * 32))


def keys(number: int = 1, *earlier: int) -> SigningKeys:
    return SigningKeys(signer(number), tuple(signer(one).verifier for one in earlier))


PETER_NEUMANN = signer_of(
    Secret("PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"), "Go's note package"
)
"""The key that the documentation of Go's package ``note`` signs its example with."""


async def grow(log: EventLog, count: int) -> int:
    """Append so many events; the answer is the head."""
    stream = order_stream(new_order_id())
    for start in range(0, count, AT_ONCE):
        await log.append(stream, [OrderSubmitted()] * min(AT_ONCE, count - start))
    return await log.head()


async def leaves(log: EventLog) -> list[bytes]:
    async with log.engine.connect() as connection:
        return list(await connection.scalars(sa.select(events.c.leaf_hash).order_by(events.c.position)))


def naive_root(hashes: Sequence[bytes]) -> bytes:
    """RFC 6962, section 2.1, word by word."""
    if not hashes:
        return sha256(b"").digest()
    if len(hashes) == 1:
        return hashes[0]
    middle = 1
    while middle * 2 < len(hashes):
        middle *= 2
    return sha256(b"\x01" + naive_root(hashes[:middle]) + naive_root(hashes[middle:])).digest()


def naive_roots(hashes: Sequence[bytes]) -> Callable[[int], bytes]:
    """The same for many sizes of one log: what two of them share is computed once."""

    @functools.cache
    def root(start: int, end: int) -> bytes:
        if end - start <= 2:
            return naive_root(hashes[start:end])
        middle = 1
        while middle * 2 < end - start:
            middle *= 2
        return sha256(b"\x01" + root(start, start + middle) + root(start + middle, end)).digest()

    return lambda size: root(0, size)


async def stored_nodes(log: EventLog) -> dict[tuple[int, int], bytes]:
    async with log.engine.connect() as connection:
        return {(level, number): found for level, number, found in await connection.execute(sa.select(merkle_nodes))}


async def stored_sizes(log: EventLog) -> list[int]:
    async with log.engine.connect() as connection:
        return list(await connection.scalars(sa.select(tree_checkpoints.c.size).order_by(tree_checkpoints.c.size)))


@contextlib.asynccontextmanager
async def tree_of(log: EventLog) -> AsyncIterator[Tree]:
    async with log.engine.connect() as connection:
        yield Tree(connection)


async def seal(log: EventLog, number: int = 1) -> Checkpoint:
    """The newest checkpoint, of a sealer that is here for a moment."""
    checkpoint = await Sealer(log, keys(number)).seal_once()
    assert checkpoint is not None
    return checkpoint


@contextlib.asynccontextmanager
async def vandal(url: str) -> AsyncIterator[AsyncConnection]:
    """A transaction in which no trigger is in the way, as for whoever owns the database."""
    engine = writable_engine(url)
    async with engine.begin() as connection:
        for statement in _disarming(url):
            await connection.exec_driver_sql(statement)
        yield connection
    await engine.dispose()


def _disarming(url: str) -> Iterator[str]:
    for table in ("events", "merkle_nodes", "tree_checkpoints"):
        for what in ("update", "delete"):
            on = "" if is_sqlite(parse_url(url)) else f" ON {table}"
            yield f"DROP TRIGGER {table}_no_{what}{on}"


async def cut_connections(url: str) -> None:
    """Have the server end every connection to a database but our own."""
    other = await asyncpg.connect(url)
    await other.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    await other.close()
