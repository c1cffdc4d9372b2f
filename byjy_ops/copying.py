"""``byjy copy``: a log in another database, the tables replayed there, and both ends verified."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack
from typing import Any, NamedTuple

import asyncpg
import sqlalchemy as sa

from byjy_events import ByjyError, EventLog
from byjy_events.copying import Copied, TargetInUse, TargetIsAnother, copy_log
from byjy_events.errors import LogUnavailable
from byjy_events.proof.auditing import audit
from byjy_events.proof.finding import Audit
from byjy_ops.errors import DatabaseFailed
from byjy_ops.groups import raise_first, wanted_groups
from byjy_ops.listing import emit, tell, write_json
from byjy_ops.progress import replay_progress
from byjy_ops.reading import existing_log
from byjy_ops.session import NO, YES
from projections import Group, Verification, catch_up, group_statuses, verify

_TROUBLE = (LogUnavailable, sa.exc.SQLAlchemyError, sqlite3.Error, asyncpg.PostgresError, OSError)


class Ends(NamedTuple):
    """Both databases, open."""

    source: EventLog
    target: EventLog


class Proven(NamedTuple):
    """What verifying both ends gave.

    Attributes:
        audits: by the database's URL.
        groups: their tables at the target.
    """

    audits: dict[str, Audit]
    groups: Sequence[Verification]

    @property
    def holds(self) -> bool:
        """Whether nothing is wrong."""
        intact = all(one.intact for one in self.audits.values())
        return intact and not any(one.differences for one in self.groups)


async def copy_database(
    source_url: str, target_url: str, *, thorough: bool, as_json: bool, replace_keys: bool = False
) -> int:
    """Copy, replay and verify; the answer is no where an audit finds something or a row differs.

    What is wrong with one group of projections harms no other: it is raised when everything else is done.

    Args:
        thorough: whether both logs are audited and the tables verified.
        replace_keys: see :func:`byjy_events.copying.copy_log`.

    Raises:
        NoLog, SchemaMismatch, InvalidDatabaseUrl: a database is not fit for it; nothing was written.
        CopyError: see there.
        DatabaseFailed: a database failed; what was done stays, and doing it again goes on.
    """
    groups, trouble = wanted_groups(None)
    async with _opened(source_url, target_url) as ends:
        await refuse_projected_ahead(ends.target)
        began = time.monotonic()
        with replay_progress("copying") as advance:
            copied = await copy_log(*ends, progress=advance, replace_keys=replace_keys)
        seconds = time.monotonic() - began
        if not as_json:
            _tell_copied(ends, copied, seconds)
        replayed = await replay_groups(ends.target, groups, trouble)
        if not as_json:
            emit("".join(f"{name}: replayed up to {position}\n" for name, position in replayed.items()))
        proven = await prove(ends, [one for one in groups if one.name in replayed], trouble) if thorough else None
        head = await _head_unless_grown(ends, copied)
    if as_json:
        write_json(_rows(ends, copied, seconds, replayed, proven, head))
    else:
        _tell_proven(copied, proven, head)
    raise_first(trouble)
    return YES if proven is None or proven.holds else NO


@contextlib.asynccontextmanager
async def _opened(source_url: str, target_url: str) -> AsyncIterator[Ends]:
    """The source first: without it nothing is made at the target."""
    async with AsyncExitStack() as stack:
        with _named(source_url):
            source = await stack.enter_async_context(existing_log(source_url, read_only=True))
        with _named(target_url):
            target = await stack.enter_async_context(EventLog.open(target_url, actor="byjy"))
        yield Ends(source, target)


async def refuse_projected_ahead(target: EventLog) -> None:
    """
    Raises:
        TargetIsAnother: tables of more events than the log has were left behind by another log.
    """
    with _named(target.url):
        head = await target.head()
        statuses = await group_statuses(target)
    for one in statuses:
        if one.position > head:
            found = f"tables of {one.group_name} as of position {one.position}, and a log that ends at {head}"
            raise TargetIsAnother(target.url, found)


async def replay_groups(target: EventLog, groups: Sequence[Group], trouble: list[ByjyError]) -> dict[str, int]:
    """The position of each group that was taken to the head; of the others what is wrong with them is added."""
    replayed = {}
    for group in groups:
        try:
            with _named(target.url), replay_progress(f"replaying {group.name}") as advance:
                replayed[group.name] = await catch_up(target, group, progress=advance)
        except DatabaseFailed:
            raise
        except ByjyError as error:
            trouble.append(error)
    return replayed


async def prove(logs: Sequence[EventLog], groups: Sequence[Group], trouble: list[ByjyError]) -> Proven:
    """Audit logs, and verify the tables of the last one."""
    audits, target = {}, logs[-1]
    for log in logs:
        with _named(log.url), replay_progress(f"auditing {log.url}") as advance:
            audits[log.url] = await audit(log, (), progress=advance)
    verified = []
    for group in groups:
        try:
            with _named(target.url), replay_progress(f"verifying {group.name}") as advance:
                verified.append(await verify(target, group, examples=0, progress=advance))
        except DatabaseFailed:
            raise
        except ByjyError as error:
            trouble.append(error)
    return Proven(audits, verified)


async def _head_unless_grown(ends: Ends, copied: Copied) -> int:
    """The source's head now.

    Raises:
        TargetInUse: the target has another head than that of the copy.
    """
    with _named(ends.target.url):
        head = await ends.target.head()
    if head != copied.size:
        raise TargetInUse(ends.target.url, head, copied.size)
    with _named(ends.source.url):
        return await ends.source.head()


@contextlib.contextmanager
def _named(database: str) -> Iterator[None]:
    """Trouble with one of two databases says with which."""
    try:
        yield
    except LogUnavailable as error:
        raise DatabaseFailed(database, Exception(error.cause)) from error
    except _TROUBLE as error:
        raise DatabaseFailed(database, error) from error


def _tell_copied(ends: Ends, copied: Copied, seconds: float) -> None:
    added = copied.size - copied.before
    rate = f", {added / seconds:,.0f} events/s" if added else ""
    lines = [f"{ends.source.url} -> {ends.target.url}", f"events: {added} copied, {copied.size} there now{rate}"]
    for table in copied.tables:
        changed = f", {table.changed} changed" if table.changed else ""
        lines.append(f"{table.name}: {table.added} copied{changed}, {table.rows} there now")
    emit("".join(f"{line}\n" for line in lines))


def _tell_proven(copied: Copied, proven: Proven | None, source_head: int) -> None:
    keys = ", and the same data keys" if all(table.settled for table in copied.tables) else ""
    lines = [f"both logs have the root {copied.root.hex()} over {copied.size} events{keys}"]
    if proven is None:
        tell("not audited and not verified: byjy audit and byjy verify do it at any time")
    else:
        lines += proof_lines(proven)
    emit("".join(f"{line}\n" for line in lines))
    if not keys:
        tell(
            "data keys of the source were being rotated or erased; when that is done, the same command copies the rest"
        )
    if source_head > copied.size:
        tell(f"the source has grown by {source_head - copied.size} events since it began; the same command copies them")


def proof_lines(proven: Proven) -> Iterator[str]:
    """What was found, for people."""
    for database, found in proven.audits.items():
        for one in found.findings:
            yield f"{database}: {one.kind} at {one.first} to {one.last}: {one.message}"
        if found.intact:
            yield f"{database}: {found.events} events and {found.checkpoints} checkpoints audited, nothing found"
        else:
            yield f"{database}: {len(found.findings) + found.further} findings; byjy audit tells more"
    for group in proven.groups:
        differing = f"{group.differences} rows differ from" if group.differences else "tables equal"
        yield f"{group.group}: {differing} the log"


def _rows(
    ends: Ends, copied: Copied, seconds: float, replayed: dict[str, int], proven: Proven | None, source_head: int
) -> Iterator[dict[str, Any]]:
    for database, found in proven.audits.items() if proven else ():
        for one in found.findings:
            yield {"type": "finding", "database": database, **one._asdict()}
    yield {
        "type": "summary",
        "source": ends.source.url,
        "target": ends.target.url,
        "before": copied.before,
        "position": copied.size,
        "source_head": source_head,
        "root": copied.root,
        "copy_seconds": seconds,
        "tables": [table._asdict() for table in copied.tables],
        "groups": [{"group": name, "position": position} for name, position in replayed.items()],
        "verified": None if proven is None else proven.holds,
    }
