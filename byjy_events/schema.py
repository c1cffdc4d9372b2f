"""The table of events, as SQLAlchemy sees it. Triggers and functions are made by the migrations."""

from __future__ import annotations

import sqlalchemy as sa

from byjy_events.columns import NAMING, BigInt, Nanoseconds, Uuid, word

SCHEMA_REVISION = "0012"
"""The newest Alembic revision; a test holds it against ``migrations/versions``."""

metadata = sa.MetaData(naming_convention=NAMING)

events = sa.Table(
    "events",
    metadata,
    sa.Column("position", BigInt, primary_key=True, autoincrement=False),
    sa.Column("event_id", Uuid, nullable=False),
    sa.Column("stream_category", word(64), nullable=False),
    sa.Column("stream_id", Uuid, nullable=False),
    sa.Column("stream_version", BigInt, nullable=False),
    sa.Column("type", word(128), nullable=False),
    sa.Column("schema_version", sa.Integer, nullable=False),
    sa.Column("payload", sa.LargeBinary, nullable=False),
    sa.Column("occurred_at", Nanoseconds),
    sa.Column("received_at", Nanoseconds, nullable=False),
    sa.Column("recorded_at", Nanoseconds, nullable=False),
    sa.Column("actor", word(255), nullable=False),
    sa.Column("correlation_id", Uuid),
    sa.Column("causation_id", Uuid),
    sa.Column("leaf_hash", sa.LargeBinary, nullable=False),
    sa.UniqueConstraint("event_id"),
    # The id leads: ids of own streams rise with time, so appends touch the same few pages of the index.
    sa.UniqueConstraint("stream_id", "stream_category", "stream_version", name="uq_events_stream"),
    sa.CheckConstraint("position >= 1", name="position"),
    sa.CheckConstraint("stream_version >= 1", name="stream_version"),
    sa.CheckConstraint("length(leaf_hash) = 32", name="leaf_hash"),
    sqlite_strict=True,
)
"""Append-only. ``position`` is the one total order: from 1, without gaps, in commit order."""
