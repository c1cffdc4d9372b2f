"""The folds of ``strategies`` and ``strategy_executions``. What is legal is decided before it is recorded; see
``deciding``. Here whatever is recorded makes rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from msgspec.structs import replace

from byjy_events.recorded import Recorded
from byjy_events.vocabulary import strategies as events
from byjy_events.vocabulary.strategies import FINISHED, ExecutionStatus, StrategyStatus
from projections.projection import Key, Projection, on
from projections.strategies.table import StrategyExecutionRow, StrategyRow, strategies, strategy_executions

Changing = events.StrategyActivated | events.StrategyPaused | events.StrategyStopped

BECOMES: dict[type[Changing], StrategyStatus] = {
    events.StrategyActivated: StrategyStatus.ACTIVE,
    events.StrategyPaused: StrategyStatus.PAUSED,
    events.StrategyStopped: StrategyStatus.STOPPED,
}


class Strategies(Projection[StrategyRow]):
    """``strategies``: one row for each. An archived one stays as it is."""

    name = "strategies"
    version = 1
    table = strategies
    row_type = StrategyRow

    def keys(self, recorded: Recorded) -> Sequence[Key]:
        return (recorded.stream_id,)

    @on(events.StrategyCreated)
    def created(
        self, row: StrategyRow | None, event: events.StrategyCreated, recorded: Recorded, key: UUID
    ) -> StrategyRow:
        if row is not None:
            return row
        return StrategyRow(
            id=key,
            user_id=event.user_id,
            name=event.name,
            name_key=event.name_key,
            kind=event.kind,
            parameters=event.parameters,
            parameters_version=1,
            status=StrategyStatus.DRAFT,
            is_test=event.is_test,
            created_at=recorded.effective_at,
            updated_at=recorded.effective_at,
        )

    @on(events.StrategyRenamed)
    def renamed(
        self, row: StrategyRow | None, event: events.StrategyRenamed, recorded: Recorded, key: UUID
    ) -> StrategyRow | None:
        if row is None or row.status is StrategyStatus.ARCHIVED:
            return row
        return replace(row, name=event.name, name_key=event.name_key, updated_at=recorded.effective_at)

    @on(events.StrategyParametersChanged)
    def parameters_changed(
        self, row: StrategyRow | None, event: events.StrategyParametersChanged, recorded: Recorded, key: UUID
    ) -> StrategyRow | None:
        if row is None or row.status is StrategyStatus.ARCHIVED:
            return row
        return replace(
            row,
            parameters=event.parameters,
            parameters_version=event.parameters_version,
            updated_at=recorded.effective_at,
        )

    @on(*BECOMES)
    def changed(self, row: StrategyRow | None, event: Changing, recorded: Recorded, key: UUID) -> StrategyRow | None:
        if row is None or row.status is StrategyStatus.ARCHIVED:
            return row
        return replace(row, status=BECOMES[type(event)], updated_at=recorded.effective_at)

    @on(events.StrategyArchived)
    def archived(
        self, row: StrategyRow | None, event: events.StrategyArchived, recorded: Recorded, key: UUID
    ) -> StrategyRow | None:
        if row is None or row.status is StrategyStatus.ARCHIVED:
            return row
        return replace(row, status=StrategyStatus.ARCHIVED, name_key=None, updated_at=recorded.effective_at)


class StrategyExecutions(Projection[StrategyExecutionRow]):
    """``strategy_executions``: one row for each. What an execution tells of its end stands, and counts more than that
    somebody gave it up, whichever came first.
    """

    name = "strategy_executions"
    version = 1
    table = strategy_executions
    row_type = StrategyExecutionRow

    def keys(self, recorded: Recorded) -> Sequence[Key]:
        return (recorded.stream_id,)

    @on(events.StrategyExecutionStarted)
    def started(
        self,
        row: StrategyExecutionRow | None,
        event: events.StrategyExecutionStarted,
        recorded: Recorded,
        key: UUID,
    ) -> StrategyExecutionRow:
        if row is not None:
            return row
        at = recorded.effective_at
        return StrategyExecutionRow(
            id=key,
            strategy_id=event.strategy_id,
            started_at=at,
            status=ExecutionStatus.RUNNING,
            process=event.process or None,
            parameters_version=event.parameters_version,
            is_test=event.is_test,
            created_at=at,
            updated_at=at,
        )

    @on(events.StrategyExecutionEnded)
    def ended(
        self, row: StrategyExecutionRow | None, event: events.StrategyExecutionEnded, recorded: Recorded, key: UUID
    ) -> StrategyExecutionRow | None:
        if row is None or row.status in FINISHED:
            return row
        return replace(
            row,
            status=event.status,
            stop_reason=event.stop_reason or None,
            error=event.error or None,
            finished_at=recorded.effective_at,
            updated_at=recorded.effective_at,
        )

    @on(events.StrategyExecutionLost)
    def lost(
        self, row: StrategyExecutionRow | None, event: events.StrategyExecutionLost, recorded: Recorded, key: UUID
    ) -> StrategyExecutionRow | None:
        if row is None or row.status is not ExecutionStatus.RUNNING:
            return row
        return replace(
            row,
            status=ExecutionStatus.LOST,
            stop_reason=event.reason or None,
            finished_at=recorded.effective_at,
            updated_at=recorded.effective_at,
        )
