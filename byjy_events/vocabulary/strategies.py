"""Strategies, and their executions: each run of a strategy, from its start to its end or to its being given up."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated
from uuid import UUID

import msgspec

from byjy_events.errors import InvalidEvent
from byjy_events.event import Id, Intent, Text, event_type
from byjy_events.json_text import InvalidJson, json_text

PARAMETERS_LIMIT = 256 * 1024
"""Bytes that the parameters of a strategy may have."""

Kind = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
Parameters = Annotated[str, msgspec.Meta(min_length=2, max_length=PARAMETERS_LIMIT)]
Version = Annotated[int, msgspec.Meta(ge=1, le=2**63 - 1)]


class StrategyStatus(StrEnum):
    """What may become of a strategy.

    Attributes:
        DRAFT: it was never activated.
        ACTIVE: it may be run.
        PAUSED, STOPPED: it may not be run until it is activated again; paused for a while, stopped for good reason.
        ARCHIVED: it will never run again, and its name is free.
    """

    DRAFT = "DRAFT"
    ACTIVE = "ACTIVE"
    PAUSED = "PAUSED"
    STOPPED = "STOPPED"
    ARCHIVED = "ARCHIVED"


class ExecutionStatus(StrEnum):
    """What became of an execution.

    Attributes:
        RUNNING: it began, and nobody told of its end.
        COMPLETED: it did what it was to do.
        FAILED: an error ended it.
        STOPPED: it was asked to end.
        LOST: it told nothing any more and was given up.
    """

    RUNNING = "RUNNING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    STOPPED = "STOPPED"
    LOST = "LOST"


FINISHED = frozenset({ExecutionStatus.COMPLETED, ExecutionStatus.FAILED, ExecutionStatus.STOPPED})
"""The ends that an execution tells of itself."""


# --- strategies -----------------------------------------------------------------------------------


@event_type()
class StrategyCreated(Intent, frozen=True, kw_only=True):
    """A strategy came into being, as a draft. The stream's id is the strategy's.

    Attributes:
        user_id: whose it is.
        name: as people read it.
        name_key: its canonical spelling, the same for all names that count as this one; unique among the user's, by a
            reservation.
        kind: what program it is, e.g. ``market_maker``.
        parameters: version 1, a JSON object in the one spelling of :mod:`byjy_events.json_text`.
        is_test: it never trades for real.
    """

    user_id: UUID
    name: Id
    name_key: Id
    kind: Kind
    parameters: Parameters = "{}"
    is_test: bool = False

    def _check(self) -> None:
        _check_name(self, self.name)
        _check_parameters(self, self.parameters)


@event_type()
class StrategyRenamed(Intent, frozen=True, kw_only=True):
    """It is called otherwise from now on. Fields as those of :class:`StrategyCreated`."""

    name: Id
    name_key: Id

    def _check(self) -> None:
        _check_name(self, self.name)


@event_type()
class StrategyParametersChanged(Intent, frozen=True, kw_only=True):
    """It has other parameters from its next execution on: all of them, not a difference.

    Attributes:
        parameters_version: one more than that of those before.
    """

    parameters: Parameters
    parameters_version: Version
    reason: Text = ""

    def _check(self) -> None:
        _check_parameters(self, self.parameters)


@event_type()
class StrategyActivated(Intent, frozen=True, kw_only=True):
    """It may be run from now on."""

    reason: Text = ""


@event_type()
class StrategyPaused(Intent, frozen=True, kw_only=True):
    """No execution of it starts until it is activated again."""

    reason: Text = ""


@event_type()
class StrategyStopped(Intent, frozen=True, kw_only=True):
    """It was taken out of service; it can be activated again."""

    reason: Text = ""


@event_type()
class StrategyArchived(Intent, frozen=True, kw_only=True):
    """It will never run again. Its rows stay; its name is free."""

    reason: Text = ""


# --- executions -----------------------------------------------------------------------------------


@event_type()
class StrategyExecutionStarted(Intent, frozen=True, kw_only=True):
    """A run of a strategy began. The stream's id is the execution's.

    Attributes:
        parameters_version: which of the strategy's parameters it runs with.
        process: who runs it, e.g. a host and a process id.
    """

    strategy_id: UUID
    parameters_version: Version
    process: Annotated[str, msgspec.Meta(max_length=255)] = ""
    is_test: bool = False


@event_type()
class StrategyExecutionEnded(Intent, frozen=True, kw_only=True):
    """It told its end.

    Attributes:
        status: COMPLETED, FAILED or STOPPED.
        stop_reason: why, if it was stopped.
        error: what went wrong, if it failed.
    """

    status: ExecutionStatus
    stop_reason: Text = ""
    error: Text = ""

    def _check(self) -> None:
        if self.status not in FINISHED:
            raise InvalidEvent(type(self).__name__, "status", f"{self.status} is no end that an execution tells")


@event_type()
class StrategyExecutionLost(Intent, frozen=True, kw_only=True):
    """Somebody gave it up, since it gave no sign of life. It may still tell its end itself, and that counts then.

    Attributes:
        last_beat_at: its last sign of life, nanoseconds UTC; None: it never gave one.
    """

    reason: Text = ""
    last_beat_at: int | None = None


# --- checks ---------------------------------------------------------------------------------------


def _check_name(event: Intent, name: str) -> None:
    """Also no characters that nobody sees, by which two names that look alike would differ."""
    if not name.isprintable() or name != name.strip():
        raise InvalidEvent(type(event).__name__, "name", "holds what cannot be seen, or blanks around it")


def _check_parameters(event: Intent, parameters: str) -> None:
    try:
        spelled = json_text("parameters", parameters, limit=PARAMETERS_LIMIT)
    except InvalidJson as error:
        raise InvalidEvent(type(event).__name__, "parameters", f"{error.reason} at {error.path}") from None
    if not spelled.startswith("{"):
        raise InvalidEvent(type(event).__name__, "parameters", "is no JSON object")
    if spelled != parameters:
        raise InvalidEvent(type(event).__name__, "parameters", "is not spelled canonically; json_text does")
