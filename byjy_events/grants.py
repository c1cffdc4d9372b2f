"""What PostgreSQL login roles need for their work, and nothing more.

Four kinds: an engine appends, reads and projects; a projector reads the log and writes the tables of the read side;
an auditor reads everything but the key store, and changes nothing; a role for backups reads what belongs into one, the
key store included, and changes nothing. None of them can insert into ``events``: the only way in is ``append_events``,
which runs with the rights of its owner and which an engine alone may call.

Run the statements as the owner of the tables, in one transaction, after every migration that adds some. They first
take away what the role had on our tables: afterwards it has exactly these rights there. What it was granted elsewhere,
and what it has by being a member of another role, stays.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from enum import StrEnum

from sqlalchemy.dialects.postgresql.asyncpg import dialect
from sqlalchemy.dialects.postgresql.base import PGIdentifierPreparer

_quoted = PGIdentifierPreparer(dialect()).quote_identifier  # type: ignore[no-untyped-call]

THE_LOG = ("alembic_version", "events")
"""Tables that nobody writes but migrations and ``append_events``."""

WRITTEN_BY_PROJECTORS = (
    "anomalies",
    "api_keys",
    "configurations",
    "order_aliases",
    "order_fees",
    "orders",
    "position_cycles",
    "position_fees",
    "positions",
    "projection_checkpoints",
    "strategies",
    "strategy_execution_fees",
    "strategy_execution_totals",
    "strategy_executions",
    "trades",
    "trading_pairs",
    "trail",
    "users",
)
"""The tables of the read side and their checkpoints; a test holds them against the schema."""

SYSTEM_LOGS = "system_logs"
"""Written and pruned by engines."""

THE_TREE = ("merkle_nodes", "tree_checkpoints")
"""Written by whoever seals the log, which an engine may; nobody changes them."""

HEARTBEATS = "strategy_execution_heartbeats"
"""Written by engines, and a row deleted when its execution has ended."""

KEY_STORE = "key_store"
"""Wrapped data keys: engines write and rewrap them, and empty a row to erase its key. Backups take them along. Nobody
else as much as reads them."""

EVERY_TABLE = (*THE_LOG, *THE_TREE, *WRITTEN_BY_PROJECTORS, SYSTEM_LOGS, HEARTBEATS, KEY_STORE)

NOBODY = frozenset({"public", "none"})
"""What PostgreSQL takes for no role or for everybody, even in quotes."""


class Kind(StrEnum):
    """What a role is for."""

    ENGINE = "engine"
    PROJECTOR = "projector"
    AUDITOR = "auditor"
    BACKUP = "backup"


def engine_grants(
    role: str, schema: str = "public", *, database: str | None = None, own_tables: Collection[str] = ()
) -> list[str]:
    """The statements that let a role append, read, run projectors, log, and keep secrets.

    Args:
        database: the name of the database, if the role shall be granted to connect to it and to make temporary
            tables. PostgreSQL grants both to everybody, unless somebody took it away.
        own_tables: tables of projections of your own.

    Raises:
        ValueError: the role is one of :data:`NOBODY`.
    """
    rights = {
        "SELECT": THE_LOG,
        "SELECT, INSERT, UPDATE, DELETE": (*WRITTEN_BY_PROJECTORS, HEARTBEATS, *own_tables),
        "SELECT, INSERT, DELETE": (SYSTEM_LOGS,),
        "SELECT, INSERT": THE_TREE,
        "SELECT, INSERT, UPDATE": (KEY_STORE,),
    }
    return _statements(role, schema, database, own_tables, rights, appends=True)


def projector_grants(
    role: str, schema: str = "public", *, database: str | None = None, own_tables: Collection[str] = ()
) -> list[str]:
    """The statements that let a role read the log, and project, rebuild and verify. See :func:`engine_grants`."""
    rights = {
        "SELECT": (*THE_LOG, *THE_TREE),
        "SELECT, INSERT, UPDATE, DELETE": (*WRITTEN_BY_PROJECTORS, *own_tables),
    }
    return _statements(role, schema, database, own_tables, rights)


def auditor_grants(
    role: str, schema: str = "public", *, database: str | None = None, own_tables: Collection[str] = ()
) -> list[str]:
    """The statements that let a role read everything but the key store, verify, and travel in time.

    See :func:`engine_grants`. Verifying and the past are folded into temporary tables.
    """
    rights = {"SELECT": (*THE_LOG, *THE_TREE, *WRITTEN_BY_PROJECTORS, *own_tables, SYSTEM_LOGS, HEARTBEATS)}
    return _statements(role, schema, database, own_tables, rights)


def backup_grants(
    role: str, schema: str = "public", *, database: str | None = None, own_tables: Collection[str] = ()
) -> list[str]:
    """The statements that let a role make backups, and nothing else. See :func:`engine_grants`.

    Tables of the read side are not in a backup; so it may not read them, nor those of your own.
    """
    rights: dict[str, tuple[str, ...]] = {"SELECT": (*THE_LOG, *THE_TREE, SYSTEM_LOGS, KEY_STORE)}
    return _statements(role, schema, database, own_tables, rights)


GRANTS: dict[Kind, Callable[..., list[str]]] = {
    Kind.ENGINE: engine_grants,
    Kind.PROJECTOR: projector_grants,
    Kind.AUDITOR: auditor_grants,
    Kind.BACKUP: backup_grants,
}
"""The function for each kind of role."""


def _statements(
    role: str,
    schema: str,
    database: str | None,
    own_tables: Collection[str],
    rights: dict[str, tuple[str, ...]],
    *,
    appends: bool = False,
) -> list[str]:
    if role in NOBODY:
        raise ValueError(f"{role!r} is no role of its own")
    to, place = _quoted(role), _quoted(schema)
    append = f"FUNCTION {place}.append_events"
    statements = [
        f"REVOKE ALL ON {_listed(place, (*EVERY_TABLE, *own_tables))} FROM {to}",
        f"REVOKE ALL ON {append} FROM {to}",
    ]
    if database is not None:
        statements.append(f"GRANT CONNECT, TEMPORARY ON DATABASE {_quoted(database)} TO {to}")
    statements.append(f"GRANT USAGE ON SCHEMA {place} TO {to}")
    statements += [f"GRANT {what} ON {_listed(place, tables)} TO {to}" for what, tables in rights.items()]
    return [*statements, f"GRANT EXECUTE ON {append} TO {to}"] if appends else statements


def _listed(place: str, tables: Iterable[str]) -> str:
    return ", ".join(f"{place}.{_quoted(table)}" for table in tables)
