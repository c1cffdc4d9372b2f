"""Users for tests: a directory and logins with hashes that cost next to nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple
from uuid import UUID

from byjy_events import EventLog, Role
from byjy_events.sealing import KeyProvider, Vault
from byjy_events.secret import Secret
from projections.users.directory import UserDirectory
from projections.users.lockout import LockoutPolicy
from projections.users.login import Logins
from projections.users.passwords import Cost, Passwords
from tests.sealing import local_key

CHEAP = Cost(memory_kib=8, passes=1, lanes=1)
EMAIL = Secret("Ada@Example.org")
PASSWORD = Secret("correct horse")
WRONG = Secret("wrong donkey")
SECOND = 10**9


class Clock:
    """A clock that stands still until somebody moves it."""

    def __init__(self) -> None:
        self.now = 1_700_000_000 * SECOND

    def __call__(self) -> int:
        return self.now


class House(NamedTuple):
    """All that deals with users in one process."""

    log: EventLog
    vault: Vault
    directory: UserDirectory
    logins: Logins
    clock: Clock

    async def ada(self, username: str = "Ada", email: Secret[str] = EMAIL, **given: Any) -> UUID:
        """A user, registered."""
        return (await self.directory.register(username, email, PASSWORD, Role.TRADER, **given)).user_id

    async def types(self) -> list[str]:
        """The types of the events of users, in the order of the log."""
        return [one.type async for one in self.log.read(categories=["user"])]


@asynccontextmanager
async def house(
    database: str, *, key: KeyProvider | None = None, cost: Cost = CHEAP, policy: LockoutPolicy | None = None
) -> AsyncIterator[House]:
    """A house whose refusals do not wait."""
    async with EventLog.open(database) as log:
        vault, passwords, clock = Vault(log, key or local_key()), Passwords(cost), Clock()
        logins = Logins(log, vault, passwords, policy=policy, quantum_seconds=0.001, clock=clock)
        yield House(log, vault, UserDirectory(log, vault, passwords), logins, clock)
