"""The runner: takes a group forward along the log.

It reads the group's checkpoint, then the rows that the next chunk of events needs, folds in memory, and takes the step
in one transaction. That transaction begins by comparing and setting the checkpoint; so of two runners one wins,
and the loser has written nothing: it forgets its rows, reads the checkpoint again and goes on from there. (With the
rows first and the checkpoint second, two runners lost a third of the updates, silently.) A crash at any point leaves
rows and checkpoint as of the same position.

An event that cannot be folded stops its group, and nothing else: everything before it is projected, the error is kept
beside the checkpoint, and the next start tries again. A database that fails is something else: the runner waits
and tries again until it is back.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import Self

import msgspec
import structlog

from byjy_events.backend import NotStorable, NotStored, Unclear
from byjy_events.errors import LogClosed, LogUnavailable
from byjy_events.log import EventLog
from byjy_events.postgres.backend import PostgresBackend
from byjy_events.recorded import Recorded
from byjy_events.sqlite.backend import SqliteBackend
from projections.checkpoints import Checkpoint
from projections.errors import GroupOutdated, ProjectionStopped, WaitTimeout
from projections.folding import Changes, Fold, FoldFailed
from projections.postgres_store import PostgresStore
from projections.projection import Group
from projections.queries import Queries
from projections.sqlite_store import SqliteStore
from projections.store import Step, Store

CHUNK_EVENTS = 2_000
"""Events that one step folds at most."""

RETRY_SECONDS = 1.0
"""How long the longest pause is while the database fails."""

_TROUBLE = (NotStored, Unclear, LogUnavailable)
"""What a database that fails looks like, writing and reading."""

_log = structlog.get_logger("projections")


class Runner:
    """Takes one group forward, chunk by chunk. Not for two tasks at once."""

    def __init__(self, log: EventLog, group: Group) -> None:
        self._group = group
        self._store = _store(log)
        self._fold = Fold(group)
        self._under_way: tuple[Sequence[Recorded], asyncio.Future[bool]] | None = None
        self.checkpoint = Checkpoint(group.name, 0, 0, group.version)

    async def begin(self) -> Checkpoint:
        """Read the checkpoint and forget all rows.

        Raises:
            GroupOutdated: the rows are of another version.
        """
        await self._give_up()
        found = await self._store.checkpoint(self._group.name, self._group.version)
        if found.version != self._group.version:
            raise GroupOutdated(self._group.name, found.version, self._group.version)
        self.checkpoint = found
        return found

    async def advance(self, events: Sequence[Recorded], *, ahead: bool = False) -> bool:
        """Fold the events that follow directly on the ones before. False: another runner was here; begin again.

        Args:
            ahead: return while the step is still being stored, so that the next events are folded meanwhile;
                :meth:`settle` after the last ones.

        Raises:
            ProjectionStopped: an event could not be folded; those before it are projected.
            NotStored, Unclear: the database failed; begin again.
        """
        if self._fold.full:
            # Rows that are being stored must not be dropped: read back now, they would be those of before.
            if not await self.settle():
                return False
            self._fold.forget()
        try:
            changes, passed_over = await self._folded(events)
        except FoldFailed as error:
            return await self.settle() and await self._stop_at(events, error)
        except NotStorable as error:
            return await self.settle() and await self._isolate(events, error)
        if not await self.settle():
            return False
        step = Step(self.checkpoint, events[-1].position, passed_over, changes)
        self._under_way = (events, asyncio.ensure_future(self._store.advance(step)))
        return ahead or await self.settle()

    async def settle(self) -> bool:
        """Wait for the step that is being stored. Returns and raises as :meth:`advance`."""
        if self._under_way is None:
            return True
        await asyncio.wait([self._under_way[1]])  # whoever is cancelled here leaves the step to :meth:`close`
        (events, storing), self._under_way = self._under_way, None
        try:
            stored = storing.result()
        except NotStorable as error:
            await self._isolate(events, error)
            return False  # what was folded ahead was folded on rows that are forgotten now
        if stored:
            self.checkpoint = msgspec.structs.replace(self.checkpoint, position=events[-1].position)
        return stored

    async def close(self) -> None:
        """Give connections back, even when cancelled."""
        try:
            await self._give_up()
        finally:
            await self._store.close()

    async def _give_up(self) -> None:
        """Let a step under way end as it may, and forget all rows: they may never have been stored."""
        self._fold.forget()
        if self._under_way is not None:
            (_, storing), self._under_way = self._under_way, None
            await asyncio.wait([storing])
            if not storing.cancelled():
                storing.exception()  # looked at: the checkpoint tells what became of it

    async def _folded(self, events: Sequence[Recorded]) -> tuple[list[Changes], int]:
        work, wanted, passed_over = self._fold.plan(events)
        for projection, keys in wanted.items():
            self._fold.bring(projection, keys, await self._store.load(projection, keys))
        return self._fold.run(work), passed_over

    async def _stop_at(self, events: Sequence[Recorded], error: FoldFailed) -> bool:
        self._fold.forget()
        good = [recorded for recorded in events if recorded.position < error.recorded.position]
        return (not good or await self.advance(good)) and await self._stop(error.recorded, error.cause)

    async def _isolate(self, events: Sequence[Recorded], error: NotStorable) -> bool:
        """A row breaks a constraint: find the event that made it."""
        self._fold.forget()
        if len(events) == 1:
            return await self._stop(events[0], error)
        half = max(1, len(events) // 2)
        return await self.advance(events[:half]) and await self.advance(events[half:])

    async def _stop(self, recorded: Recorded, cause: Exception) -> bool:
        """Mark the group as stopped and raise; False: another runner is past the event already."""
        sentence = f"{type(cause).__name__}: {cause}".encode("utf-8", "backslashreplace").decode().replace("\x00", "")
        if not await self._store.stop(self.checkpoint, recorded.position, recorded.type, sentence):
            return False
        raise ProjectionStopped(self._group.name, recorded.position, recorded.type, sentence) from cause


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
            with _available():
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
                except _TROUBLE as error:
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
        async with contextlib.aclosing(self._log.follow_chunks(after=self.position, size=CHUNK_EVENTS)) as chunks:
            async for chunk in chunks:
                for start in range(0, len(chunk), CHUNK_EVENTS):
                    if not await self._runner.advance(chunk[start : start + CHUNK_EVENTS]):
                        return
                    self._wake()
        raise LogClosed

    async def _begin_again(self) -> None:
        with contextlib.suppress(*_TROUBLE):
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


async def catch_up(log: EventLog, group: Group, *, progress: Callable[[int, int], None] | None = None) -> int:
    """Project everything that is in the log now, and return the position reached.

    Args:
        progress: called after each step with the position reached and the one aimed at.

    Raises:
        ProjectionStopped, GroupOutdated, TablesUnusable: see there.
        LogUnavailable: the database failed; what was projected before stays.
    """
    runner = Runner(log, group)
    try:
        with _available():
            return await _caught_up(log, runner, progress)
    finally:
        await runner.close()


async def _caught_up(log: EventLog, runner: Runner, progress: Callable[[int, int], None] | None) -> int:
    head = await log.head()
    reported = (await runner.begin()).position

    def report() -> None:
        nonlocal reported
        if progress is not None and runner.checkpoint.position > reported:
            reported = runner.checkpoint.position
            progress(reported, head)

    while runner.checkpoint.position < head:
        alone = True
        chunks = log.read_chunks(after=runner.checkpoint.position, upto=head, size=CHUNK_EVENTS)
        async with contextlib.aclosing(chunks):
            async for chunk in chunks:
                if not (alone := await runner.advance(chunk, ahead=True)):
                    break
                report()
        if not (alone and await runner.settle()):
            await runner.begin()
        report()
    return runner.checkpoint.position


@contextlib.contextmanager
def _available() -> Iterator[None]:
    """What the database's trouble is called towards callers."""
    try:
        yield
    except (NotStored, Unclear) as error:
        raise LogUnavailable(str(error)) from error


def _store(log: EventLog) -> Store:
    backend = log.backend
    if isinstance(backend, SqliteBackend):
        return SqliteStore(backend)
    assert isinstance(backend, PostgresBackend)
    return PostgresStore(backend)
