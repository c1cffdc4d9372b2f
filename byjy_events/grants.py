"""What a PostgreSQL login role needs to run an engine, and nothing more.

Such a role cannot insert into ``events`` at all: the only way in is ``append_events``, which runs with the
rights of its owner. Run the statements as the owner of the tables, after every migration that adds some.
"""

from __future__ import annotations

from sqlalchemy.dialects.postgresql.asyncpg import dialect
from sqlalchemy.dialects.postgresql.base import PGIdentifierPreparer

_quoted = PGIdentifierPreparer(dialect()).quote_identifier  # type: ignore[no-untyped-call]

WRITTEN_BY_PROJECTORS = (
    "anomalies",
    "order_aliases",
    "order_fees",
    "orders",
    "position_cycles",
    "position_fees",
    "positions",
    "projection_checkpoints",
    "trades",
    "trading_pairs",
)
"""The tables of the read side and their checkpoints; a test holds them against the schema."""


def engine_grants(role: str, schema: str = "public") -> list[str]:
    """The statements that let a role append, read, and run projectors.

    It may read every table, execute ``append_events``, and write the tables of the read side. It may not write
    ``events`` or ``alembic_version``. Running them again does no harm. A projection of your own needs a grant of
    its own.
    """
    to, place = _quoted(role), _quoted(schema)
    readable = ", ".join(f"{place}.{_quoted(table)}" for table in ("alembic_version", "events"))
    writable = ", ".join(f"{place}.{_quoted(table)}" for table in WRITTEN_BY_PROJECTORS)
    return [
        f"GRANT USAGE ON SCHEMA {place} TO {to}",
        f"GRANT SELECT ON {readable} TO {to}",
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON {writable} TO {to}",
        f"GRANT EXECUTE ON FUNCTION {place}.append_events TO {to}",
    ]
