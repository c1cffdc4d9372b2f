"""Listing users and managing them."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from uuid import UUID

import msgspec

from byjy_events import EventLog, Receipt, Role
from byjy_events.sealing import KeyVariable, Vault
from byjy_events.secret import Secret
from byjy_ops.actor import acting
from byjy_ops.arguments import choices
from byjy_ops.errors import InvalidArgument
from byjy_ops.keys_option import KeyOptions, vault_for
from byjy_ops.listing import Cells, Column, Listing, emit, tell, text, write_json
from byjy_ops.reading import existing_log, live_rows
from byjy_ops.secrets_input import read_secrets
from byjy_ops.status import lacking
from projections import OWNERSHIP
from projections.queries import rows_of
from projections.users.directory import UserDirectory
from projections.users.queries import users_page
from projections.users.table import UserRow

COLUMNS = (
    Column("id"),
    Column("username"),
    Column("role"),
    Column("is_active", "active"),
    Column("failed_login_count", "failures", right=True),
    Column("locked_until", "locked until (UTC)", instant=True),
    Column("last_login_at", "last login (UTC)", instant=True),
    Column("created_at", "registered (UTC)", instant=True),
    Column("updated_at", "changed (UTC)", instant=True),
)

CHUNK = 2_000
"""Rows that one statement fetches."""


def role_of(given: str) -> Role:
    """
    Raises:
        InvalidArgument: there is no such role.
    """
    return choices(Role, "role", [given])[0]


def read_new_user() -> dict[str, Secret[str]]:
    """Email and password of somebody new; it is called before the event loop runs, for Ctrl-C to reach a prompt."""
    return _agreed(read_secrets(("email", "password", *_again())))


def read_password() -> Secret[str]:
    """A new password, likewise."""
    return _agreed(read_secrets(("password", *_again())))["password"]


async def list_users(database: str, role: Role | None, limit: int, *, as_json: bool) -> None:
    """Write users of the table, at most ``limit``; 0: all. Standard error says how far it is behind the log."""
    listing = Listing(COLUMNS, as_json=as_json)
    held: list[Cells] = []
    async with live_rows(database) as fetch:
        unknown = await lacking(fetch, database, OWNERSHIP)
        last: UserRow | None = None
        while not limit or len(held) <= limit:
            rows = rows_of(UserRow, await fetch(users_page(role, last, CHUNK)))
            held += map(cells, rows)
            if len(rows) < CHUNK:
                break
            last = rows[-1]
    listing.write(held[: limit or None])
    if limit and len(held) > limit:
        tell(f"{limit} shown, there are more: --limit N, or 0 for all")
    if not held:
        tell("nothing found")
    if unknown:
        tell(unknown)


async def show_user(database: str, key: KeyOptions, user: str, *, with_email: bool, as_json: bool) -> None:
    """Write what the log says of a user now; the email address only if it is asked for."""
    async with existing_log(database) as log:
        directory = await _directory(log, database, key if with_email else None)
        user_id = await _user_id(directory, user)
        shown = cells(await directory.user(user_id))
        if with_email:
            shown = {**shown, "email": (await directory.email_of(user_id)).reveal()}
    if as_json:
        write_json([shown])
    else:
        columns = [*COLUMNS, Column("email")] if with_email else COLUMNS
        emit("".join(f"{column.heading}: {column.cell(shown)}\n" for column in columns))


async def add_user(
    database: str, key: KeyOptions, actor: str | None, username: str, role: Role, given: Mapping[str, Secret[str]],
    *, as_json: bool,
) -> None:  # fmt: skip
    """Register a user, and write the id."""
    async with existing_log(database, actor=acting(actor)) as log:
        directory = await _directory(log, database, key)
        added = await directory.register(username, given["email"], given["password"], role)
    if as_json:
        write_json([{"id": added.user_id}])
    else:
        emit(f"{added.user_id}\n")


async def change_password(database: str, key: KeyOptions, actor: str | None, user: str, password: Secret[str]) -> None:
    """Give a user another password."""
    async with existing_log(database, actor=acting(actor)) as log:
        directory = await _directory(log, database, key)
        await directory.change_password(await _user_id(directory, user), password)
    emit(f"{text(user)}: password changed\n")


async def change_role(database: str, actor: str | None, user: str, role: Role) -> None:
    """Give a user another role."""
    async with _keyless(database, actor) as directory:
        _told(user, await directory.change_role(await _user_id(directory, user), role), str(role))


async def deactivate(database: str, actor: str | None, user: str, reason: str) -> None:
    """Let a user log in no more."""
    async with _keyless(database, actor) as directory:
        _told(user, await directory.deactivate(await _user_id(directory, user), reason), "inactive")


async def reactivate(database: str, actor: str | None, user: str, reason: str) -> None:
    """Let a user log in again."""
    async with _keyless(database, actor) as directory:
        _told(user, await directory.reactivate(await _user_id(directory, user), reason), "active")


async def unlock(database: str, actor: str | None, user: str, reason: str) -> None:
    """End a lock-out."""
    async with _keyless(database, actor) as directory:
        _told(user, await directory.unlock(await _user_id(directory, user), reason), "unlocked")


async def erase(database: str, actor: str | None, user: str, reason: str) -> None:
    """Erase what is personal."""
    async with _keyless(database, actor) as directory:
        _told(user, await directory.erase(await _user_id(directory, user), reason), "erased")


def cells(row: UserRow) -> Cells:
    """What is shown of a user: nothing that is sealed, nor what it is found by."""
    hidden = ("username_key", "email", "email_hash", "password_hash")
    return {name: value for name, value in msgspec.structs.asdict(row).items() if name not in hidden}


def _told(user: str, receipt: Receipt | None, state: str) -> None:
    emit(f"{text(user)}: {state}{'' if receipt is not None else ' already'}\n")


def _again() -> tuple[str, ...]:
    """Who types it unseen types it twice."""
    return ("password again",) if sys.stdin is not None and sys.stdin.isatty() else ()


def _agreed(given: dict[str, Secret[str]]) -> dict[str, Secret[str]]:
    if given.pop("password again", given["password"]) != given["password"]:
        raise InvalidArgument("password", "the two are not the same")
    return given


async def _directory(log: EventLog, database: str, key: KeyOptions | None) -> UserDirectory:
    # Without options for a key nothing is sealed or revealed, and none is looked for.
    return UserDirectory(log, Vault(log, KeyVariable()) if key is None else await vault_for(log, database, key))


@asynccontextmanager
async def _keyless(database: str, actor: str | None) -> AsyncIterator[UserDirectory]:
    async with existing_log(database, actor=acting(actor)) as log:
        yield await _directory(log, database, None)


async def _user_id(directory: UserDirectory, user: str) -> UUID:
    """By id, or by the username as the log has it now."""
    try:
        return UUID(user)
    except ValueError:
        found = await directory.find(user)
    if found is None:
        raise InvalidArgument("USER", f"nobody is called {text(user)!r}")
    return found
