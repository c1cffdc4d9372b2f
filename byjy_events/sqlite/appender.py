"""Decides and stores batches of appends on SQLite. Everything here runs in the lane's thread, under the turnstile.

Looking up every id and every new stream costs as much as storing it, and hardly ever finds anything. So a batch is
planned on what is remembered, and the database objects where that is wrong: the trigger of the position if somebody
else appended, the unique indexes if an event is there already. Then the batch is planned on what is looked up.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import structlog

from byjy_events.answer import handed_over
from byjy_events.backend import Committed, NotStorable, NotStored
from byjy_events.companion import Company, SqliteCompanion, telling
from byjy_events.leaf import leaf_hash
from byjy_events.plan import Known, Part, Plan, StreamKey, plan, repeatable_ids
from byjy_events.query import COLUMNS
from byjy_events.recorded import Recorded
from byjy_events.sqlite.transaction import execute_alone, transact
from byjy_events.stream import NO_STREAM

VERSIONS_KEPT = 100_000
"""Streams whose version is remembered between batches."""

ALONE_ROWS = 100
"""Events that one statement stores that is a transaction in itself. SQLite parses a statement for each number of them
once, and keeps it: 12 MB for all of a hundred."""

SLABS = (500, 200, 100, 50, 20, 10, 5, 2, 1)
"""Rows that one statement of a longer transaction stores, as many as there are. The driver takes the interpreter lock
back after each statement: with a row each, a busy event loop would hold up every row of a batch; and a slab takes half
the time of its rows even when nobody is busy."""

_log = structlog.get_logger("byjy_events")

_WIDTH = len(COLUMNS.split(","))
_ROW = f"({', '.join('?' * _WIDTH)})"
_HEAD = "SELECT position, recorded_at FROM events ORDER BY position DESC LIMIT 1"
_VERSION = (
    "SELECT stream_version FROM events WHERE stream_id = ? AND stream_category = ? ORDER BY stream_version DESC LIMIT 1"
)
_KNOWN = (
    "SELECT position, stream_version, recorded_at, stream_category, stream_id, type, schema_version, payload"
    " FROM events WHERE event_id = ?"
)


class _Doubtful(Exception):
    """Somebody would be refused on a belief."""


class Appender:
    """What is remembered between batches, and the ways to store one."""

    def __init__(self, company: Company[SqliteCompanion]) -> None:
        self._company = company
        self._versions: dict[StreamKey, int] = {}
        self._head = 0  # of the log when the remembered versions were right
        self._recorded_at = 0
        self._undisturbed = False  # whether the last look found nobody else's events after ours

    def store(self, connection: sqlite3.Connection, appends: Sequence[Sequence[Part]]) -> Committed:
        """Decide and store a batch in one durable transaction.

        Raises:
            NotStorable, NotStored, Unclear: see :class:`byjy_events.backend.Backend`.
        """
        try:
            if self._undisturbed and len(appends) <= ALONE_ROWS and not self._company.members:
                committed = self._store_alone(connection, appends)
                if committed is not None:
                    return committed
            return self._store(connection, appends, self._company.members, look_up=False)
        except (NotStorable, _Doubtful):
            return self._store(connection, appends, self._company.members, look_up=True)

    def _store_alone(self, connection: sqlite3.Connection, appends: Sequence[Sequence[Part]]) -> Committed | None:
        """Store the batch by one statement that looks at nothing. None: it is too long, or somebody else appended."""
        head, recorded_at = self._head, max(time.time_ns(), self._recorded_at)
        decision = self._believed(connection, appends, head)
        if not 0 < len(decision.placed) <= ALONE_ROWS:
            return None
        committed = Committed(decision.verdicts, decision.placed, head + 1, recorded_at)
        try:
            execute_alone(connection, _insert(len(decision.placed)), _values(decision, head + 1, recorded_at))
        except NotStorable as error:
            if _moved(error):
                self._undisturbed = False
                return None
            raise
        self._remember(decision, head, recorded_at)
        return committed

    def _store(
        self,
        connection: sqlite3.Connection,
        appends: Sequence[Sequence[Part]],
        companions: Sequence[SqliteCompanion],
        *,
        look_up: bool,
    ) -> Committed:
        accompanied = False

        def store(connection: sqlite3.Connection) -> tuple[Plan, Committed]:
            nonlocal accompanied
            head, previous = connection.execute(_HEAD).fetchone() or (0, 0)
            recorded_at = max(time.time_ns(), previous)
            decision = self._looked_up(connection, appends) if look_up else self._believed(connection, appends, head)
            committed = Committed(decision.verdicts, decision.placed, head + 1, recorded_at)
            _insert_all(connection, decision, head + 1, recorded_at)
            if companions and decision.placed:
                accompanied = True
                committed.events = handed_over(committed)
                _accompany(companions, connection, committed.events)
            return decision, committed

        try:
            with telling(companions):
                decision, committed = transact(connection, store)
        except NotStored:
            if not accompanied:
                raise
            # Some errors take the whole transaction with them, and some constraints are looked at in the end only.
            return self._store(connection, appends, (), look_up=look_up)
        head = committed.first_position - 1
        self._undisturbed = head == self._head
        self._remember(decision, head, committed.recorded_at)
        return committed

    def _believed(self, connection: sqlite3.Connection, appends: Sequence[Sequence[Part]], head: int) -> Plan:
        """The plan on what is remembered, which holds as long as nobody else appended; the rest is looked up."""
        if head != self._head:
            self._versions.clear()
        versions: dict[StreamKey, int] = {}
        for parts in appends:
            for part in parts:
                if part.stream not in versions:
                    version = self._versions.get(part.stream)
                    if version is None:
                        version = 0 if part.expected == NO_STREAM else _version(connection, part.stream)
                    versions[part.stream] = version
        decision = plan(appends, versions, {})
        if any(verdict.error for verdict in decision.verdicts):
            raise _Doubtful
        return decision

    def _looked_up(self, connection: sqlite3.Connection, appends: Sequence[Sequence[Part]]) -> Plan:
        """The plan on what the database says. What was believed to be new and then took no event is remembered as
        new, which it may not be; so nothing that is remembered is trusted here.
        """
        known = stored_already(connection, repeatable_ids(appends))
        versions = {part.stream: 0 for parts in appends for part in parts}
        for stream in versions:
            versions[stream] = _version(connection, stream)
        return plan(appends, versions, known)

    def _remember(self, decision: Plan, head: int, recorded_at: int) -> None:
        if len(self._versions) > VERSIONS_KEPT:
            self._versions.clear()
        self._versions.update(decision.versions)
        self._head = head + len(decision.placed)
        self._recorded_at = recorded_at


def stored_already(connection: sqlite3.Connection, event_ids: Sequence[bytes]) -> dict[bytes, Known]:
    """Those of these events that are stored, with what they say."""
    known = {}
    for event_id in event_ids:
        found = connection.execute(_KNOWN, (event_id,)).fetchone()
        if found:
            position, version, recorded_at, category, stream_id, *told = found
            known[event_id] = Known(position, version, recorded_at, (category, stream_id), *told)
    return known


def _moved(error: NotStorable) -> bool:
    """Whether it was the trigger that objected: the next position is another one."""
    return getattr(error.__cause__, "sqlite_errorcode", None) == sqlite3.SQLITE_CONSTRAINT_TRIGGER


def _accompany(
    companions: Sequence[SqliteCompanion], connection: sqlite3.Connection, events: Sequence[Recorded]
) -> None:
    for companion in companions:
        connection.execute("SAVEPOINT companion")
        try:
            companion.accompany(connection, events)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is no reason to lose events
            _log.warning("companion_failed", cause=f"{type(error).__name__}: {error}")
            connection.execute("ROLLBACK TO companion")
        connection.execute("RELEASE companion")


def _version(connection: sqlite3.Connection, stream: StreamKey) -> int:
    found = connection.execute(_VERSION, (stream[1], stream[0])).fetchone()
    return found[0] if found else 0


@lru_cache(maxsize=ALONE_ROWS + len(SLABS))
def _insert(rows: int) -> str:
    return f"INSERT INTO events ({COLUMNS}) VALUES {', '.join([_ROW] * rows)}"  # noqa: S608


def _insert_all(connection: sqlite3.Connection, decision: Plan, first_position: int, recorded_at: int) -> None:
    values = _values(decision, first_position, recorded_at)
    start = 0
    for rows in SLABS:
        while (end := start + rows * _WIDTH) <= len(values):
            connection.execute(_insert(rows), values[start:end])
            start = end


def _values(decision: Plan, first_position: int, recorded_at: int) -> list[Any]:
    """The values of all rows, one after the other: a tuple for each row would be one more object."""
    values: list[Any] = []
    for position, placed in enumerate(decision.placed, first_position):
        (category, stream_id), version, draft = placed.stream, placed.stream_version, placed.draft
        values += (
            position, draft.event_id, category, stream_id, version, draft.type, draft.schema_version,
            draft.payload, draft.occurred_at, draft.received_at, recorded_at, draft.actor,
            draft.correlation_id, draft.causation_id, leaf_hash(draft.content_hash, position, version, recorded_at),
        )  # fmt: skip
    return values
