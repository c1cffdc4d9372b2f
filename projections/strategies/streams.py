"""Strategies, executions and users as their streams in the log say, and what their reservations are called."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from byjy_events.log import EventLog
from byjy_events.recorded import Recorded, Write
from byjy_events.stream import Stream, execution_stream, reservation_stream, strategy_stream, user_stream
from projections.strategies.deciding import folded_execution, folded_strategy, refuse_unfit
from projections.strategies.table import StrategyExecutionRow, StrategyRow
from projections.users.current import current_user

NAME = "strategy_name"
RUN = "strategy_run"
"""Kinds of reservations: a name among those of a user, and the right to run a strategy."""


def name_reservation(user_id: UUID, name_key: str) -> Stream:
    """Of a name, by its canonical spelling."""
    return reservation_stream(NAME, str(user_id), name_key)


def run_reservation(strategy_id: UUID) -> Stream:
    """Of the right to run a strategy: an execution's; once the strategy is archived, its own."""
    return reservation_stream(RUN, str(strategy_id))


async def read(log: EventLog, stream: Stream) -> Sequence[Recorded]:
    """The whole stream."""
    return [recorded async for recorded in log.read(stream=stream)]


async def strategy_in(log: EventLog, strategy_id: UUID) -> tuple[StrategyRow | None, int]:
    """The strategy, and the version that its stream is at. Raises UpgradeRequired."""
    events = await read(log, strategy_stream(strategy_id))
    return folded_strategy(strategy_id, events), len(events)


async def execution_in(log: EventLog, execution_id: UUID) -> tuple[StrategyExecutionRow | None, int]:
    """The execution, and the version that its stream is at. Raises UpgradeRequired."""
    events = await read(log, execution_stream(execution_id))
    return folded_execution(execution_id, events), len(events)


async def user_as_is(log: EventLog, user_id: UUID) -> Write:
    """A part of an append that stores nothing, and makes it a conflict if the user changes before.

    Raises:
        UserUnfit: they are not known, or not active.
    """
    now = await current_user(log, user_id)
    refuse_unfit(user_id, now.row)
    return Write(user_stream(user_id), [], now.version)
