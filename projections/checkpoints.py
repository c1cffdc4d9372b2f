"""Where each group of projections stands in the log."""

from __future__ import annotations

import time
from enum import StrEnum
from typing import Any

import msgspec
import sqlalchemy as sa

from byjy_events.columns import BigInt, Nanoseconds, one_of, word
from byjy_events.log import EventLog
from projections.projection import GROUP_NAME_LENGTH, GROUP_VERSION_LENGTH
from projections.tables import metadata


class GroupState(StrEnum):
    """What a group is doing."""

    RUNNING = "RUNNING"
    STOPPED = "STOPPED"
    REBUILDING = "REBUILDING"


projection_checkpoints = sa.Table(
    "projection_checkpoints",
    metadata,
    sa.Column("group_name", word(GROUP_NAME_LENGTH), primary_key=True),
    sa.Column("position", BigInt, nullable=False),
    sa.Column("generation", BigInt, nullable=False, server_default="0"),
    sa.Column("version", word(GROUP_VERSION_LENGTH), nullable=False),
    sa.Column("status", word(16), nullable=False),
    sa.Column("passed_over", BigInt, nullable=False, server_default="0"),
    sa.Column("error_position", BigInt),
    sa.Column("error_event_type", word(128)),
    sa.Column("error", sa.Text),
    sa.Column("stopped_at", Nanoseconds),
    sa.Column("updated_at", Nanoseconds, nullable=False),
    one_of("status", GroupState),
    sqlite_strict=True,
)
"""One row for each group. ``position`` is the last event folded in; ``generation`` rises with every rebuild."""


class Checkpoint(msgspec.Struct, frozen=True):
    """What a step forward compares and sets: whoever finds it changed has lost the race and starts over.

    Attributes:
        status: as it was read; nobody compares it, since whoever begins to rebuild raises the generation.
    """

    group: str
    position: int
    generation: int
    version: str
    status: str = GroupState.RUNNING.value


class GroupStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A row of ``projection_checkpoints``.

    Attributes:
        position: the last event folded in.
        passed_over: events of types that the program did not know.
        error_position, error_event_type, error, stopped_at: of the event that stopped the group.
    """

    group_name: str
    position: int
    generation: int
    version: str
    status: GroupState
    passed_over: int
    error_position: int | None
    error_event_type: str | None
    error: str | None
    stopped_at: int | None
    updated_at: int


async def group_statuses(log: EventLog) -> list[GroupStatus]:
    """Where every group stands, by name."""
    statement = sa.select(projection_checkpoints).order_by(projection_checkpoints.c.group_name)
    async with log.engine.connect() as connection:
        rows = (await connection.execute(statement)).all()
    return [GroupStatus(**{**row._mapping, "status": GroupState(row.status)}) for row in rows]


# The statements below are shared by the two stores; PostgreSQL's numbers the question marks.

BEGIN_GROUP = (
    "INSERT INTO projection_checkpoints (group_name, position, generation, version, status, passed_over, updated_at)"
    " VALUES (?, 0, 0, ?, 'RUNNING', 0, ?) ON CONFLICT (group_name) DO NOTHING"
)
READ_GROUP = "SELECT group_name, position, generation, version, status FROM projection_checkpoints WHERE group_name = ?"
ADVANCE_GROUP = (
    "UPDATE projection_checkpoints SET position = ?, passed_over = passed_over + ?, status = 'RUNNING',"
    " error_position = NULL, error_event_type = NULL, error = NULL, stopped_at = NULL, updated_at = ?"
    " WHERE group_name = ? AND position = ? AND generation = ? AND version = ?"
)
STOP_GROUP = (
    "UPDATE projection_checkpoints SET status = 'STOPPED', error_position = ?, error_event_type = ?, error = ?,"
    " stopped_at = ?, updated_at = ? WHERE group_name = ? AND position = ? AND generation = ? AND version = ?"
)


def beginning(group: str, version: str) -> tuple[Any, ...]:
    """The parameters of :data:`BEGIN_GROUP`."""
    return group, version, time.time_ns()


def advancing(before: Checkpoint, position: int, passed_over: int) -> tuple[Any, ...]:
    """The parameters of :data:`ADVANCE_GROUP`."""
    return position, passed_over, time.time_ns(), *_compared(before)


def stopping(before: Checkpoint, position: int, event_type: str, error: str) -> tuple[Any, ...]:
    """The parameters of :data:`STOP_GROUP`."""
    now = time.time_ns()
    return position, event_type, error, now, now, *_compared(before)


def _compared(before: Checkpoint) -> tuple[Any, ...]:
    return before.group, before.position, before.generation, before.version
