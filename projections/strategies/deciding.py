"""Which intent is legal for a strategy or an execution as it stands: pure functions over their rows.

A strategy, from what it is to what it may become:

==========  ============================================
status      may become
==========  ============================================
DRAFT       ACTIVE, ARCHIVED
ACTIVE      PAUSED, STOPPED
PAUSED      ACTIVE, STOPPED, ARCHIVED
STOPPED     ACTIVE, ARCHIVED
ARCHIVED    nothing
==========  ============================================

It is renamed, and its parameters are changed, in every status but ARCHIVED. It is run only while it is ACTIVE, once at
a time; it may be paused and stopped while it runs, which ends no execution, and is archived only when none runs.

An execution is RUNNING from its start. It tells its end once: COMPLETED, FAILED or STOPPED. Before that it may be given
up, LOST; if it lives in spite of that, it may still tell its end.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar
from uuid import UUID

from byjy_events.recorded import Recorded
from byjy_events.vocabulary import strategies as events
from byjy_events.vocabulary.strategies import FINISHED, ExecutionStatus, StrategyStatus
from projections.folding import FoldFailed
from projections.memory import folded_in_memory
from projections.ownership import OWNERSHIP
from projections.rows import Row
from projections.strategies.errors import ExecutionRefused, StrategyRefused, UserUnfit
from projections.strategies.table import StrategyExecutionRow, StrategyRow
from projections.users.table import UserRow

DRAFT, ACTIVE, PAUSED, STOPPED, ARCHIVED = StrategyStatus

Turn = events.StrategyActivated | events.StrategyPaused | events.StrategyStopped | events.StrategyArchived

MAY_BECOME: dict[StrategyStatus, frozenset[StrategyStatus]] = {
    DRAFT: frozenset({ACTIVE, ARCHIVED}),
    ACTIVE: frozenset({PAUSED, STOPPED}),
    PAUSED: frozenset({ACTIVE, STOPPED, ARCHIVED}),
    STOPPED: frozenset({ACTIVE, ARCHIVED}),
    ARCHIVED: frozenset(),
}
"""The transitions of a strategy."""

TURNING: dict[StrategyStatus, type[Turn]] = {
    ACTIVE: events.StrategyActivated,
    PAUSED: events.StrategyPaused,
    STOPPED: events.StrategyStopped,
    ARCHIVED: events.StrategyArchived,
}
"""The event by which a strategy becomes what it becomes."""

R = TypeVar("R", bound=Row)


def known(strategy_id: UUID, row: StrategyRow | None, intent: str) -> StrategyRow:
    """The strategy, if something may be done with it.

    Raises:
        StrategyRefused: it is not known, or archived.
    """
    if row is None:
        raise StrategyRefused(strategy_id, None, intent, "there is no such strategy")
    if row.status is ARCHIVED:
        raise StrategyRefused(strategy_id, row.status, intent, "what is archived stays as it is")
    return row


def turned(strategy_id: UUID, row: StrategyRow | None, status: StrategyStatus, reason: str) -> tuple[StrategyRow, Turn]:
    """The strategy as it is, and the event that makes it that.

    Raises:
        StrategyRefused: it cannot become that from what it is.
    """
    event = TURNING[status]
    row = known(strategy_id, row, event.__name__)
    if status not in MAY_BECOME[row.status]:
        wanted = ", ".join(sorted(MAY_BECOME[row.status]))
        raise StrategyRefused(strategy_id, row.status, event.__name__, f"it may become {wanted} only")
    return row, event(reason=reason)


def startable(strategy_id: UUID, row: StrategyRow | None) -> StrategyRow:
    """The strategy, if it may be run.

    Raises:
        StrategyRefused: it is not ACTIVE.
    """
    intent = events.StrategyExecutionStarted.__name__
    row = known(strategy_id, row, intent)
    if row.status is not ACTIVE:
        raise StrategyRefused(strategy_id, row.status, intent, "only what is ACTIVE is run")
    return row


def ended(
    execution_id: UUID, row: StrategyExecutionRow | None, end: events.StrategyExecutionEnded
) -> StrategyExecutionRow:
    """The execution, if it may tell this end.

    Raises:
        ExecutionRefused: it is not known, or told its end before.
    """
    intent = type(end).__name__
    if row is None:
        raise ExecutionRefused(execution_id, None, intent, "there is no such execution")
    if row.status in FINISHED:
        raise ExecutionRefused(execution_id, row.status, intent, "it has ended")
    return row


def losable(row: StrategyExecutionRow | None) -> bool:
    """Whether it may be given up."""
    return row is not None and row.status is ExecutionStatus.RUNNING


def folded_strategy(strategy_id: UUID, its_events: Sequence[Recorded]) -> StrategyRow | None:
    """The row of a strategy, of its whole stream.

    Raises:
        UpgradeRequired: a newer program wrote one of the events.
    """
    return _folded(StrategyRow, strategy_id, its_events)


def folded_execution(execution_id: UUID, its_events: Sequence[Recorded]) -> StrategyExecutionRow | None:
    """The row of an execution. Raises as :func:`folded_strategy`."""
    return _folded(StrategyExecutionRow, execution_id, its_events)


def refuse_unfit(user_id: UUID, row: UserRow | None) -> None:
    """
    Raises:
        UserUnfit: they may not have or run strategies: they are not known, or not active.
    """
    if row is None:
        raise UserUnfit(user_id, "is not known")
    if not row.is_active:
        raise UserUnfit(user_id, "is not active")


def _folded(row_type: type[R], key: UUID, its_events: Sequence[Recorded]) -> R | None:
    try:
        row: R | None = folded_in_memory(OWNERSHIP, its_events).tables[OWNERSHIP.by_row_type[row_type]].get(key)
    except FoldFailed as failed:
        raise failed.cause from None
    return row
