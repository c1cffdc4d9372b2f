"""Where strategies are made, changed and run, and told no before anything is stored.

Every call reads streams from the log, never a table, which may lag; folds them; decides; and appends with the exact
versions that it read. What happens in between makes the append a conflict, and it is decided anew.

A name belongs to one strategy of a user, by a reservation, until the strategy is renamed or archived. Whoever archives
a strategy takes the right to run it for good.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack
from uuid import UUID

from byjy_events.identifiers import new_event_id
from byjy_events.recorded import Receipt, Write
from byjy_events.stream import NO_STREAM, strategy_stream
from byjy_events.vocabulary.strategies import (
    StrategyActivated,
    StrategyArchived,
    StrategyCreated,
    StrategyParametersChanged,
    StrategyRenamed,
    StrategyStatus,
)
from projections.errors import AlreadyTaken
from projections.recording import Acting, recorded
from projections.reservations import given_up, taken
from projections.strategies.deciding import known, turned
from projections.strategies.errors import StrategyRefused
from projections.strategies.executions import ExecutionDesk
from projections.strategies.parameters import ParametersVersion, parameters_text, versions_of
from projections.strategies.streams import NAME, RUN, name_reservation, read, run_reservation, strategy_in, user_as_is
from projections.strategies.table import StrategyRow
from projections.users.spelling import canonical


class StrategyDesk(ExecutionDesk):
    """Creates, changes, activates, pauses, stops, archives and runs strategies.

    When a call returns, what it did is durable. Each takes ``actor``, ``correlation_id`` and ``causation_id`` as
    :meth:`byjy_events.log.EventLog.append` does, and raises

    - StrategyRefused, ExecutionRefused: it is not in a state for that; see :mod:`projections.strategies.deciding`.
    - UserUnfit: its user is not known, or not active.
    - AlreadyTaken: another strategy of the user has the name.
    - InvalidEvent: an argument makes no sense for any strategy. InvalidJson: its parameters do not; says where.
    - VersionConflict: what was read changed while it was decided, again and again.
    - UpgradeRequired, LogUnavailable, LogClosed: as the log does.

    and then nothing was stored; or OutcomeUnknown.

    Args:
        kinds: for a kind of strategy the msgspec type, e.g. a Struct, that its parameters have to be of. Kinds that
            are not named take any object.
        lost_after_seconds: after how long without a sign of life an execution may be given up.
    """

    async def strategy(self, strategy_id: UUID) -> StrategyRow | None:
        """The strategy as the log has it now, whatever the tables have; None: there is none."""
        return (await strategy_in(self._log, strategy_id))[0]

    async def create(
        self,
        user_id: UUID,
        name: str,
        kind: str,
        parameters: Any = "{}",
        *,
        is_test: bool = False,
        strategy_id: UUID | None = None,
        **acting: Unpack[Acting],
    ) -> UUID:
        """A new strategy, a DRAFT, and its id.

        Args:
            parameters: a JSON object, as text or bytes, as a mapping, or as a Struct.
            is_test: it never trades for real, nor does any execution of it.
            strategy_id: a fresh one if it is not given.
        """
        key = new_event_id() if strategy_id is None else strategy_id
        text = parameters_text(self._kinds, kind, parameters)
        created = StrategyCreated(
            user_id=user_id, name=name, name_key=_key_of(name), kind=kind, parameters=text, is_test=is_test
        )

        async def decide() -> Sequence[Write]:
            row, _ = await strategy_in(self._log, key)
            if row is not None:
                raise StrategyRefused(key, row.status, StrategyCreated.__name__, "it was created before")
            return [
                Write(strategy_stream(key), [created], NO_STREAM),
                *await taken(self._log, name_reservation(user_id, created.name_key), NAME, key),
                await user_as_is(self._log, user_id),
            ]

        await recorded(self._log, decide, **acting)
        return key

    async def rename(self, strategy_id: UUID, name: str, **acting: Unpack[Acting]) -> Receipt | None:
        """Another name, and the one before is free; None: it is called so already."""
        renamed = StrategyRenamed(name=name, name_key=_key_of(name))

        async def decide() -> Sequence[Write]:
            found, version = await strategy_in(self._log, strategy_id)
            row = known(strategy_id, found, StrategyRenamed.__name__)
            if row.name == name:
                return []
            writes = [Write(strategy_stream(strategy_id), [renamed], version)]
            if row.name_key != renamed.name_key:
                writes += await taken(self._log, name_reservation(row.user_id, renamed.name_key), NAME, strategy_id)
                writes += await self._name_given_up(row)
            return writes

        return await recorded(self._log, decide, **acting)

    async def change_parameters(
        self,
        strategy_id: UUID,
        parameters: Any,
        *,
        reason: str = "",
        expected_version: int | None = None,
        **acting: Unpack[Acting],
    ) -> int:
        """Other parameters, from the next execution on, and their version; that of now, if they are the same.

        Args:
            parameters: all of them, as for :meth:`create`.
            expected_version: refuse it if the strategy has others than these by now.
        """
        version_now = 0

        async def decide() -> Sequence[Write]:
            nonlocal version_now
            found, version = await strategy_in(self._log, strategy_id)
            row = known(strategy_id, found, StrategyParametersChanged.__name__)
            text = parameters_text(self._kinds, row.kind, parameters)
            _refuse_other_version(row, expected_version)
            version_now = row.parameters_version
            if text == row.parameters:
                return []
            version_now += 1
            changed = StrategyParametersChanged(parameters=text, parameters_version=version_now, reason=reason)
            return [Write(strategy_stream(strategy_id), [changed], version)]

        await recorded(self._log, decide, **acting)
        return version_now

    async def parameters_history(self, strategy_id: UUID) -> list[ParametersVersion]:
        """All parameters that it ever had, the oldest first, from the log; empty: there is no such strategy."""
        return versions_of(await read(self._log, strategy_stream(strategy_id)))

    async def activate(self, strategy_id: UUID, reason: str = "", **acting: Unpack[Acting]) -> Receipt | None:
        """Let it be run."""
        return await self._turn(strategy_id, StrategyStatus.ACTIVE, reason, acting)

    async def pause(self, strategy_id: UUID, reason: str = "", **acting: Unpack[Acting]) -> Receipt | None:
        """Let no execution start for a while. One that runs goes on, unless its engine looks."""
        return await self._turn(strategy_id, StrategyStatus.PAUSED, reason, acting)

    async def stop(self, strategy_id: UUID, reason: str = "", **acting: Unpack[Acting]) -> Receipt | None:
        """Take it out of service. One that runs goes on, unless its engine looks."""
        return await self._turn(strategy_id, StrategyStatus.STOPPED, reason, acting)

    async def archive(self, strategy_id: UUID, reason: str = "", **acting: Unpack[Acting]) -> Receipt | None:
        """Put it away for good, and let another have its name.

        Raises:
            StrategyRunning: it runs.
        """
        return await self._turn(strategy_id, StrategyStatus.ARCHIVED, reason, acting)

    async def _turn(self, strategy_id: UUID, status: StrategyStatus, reason: str, acting: Acting) -> Receipt | None:
        async def decide() -> Sequence[Write]:
            found, version = await strategy_in(self._log, strategy_id)
            row, event = turned(strategy_id, found, status, reason)
            writes = [Write(strategy_stream(strategy_id), [event], version)]
            if isinstance(event, StrategyActivated):
                writes.append(await user_as_is(self._log, row.user_id))
            if isinstance(event, StrategyArchived):
                writes += await self._put_away(row)
            return writes

        return await recorded(self._log, decide, **acting)

    async def _name_given_up(self, row: StrategyRow) -> list[Write]:
        if row.name_key is None:
            return []
        return await given_up(self._log, name_reservation(row.user_id, row.name_key), NAME, row.id)

    async def _put_away(self, row: StrategyRow) -> list[Write]:
        name = await self._name_given_up(row)
        try:
            return [*name, *await taken(self._log, run_reservation(row.id), RUN, row.id)]
        except AlreadyTaken as error:
            raise await self.runs(row, StrategyArchived.__name__, error.holder) from None


def _key_of(name: str) -> str:
    """What is no text is refused by the event, as a name."""
    return canonical(name) if isinstance(name, str) else name


def _refuse_other_version(row: StrategyRow, expected: int | None) -> None:
    if expected not in (None, row.parameters_version):
        reason = f"its parameters are of version {row.parameters_version}, not {expected}"
        raise StrategyRefused(row.id, row.status, StrategyParametersChanged.__name__, reason)
