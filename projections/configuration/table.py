"""The table ``configurations`` and its rows."""

from __future__ import annotations

import sqlalchemy as sa

from byjy_events.columns import BigInt, Flag, Nanoseconds, one_of, word
from byjy_events.vocabulary.configuration import KEY_LENGTH, ValueType
from projections.choices import Choice
from projections.rows import Row
from projections.statements import Statement
from projections.tables import metadata

PAGE = 200
"""Rows that one statement fetches: each may hold 256 KiB."""

configurations = sa.Table(
    "configurations",
    metadata,
    # By bytes, whatever the language of the database: what is beneath a key is then one range of the index.
    sa.Column("key", sa.String(KEY_LENGTH, collation="C").with_variant(sa.Text(), "sqlite"), primary_key=True),
    sa.Column("value", sa.Text),
    sa.Column("sealed_value", sa.LargeBinary),
    sa.Column("value_type", Choice(ValueType)),
    sa.Column("description", sa.Text, nullable=False),
    sa.Column("is_secret", Flag, nullable=False, server_default=sa.false()),
    sa.Column("is_removed", Flag, nullable=False, server_default=sa.false()),
    sa.Column("version", BigInt, nullable=False),
    sa.Column("updated_by", word(255), nullable=False),
    sa.Column("created_at", Nanoseconds, nullable=False),
    sa.Column("updated_at", Nanoseconds, nullable=False),
    sa.Column("last_position", BigInt, nullable=False),
    one_of("value_type", ValueType),
    sa.CheckConstraint("value IS NULL OR sealed_value IS NULL", name="one_value"),
    sa.CheckConstraint("is_secret IN (0, 1) AND is_removed IN (0, 1)", name="flags").ddl_if(dialect="sqlite"),
    sqlite_strict=True,
)
"""What holds for each key now. ``value`` is JSON; of a secret it is null, and ``sealed_value`` holds it. A key that was
removed keeps its row, without value and type: ``is_removed``. ``version`` counts its changes, ``last_position`` is the
place of the last one in the log, ``updated_by`` the actor."""


class ConfigurationRow(Row, frozen=True, kw_only=True, gc=False):
    """A row of ``configurations``."""

    key: str
    value: str | None
    sealed_value: bytes | None
    value_type: ValueType | None
    description: str
    is_secret: bool
    is_removed: bool
    version: int
    updated_by: str
    created_at: int
    updated_at: int
    last_position: int


def settings_page(name: str | None = None, after: str | None = None, limit: int = PAGE) -> Statement:
    """Rows of keys that are set, by key.

    Args:
        name: only this key and those beneath it; None: all.
        after: the last key of the page before.
    """
    c = configurations.c
    statement = sa.select(configurations).where(sa.not_(c.is_removed))
    if name is not None:
        # One range; between the key and what is beneath it lie others, as risk-free does between risk and risk.max.
        statement = statement.where(c.key >= name, c.key < f"{name}/", sa.or_(c.key == name, c.key >= f"{name}."))
    if after is not None:
        statement = statement.where(c.key > after)
    return statement.order_by(c.key).limit(limit)
