"""What Alembic runs: for its own command from the repository root, and for byjy_events.migrating.

The database is a connection handed over by the caller, or else a URL: ``-x url=…``, BYJY_DATABASE_URL,
or ``sqlalchemy.url`` of alembic.ini.
"""

from __future__ import annotations

import logging.config
import os
from typing import Any

import sqlalchemy as sa
from alembic import context
from alembic.runtime.migration import MigrationInfo

import byjy_events.heartbeat_table
import byjy_events.log_table
import byjy_events.proof.tables
import byjy_events.schema
import byjy_events.sealing.key_store
import projections.checkpoints
import projections.configuration.table
import projections.ownership
import projections.tables
import projections.trail
from byjy_events import migrating, moving
from byjy_events.database import parse_url

TARGETS = list(
    {
        id(metadata): metadata
        for metadata in (
            byjy_events.schema.metadata,
            projections.tables.metadata,
            projections.checkpoints.projection_checkpoints.metadata,
        )
    }.values()
)

SETTINGS: dict[str, Any] = {
    "target_metadata": TARGETS,
    "compare_type": True,
    "compare_server_default": True,
    # What pysqlite cannot do, byjy_events.migrating does: it begins the transaction itself.
    "transactional_ddl": True,
}


def url() -> sa.URL:
    if "url" in context.config.attributes:
        return parse_url(context.config.attributes["url"])
    asked = context.get_x_argument(as_dictionary=True).get("url") or os.environ.get("BYJY_DATABASE_URL")
    return parse_url(asked or context.config.get_main_option("sqlalchemy.url") or "sqlite:///byjy.db")


def run(connection: sa.Connection) -> None:
    run_migrations(connection=connection, render_as_batch=connection.dialect.name == "sqlite")


def write_sql() -> None:
    run_migrations(url=url(), literal_binds=True)


def run_migrations(**settings: Any) -> None:
    """Who goes down without counting rows marks every group of projections: it would never miss those that went."""
    told, went_down = context.config.attributes.get("on_version_apply"), False

    def applied(*, step: MigrationInfo, heads: set[str], **more: Any) -> None:
        nonlocal went_down
        went_down = bool(heads) and (went_down or not step.is_upgrade)  # at the base there is nothing to mark
        if told is not None:
            told(step=step, heads=heads, **more)

    settings["on_version_apply"] = applied  # called by names, which its type does not say
    context.configure(**settings, **SETTINGS)
    with context.begin_transaction():
        context.run_migrations()
        if went_down and not context.config.attributes.get("counted"):
            context.execute(sa.update(projections.checkpoints.projection_checkpoints).values(version=moving.OUTDATED))


if context.config.config_file_name is not None:
    logging.config.fileConfig(context.config.config_file_name, disable_existing_loggers=False)

given: sa.Connection | None = context.config.attributes.get("connection")
if context.is_offline_mode():
    write_sql()
elif given is not None:
    run(given)
else:
    migrating.exclusively(url(), run)
