"""Group commit: many callers, one transaction.

Callers leave their appends in a queue and wait. A turn at the database takes what waits when the database is ready for
it, commits it as one transaction, and each caller is answered for itself. While a turn commits, the next batch
gathers, and asks for its turn already; so the busier the engine, the larger the batches, the flush to disk is shared by
all of them, and the database has no pause between two.

A turn owns its commit: cancelling a caller changes nothing about what is stored. A commit that fails with an open
outcome is looked up by event id on a fresh connection before anybody is told, and tried again if it did not
happen; nothing behind it is stored before that is cleared up. The queue is bounded by events; a caller that finds it
full waits its turn before it queues.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from uuid import UUID

import msgspec
import structlog

from byjy_events.backend import Backend, Committed, NotStorable, NotStored
from byjy_events.errors import ByjyError, LogClosed, LogUnavailable, OutcomeUnknown
from byjy_events.plan import Draft, Part, Verdict
from byjy_events.recorded import Receipt

QUEUE_EVENTS = 10_000
"""Events that may wait for their answer; more make their callers wait before they queue."""

BATCH_EVENTS = 2_000
"""Events that one transaction takes. One append larger than this is still one transaction."""

WORTH_A_TURN = 32
"""Appends that ask for a turn at once; for fewer it is asked when everybody has queued who is about to."""

BYTES_OF_AN_EVENT = 4096
"""Large payloads count as one event more for each so many bytes, which bounds memory and transactions too."""

ATTEMPTS = 3
"""How often a commit is tried whose outcome was unclear and turned out to be: not stored."""

PATIENCE_SECONDS = 30.0
"""How long a lost connection is tried again before callers are told that the outcome is unknown."""

_log = structlog.get_logger("byjy_events")

Append = Sequence[Part]
"""One caller's append: its parts are stored together or not at all."""


Answer = tuple[Verdict, Committed, asyncio.Task[Receipt] | None]
"""What became of an append; the task is there when it contradicts stored facts, and ends with the receipt."""


class _Held(Exception):
    """A turn that came while an earlier one was cleared up: it took nothing."""


class _Waiting(msgspec.Struct, gc=False):
    """An append, and who waits for it. Of what waits by the thousand, little may burden the garbage collector."""

    append: Append
    future: asyncio.Future[Answer]
    size: int


