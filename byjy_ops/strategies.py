"""Listing, making and changing strategies."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from byjy_events.log import EventLog
from byjy_events.vocabulary.strategies import PARAMETERS_LIMIT, StrategyStatus
from byjy_ops.actor import acting
from byjy_ops.arguments import choices
from byjy_ops.errors import InvalidArgument
from byjy_ops.listing import Cells, Column, Listing, emit, tell, write_json
from byjy_ops.reading import existing_log, existing_tables
from byjy_ops.status import lacking
from projections import OWNERSHIP, StrategyDesk, StrategyQueries, StrategyRow
from projections.projection import Group
from projections.strategies.table import strategies
from projections.users.spelling import canonical
from projections.users.table import users

STRATEGIES = (
    Column("id"),
    Column("name"),
    Column("kind"),
    Column("status"),
    Column("parameters_version", "version", right=True),
    Column("is_test", "test"),
    Column("username", "user"),
    Column("updated_at", "updated (UTC)", instant=True),
    Column("created_at", "created (UTC)", instant=True),
)
HISTORY = (
    Column("version", right=True),
    Column("changed_at", "changed (UTC)", instant=True),
    Column("changed_by", "by"),
    Column("reason"),
    Column("parameters"),
    Column("position", right=True),
)

CHUNK = 1_000
"""Rows that one statement fetches."""

STANDARD_INPUT = Path("-")


class AskedStrategies(NamedTuple):
    """What a command line asks for; None: everything."""

    user: str | None = None
    status: Sequence[str] | None = None


# --- strategies -----------------------------------------------------------------------------------


async def list_strategies(database: str, asked: AskedStrategies, limit: int, *, as_json: bool) -> None:
    """Write strategies, the newest first, at most ``limit``; 0: all."""
    wanted = choices(StrategyStatus, "--status", asked.status)
    async with existing_tables(database) as engine:
        user_id = None if asked.user is None else await _user(engine, asked.user)
        names = await _usernames(engine)
        pages = _strategies(StrategyQueries(engine), user_id, wanted, limit + 1 if limit else None)
        cells = [{**msgspec.structs.asdict(row), "username": names.get(row.user_id)} async for row in pages]
        write_listed(Listing(STRATEGIES, as_json=as_json), [_plain(one) for one in cells], limit)
        await say_what_lacks(engine, database)


async def create_strategy(
    database: str,
    actor: str | None,
    user: str,
    name: str,
    kind: str,
    parameters: Path | None,
    *,
    is_test: bool,
    as_json: bool,
) -> None:
    """Create one and write its id."""
    text = "{}" if parameters is None else _given(parameters)
    async with existing_log(database, actor=acting(actor)) as log:
        user_id = await _user(log.engine, user)
        made = await StrategyDesk(log).create(user_id, name, kind, text, is_test=is_test)
    if as_json:
        write_json([{"id": made}])
    else:
        emit(f"{made}\n")


async def show_strategy(database: str, strategy: str, *, as_json: bool) -> None:
    """Write one, as the log has it now."""
    async with existing_log(database, read_only=True) as log:
        row = await _known(log, strategy)
        names = await _usernames(log.engine)
    cells = _plain({**msgspec.structs.asdict(row), "username": names.get(row.user_id)})
    if as_json:
        write_json([cells])
        return
    width = max(len(column.heading) for column in STRATEGIES) + 2
    emit("".join(f"{column.heading:{width}}{column.cell(cells)}\n" for column in STRATEGIES))
    emit(f"\n{_pretty(row.parameters)}\n")


async def show_parameters(database: str, strategy: str, version: int | None, *, history: bool, as_json: bool) -> None:
    """Write the parameters of one, those of now or of a version, or all that it ever had.

    Raises:
        InvalidArgument: there is no such strategy or version.
    """
    async with existing_log(database, read_only=True) as log:
        row = await _known(log, strategy)
        entries = await StrategyDesk(log).parameters_history(row.id)
    if history:
        cells = [entry._asdict() for entry in reversed(entries)]
        Listing(HISTORY, as_json=as_json).write([_parsed(one) for one in cells] if as_json else cells)
        return
    wanted = [entry for entry in entries if entry.version == (version or row.parameters_version)]
    if not wanted:
        raise InvalidArgument("--version", f"there are versions 1 to {row.parameters_version}")
    emit(f"{wanted[0].parameters if as_json else _pretty(wanted[0].parameters)}\n")


async def change_parameters(
    database: str, actor: str | None, strategy: str, source: Path, reason: str, expected: int | None, *, as_json: bool
) -> None:
    """Change the parameters of one, and write their version."""
    text = _given(source)
    async with existing_log(database, actor=acting(actor)) as log:
        key = await strategy_key(log.engine, strategy)
        version = await StrategyDesk(log).change_parameters(key, text, reason=reason, expected_version=expected)
    if as_json:
        write_json([{"id": key, "parameters_version": version}])
    else:
        emit(f"version {version}\n")


async def turn_strategy(
    database: str, actor: str | None, strategy: str, status: StrategyStatus, reason: str, *, as_json: bool
) -> None:
    """Activate, pause, stop or archive one."""
    async with existing_log(database, actor=acting(actor)) as log:
        key, desk = await strategy_key(log.engine, strategy), StrategyDesk(log)
        turns = {
            StrategyStatus.ACTIVE: desk.activate,
            StrategyStatus.PAUSED: desk.pause,
            StrategyStatus.STOPPED: desk.stop,
            StrategyStatus.ARCHIVED: desk.archive,
        }
        await turns[status](key, reason)
    if as_json:
        write_json([{"id": key, "status": status}])
    else:
        emit(f"{key} is {status}\n")


async def rename_strategy(database: str, actor: str | None, strategy: str, name: str, *, as_json: bool) -> None:
    """Give one another name."""
    async with existing_log(database, actor=acting(actor)) as log:
        key = await strategy_key(log.engine, strategy)
        await StrategyDesk(log).rename(key, name)
    if as_json:
        write_json([{"id": key, "name": name}])
    else:
        emit(f"{key} is called {name}\n")


# --- what is asked --------------------------------------------------------------------------------


async def _strategies(
    queries: StrategyQueries, user_id: UUID | None, wanted: Sequence[StrategyStatus], limit: int | None
) -> AsyncIterator[StrategyRow]:
    last: StrategyRow | None = None
    while limit is None or limit > 0:
        status = wanted[0] if len(wanted) == 1 else None
        page = await queries.strategies(user_id=user_id, status=status, after=last, limit=CHUNK, newest_first=True)
        for row in page:
            if not wanted or row.status in wanted:
                yield row
                limit = None if limit is None else limit - 1
                if limit == 0:
                    return
        if len(page) < CHUNK:
            return
        last = page[-1]


async def _known(log: EventLog, given: str) -> StrategyRow:
    row = await StrategyDesk(log).strategy(await strategy_key(log.engine, given))
    if row is None:
        raise InvalidArgument("STRATEGY", f"there is no strategy {given!r}; to see all of them: byjy strategies list")
    return row


async def strategy_key(engine: AsyncEngine, given: str) -> UUID:
    """The id of a strategy that is named by it, or by a name that only one has which is not archived.

    Raises:
        InvalidArgument: none is called so, or several are.
    """
    try:
        return UUID(given)
    except ValueError:
        pass
    found = await _keys(engine, sa.select(strategies.c.id).where(strategies.c.name_key == canonical(given)))
    if len(found) == 1:
        return found[0]
    many = "several users have one" if found else "there is none"
    raise InvalidArgument("STRATEGY", f"{given!r}: {many} of this name; to see all of them: byjy strategies list")


async def _user(engine: AsyncEngine, given: str) -> UUID:
    try:
        return UUID(given)
    except ValueError:
        pass
    found = await _keys(engine, sa.select(users.c.id).where(users.c.username_key == canonical(given)))
    if not found:
        raise InvalidArgument("--user", f"nobody is called {given!r}")
    return found[0]


async def _keys(engine: AsyncEngine, statement: sa.Select[tuple[Any]]) -> list[UUID]:
    async with engine.connect() as connection:
        return list((await connection.execute(statement)).scalars())


async def _usernames(engine: AsyncEngine) -> dict[UUID, str]:
    async with engine.connect() as connection:
        return {row.id: row.username for row in await connection.execute(sa.select(users.c.id, users.c.username))}


def _given(source: Path) -> bytes:
    """What a file or the standard input holds; no more than may be stored, and one byte."""
    try:
        if source == STANDARD_INPUT:
            return sys.stdin.buffer.read(PARAMETERS_LIMIT + 1)
        with source.open("rb") as file:
            return file.read(PARAMETERS_LIMIT + 1)
    except OSError as error:
        raise InvalidArgument(str(source), error.strerror or type(error).__name__) from None


def _plain(cells: dict[str, Any]) -> Cells:
    """Without what only an index needs; parameters as the object that they are."""
    del cells["name_key"]
    return _parsed(cells)


def _parsed(cells: dict[str, Any]) -> Cells:
    return {**cells, "parameters": msgspec.json.decode(cells["parameters"])}


def _pretty(parameters: str) -> str:
    return msgspec.json.format(parameters.encode(), indent=2).decode()


def write_listed(listing: Listing, cells: Sequence[Cells], limit: int) -> None:
    """Write at most so many, and say whether there are more; 0: all."""
    listing.write(cells[:limit] if limit else cells)
    if limit and len(cells) > limit:
        tell(f"{limit} shown, there are more: --limit N, or 0 for all")
    if not cells:
        tell("nothing found")


async def say_what_lacks(engine: AsyncEngine, database: str, *groups: Group) -> None:
    """Say on standard error how far the tables are behind the log, if they are: those of the first group that is.

    Args:
        groups: else that of strategies.
    """

    async def fetch(statement: sa.Select[Any]) -> Sequence[sa.Row[Any]]:
        async with engine.connect() as connection:
            found: Sequence[sa.Row[Any]] = (await connection.execute(statement)).all()
        return found

    for group in groups or (OWNERSHIP,):
        if lacked := await lacking(fetch, database, group):
            tell(lacked)
            return
