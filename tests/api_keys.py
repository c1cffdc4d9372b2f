"""API keys for tests: a log with a user, a vault, and what everything in a database says."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any, NamedTuple
from uuid import UUID

import sqlalchemy as sa
from msgspec.structs import replace

from byjy_events import EventLog, api_key_stream, new_event_id, user_stream
from byjy_events.event import Event
from byjy_events.recorded import Recorded
from byjy_events.sealing import KeyProvider, Vault
from byjy_events.secret import Secret
from projections import catch_up
from projections.api_keys.credentials import Credentials
from projections.api_keys.queries import ApiKeyQueries
from projections.api_keys.table import ApiKeyRow
from projections.ownership import OWNERSHIP
from tests.rows import every_table
from tests.sample_events import SAMPLES
from tests.sealing import local_key

KEY, SECRET, PASSPHRASE = "canary-key-7Jq", "canary-secret-x81", "canary-passphrase-Zr4"
GIVEN: dict[str, Any] = {
    "label": "main",
    "key": Secret(KEY),
    "secret": Secret(SECRET),
    "passphrase": Secret(PASSPHRASE),
    "permissions": ["TRADE", "READ", "TRADE"],
}


class Desk(NamedTuple):
    """An open log, a vault, and a user who may have keys."""

    log: EventLog
    vault: Vault
    credentials: Credentials
    user_id: UUID

    async def add(self, key: Any = KEY, exchange: str = "binance", **given: Any) -> UUID:
        """A key of the user."""
        return await self.credentials.add(self.user_id, exchange, **{**GIVEN, "key": key, **given})

    async def events(self, api_key_id: UUID) -> list[Recorded]:
        """The stream of a key, every leaf hash checked."""
        return [one async for one in self.log.read(stream=api_key_stream(api_key_id), checked=True)]

    async def types(self, api_key_id: UUID) -> list[str]:
        """What happened to a key."""
        return [one.type for one in await self.events(api_key_id)]

    async def doctor(self, api_key_id: UUID, event: Event) -> None:
        """Append an event that nobody decided upon."""
        await self.log.append(api_key_stream(api_key_id), [event])

    async def row(self, api_key_id: UUID) -> ApiKeyRow:
        """The row in the table, once everything is projected."""
        await catch_up(self.log, OWNERSHIP)
        row = await ApiKeyQueries(self.log.engine).api_key(api_key_id)
        assert row is not None
        return row


@contextlib.asynccontextmanager
async def open_desk(url: str, key: KeyProvider | None = None) -> AsyncIterator[Desk]:
    async with EventLog.open(url) as log:
        vault = Vault(log, key or local_key())
        yield Desk(log, vault, Credentials(log, vault), await new_user(log))


async def new_user(log: EventLog) -> UUID:
    user_id = new_event_id()
    own = {"username_key": str(user_id), "email_hash": user_id.bytes * 2}
    await log.append(user_stream(user_id), [replace(SAMPLES["UserRegistered"], **own)])
    return user_id


async def everything(log: EventLog) -> str:
    """The rows of all tables, as Python shows them: texts and bytes in plain sight."""
    shown = []
    async with log.engine.connect() as connection:
        for table in every_table():
            shown += [repr(row) for row in await connection.execute(sa.select(table))]
    return "\n".join(shown)
