"""``byjy grants``: the rights of roles, printed as a script or granted in one transaction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from byjy_events.database import is_sqlite, parse_url
from byjy_events.grants import EVERY_TABLE, GRANTS, NOBODY, Kind
from byjy_events.schema import events
from byjy_ops.errors import InvalidArgument
from byjy_ops.listing import emit, tell
from byjy_ops.reading import existing_tables
from projections.registry import found_groups

_HAS = {
    Kind.ENGINE: "may append, read, project, log and keep secrets now",
    Kind.PROJECTOR: "may read the log and project now",
    Kind.AUDITOR: "may read, verify and travel in time now, and change nothing",
    Kind.BACKUP: "may read what belongs into a backup now, and nothing else",
}

USUAL = {f"byjy_{kind}": kind for kind in (Kind.ENGINE, Kind.PROJECTOR, Kind.AUDITOR)}
"""Roles by name, where the command line names none."""

ON_SQLITE = "SQLite has no roles: who may read the file reads everything, so mind its mode; see the guide on PostgreSQL"


def wanted(given: Iterable[str]) -> dict[str, Kind]:
    """Kinds of roles by name, from ``KIND=NAME``.

    Raises:
        InvalidArgument: no such kind, no name, or one name twice, of which the last would win.
    """
    roles: dict[str, Kind] = {}
    for text in given:
        kind, _, name = text.partition("=")
        if not name:
            raise InvalidArgument("--role", f"{text!r} names no role; expected KIND=NAME, e.g. auditor=alice")
        if name in roles or name in NOBODY:
            raise InvalidArgument("--role", f"{name!r} is {'named twice' if name in roles else 'no role of its own'}")
        if kind.lower() not in list(Kind):
            raise InvalidArgument("--role", f"{kind!r} is no kind of role; expected one of {', '.join(Kind)}")
        roles[name] = Kind(kind.lower())
    return roles or dict(USUAL)


async def grant(database: str, roles: Mapping[str, Kind], *, apply: bool) -> None:
    """Write the statements for all roles, or run them: all or none.

    Raises:
        InvalidArgument: the database is no PostgreSQL, a role is above all rights, or, to run them, is not there;
            or who asks is not the owner, to whom PostgreSQL would only give a warning.
    """
    url = parse_url(database)
    if is_sqlite(url):
        raise InvalidArgument("--database", ON_SQLITE)
    async with existing_tables(database) as engine, engine.begin() as connection:
        owner = await _refuse_owner(connection, roles)
        missing = await _missing(connection, roles)
        scripts = await _statements(connection, roles)
        if not apply:
            emit(_script(roles, scripts))
            for name in missing:
                tell(f"there is no role {name!r} yet: CREATE ROLE")
            return
        if missing:
            raise InvalidArgument("--role", f"there is no role {missing[0]!r}; to make it: CREATE ROLE")
        await _refuse_others(connection, owner)
        for statement in [one for script in scripts.values() for one in script]:
            await connection.exec_driver_sql(statement)
    emit("".join(f"{name}: {_HAS[kind]}\n" for name, kind in roles.items()))


def _script(roles: Mapping[str, Kind], scripts: Mapping[str, list[str]]) -> str:
    lines = ["BEGIN;"]
    for name, statements in scripts.items():
        lines += [f"-- {roles[name]}", *(f"{statement};" for statement in statements)]
    return "\n".join([*lines, "COMMIT;", ""])


async def _statements(connection: AsyncConnection, roles: Mapping[str, Kind]) -> dict[str, list[str]]:
    name = str(await connection.scalar(sa.text("SELECT current_database()")))
    there = await connection.run_sync(lambda sync: set(sa.inspect(sync).get_table_names()))
    installed = {table.name for group in found_groups().groups for table in group.tables}
    own = sorted(installed & there - set(EVERY_TABLE))
    return {role: GRANTS[kind](role, database=name, own_tables=own) for role, kind in roles.items()}


async def _refuse_owner(connection: AsyncConnection, roles: Mapping[str, Kind]) -> str:
    """The owner of the log. Taking rights from it would stop ``append_events``, which runs with them."""
    found = (
        "SELECT rolname FROM pg_class JOIN pg_roles ON relowner = pg_roles.oid WHERE pg_class.oid = to_regclass(:log)"
    )
    owner = str(await connection.scalar(sa.text(found), {"log": f"public.{events.name}"}))
    above = sa.text("SELECT rolname FROM pg_roles WHERE rolname = ANY(:names) AND (rolsuper OR rolname = :owner)")
    for name in await connection.scalars(above, {"names": list(roles), "owner": owner}):
        raise InvalidArgument("--role", f"{name!r} owns the tables or is a superuser: no grant limits it")
    return owner


async def _missing(connection: AsyncConnection, roles: Mapping[str, Kind]) -> list[str]:
    found = sa.text("SELECT rolname FROM pg_roles WHERE rolname = ANY(:names)")
    there = set(await connection.scalars(found, {"names": list(roles)}))
    return [name for name in roles if name not in there]


async def _refuse_others(connection: AsyncConnection, owner: str) -> None:
    if not await connection.scalar(sa.text("SELECT pg_has_role(:owner, 'USAGE')"), {"owner": owner}):
        raise InvalidArgument("--apply", f"only {owner!r}, who owns the tables, can grant rights to them")
