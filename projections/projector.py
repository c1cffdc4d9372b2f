"""The projector: keeps a group at the head of the log for as long as the process runs."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from types import TracebackType
from typing import Self

import structlog

from byjy_events.errors import LogClosed
from byjy_events.log import EventLog
from byjy_events.recorded import Recorded
from projections import runner
from projections.beginning import begun
from projections.catching_up import catch_up
from projections.errors import WaitTimeout
from projections.inline import inline as projected_inline
from projections.projection import Group
from projections.queries import Queries
from projections.runner import TROUBLE, Runner, available

RETRY_SECONDS = 1.0
"""How long the longest pause is while the database fails."""

_log = structlog.get_logger("projections")


class Projector:
    """Keeps the tables of one group at the head of the log, in a background task of this process.

    Each event is folded exactly once, whatever crashes and however many projectors compete, in this process or in
    others. Tables and checkpoint are always of the same position::

        async with Projector(log, TRADING) as projector:
            await projector.wait_for(receipt.position)
            row = await projector.queries.order(order_id)
    """

    def __init__(self, log: EventLog, group: Group, *, rebuild: bool = False, inline: bool = False) -> None:
        """Prepare a projector.

        Args:
            rebuild: rebuild the group at the start if its rows are of another version, instead of refusing to run.
                Starting then takes as long as that; events are appended and tables are read meanwhile.
            inline: project what this log appends in the transaction of the append: from when the projector has
                started, the rows are there when ``append`` returns, and nobody ever sees the one without the other.
                An append takes longer by it, and never fails because of it: after a fault the rows follow the events
                as they do without. To switch, start a projector of the other kind and close this one, in either
                order; of two inline ones of a group on one log, the first to start does the work.
        """
        self._log = log
        self._group = group
        self._rebuild = rebuild
        self._runner = Runner(log, group)
        self._waiting: dict[asyncio.Future[None], int] = {}
        self._task: asyncio.Task[None] | None = None
        self._inline = projected_inline(log, group) if inline else None
        self.queries = Queries(log.engine)

    @property
    def group(self) -> Group:
        """The group that this projector takes forward."""
        return self._group

    @property
    def position(self) -> int:
        """The last position that is projected."""
        own = self._runner.checkpoint.position
        return own if self._inline is None else max(own, self._inline.position)

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def start(self) -> Self:
        """Begin to follow the log, unless it does already. A group that is stopped tries its event again.

        Raises:
            GroupOutdated: the rows are of another version of the group, and ``rebuild`` was not asked for.
            LogUnavailable: the database cannot be reached or written. Once started, that is waited out.
            ProjectionStopped: of an inline projector, which catches up first.
            ReplayFailed, CorruptLog: while the group was rebuilt, or a rebuild that was cut short was finished.
        """
        if self._task is not None and not self._task.done():
            return self
        try:
            with available():
                await begun(self._log, self._runner, rebuild_outdated=self._rebuild)
                if self._inline is not None:
                    await catch_up(self._log, self._group)
                    await begun(self._log, self._runner)
        except BaseException:
            await self._runner.close()
            raise
        self._task = asyncio.create_task(self._run(), name=f"byjy-projector-{self._group.name}")
        if self._inline is not None:
            self._inline.attach()
            try:
                await self.wait_for(await self._log.head())
            except BaseException:
                await self.close()
                raise
        return self

    async def close(self) -> None:
        """Stop following, between two steps or by giving one up as a whole. Safe to call twice."""
        if self._inline is not None:
            self._inline.detach()
        if self._task is not None:
            self._task.cancel()
        try:
            await self._ended()
        finally:
            await self._ended()  # even when cancelled: its connections go back before anybody closes the log
            self._settle(LogClosed())
            await self._runner.close()

    async def wait_for(self, position: int, *, timeout_seconds: float | None = None) -> None:
        """Return when everything up to a position is projected: read your writes.

        Raises:
            ProjectionStopped: the group stopped before the position.
            GroupOutdated, TablesUnusable: the projector ended because of it.
            WaitTimeout: it took longer.
            LogClosed: the projector does not run, or was closed meanwhile.
        """
        if self.position >= position:
            return
        if self._task is None or self._task.cancelled():
            raise LogClosed
        if self._task.done():
            self._task.result()
            raise LogClosed
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[future] = position
        try:
            await asyncio.wait_for(future, timeout_seconds)
        except TimeoutError:
            raise WaitTimeout(self._group.name, position, self.position, timeout_seconds or 0) from None
        finally:
            self._waiting.pop(future, None)

    async def _ended(self) -> None:
        if self._task is not None:
            await asyncio.wait([self._task])
            if not self._task.cancelled():
                self._task.exception()  # looked at: whoever waited was told

    async def _run(self) -> None:
        try:
            pause = 0.01
            while True:
                try:
                    await self._follow()
                    pause = 0.01
                except TROUBLE as error:
                    _log.warning("projection_waits_for_database", group=self._group.name, cause=str(error))
                    await asyncio.sleep(pause)
                    pause = min(pause * 2, RETRY_SECONDS)
                await self._begin_again()
        except Exception as error:
            _log.error("projector_ended", group=self._group.name, position=self.position, cause=str(error))
            self._settle(error)
            raise
        finally:
            if self._inline is not None:
                self._inline.detach()

    async def _follow(self) -> None:
        """Advance until another runner gets in the way."""
        async with contextlib.aclosing(
            self._log.follow_chunks(after=self._runner.checkpoint.position, size=runner.CHUNK_EVENTS)
        ) as chunks:
            async for chunk in chunks:
                for start in range(0, len(chunk), runner.CHUNK_EVENTS):
                    if not await self._advance(chunk[start : start + runner.CHUNK_EVENTS]):
                        return
                    self._wake()
        raise LogClosed

    async def _advance(self, events: Sequence[Recorded]) -> bool:
        """Project what no append has projected already. False: begin again."""
        if self._inline is None:
            return await self._runner.advance(events)
        if self._inline.position >= events[-1].position:
            return True
        await begun(self._log, self._runner)  # they may be projected all the same, by appends of another process
        position = self._runner.checkpoint.position
        left = [recorded for recorded in events if recorded.position > position]
        if left and left[0].position != position + 1:  # somebody set the checkpoint back by hand
            self._inline.checkpoint = None
            return False
        return not left or await self._runner.advance(left)

    async def _begin_again(self) -> None:
        with contextlib.suppress(*TROUBLE):
            await begun(self._log, self._runner)
            self._wake()

    def _wake(self) -> None:
        position = self.position
        for future, wanted in list(self._waiting.items()):
            if wanted <= position and not future.done():
                future.set_result(None)

    def _settle(self, error: Exception) -> None:
        for future in self._waiting:
            if not future.done():
                future.set_exception(error)
