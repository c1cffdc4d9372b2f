"""Users and strategies of theirs, for tests."""

from __future__ import annotations

import hashlib
from typing import Any
from uuid import UUID

from msgspec.structs import replace

from byjy_events import NO_STREAM, EventLog, UserRegistered, new_event_id, user_stream
from projections import OWNERSHIP, StrategyDesk, catch_up, verify
from tests.replay import assert_rows_are_the_log
from tests.sample_events import SAMPLES


async def user(log: EventLog, name: str = "ada") -> UUID:
    """A user, active."""
    user_id, sample = new_event_id(), SAMPLES[UserRegistered.__name__]
    registered = replace(sample, username=name, username_key=name, email_hash=hashlib.sha256(name.encode()).digest())
    await log.append(user_stream(user_id), [registered], expected=NO_STREAM)
    return user_id


async def active(desk: StrategyDesk, user_id: UUID, name: str = "mm", parameters: Any = "{}") -> UUID:
    """A strategy that may be run."""
    strategy_id = await desk.create(user_id, name, "market_maker", parameters)
    await desk.activate(strategy_id)
    return strategy_id


async def assert_tables_are_the_log(log: EventLog) -> None:
    """Caught up, equal to a fresh fold, and found so by ``verify``."""
    await catch_up(log, OWNERSHIP)
    await assert_rows_are_the_log(log, OWNERSHIP)
    assert (await verify(log, OWNERSHIP)).differences == 0
