"""The tables of the tree: roots of full subtrees, and the checkpoints that were signed.

Of subtrees only those of 256, 65,536, 16,777,216 … leaves are kept, one hash each: a proof needs at most 255 hashes of
every such level and 255 leaf hashes, and the tree takes an eighth of a byte for every event.
"""

from __future__ import annotations

import sqlalchemy as sa

from byjy_events.columns import BigInt, Nanoseconds
from byjy_events.schema import metadata

LEVEL_BITS = 8
"""Levels of the tree from one that is kept to the next."""

FAN_OUT = 1 << LEVEL_BITS
"""Subtrees of one kept level under one of the next."""

TOP_LEVEL = 7
"""The highest level that is kept: seven times 8 bits are more events than positions can count."""

merkle_nodes = sa.Table(
    "merkle_nodes",
    metadata,
    sa.Column("level", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("number", BigInt, primary_key=True, autoincrement=False),
    sa.Column("hash", sa.LargeBinary, nullable=False),
    sa.CheckConstraint(f"level BETWEEN 1 AND {TOP_LEVEL}", name="level"),
    sa.CheckConstraint("number >= 0", name="number"),
    sa.CheckConstraint("length(hash) = 32", name="hash"),
    sqlite_strict=True,
    sqlite_with_rowid=False,
)
"""RFC 6962's hash over the ``256 ** level`` leaves from ``number * 256 ** level`` on. Append-only."""

tree_checkpoints = sa.Table(
    "tree_checkpoints",
    metadata,
    sa.Column("size", BigInt, primary_key=True, autoincrement=False),
    sa.Column("root", sa.LargeBinary, nullable=False),
    sa.Column("note", sa.Text, nullable=False),
    sa.Column("created_at", Nanoseconds, nullable=False),
    sa.CheckConstraint("size >= 1", name="size"),
    sa.CheckConstraint("length(root) = 32", name="root"),
    sqlite_strict=True,
)
"""Signed checkpoints, see :mod:`byjy_events.proof.checkpoint`. ``size`` is the position of the last event under the
root. Append-only; what proves anything are the copies outside the database."""
