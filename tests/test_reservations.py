"""What only one may have: taken with what it is for, given up, and taken again by another."""

from __future__ import annotations

import asyncio
from uuid import UUID

import pytest

from byjy_events import EventLog, UserRegistered, Write, new_event_id, reservation_stream, user_stream
from byjy_events.vocabulary.users import Role
from projections.errors import AlreadyTaken
from projections.recording import recorded
from projections.reservations import given_up, holder_of, taken

ADA = reservation_stream("username", "ada")


def registered() -> UserRegistered:
    return UserRegistered(
        username="Ada", username_key="ada", email=b"", email_hash=b"", password_hash=b"", role=Role.TRADER
    )


async def register(log: EventLog, user: UUID) -> None:
    async def decide() -> list[Write]:
        return [Write(user_stream(user), [registered()], 0), *await taken(log, ADA, "username", user)]

    await recorded(log, decide)


async def release(log: EventLog, user: UUID) -> bool:
    return await recorded(log, lambda: given_up(log, ADA, "username", user)) is not None


async def test_of_many_who_want_the_same_at_once_one_gets_it(database: str) -> None:
    """The others are told who, and nothing of theirs is stored."""
    users = [new_event_id() for _ in range(20)]
    async with EventLog.open(database) as log:
        answers = await asyncio.gather(*(register(log, user) for user in users), return_exceptions=True)
        refused = [answer for answer in answers if isinstance(answer, AlreadyTaken)]
        holder = users[answers.index(None)]
        assert len(refused) == len(users) - 1
        assert {error.holder for error in refused} == {holder}
        assert await holder_of(log, ADA) == holder
        assert await log.head() == 2


async def test_what_was_given_up_can_be_had_again(database: str) -> None:
    """By anybody, and only its holder can give it up."""
    first, second = new_event_id(), new_event_id()
    async with EventLog.open(database) as log:
        await register(log, first)
        assert not await release(log, second)
        assert await release(log, first)
        assert not await release(log, first)
        assert await holder_of(log, ADA) is None
        await register(log, second)
        assert await holder_of(log, ADA) == second


async def test_a_holder_that_takes_it_again_has_nothing_to_write(database: str) -> None:
    """So renaming oneself to a name of the same spelling is no conflict."""
    user = new_event_id()
    async with EventLog.open(database) as log:
        await register(log, user)
        assert await taken(log, ADA, "username", user) == []
        with pytest.raises(AlreadyTaken, match=r"^username: taken by "):
            await taken(log, ADA, "username", new_event_id())
