"""Where strategies are run: started, alive, ended, and given up.

The right to run a strategy belongs to one execution at a time, by a reservation: two engines that trade one strategy
would double its orders. It is free again when the execution has told its end, or was declared lost.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import AsyncIterator, Sequence
from typing import NamedTuple, Unpack
from uuid import UUID

import sqlalchemy as sa
import structlog
from msgspec.structs import replace

from byjy_events.errors import ByjyError, LogUnavailable
from byjy_events.heartbeat import BEAT_SECONDS, LOST_AFTER_SECONDS, Heartbeats, this_process
from byjy_events.identifiers import new_event_id
from byjy_events.log import EventLog
from byjy_events.recorded import Receipt, Write
from byjy_events.stream import NO_STREAM, execution_stream, strategy_stream
from byjy_events.vocabulary.reservations import ReservationMade, ReservationReleased
from byjy_events.vocabulary.strategies import (
    ExecutionStatus,
    StrategyExecutionEnded,
    StrategyExecutionLost,
    StrategyExecutionStarted,
)
from projections.errors import AlreadyTaken
from projections.recording import Acting, recorded
from projections.reservations import given_up, taken
from projections.strategies.deciding import ended, folded_strategy, losable, startable
from projections.strategies.errors import ExecutionRefused, StrategyRunning
from projections.strategies.parameters import Kinds, typed_parameters, versions_of
from projections.strategies.queries import StrategyQueries
from projections.strategies.running import Execution, told_the_end, uncancelled
from projections.strategies.streams import RUN, execution_in, read, run_reservation, strategy_in, user_as_is
from projections.strategies.table import StrategyExecutionRow, StrategyRow

_log = structlog.get_logger("projections")


class _Silence(NamedTuple):
    """How long an execution has been silent, and its last sign of life."""

    seconds: float
    last_beat_at: int | None


class ExecutionDesk:
    """Starts, ends and gives up executions; what holds for every call, and ``kinds``, see
    :class:`projections.strategies.desk.StrategyDesk`, which is one.
    """

    def __init__(
        self, log: EventLog, kinds: Kinds | None = None, *, lost_after_seconds: float = LOST_AFTER_SECONDS
    ) -> None:
        self._log = log
        self._kinds = dict(kinds or {})
        self._lost_after = lost_after_seconds
        self._heartbeats = Heartbeats(log)

    async def execution(self, execution_id: UUID) -> StrategyExecutionRow | None:
        """The execution as the log has it now, whatever the tables have; None: there is none."""
        return (await execution_in(self._log, execution_id))[0]

    async def start(
        self,
        strategy_id: UUID,
        *,
        is_test: bool = False,
        take_over: bool = False,
        process: str | None = None,
        execution_id: UUID | None = None,
        **acting: Unpack[Acting],
    ) -> Execution:
        """An execution, RUNNING from now on. Whoever starts it beats for it and ends it; :meth:`running` does both.

        One that runs already, and gave no sign of life for too long, is declared LOST by this.

        Args:
            is_test: it does not trade for real; of a strategy that never does so, none does.
            take_over: declare one that runs already LOST, whenever it gave a sign of life. For who knows that it is
                dead, e.g. a supervisor that starts it again.
            process: who runs it, at most 255 characters; this process if it is not given.
            execution_id: a fresh one if it is not given. Repeating a call with it, by the same process, starts nothing
                twice, and answers with what was started, whatever became of the strategy meanwhile.

        Raises:
            StrategyRunning: it runs already.
            ExecutionRefused: ``execution_id`` was started by another process or for another strategy, or has ended.
        """
        key = new_event_id() if execution_id is None else execution_id
        process = this_process() if process is None else process
        await self._refuse_started_otherwise(key, strategy_id, process)
        # Before it is RUNNING, so that nobody ever finds it running without a sign of life.
        await self._heartbeats.beat(key, process)
        try:
            return await self._started(key, strategy_id, is_test, take_over, process, acting)
        except Exception:
            with contextlib.suppress(Exception):  # the row does no harm
                row, _ = await execution_in(self._log, key)
                if row is None or row.status is not ExecutionStatus.RUNNING:
                    await self._heartbeats.forget(key)
            raise

    async def beat(self, execution_id: UUID, process: str | None = None) -> bool:
        """A sign of life. It raises nothing that a database raises: False, and a warning is logged."""
        return await self._heartbeats.beat(execution_id, this_process() if process is None else process)

    async def end(
        self,
        execution_id: UUID,
        status: ExecutionStatus = ExecutionStatus.COMPLETED,
        stop_reason: str = "",
        error: str = "",
        **acting: Unpack[Acting],
    ) -> Receipt | None:
        """Tell its end: COMPLETED, FAILED or STOPPED; also of one that was declared LOST. Once."""
        end = StrategyExecutionEnded(status=status, stop_reason=stop_reason, error=error)

        async def decide() -> Sequence[Write]:
            found, version = await execution_in(self._log, execution_id)
            row = ended(execution_id, found, end)
            return [
                Write(execution_stream(execution_id), [end], version),
                *await given_up(self._log, run_reservation(row.strategy_id), RUN, execution_id),
            ]

        receipt = await recorded(self._log, decide, **acting)
        await self._heartbeats.forget(execution_id)
        return receipt

    async def declare_lost(self, reason: str = "", **acting: Unpack[Acting]) -> list[UUID]:
        """Declare LOST what the tables have as running and what gave no sign of life for too long; which ones.

        One that the tables do not have yet is found by a later call.
        """
        queries = StrategyQueries(self._log.engine, lost_after_seconds=self._lost_after)
        try:
            silent = [row.id for row in await queries.silent()]
        except (OSError, sa.exc.DBAPIError) as error:
            raise LogUnavailable(str(error)) from error
        return [one for one in silent if await self._declare_lost(one, reason, acting)]

    @contextlib.asynccontextmanager
    async def running(
        self,
        strategy_id: UUID,
        *,
        is_test: bool = False,
        take_over: bool = False,
        beat_seconds: float = BEAT_SECONDS,
        **acting: Unpack[Acting],
    ) -> AsyncIterator[Execution]:
        """An execution for as long as the block runs: started, beating every few seconds, and ended as the block ends.

        COMPLETED at its end; STOPPED if it is cancelled, or called :meth:`Execution.stop`; FAILED if it raises, with
        the error as a text, without what looks like a secret in it. The end is recorded also while being cancelled
        again. The block notices no beat that fails; that it was declared lost all the same, the next beat that does not
        fail tells in :attr:`Execution.declared_lost`. What it raises is what is raised: if the end cannot be recorded
        behind that, this is logged, and the execution will be found LOST.

        Raises:
            StrategyRunning, and whatever else :meth:`start` raises; behind a block that ended well what :meth:`end`
            raises.
            ValueError: ``beat_seconds`` is no time.
        """
        if not beat_seconds > 0:
            raise ValueError(f"beat_seconds {beat_seconds} is not more than 0")
        execution = await self._surely_started(strategy_id, is_test, take_over, acting)
        looked_up = functools.partial(self._look_up, execution)
        beating = self._heartbeats.beating(execution.id, execution.process, beat_seconds, looked_up)
        async with told_the_end(execution, lambda *end: self.end(execution.id, *end, **acting)), beating:
            yield execution

    async def _look_up(self, execution: Execution) -> None:
        """Whether it was declared lost, as after a long sleep of the machine."""
        if execution.declared_lost:
            return
        with contextlib.suppress(Exception):  # no reason to end what runs
            row, _ = await execution_in(self._log, execution.id)
            execution.declared_lost = row is not None and row.status is ExecutionStatus.LOST
        if execution.declared_lost:
            _log.warning("execution_declared_lost", strategy_execution_id=str(execution.id))

    async def _surely_started(self, strategy_id: UUID, is_test: bool, take_over: bool, acting: Acting) -> Execution:
        """Whoever is cancelled meanwhile leaves none behind that runs: an append that is queued cannot be undone."""
        key = new_event_id()
        starting = self.start(strategy_id, is_test=is_test, take_over=take_over, execution_id=key, **acting)
        try:
            return await uncancelled(starting)
        except asyncio.CancelledError:
            with contextlib.suppress(ByjyError):  # it was not started
                await uncancelled(self.end(key, ExecutionStatus.STOPPED, "cancelled", **acting))
            raise

    async def _started(
        self, key: UUID, strategy_id: UUID, is_test: bool, take_over: bool, process: str, acting: Acting
    ) -> Execution:
        execution: Execution | None = None
        before: UUID | None = None

        async def decide() -> Sequence[Write]:
            nonlocal execution, before
            before = None
            if (started_before := await self._refuse_started_otherwise(key, strategy_id, process)) is not None:
                execution = await self._execution_again(started_before)
                return []
            found, version = await strategy_in(self._log, strategy_id)
            row = startable(strategy_id, found)
            execution = self._execution_of(row, key, is_test, process)
            started = StrategyExecutionStarted(
                strategy_id=strategy_id,
                parameters_version=row.parameters_version,
                process=process,
                is_test=execution.is_test,
            )
            before, right_to_run = await self._right_to_run(row, key, take_over)
            return [
                Write(execution_stream(key), [started], NO_STREAM),
                *right_to_run,
                Write(strategy_stream(strategy_id), [], version),
                await user_as_is(self._log, row.user_id),
            ]

        await recorded(self._log, decide, **acting)
        if before is not None:
            await self._heartbeats.forget(before)
        assert execution is not None
        return execution

    def _execution_of(self, row: StrategyRow, key: UUID, is_test: bool, process: str) -> Execution:
        return Execution(
            key,
            row.id,
            parameters=typed_parameters(self._kinds, row.kind, row.parameters),
            parameters_version=row.parameters_version,
            is_test=is_test or row.is_test,
            process=process,
        )

    async def _execution_again(self, row: StrategyExecutionRow) -> Execution:
        """As it was started; the strategy may have other parameters by now."""
        its_events = await read(self._log, strategy_stream(row.strategy_id))
        strategy = folded_strategy(row.strategy_id, its_events)
        assert strategy is not None  # an execution was started of it
        [had] = [one for one in versions_of(its_events) if one.version == row.parameters_version]
        then = replace(strategy, parameters=had.parameters, parameters_version=had.version)
        return self._execution_of(then, row.id, row.is_test, row.process or "")

    async def _refuse_started_otherwise(
        self, key: UUID, strategy_id: UUID, process: str
    ) -> StrategyExecutionRow | None:
        """What was started under this id by this process; None: nothing was."""
        row, _ = await execution_in(self._log, key)
        if row is None:
            return None
        intent = StrategyExecutionStarted.__name__
        if row.strategy_id != strategy_id or row.status is not ExecutionStatus.RUNNING:
            raise ExecutionRefused(key, row.status, intent, "it was started before")
        if (row.process or "") != process:
            raise ExecutionRefused(key, row.status, intent, f"it was started before, by {row.process or 'nobody'}")
        return row

    async def _right_to_run(self, row: StrategyRow, key: UUID, take_over: bool) -> tuple[UUID | None, list[Write]]:
        """What takes it, and from whom."""
        reservation = run_reservation(row.id)
        while True:
            try:
                return None, await taken(self._log, reservation, RUN, key)
            except AlreadyTaken as error:
                before = error.holder
            lost = await self._lost(before, "another execution took over", anyway=take_over)
            if lost is None:
                raise await self.runs(row, StrategyExecutionStarted.__name__, before)
            released = await given_up(self._log, reservation, RUN, before)
            if released:  # else it ended, or was taken over from, between two looks: look again
                events = [ReservationReleased(kind=RUN, holder=before), ReservationMade(kind=RUN, holder=key)]
                return before, [*lost, Write(reservation, events, released[0].expected)]

    async def runs(self, row: StrategyRow, intent: str, execution_id: UUID) -> StrategyRunning:
        """The error that tells who runs it."""
        found, _ = await execution_in(self._log, execution_id)
        silence = None if found is None else (await self._silence(found)).seconds
        return StrategyRunning(row.id, row.status, intent, execution_id, silence)

    async def _declare_lost(self, execution_id: UUID, reason: str, acting: Acting) -> bool:
        async def decide() -> Sequence[Write]:
            row, _ = await execution_in(self._log, execution_id)
            lost = await self._lost(execution_id, reason)
            if row is None or not lost:
                return []
            return [*lost, *await given_up(self._log, run_reservation(row.strategy_id), RUN, execution_id)]

        declared = await recorded(self._log, decide, **acting) is not None
        if declared:
            await self._heartbeats.forget(execution_id)
        return declared

    async def _lost(self, execution_id: UUID, reason: str, *, anyway: bool = False) -> list[Write] | None:
        """What declares it LOST; nothing to write, if it does not run; None: it lives."""
        row, version = await execution_in(self._log, execution_id)
        if row is None or not losable(row):
            return []
        silence = await self._silence(row)
        if silence.seconds < self._lost_after and not anyway:
            return None
        lost = StrategyExecutionLost(reason=reason, last_beat_at=silence.last_beat_at)
        return [Write(execution_stream(execution_id), [lost], version)]

    async def _silence(self, row: StrategyExecutionRow) -> _Silence:
        beat = await self._heartbeats.last(row.id)
        if beat is not None:
            return _Silence(beat.age_seconds, beat.at)
        return _Silence((await self._heartbeats.now() - row.started_at) / 1e9, None)
