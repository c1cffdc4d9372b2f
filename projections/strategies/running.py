"""An execution in the hands of the engine that runs it, and its end, which is told whatever happens."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from typing import Any, TypeVar
from uuid import UUID

import structlog

from byjy_events.redaction import Redactor
from byjy_events.vocabulary.strategies import ExecutionStatus
from projections.scratch import awaited
from projections.strategies.errors import ExecutionRefused

T = TypeVar("T")

ERROR_LENGTH = 4_096
"""Characters of an error's text that are kept."""

ERRORS_SHOWN = 8
"""Errors of a group that are told."""

Tell = Callable[[ExecutionStatus, str, str], Coroutine[Any, Any, object]]
"""Records an end: the status, the reason of a stop, the error."""

_log = structlog.get_logger("projections")


class Execution:
    """A run of a strategy.

    Attributes:
        id: what its orders carry as ``strategy_execution_id``.
        parameters: those that it runs with, as the type that is registered for the strategy's kind, else a dictionary.
        parameters_version: which ones these are.
        stop_reason: why it is to end as STOPPED; None: nobody wants that.
        declared_lost: somebody gave it up, though it lives, and another execution may run by now: stop trading. In the
            block of ``running`` this is looked up with every sign of life.
    """

    def __init__(
        self,
        execution_id: UUID,
        strategy_id: UUID,
        *,
        parameters: Any,
        parameters_version: int,
        is_test: bool,
        process: str,
    ) -> None:
        self.id = execution_id
        self.strategy_id = strategy_id
        self.parameters = parameters
        self.parameters_version = parameters_version
        self.is_test = is_test
        self.process = process
        self.stop_reason: str | None = None
        self.declared_lost = False

    def stop(self, reason: str = "") -> None:
        """Let it end as STOPPED, not as COMPLETED, when the block of ``running`` ends. It does not end the block."""
        self.stop_reason = reason

    def __repr__(self) -> str:
        return f"<Execution {self.id} of strategy {self.strategy_id}>"


@contextlib.asynccontextmanager
async def told_the_end(execution: Execution, tell: Tell) -> AsyncIterator[None]:
    """Tell how the block ended. What it raised is what is raised, also where the end could not be told."""
    try:
        yield
    except BaseException as error:
        try:
            await uncancelled(tell(*_end_by(error)))
        except Exception as failure:  # noqa: BLE001 - the block's own error matters more
            _warn(execution, failure)
        raise
    try:
        await uncancelled(tell(*_end_of(execution)))
    except ExecutionRefused as refused:  # somebody else told it
        _warn(execution, refused)


async def uncancelled(work: Awaitable[T]) -> T:
    """Wait for something to its end, also while being cancelled; that is raised afterwards."""
    task = asyncio.ensure_future(work)
    await awaited(task)
    return task.result()


def error_text(error: BaseException) -> str:
    """Type and message of an error, and those of a group, without what looks like a secret in them; storable."""
    told = "; ".join(_told(error))
    plain = Redactor().text(told).replace("\0", "").encode("utf-8", "backslashreplace").decode()
    return plain if len(plain) <= ERROR_LENGTH else f"{plain[: ERROR_LENGTH - 1]}…"


def _told(error: BaseException) -> Iterator[str]:
    try:
        message = str(error)
    except Exception:  # noqa: BLE001 - an error that cannot be told is an error all the same
        message = "(without a message)"
    yield f"{type(error).__name__}: {message}" if message else type(error).__name__
    if isinstance(error, BaseExceptionGroup):
        for one in error.exceptions[:ERRORS_SHOWN]:
            yield from _told(one)


def _end_by(error: BaseException) -> tuple[ExecutionStatus, str, str]:
    if isinstance(error, Exception):
        return ExecutionStatus.FAILED, "", error_text(error)
    reason = "cancelled" if isinstance(error, asyncio.CancelledError) else type(error).__name__
    return ExecutionStatus.STOPPED, reason, ""


def _end_of(execution: Execution) -> tuple[ExecutionStatus, str, str]:
    if execution.stop_reason is None:
        return ExecutionStatus.COMPLETED, "", ""
    return ExecutionStatus.STOPPED, execution.stop_reason, ""


def _warn(execution: Execution, error: Exception) -> None:
    cause = f"{type(error).__name__}: {error}"
    _log.warning("execution_end_not_recorded", strategy_execution_id=str(execution.id), cause=cause)
