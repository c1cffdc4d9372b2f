"""From a message file into the log, in the order of the file.

Lines go into the log in groups: one append for as many lines as touch different orders, so that the positions in the
log follow the lines exactly, and several appends under way at once, which the log's writer commits together in the
order in which they were made. An append is whole or not at all, and every id is derived from the line: an import
that was interrupted anywhere is completed by running it again.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable

from msgspec import Struct, field

from byjy_events import NO_STREAM, Entry, EventIdReused, EventLog, Receipt, Stream, VersionConflict, Write, pair_stream
from byjy_events.recorded import Outcome
from byjy_ops.errors import InvalidInput
from byjy_ops.lobster.day import VENUE, TradingDay
from byjy_ops.lobster.file import MessageFile
from byjy_ops.lobster.message import SKIPPED, Malformed, MessageType, parse

ACTOR = "import:lobster"

EVENTS_UNDER_WAY = 6_000
"""Events appended and not yet acknowledged: enough to fill the writer's batches, less than its queue holds."""

LINES_BETWEEN_TURNS = 200
"""Lines until the writer gets its turn on the event loop: a few milliseconds of work."""


class Imported(Struct):
    """What an import did.

    Attributes:
        stored, duplicates, contradicting: events by what became of them.
        skipped: lines that belong to no visible order, by type of message.
    """

    day: TradingDay
    lines: int = 0
    stored: int = 0
    duplicates: int = 0
    contradicting: int = 0
    skipped: Counter[MessageType] = field(default_factory=Counter)
    seconds: float = 0.0


async def import_file(
    log: EventLog, file: MessageFile, *, account: str, progress: Callable[[int], None] | None = None
) -> Imported:
    """Append what a message file tells.

    Args:
        progress: called now and then with how many bytes of the file are read.

    Raises:
        InvalidInput: a line is no message, or contradicts an earlier import. The lines before it are stored.
    """
    importer = _Importer(log, file, TradingDay(file.symbol, file.date, account))
    return await importer.run(progress or (lambda done: None))


class _Importer:
    def __init__(self, log: EventLog, file: MessageFile, day: TradingDay) -> None:
        self._log = log
        self._file = file
        self._day = day
        self._imported = Imported(day)
        self._group: dict[Stream, list[Entry]] = {}
        self._under_way: deque[tuple[asyncio.Task[Receipt], int]] = deque()
        self._events_under_way = 0

    async def run(self, progress: Callable[[int], None]) -> Imported:
        began = time.perf_counter()
        try:
            await self._list_pair()
            await self._send_lines(progress)
        finally:  # what was read before a fault, or before Ctrl-C, is stored
            self._send()
            await asyncio.gather(*(task for task, _ in self._under_way), return_exceptions=True)
        while self._under_way:
            await self._settle_oldest()
        self._imported.seconds = time.perf_counter() - began
        return self._imported

    async def _list_pair(self) -> None:
        """List the pair, unless somebody did before: who trades it knows its filters better than we do."""
        stream = pair_stream(VENUE, self._day.pair.symbol)
        try:
            self._count(await self._log.append(stream, [self._day.listing()], expected=NO_STREAM, actor=ACTOR))
        except VersionConflict:
            self._imported.duplicates += 1

    async def _send_lines(self, progress: Callable[[int], None]) -> None:
        imported = self._imported
        for number, line in self._file.lines():
            try:
                message = parse(line)
            except Malformed as error:
                raise InvalidInput(self._file.path, number, error.field, str(error)) from None
            imported.lines = number
            if message.type in SKIPPED:
                imported.skipped[message.type] += 1
                continue
            self._add(*self._day.entries(number, message))
            if number % LINES_BETWEEN_TURNS == 0:
                progress(self._file.bytes_read)
                await self._give_way()
        progress(self._file.bytes)

    def _add(self, stream: Stream, entries: list[Entry]) -> None:
        if stream in self._group:
            self._send()
        self._group[stream] = entries

    def _send(self) -> None:
        if self._group:
            writes = [Write(stream, entries) for stream, entries in self._group.items()]
            size = sum(len(write.events) for write in writes)
            self._under_way.append((asyncio.create_task(self._log.append_all(writes, actor=ACTOR)), size))
            self._events_under_way += size
            self._group = {}

    async def _give_way(self) -> None:
        await asyncio.sleep(0)
        while self._under_way and (self._events_under_way > EVENTS_UNDER_WAY or self._under_way[0][0].done()):
            await self._settle_oldest()

    async def _settle_oldest(self) -> None:
        task, size = self._under_way.popleft()
        self._events_under_way -= size
        try:
            self._count(await task)
        except EventIdReused as error:
            reason = f"{self._day} was imported from another file before, see position {error.position}"
            raise InvalidInput(self._file.path, self._day.line_of(error.event_id), None, reason) from error

    def _count(self, receipt: Receipt) -> None:
        outcomes = Counter(event.outcome for event in receipt.events)
        self._imported.stored += outcomes[Outcome.APPENDED]
        self._imported.duplicates += outcomes[Outcome.DUPLICATE]
        self._imported.contradicting += outcomes[Outcome.CONFLICTED]
