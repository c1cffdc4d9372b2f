"""The projector: keeps a group at the head of the log for as long as the process runs."""

from __future__ import annotations

import asyncio
import contextlib
from types import TracebackType
from typing import Self

import structlog

from byjy_events.errors import LogClosed
from byjy_events.log import EventLog
from projections import runner
from projections.errors import WaitTimeout
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

    def __init__(self, log: EventLog, group: Group) -> None:
        self._log = log
        self._group = group
        self._runner = Runner(log, group)
        self._waiting: dict[asyncio.Future[None], int] = {}
        self._task: asyncio.Task[None] | None = None
        self.queries = Queries(log.engine)

    @property
    def group(self) -> Group:
        """The group that this projector takes forward."""
        return self._group

    @property
    def position(self) -> int:
        """The last position that is projected."""
        return self._runner.checkpoint.position

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def start(self) -> Self:
        """Begin to follow the log, unless it does already. A group that is stopped tries its event again.

        Raises:
            GroupOutdated: the rows are of another version of the group.
            LogUnavailable: the database cannot be reached or written. Once started, that is waited out.
        """
        if self._task is not None and not self._task.done():
            return self
        try:
            with available():
                await self._runner.begin()
        except BaseException:
            await self._runner.close()
            raise
        self._task = asyncio.create_task(self._run(), name=f"byjy-projector-{self._group.name}")
        return self

    async def close(self) -> None:
        """Stop following, between two steps or by giving one up as a whole. Safe to call twice."""
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

    async def _follow(self) -> None:
        """Advance until another runner gets in the way."""
        async with contextlib.aclosing(
            self._log.follow_chunks(after=self.position, size=runner.CHUNK_EVENTS)
        ) as chunks:
            async for chunk in chunks:
                for start in range(0, len(chunk), runner.CHUNK_EVENTS):
                    if not await self._runner.advance(chunk[start : start + runner.CHUNK_EVENTS]):
                        return
                    self._wake()
        raise LogClosed

    async def _begin_again(self) -> None:
        with contextlib.suppress(*TROUBLE):
            await self._runner.begin()
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
