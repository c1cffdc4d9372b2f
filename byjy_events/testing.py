"""For tests of programs that use the log: a real log on a temporary file, and histories without any log at all.

A test of a projection needs no database. Given what happened, when something more happens, these are its rows::

    history = given((order, placed), (order, accepted))
    assert history.when((order, filled)).rows(DailyVolume()) == {key: DailyVolumeRow(...)}

A test of a program that appends gets a log of its own; with pytest and pytest-asyncio it takes the fixture, which
a line in ``conftest.py`` makes known: ``from byjy_events.testing import event_log``::

    async def test_a_stale_order_is_cancelled(event_log):
        await given((order, placed), (order, accepted)).append_to(event_log)
        async with appended(event_log) as news:
            await engine.cancel_stale_orders()
        assert [recorded.event for recorded in news] == [OrderCancelRequested(reason="stale")]
"""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Protocol
from uuid import UUID

from byjy_events import migrating
from byjy_events.draft import draft
from byjy_events.event import Event, Fact
from byjy_events.leaf import leaf_hash
from byjy_events.log import EventLog
from byjy_events.recorded import Entry, Recorded
from byjy_events.stream import Stream, order_stream

START = 1_767_225_600_000_000_000
"""Where the clocks of a history begin, nanoseconds UTC: 2026-01-01. They go on by a second for each event."""

ORDER = order_stream(UUID("019b7632-9c00-7000-8000-000000000001"))
"""The stream of an event for which no stream is named."""

SECOND = 1_000_000_000

Told = Event | Entry | tuple[Stream, Event | Entry]
"""An event, with what else is known of it if that matters, and with its stream if there are several."""


class Foldable(Protocol):
    """What a projection has to offer to be folded here."""

    def keys(self, recorded: Any, /) -> Sequence[Any]:
        """The keys of the rows that an event concerns."""

    def evolve(self, row: Any, recorded: Any, key: Any, /) -> Any:
        """What becomes of one of them; None: there is no such row."""


@asynccontextmanager
async def temporary_log(*, actor: str = "test") -> AsyncIterator[EventLog]:
    """An open log on a SQLite file of its own, which is gone afterwards. The real thing, in a few milliseconds."""
    with tempfile.TemporaryDirectory(prefix="byjy-", ignore_cleanup_errors=True) as folder:
        path = Path(folder) / "log.db"
        path.write_bytes(await _migrated())
        async with EventLog.open(f"sqlite:///{path}", actor=actor) as log:
            yield log


@asynccontextmanager
async def appended(log: EventLog) -> AsyncIterator[list[Recorded]]:
    """What was appended during the block, by anybody, in order: a list that is filled when the block ends."""
    news: list[Recorded] = []
    head = await log.head()
    yield news
    news.extend([recorded async for recorded in log.read(after=head)])


def given(*told: Told) -> History:
    """What happened, in this order."""
    return History().when(*told)


class History(Sequence[Recorded]):
    """Events as the log would have recorded them, without a log. It never changes: :meth:`when` makes a longer one."""

    def __init__(self, events: Sequence[Recorded] = ()) -> None:
        self._events = tuple(events)

    def __getitem__(self, index: Any) -> Any:
        return self._events[index]

    def __len__(self) -> int:
        return len(self._events)

    def when(self, *told: Told) -> History:
        """This history, and then these events. A fact that was told before is left out, as the log does."""
        events = list(self._events)
        known = {one.event_id_bytes for one in events}
        for one in told:
            stream, item = one if isinstance(one, tuple) else (ORDER, one)
            version = 1 + sum(other.stream == stream for other in events)
            new = recorded(item, stream=stream, position=len(events) + 1, stream_version=version)
            if new.event_id_bytes not in known:
                known.add(new.event_id_bytes)
                events.append(new)
        return History(events)

    def rows(self, projection: Foldable) -> dict[Any, Any]:
        """The rows that a projection makes of it, by key.

        Events of types that the projection does not handle are passed over. Rows that it makes for other tables
        of its group are left out.
        """
        rows: dict[Any, Any] = {}
        handles = getattr(projection, "handles", None)
        for one in self._events:
            if handles is None or type(one.event) in handles:
                for key in projection.keys(one):
                    row = _row_alone(projection.evolve(rows.get(key), one, key))
                    rows.pop(key, None) if row is None else rows.update({key: row})
        return rows

    async def append_to(self, log: EventLog) -> None:
        """Append the same events with the same clocks to a real log, after whatever is in it already."""
        for one in self._events:
            assert isinstance(one.event, Event)
            event_id = None if one.event_id == _own_id(one.position) else one.event_id
            entry = Entry(one.event, one.occurred_at, one.received_at, event_id)
            await log.append(one.stream, [entry], actor=one.actor)


def recorded(
    told: Event | Entry,
    *,
    stream: Stream = ORDER,
    position: int = 1,
    stream_version: int = 1,
    recorded_at: int | None = None,
    actor: str = "test",
    correlation_id: UUID | None = None,
    causation_id: UUID | None = None,
) -> Recorded:
    """An event as the log would give it back, leaf hash and all; the same arguments give the same ids and clocks.

    Raises:
        InvalidEvent: the log would have refused it.
    """
    entry = told if isinstance(told, Entry) else Entry(told)
    moment = START + position * SECOND if recorded_at is None else recorded_at
    event_id = entry.event_id
    if event_id is None and not isinstance(entry.event, Fact):
        event_id = _own_id(position)
    entry = Entry(entry.event, entry.occurred_at, entry.received_at, event_id)
    correlation = None if correlation_id is None else correlation_id.bytes
    causation = None if causation_id is None else causation_id.bytes
    new = draft(entry, (stream.category, stream.id.bytes), actor, correlation, causation, moment)
    return Recorded(
        position, new.event_id, stream.category, stream.id.bytes, stream_version, new.type, new.schema_version,
        new.payload, new.occurred_at, new.received_at, moment, actor, correlation, causation,
        leaf_hash(new.content_hash, position, stream_version, moment), new.event,
    )  # fmt: skip


def _own_id(position: int) -> UUID:
    return UUID(int=ORDER.id.int + position)


def _row_alone(answer: Any) -> Any:
    """A projection may answer with a row and rows for other tables besides."""
    return answer.row if hasattr(answer, "row") and hasattr(answer, "also") else answer


_template: bytes | None = None


async def _migrated() -> bytes:
    """An empty database with the newest schema: migrating each anew would take longer than most tests."""
    global _template
    if _template is None:
        with tempfile.TemporaryDirectory(prefix="byjy-") as folder:
            path = Path(folder) / "log.db"
            await migrating.upgrade(f"sqlite:///{path}")
            _template = path.read_bytes()
    return _template


with suppress(ImportError):  # only who writes tests with them has them
    import pytest_asyncio

    @pytest_asyncio.fixture
    async def event_log() -> AsyncIterator[EventLog]:
        """A log of the test's own: see :func:`temporary_log`."""
        async with temporary_log() as log:
            yield log
