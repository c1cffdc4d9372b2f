"""``byjy grants``: a script for PostgreSQL, or the rights themselves."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from byjy_ops.errors import InvalidArgument
from byjy_ops.grants import USUAL, wanted
from tests.cli import byjy, command, environment
from tests.plugins import install
from tests.postgres import Server

ON_POSTGRESQL = pytest.mark.parametrize("backend", ["postgresql"])


def asked(database: str, *statements: str) -> object:
    """What the last of these statements gives."""

    async def work() -> object:
        connection = await asyncpg.connect(database)
        try:
            *first, last = statements
            for statement in first:
                await connection.execute(statement)
            return await connection.fetchval(last)
        finally:
            await connection.close()

    return asyncio.run(work())


@pytest.fixture
def role(database: str) -> Iterator[str]:
    """A login role without any right."""
    asked(database, "CREATE ROLE ann LOGIN", "SELECT 1")
    yield "ann"
    asked(database, "DROP OWNED BY ann", "DROP ROLE ann", "SELECT 1")


@ON_POSTGRESQL
def test_the_script_that_is_printed_grants_what_apply_would(database: str, postgresql: Server, role: str) -> None:
    """Run by hand, in one transaction, it makes an auditor of a stranger; printing alone changes nothing."""
    theirs = postgresql.url(urlsplit(database).path.strip("/"), role)
    done = byjy("grants", "--role", f"auditor={role}", database=database)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[:2] == ["BEGIN;", "-- auditor"]
    assert done.stdout.endswith("COMMIT;\n")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        asked(theirs, "SELECT count(*) FROM events")
    asked(database, done.stdout, "SELECT 1")
    assert asked(theirs, "SELECT count(*) FROM trail") == 0
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        asked(theirs, "SELECT count(*) FROM key_store")


@ON_POSTGRESQL
def test_without_names_there_are_usual_ones(database: str) -> None:
    """Standard error says of each that it has to be made."""
    done = byjy("grants", database=database)
    assert done.returncode == 0
    assert [line for line in done.stdout.splitlines() if line.startswith("-- ")] == [
        f"-- {kind}" for kind in USUAL.values()
    ]
    assert done.stderr == "".join(f"byjy: there is no role {name!r} yet: CREATE ROLE\n" for name in USUAL)


@ON_POSTGRESQL
def test_apply_grants_all_or_nothing(database: str, postgresql: Server, role: str) -> None:
    """A role that is not there stops it before anything is granted."""
    theirs = postgresql.url(urlsplit(database).path.strip("/"), role)
    done = byjy("grants", "--apply", "--role", f"engine={role}", "--role", "auditor=bob", database=database)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "byjy: --role: there is no role 'bob'; to make it: CREATE ROLE\n"
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        asked(theirs, "SELECT count(*) FROM events")
    done = byjy("grants", "--apply", "--role", f"ENGINE={role}", database=database)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "ann: may append, read, project, log and keep secrets now\n"
    assert asked(theirs, "SELECT count(*) FROM events") == 0


@ON_POSTGRESQL
def test_who_owns_the_tables_is_not_limited(database: str) -> None:
    """Taking the owner's rights away would stop every append: the function runs with them."""
    for arguments in (["--role", "auditor=postgres"], ["--role", "auditor=postgres", "--apply"]):
        done = byjy("grants", *arguments, database=database)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr == "byjy: --role: 'postgres' owns the tables or is a superuser: no grant limits it\n"


@ON_POSTGRESQL
def test_tables_of_other_packages_are_granted_as_soon_as_they_are_there(database: str, tmp_path: Path) -> None:
    """To those who project, and for the auditor to read."""
    install(tmp_path, "acme", "mine = acme:MINE", "MINE = group('mine', 'mine')")
    paths = {**environment(database), "PYTHONPATH": f"{environment(None)['PYTHONPATH']}:{tmp_path}"}

    async def script() -> str:
        process = await asyncio.create_subprocess_exec(*command("grants"), env=paths, stdout=-1, stderr=-1)
        out, _ = await process.communicate()
        return out.decode()

    assert '"mine"' not in asyncio.run(script())
    asked(database, "CREATE TABLE mine (id uuid PRIMARY KEY)", "SELECT 1")
    granted = [line for line in asyncio.run(script()).splitlines() if '"mine"' in line]
    assert [line.split(" ON ")[0] for line in granted] == [
        *("REVOKE ALL", "GRANT SELECT, INSERT, UPDATE, DELETE"),
        *("REVOKE ALL", "GRANT SELECT, INSERT, UPDATE, DELETE"),
        *("REVOKE ALL", "GRANT SELECT"),
    ]


@pytest.mark.parametrize("backend", ["sqlite"])
def test_sqlite_has_no_roles(database: str) -> None:
    """And the answer says what there is instead."""
    done = byjy("grants", database=database)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("byjy: --database: SQLite has no roles")


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (["engine"], "names no role"),
        (["engine="], "names no role"),
        (["=ann"], "'' is no kind of role"),
        (["owner=ann"], "'owner' is no kind of role; expected one of engine, projector, auditor"),
        (["engine=ann", "auditor=ann"], "'ann' is named twice"),
        (["auditor=public"], "'public' is no role of its own"),
    ],
)
def test_what_is_no_role_is_refused(given: list[str], reason: str) -> None:
    """Before the database is looked at."""
    with pytest.raises(InvalidArgument, match=reason) as caught:
        wanted(given)
    assert caught.value.argument == "--role"


def test_names_may_be_odd_and_several_of_a_kind() -> None:
    """Whatever stands behind the first equals sign is the name."""
    assert wanted(["engine=a", "Engine=b=c"]) == {"a": "engine", "b=c": "engine"}