class Writer:
    """The queue, and the turns at the database that empty it."""

    def __init__(
        self,
        backend: Backend,
        committed: Callable[[Committed], None],
        keep: Callable[[Append, Verdict, Committed], asyncio.Task[Receipt]],
    ) -> None:
        """Prepare a writer.

        Args:
            committed: called once for every durable batch, in commit order, before its callers are answered.
            keep: called for every append that contradicts stored facts, whether its caller still waits or not.
        """
        self._backend = backend
        self._committed = committed
        self._keep = keep
        self._queue: deque[_Waiting] = deque()
        self._unanswered_events = 0
        self._room: deque[tuple[asyncio.Future[None], int]] = deque()
        self._looking = False  # soon, whether a turn has to be asked for
        self._asked: list[_Waiting] | None = None  # the batch, still empty, of a turn that has not begun
        self._held = False  # while a turn that failed is cleared up: nobody may overtake it
        self._turns = 0  # that were asked for and have not ended
        self._clearing_up: set[asyncio.Task[None]] = set()
        self._idle = asyncio.Event()
        self._idle.set()
        self._closed = False

    async def drain(self) -> None:
        """Commit what is queued and answer its callers. Callers that still wait for room get :class:`LogClosed`."""
        while self._room:
            future, _ = self._room.popleft()
            if not future.done():
                future.set_exception(LogClosed())
        await asyncio.sleep(0)  # whoever was granted room just now queues before this returns
        await self._idle.wait()

    async def close(self) -> None:
        """Drain, then stop for good."""
        await self.drain()
        self._closed = True

    def append(self, append: Append) -> Awaitable[Answer]:
        """Queue an append; what is returned is done when the append is durable, or refused.

        Raises:
            LogClosed, LogUnavailable: nothing was stored.
            OutcomeUnknown: it is open whether it was.
        """
        waiting = _Waiting(append, asyncio.get_running_loop().create_future(), _size(append))
        if self._unanswered_events >= QUEUE_EVENTS or self._room:
            return self._append_later(waiting)
        self._unanswered_events += waiting.size
        return self._queued(waiting)

    async def _append_later(self, waiting: _Waiting) -> Answer:
        await self._wait_for_room(waiting.size)
        return await self._queued(waiting)

    def _queued(self, waiting: _Waiting) -> asyncio.Future[Answer]:
        if self._closed:
            self._unanswered_events -= waiting.size
            self._grant_room()  # whoever waits for it is told the same
            raise LogClosed
        self._queue.append(waiting)
        self._idle.clear()
        if self._asked is None:
            if len(self._queue) >= WORTH_A_TURN:
                self._ask()
            elif not self._looking:
                self._look_soon()
        return waiting.future

    async def _wait_for_room(self, size: int) -> None:
        """Queue up for the queue, first come first served; the room is taken by whoever grants it."""
        granted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._room.append((granted, size))
        try:
            await granted
        except asyncio.CancelledError:
            if granted.done() and not granted.cancelled():
                self._unanswered_events -= size
                self._grant_room()
            raise

    def _grant_room(self) -> None:
        while self._room and self._unanswered_events < QUEUE_EVENTS:
            granted, size = self._room.popleft()
            if not granted.done():
                self._unanswered_events += size
                granted.set_result(None)

    # --- turns ----------------------------------------------------------------------------------------

    def _look_soon(self) -> None:
        """Ask for a turn when everybody has queued who is about to."""
        self._looking = True
        asyncio.get_running_loop().call_soon(self._look)

    def _look(self) -> None:
        self._looking = False
        if self._queue and self._asked is None:
            self._ask()

    def _ask(self) -> None:
        if self._held or (self._turns and not self._backend.queues_turns):
            return  # whoever ends the turn looks again
        batch: list[_Waiting] = []
        self._asked = batch
        self._turns += 1
        self._backend.commit(lambda: self._turn(batch)).add_done_callback(lambda ended: self._ended(batch, ended))

    @contextlib.contextmanager
    def _turn(self, batch: list[_Waiting]) -> Iterator[Sequence[Append]]:
        """Around one commit: the batch is taken when the database is ready for it, perhaps in another thread."""
        self._asked = None  # before anything is taken: whoever queues from here on asks again
        if self._held:
            raise _Held
        try:
            self._take(batch)
            yield [waiting.append for waiting in batch]
        except BaseException:
            self._held = bool(batch)
            raise

    def _take(self, batch: list[_Waiting]) -> None:
        """At most half of what waits, if that is worth a transaction: while it is stored, those who were answered
        before prepare their next appends. All in one batch would have everybody wait for everybody.
        """
        most = min(BATCH_EVENTS, max(self._backend.least_batch, len(self._queue) // 2))
        events = 0
        while self._queue and (not batch or events + self._queue[0].size <= most):
            waiting = self._queue.popleft()
            batch.append(waiting)
            events += waiting.size

    def _ended(self, batch: list[_Waiting], turn: asyncio.Future[Committed]) -> None:
        if turn.cancelled():  # with the whole loop, by a program that ends without closing its log
            self._closed = True
            _leave_open(batch, "the writer was stopped")
            while self._queue:
                batch.append(self._queue.popleft())
                _refuse(batch[-1], LogClosed())
            self._over(batch)
        elif turn.exception() is None:
            self._over(batch)  # first, so that the next turn is under way while those who are answered prepare
            self._stored(batch, turn.result())
        else:
            if self._asked is batch:  # it failed before it began, e.g. for want of a connection
                self._asked = None
                if not self._held:  # and so would the next one; else whoever clears up asks for that
                    self._take(batch)
                    self._held = bool(batch)
            if not batch:
                self._over(batch)
                return
            task = asyncio.get_running_loop().create_task(self._clear_up(batch, turn), name="byjy-writer")
            self._clearing_up.add(task)
            task.add_done_callback(self._clearing_up.discard)

    def _over(self, batch: list[_Waiting]) -> None:
        self._turns -= 1
        self._unanswered_events -= sum([waiting.size for waiting in batch])
        self._grant_room()
        if self._queue:
            if not self._backend.queues_turns:
                self._ask()
            elif self._asked is None and not self._looking:
                self._look_soon()
        elif not self._turns:
            self._idle.set()

    def _stored(self, batch: list[_Waiting], committed: Committed) -> None:
        try:
            self._committed(committed)
        finally:
            self._answer(batch, committed)

    def _answer(self, batch: list[_Waiting], committed: Committed) -> None:
        for waiting, verdict in zip(batch, committed.verdicts, strict=True):
            keeping = self._keep(waiting.append, verdict, committed) if verdict.contradicted else None
            if not waiting.future.done():
                waiting.future.set_result((verdict, committed, keeping))

    # --- turns that failed ----------------------------------------------------------------------------

    async def _clear_up(self, batch: list[_Waiting], failed: Awaitable[Committed]) -> None:
        try:
            await self._serve(batch, failed)
        finally:
            _leave_open(batch, "the writer was stopped")  # for whoever has no answer yet
            self._held = False
            self._over(batch)

    async def _serve(self, batch: list[_Waiting], first: Awaitable[Committed]) -> None:
        try:
            committed = await self._commit_surely([waiting.append for waiting in batch], first)
        except NotStorable as error:
            await self._serve_apart(batch, error)
        except NotStored as error:
            for waiting in batch:  # an error object for each: tracebacks grow on those that are shared
                _refuse(waiting, LogUnavailable(str(error)))
        except OutcomeUnknown as error:
            _leave_open(batch, error.cause)
        else:
            self._stored(batch, committed)

    async def _serve_apart(self, batch: list[_Waiting], error: NotStorable) -> None:
        """One event that the database refuses must not take its neighbours with it."""
        if len(batch) == 1:
            _refuse(batch[0], LogUnavailable(str(error)))
            return
        for waiting in batch:
            await self._serve([waiting], self._commit([waiting.append]))

    def _commit(self, appends: Sequence[Append]) -> Awaitable[Committed]:
        return self._backend.commit(lambda: contextlib.nullcontext(appends))

    async def _commit_surely(self, appends: Sequence[Append], first: Awaitable[Committed]) -> Committed:
        """Commit, and never leave it open whether that happened.

        Args:
            first: a first attempt that is under way.
        """
        cause, stored = "", False
        for attempt in range(ATTEMPTS):
            try:
                return await (self._commit(appends) if attempt else first)
            except NotStored as error:
                if not stored:
                    raise
                cause = str(error)  # of this attempt only: the one before was stored
            except Exception as error:  # noqa: BLE001 - Unclear, or something that nobody foresaw and is no clearer
                cause = str(error)
                _log.warning("commit_outcome_unclear", cause=cause, appends=len(appends))
                # From here on the ids may be stored: the plan has to look for them.
                appends = [_unfresh(append) for append in appends]
                stored = await self._look_up(appends, cause)
        if stored:
            raise OutcomeUnknown(_ids(appends), cause)
        raise NotStored(cause)

    async def _look_up(self, appends: Sequence[Append], cause: str) -> bool:
        """Whether anything of the batch is stored, asked on a fresh connection under the append lock."""
        ids = _ids(appends)
        deadline = asyncio.get_running_loop().time() + PATIENCE_SECONDS
        delay = 0.01
        while True:
            try:
                await self._backend.reopen()
                return bool(await self._backend.known([event_id.bytes for event_id in ids]))
            except Exception as error:  # a database that is down fails in many ways; all of them mean: try again
                if asyncio.get_running_loop().time() + delay > deadline:
                    raise OutcomeUnknown(ids, f"{cause}; then {error}") from error
            await asyncio.sleep(delay)
            delay = min(delay * 2, 1.0)


def _unfresh(append: Append) -> Append:
    return [Part(part.stream, part.expected, [_repeatable(draft) for draft in part.drafts]) for part in append]


def _repeatable(draft: Draft) -> Draft:
    return msgspec.structs.replace(draft, fresh=False) if draft.fresh else draft


def _ids(appends: Sequence[Append]) -> list[UUID]:
    return [UUID(bytes=draft.event_id) for append in appends for part in append for draft in part.drafts]


def _size(append: Append) -> int:
    """In events; large ones count as several."""
    if len(append) == 1 == len(append[0].drafts):
        return 1 + len(append[0].drafts[0].payload) // BYTES_OF_AN_EVENT
    events, payload_bytes = 0, 0
    for part in append:
        for draft in part.drafts:
            events += 1
            payload_bytes += len(draft.payload)
    return events + payload_bytes // BYTES_OF_AN_EVENT


def _leave_open(batch: list[_Waiting], cause: str) -> None:
    for waiting in batch:
        _refuse(waiting, OutcomeUnknown(_ids([waiting.append]), cause))


def _refuse(waiting: _Waiting, error: ByjyError) -> None:
    if not waiting.future.done():
        waiting.future.set_exception(error)
