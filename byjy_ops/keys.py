"""``byjy keys``: what may be done with keys of exchanges."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from byjy_events import EventLog, Permission
from byjy_events.sealing import KeyVariable, Vault
from byjy_events.secret import Secret
from byjy_ops.actor import acting
from byjy_ops.arguments import choices
from byjy_ops.errors import InvalidArgument
from byjy_ops.keys_option import KeyOptions, vault_for
from byjy_ops.listing import Cells, Column, Listing, emit, tell, text, write_json
from byjy_ops.reading import existing_log, existing_tables
from byjy_ops.secrets_input import read_secrets
from projections.api_keys.credential import Credential
from projections.api_keys.credentials import Credentials
from projections.api_keys.deciding import state_of
from projections.api_keys.errors import ApiKeyRefused, ApiKeyState
from projections.api_keys.queries import ApiKeyQueries
from projections.api_keys.table import ApiKeyRow
from projections.reservations import holder_of
from projections.users.spelling import Name, username_reservation
from projections.users.table import users

COLUMNS = (
    Column("id"),
    Column("username", "user"),
    Column("exchange"),
    Column("label"),
    Column("state"),
    Column("permissions", written=",".join),
    Column("fingerprint"),
    Column("expires_at", "expires (UTC)", instant=True),
    Column("last_used_at", "last used (UTC)", instant=True),
    Column("created_at", "added (UTC)", instant=True),
)

CHUNK = 2_000
"""Rows that one statement fetches."""

FINGERPRINT_DIGITS = 12
"""Hexadecimal digits that are shown of a fingerprint: enough to tell keys apart."""


class Described(NamedTuple):
    """What a command line says of a key; None: nothing."""

    label: str | None
    permissions: list[Permission] | None
    expires_at: int | None


def described(label: str | None, permissions: list[str] | None, expires_at: int | None) -> Described:
    """
    Raises:
        InvalidArgument: there is no such permission.
    """
    return Described(label, choices(Permission, "--permission", permissions) or None, expires_at)


def read_credential() -> dict[str, Secret[str]]:
    """From a hidden prompt or standard input: ``key``, ``secret``, and ``passphrase`` if there is one.

    It is called before the event loop runs, which would not let Ctrl-C through to a prompt.
    """
    return read_secrets(("key", "secret"), ("passphrase",))


async def add_key(
    database: str,
    key: KeyOptions,
    actor: str | None,
    exchange: str,
    user: str,
    about: Described,
    given: Mapping[str, Secret[str]],
    *,
    as_json: bool,
) -> None:
    """Store a key, and write the id of the new API key."""
    async with existing_log(database, actor=acting(actor)) as log:
        user_id = await _owner(log, user)
        credentials = Credentials(log, await vault_for(log, database, key))
        added = await credentials.add(
            user_id,
            exchange,
            label=about.label or "",
            key=given["key"],
            secret=given["secret"],
            passphrase=given.get("passphrase"),
            permissions=about.permissions or (),
            expires_at=about.expires_at,
        )
    if as_json:
        write_json([{"id": added}])
    else:
        emit(f"{added}\n")


async def list_keys(database: str, user: str | None, exchange: str | None, limit: int, *, as_json: bool) -> None:
    """Write keys, at most ``limit``; 0: all. No secrets, also not as ciphertext."""
    listing = Listing(COLUMNS, as_json=as_json)
    held: list[Cells] = []
    shown = 0
    async with existing_tables(database) as engine:
        user_id = None if user is None else await _listed_owner(engine, user)
        async for rows in _chunks(engine, user_id, exchange, limit + 1 if limit else None):
            held += await _cells(engine, rows[: limit - shown] if limit else rows)
            shown += len(rows)
    listing.write(held)
    if limit and shown > limit:
        tell(f"{limit} shown, there are more: --limit N, or 0 for all")
    if not shown:
        tell("nothing found")


async def reveal_key(
    database: str, key: KeyOptions, actor: str | None, api_key_id: UUID, reason: str, *, as_json: bool
) -> None:
    """Write the secrets to standard output."""
    async with existing_log(database, actor=acting(actor)) as log:
        credential = await Credentials(log, await vault_for(log, database, key)).reveal(api_key_id, reason)
    secrets = {name: secret.reveal() for name, secret in _secrets(credential).items()}
    if as_json:
        write_json([secrets])
    else:
        emit("".join(f"{name}: {_shown(value)}\n" for name, value in secrets.items()))


async def change_key(
    database: str, actor: str | None, api_key_id: UUID, about: Described, *, never_expires: bool
) -> None:
    """Change what is given, and leave the rest as it is."""
    if about.expires_at is not None and never_expires:
        raise InvalidArgument("--expires", "not together with --never-expires")
    async with _credentials(database, actor) as credentials:
        row = await credentials.api_key(api_key_id)
        if row is None:
            raise ApiKeyRefused(api_key_id, ApiKeyState.UNKNOWN, "ApiKeyChanged", "it was never added")
        expires_at = row.expires_at if about.expires_at is None else about.expires_at
        changed = await credentials.change(
            api_key_id,
            label=row.label if about.label is None else about.label,
            permissions=about.permissions or row.permitted,
            expires_at=None if never_expires else expires_at,
        )
    emit(f"{api_key_id}: {'nothing to change' if changed is None else 'changed'}\n")


async def replace_key(
    database: str,
    key: KeyOptions,
    actor: str | None,
    api_key_id: UUID,
    expires_at: int | None,
    given: Mapping[str, Secret[str]],
) -> None:
    """Store secrets in place of the old ones, and erase those."""
    async with existing_log(database, actor=acting(actor)) as log:
        credentials = Credentials(log, await vault_for(log, database, key))
        await credentials.replace(
            api_key_id,
            key=given["key"],
            secret=given["secret"],
            passphrase=given.get("passphrase"),
            expires_at=expires_at,
        )
    emit(f"{api_key_id}: replaced; the old secrets are erased\n")


async def revoke_key(database: str, actor: str | None, api_key_id: UUID, reason: str) -> None:
    """Revoke a key."""
    async with _credentials(database, actor) as credentials:
        await credentials.revoke(api_key_id, reason)
    emit(f"{api_key_id}: revoked\n")


async def reactivate_key(database: str, actor: str | None, api_key_id: UUID, reason: str) -> None:
    """Reactivate a key."""
    async with _credentials(database, actor) as credentials:
        await credentials.reactivate(api_key_id, reason)
    emit(f"{api_key_id}: active\n")


async def erase_key(database: str, actor: str | None, api_key_id: UUID, reason: str) -> None:
    """Erase the secrets of a key."""
    async with _credentials(database, actor) as credentials:
        await credentials.erase(api_key_id, reason)
    emit(f"{api_key_id}: erased\n")


@asynccontextmanager
async def _credentials(database: str, actor: str | None) -> AsyncIterator[Credentials]:
    """For what seals and reveals nothing, and so needs no key."""
    async with existing_log(database, actor=acting(actor)) as log:
        yield Credentials(log, Vault(log, KeyVariable()))


async def _owner(log: EventLog, user: str) -> UUID:
    """As the log knows the user: of one that was registered a moment ago the tables may know nothing."""
    return await _user_id(user, lambda key: holder_of(log, username_reservation(key)))


async def _listed_owner(engine: AsyncEngine, user: str) -> UUID:
    """As the tables know the user, like all that is listed."""

    async def named(key: str) -> UUID | None:
        async with engine.connect() as connection:
            found: UUID | None = await connection.scalar(sa.select(users.c.id).where(users.c.username_key == key))
            return found

    return await _user_id(user, named)


async def _user_id(user: str, named: Callable[[str], Awaitable[UUID | None]]) -> UUID:
    """
    Raises:
        InvalidUsername: nobody can be called so.
        InvalidArgument: nobody is.
    """
    try:
        return UUID(user)
    except ValueError:
        found = await named(Name(user).key)
    if found is None:
        raise InvalidArgument("--user", f"nobody is called {text(user)!r}")
    return found


async def _chunks(
    engine: AsyncEngine, user_id: UUID | None, exchange: str | None, limit: int | None
) -> AsyncIterator[Sequence[ApiKeyRow]]:
    queries, last = ApiKeyQueries(engine), None
    size = CHUNK if limit is None else min(limit, CHUNK)
    while size > 0:
        rows = await queries.page(user_id=user_id, exchange=exchange, after=last, limit=size)
        if rows:
            yield rows
            last = rows[-1]
        if len(rows) < size:
            return
        if limit is not None:
            limit -= len(rows)
            size = min(limit, CHUNK)


async def _cells(engine: AsyncEngine, rows: Sequence[ApiKeyRow]) -> list[Cells]:
    owners = {row.user_id for row in rows}
    async with engine.connect() as connection:
        named = sa.select(users.c.id, users.c.username).where(users.c.id.in_(owners))
        names = {found.id: found.username for found in await connection.execute(named)}
    now = time.time_ns()
    return [_cell(row, names.get(row.user_id), now) for row in rows]


def _cell(row: ApiKeyRow, username: str | None, now: int) -> dict[str, Any]:
    shown = {name: value for name, value in msgspec.structs.asdict(row).items() if not name.startswith("encrypted_")}
    return {
        **shown,
        "username": username,
        "state": state_of(row, now),
        "permissions": row.permitted,
        "fingerprint": None if row.fingerprint is None else row.fingerprint.hex()[:FINGERPRINT_DIGITS],
    }


def _secrets(credential: Credential) -> dict[str, Any]:
    found = {"key": credential.key, "secret": credential.secret, "passphrase": credential.passphrase}
    return {name: secret for name, secret in found.items() if secret is not None}


def _shown(value: str) -> str:
    """As it is, line by line, unless it would move the terminal's cursor."""
    return "\n".join(map(text, value.split("\n")))
