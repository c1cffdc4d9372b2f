"""What speaks against something that was wanted of a strategy or an execution."""

from __future__ import annotations

from uuid import UUID

from byjy_events.errors import ByjyError
from byjy_events.vocabulary.strategies import ExecutionStatus, StrategyStatus


class StrategyRefused(ByjyError):
    """What was wanted of a strategy is not legal as it stands. Nothing was stored.

    Attributes:
        strategy_id: the strategy.
        status: its status when that was decided; None: the strategy is not known.
        intent: the type of the event that would have been stored, e.g. ``StrategyArchived``.
        reason: why not.
    """

    def __init__(self, strategy_id: UUID, status: StrategyStatus | None, intent: str, reason: str) -> None:
        self.strategy_id = strategy_id
        self.status = status
        self.intent = intent
        self.reason = reason
        at = "" if status is None else f", which is {status},"
        super().__init__(f"strategy {strategy_id}{at} refuses {intent}: {reason}")


class StrategyRunning(StrategyRefused):
    """It runs already, or still.

    Attributes:
        strategy_execution_id: the execution that runs.
        silent_seconds: since when that has given no sign of life; None: nobody knows.
    """

    def __init__(
        self, strategy_id: UUID, status: StrategyStatus, intent: str, execution_id: UUID, silent_seconds: float | None
    ) -> None:
        self.strategy_execution_id = execution_id
        self.silent_seconds = silent_seconds
        since = "" if silent_seconds is None else f", whose last sign of life is {max(0.0, silent_seconds):.1f} s old"
        super().__init__(strategy_id, status, intent, f"it runs as {execution_id}{since}")


class ExecutionRefused(ByjyError):
    """What was wanted of an execution is not legal as it stands. Nothing was stored.

    Attributes:
        strategy_execution_id: the execution.
        status: its status when that was decided; None: the execution is not known.
        intent: the type of the event that would have been stored, e.g. ``StrategyExecutionEnded``.
        reason: why not.
    """

    def __init__(self, execution_id: UUID, status: ExecutionStatus | None, intent: str, reason: str) -> None:
        self.strategy_execution_id = execution_id
        self.status = status
        self.intent = intent
        self.reason = reason
        at = "" if status is None else f", which is {status},"
        super().__init__(f"execution {execution_id}{at} refuses {intent}: {reason}")


class UserUnfit(ByjyError):
    """A user that may not have or run strategies. Nothing was stored.

    Attributes:
        user_id: the user.
        reason: why not.
    """

    def __init__(self, user_id: UUID, reason: str) -> None:
        self.user_id = user_id
        self.reason = reason
        super().__init__(f"user {user_id} {reason}")
