"""The sealer: keeps the tree at the head of the log, and signed checkpoints outside the database.

One turn of it goes so. What the newest checkpoints say, the one in the database and the one in each place outside, is
read first and the head after it, so that another sealer's work between the two is no rollback. The log has to give
each of those roots again: leaves that were altered since, or a database that is an older copy of itself, are found
here, before anything is stored or signed on top. Then the full subtrees that have filled up are stored, in short
transactions, from where the stored ones end; the root at the head is signed; and the checkpoint is stored by comparing
and setting the newest size. Of any number of sealers one gets through at a time, and the others find that out by the
failed comparison: what they signed is forgotten, and was true all the same. Then the newest stored checkpoint goes to
every place that lacks it.

A crash at any point leaves subtrees of a shorter log, or a checkpoint that was not exported; the next turn goes on from
there. Appends wait for nothing of this: the leaves are hashed already, and what is stored here goes behind them.

What a turn reads is a few hundred hashes, however long the log is. So it does not find an event that was altered under
a stored subtree: the tree is over what was sealed, and checking all events against it is what an audit does.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Sequence
from types import TracebackType
from typing import Self

import structlog

from byjy_events.backend import NotStored, Unclear
from byjy_events.errors import LogClosed, LogUnavailable
from byjy_events.log import EventLog
from byjy_events.postgres.backend import readable
from byjy_events.proof import tree
from byjy_events.proof.checkpoint import Checkpoint, checkpoint_of, signed_checkpoint
from byjy_events.proof.errors import ExportFailed, InvalidNote, LogAltered, LogRolledBack, SealTimeout
from byjy_events.proof.exports import Exports
from byjy_events.proof.place import CheckpointPlace
from byjy_events.proof.signing_key_file import SigningKeys
from byjy_events.proof.tables import TOP_LEVEL
from byjy_events.proof.tree import StoredCheckpoint, Tree
from byjy_events.proof.tree_writer import TreeWriter, writer_of

EVERY_SECONDS = 0.7
"""The least time between two checkpoints unless told: so that an event is under one within a second."""

LOOK_SECONDS = 0.1
"""How often the head is looked at while it stands."""

RETRY_SECONDS = 1.0
"""How long the longest pause is while the database fails."""

IN_DATABASE, IN_MEMORY = "the database", "the memory of this sealer"
"""What the sources of checkpoints are called that are no places."""

_log = structlog.get_logger("byjy_events")


class Sealer:
    """Signs what the log is, again and again, and takes the checkpoints out of the database.

    Run it in the engine's process or in another; any number may run on one database. Nothing is signed while the head
    stands, and never two checkpoints of one size::

        keys = SigningKeyFile("/etc/byjy/trading.signing-key").read()
        async with EventLog.open(url) as log, Sealer(log, keys, places=[AppendedFile("/mnt/audit/checkpoints")]):
            ...
    """

    def __init__(
        self,
        log: EventLog,
        keys: SigningKeys,
        *,
        places: Sequence[CheckpointPlace] = (),
        every_seconds: float = EVERY_SECONDS,
    ) -> None:
        """Prepare a sealer.

        Args:
            places: where checkpoints are exported to. Without any, whoever can write the database can make another
                history and have it signed by a new sealer.
            every_seconds: the least time between two checkpoints.
        """
        self._log = log
        self._keys = keys
        self._every_seconds = every_seconds
        self._exports = Exports(places, keys.verifiers)
        self._sealed: Checkpoint | None = None
        self._one_at_a_time = asyncio.Lock()
        self._waiting: dict[asyncio.Future[None], int] = {}
        self._task: asyncio.Task[None] | None = None

    @property
    def position(self) -> int:
        """The last position that this sealer has seen under a stored checkpoint."""
        return 0 if self._sealed is None else self._sealed.size

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def start(self) -> Self:
        """Begin to follow the log in a task of its own, unless it does already. What ends it is logged as an error."""
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run_in_background(), name="byjy-sealer")
        return self

    async def close(self) -> None:
        """Stop following. What is not sealed yet is when a sealer runs again. Safe to call twice."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            if not self._task.cancelled():
                self._task.exception()  # looked at: it was logged

    async def wait_for(self, position: int, *, timeout_seconds: float | None = None) -> None:
        """Return when a checkpoint covers a position and every place has been given one that does, or has failed to.

        Raises:
            HistoryChanged, CorruptLog, NotSigned, InvalidNote: the sealer ended because of it.
            SealTimeout: it took longer.
            LogClosed: the sealer does not run, or was closed meanwhile.
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
            raise SealTimeout(position, self.position, timeout_seconds or 0) from None
        finally:
            self._waiting.pop(future, None)

    async def run(self) -> None:
        """Follow the log, and seal it whenever it has grown, until cancelled or the log is closed.

        A database or a place that fails is waited out with a warning.

        Raises:
            LogClosed: the log was closed.
            HistoryChanged, CorruptLog, NotSigned, InvalidNote: as for :meth:`seal_once`. Nothing more is signed.
        """
        pause = 0.01
        while True:
            began = time.monotonic()
            try:
                exported = await self._sealed_and_exported()
                await asyncio.sleep(max(0.0, began + self._every_seconds - time.monotonic()))
                if exported:
                    await self._grown()
                pause = 0.01
            except (LogUnavailable, NotStored, Unclear) as error:
                _log.warning("sealer_waits_for_database", cause=str(error))
                await asyncio.sleep(pause)
                pause = min(pause * 2, RETRY_SECONDS)

    async def seal_once(self) -> Checkpoint | None:
        """Sign the log as it is now, unless its head is under a checkpoint already; and see that every place has the
        newest one.

        Returns the newest checkpoint, whoever made it; None: the log is empty.

        Raises:
            LogAltered, LogRolledBack: the log is not what a checkpoint says; nothing was signed.
            CorruptLog: an event is missing; nothing was signed.
            NotSigned, InvalidNote: the newest stored checkpoint is of none of the keys, or is none.
            ExportFailed: some places failed; everything else is done.
            LogUnavailable: the database failed; doing it again is safe.
        """
        async with self._one_at_a_time:
            newest = await self._sealed_to_the_head()
            if newest is not None:
                failed = await self._exports.put(newest)
                self._advance(newest)
                if failed:
                    raise ExportFailed(newest.size, failed)
            return newest

    # --- one turn -------------------------------------------------------------------------------------

    async def _sealed_to_the_head(self) -> Checkpoint | None:
        while True:
            stored = await self._stored()
            claims = [(IN_DATABASE, stored), (IN_MEMORY, self._sealed), *await self._exports.looked_at()]
            head = await self._log.head()
            await self._refuse_changed([(source, claim) for source, claim in claims if claim is not None], head)
            size = 0 if stored is None else stored.size
            if size >= head:
                return stored
            await self._extend(head)
            if (sealed := await self._checkpointed(head, after=size)) is not None:
                return sealed

    async def _stored(self) -> Checkpoint | None:
        """The newest checkpoint in the database, of a key that we know."""
        async with self._reading() as the_tree:
            row = await the_tree.checkpoint()
        if row is None:
            return None
        checkpoint = checkpoint_of(row.note, self._keys.verifiers)
        if (checkpoint.size, checkpoint.root) != (row.size, row.root):
            raise InvalidNote(f"the row of the checkpoint of size {row.size} does not say what its note does")
        return checkpoint

    async def _refuse_changed(self, claims: Sequence[tuple[str, Checkpoint]], head: int) -> None:
        found: dict[int, bytes] = {}
        for source, claim in claims:
            if claim.size > head:
                raise LogRolledBack(source, claim.size, head)
            if claim.size not in found:
                async with self._reading() as the_tree:
                    found[claim.size] = await the_tree.root(claim.size)
            if found[claim.size] != claim.root:
                raise LogAltered(source, claim.size, claim.root, found[claim.size])

    async def _extend(self, size: int) -> None:
        """Store the full subtrees that a size has, each level from where the stored ones end."""
        writer = self._writer()
        for level in range(1, TOP_LEVEL + 1):
            async with self._reading() as the_tree:
                done, wanted = await the_tree.nodes_missing(size, level=level)
            for first in range(done, wanted, tree.BLOCKS_AT_ONCE):
                async with self._reading() as the_tree:
                    nodes = await the_tree.made(level, first, min(tree.BLOCKS_AT_ONCE, wanted - first))
                await writer.add_nodes(nodes)

    async def _checkpointed(self, size: int, *, after: int) -> Checkpoint | None:
        """A new checkpoint, stored; None: another sealer was here."""
        async with self._reading() as the_tree:
            root = await the_tree.root(size)
        checkpoint = signed_checkpoint(size, root, [self._keys.signer])
        row = StoredCheckpoint(size, root, checkpoint.note, time.time_ns())
        return checkpoint if await self._writer().add_checkpoint(row, after=after) else None

    @contextlib.asynccontextmanager
    async def _reading(self) -> AsyncIterator[Tree]:
        """The tree, on a connection of its own for a moment: no snapshot is held from one batch to the next."""
        with readable():
            async with self._log.engine.connect() as connection:
                yield Tree(connection)

    def _writer(self) -> TreeWriter:
        return writer_of(self._log.backend)

    # --- following ------------------------------------------------------------------------------------

    async def _sealed_and_exported(self) -> bool:
        try:
            await self.seal_once()
        except ExportFailed as error:
            for place, reason in error.reasons.items():
                _log.warning("checkpoint_not_exported", place=place, size=error.size, cause=reason)
            return False
        return True

    async def _grown(self) -> None:
        while True:
            if await self._log.head() > self.position:
                return
            await asyncio.sleep(LOOK_SECONDS)

    async def _run_in_background(self) -> None:
        ended: Exception = LogClosed()
        try:
            await self.run()
        except LogClosed:
            return
        except Exception as error:
            ended = error
            _log.error("sealer_ended", position=self.position, cause=str(error))
            raise
        finally:
            for future in self._waiting:
                if not future.done():
                    future.set_exception(ended)

    def _advance(self, checkpoint: Checkpoint) -> None:
        self._sealed = checkpoint
        for future, wanted in list(self._waiting.items()):
            if wanted <= checkpoint.size and not future.done():
                future.set_result(None)
