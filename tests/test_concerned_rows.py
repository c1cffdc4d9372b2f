"""Rows that only another row knows of: named in a fold, brought in and evolved as if the event had named them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar
from uuid import UUID

import pytest
import sqlalchemy as sa
from msgspec import Struct
from msgspec.structs import replace

from byjy_events.columns import Uuid, word
from byjy_events.identifiers import new_order_id
from byjy_events.log import EventLog
from byjy_events.recorded import Recorded
from byjy_events.stream import order_stream
from byjy_events.vocabulary.orders import OrderDenied, OrderPlaced, OrderSubmitted
from projections import (
    Evolved,
    Group,
    Key,
    Projection,
    ProjectionStopped,
    Projector,
    catch_up,
    on,
    projections_as_of,
    rebuild,
    runner,
    verify,
)
from projections.errors import ReplayFailed
from projections.replay import replay_of
from tests.folding import Folded
from tests.own_groups import create_tables
from tests.replay import assert_rows_are_the_log, events_of, stored
from tests.sample_events import placed

metadata = sa.MetaData()
members = sa.Table(
    "members",
    metadata,
    sa.Column("id", Uuid, primary_key=True),
    sa.Column("club", word(8), nullable=False),
    sqlite_strict=True,
)
clubs = sa.Table(
    "clubs",
    metadata,
    sa.Column("club", word(8), primary_key=True),
    sa.Column("places", sa.Text, nullable=False),
    sqlite_strict=True,
)


class MemberRow(Struct, frozen=True, kw_only=True):
    """An order, and the club that it joined; only its first event tells which."""

    id: UUID
    club: str


class ClubRow(Struct, frozen=True, kw_only=True):
    """The places in the log of all that happened to its members, in the order in which they were folded."""

    club: str
    places: str


class Members(Projection[MemberRow]):
    name = "members"
    table = members
    row_type = MemberRow
    concerned: type[Struct] = ClubRow

    def keys(self, recorded: Recorded) -> Sequence[Key]:
        return (recorded.stream_id,)

    @on(OrderPlaced)
    def joined(self, row: MemberRow | None, event: OrderPlaced, recorded: Recorded, key: UUID) -> Any:
        club = "few" if recorded.position % 3 == 0 else "many"
        return Evolved(MemberRow(id=key, club=club), concerns=((self.concerned, club),))

    @on(OrderSubmitted, OrderDenied)
    def met(self, row: MemberRow | None, event: Any, recorded: Recorded, key: UUID) -> Any:
        if row is None:
            return None
        left = None if isinstance(event, OrderDenied) else row
        return Evolved(left, concerns=((self.concerned, row.club),))


class Clubs(Projection[ClubRow]):
    name = "clubs"
    table = clubs
    row_type = ClubRow
    named_by_others = True

    @on(OrderPlaced, OrderSubmitted, OrderDenied)
    def met(self, row: ClubRow | None, event: Any, recorded: Recorded, key: str) -> Any:
        before = ClubRow(club=key, places="") if row is None else row
        return replace(before, places=f"{before.places} {recorded.position}")


CLUBS = Group("clubs", [Members(), Clubs()])
ORDERS = [new_order_id() for _ in range(6)]
TOLD = "0p 1p 2p 0s 3p 1s 4p 9s 1d 2s 5p 0s 3d 1s 5s 2d 5p 0d"
"""Orders that are placed, submitted and denied; one of them is not known."""


EVENTS = {"p": placed(), "s": OrderSubmitted(), "d": OrderDenied(reason="no")}


async def tell(log: EventLog) -> int:
    for step in TOLD.split():
        order = int(step[0])
        stream = order_stream(ORDERS[order] if order < len(ORDERS) else new_order_id())
        await log.append(stream, [EVENTS[step[1]]])
    return await log.head()


async def places(log: EventLog) -> dict[str, str]:
    return {key: row.places for key, row in (await stored(log, CLUBS))["clubs"].items()}  # type: ignore[attr-defined]


@pytest.mark.parametrize(("chunk", "kept"), [(1, 80_000), (3, 80_000), (3, 0), (1_000, 80_000)])
async def test_they_are_folded_in_the_order_of_the_log(
    database: str, monkeypatch: pytest.MonkeyPatch, chunk: int, kept: int
) -> None:
    """However the log is cut, and whether or not rows stay in memory; live, rebuilt and as of a position."""
    for module in ("projections.runner", "projections.replay"):
        monkeypatch.setattr(f"{module}.CHUNK_EVENTS", chunk)
    monkeypatch.setattr("projections.folding.ROWS_KEPT", kept)
    await create_tables(database, metadata)
    async with EventLog.open(database) as log:
        head = await tell(log)
        await catch_up(log, CLUBS)
        assert await places(log) == {"many": " 1 2 4 5 6 7 9 11 12 13 15 17 18", "few": " 3 10 16"}
        assert Folded(CLUBS).fold_all(await events_of(log)).rows == await stored(log, CLUBS)
        assert await assert_rows_are_the_log(log, CLUBS) == head
        assert (await verify(log, CLUBS)).differences == 0
        assert (await rebuild(log, CLUBS)).differences == 0
        async with projections_as_of(log, 10, group=CLUBS) as past:
            found = {row.club: row.places for row in await past.fetch(clubs.select())}
        assert found == {"many": " 1 2 4 5 6 7 9", "few": " 3 10"}


@pytest.mark.parametrize("inline", [False, True])
async def test_a_projector_and_an_inline_one_fold_them_too(database: str, inline: bool) -> None:
    """Event by event as they are appended, and once more after a restart."""
    await create_tables(database, metadata)
    for _ in range(2):
        async with EventLog.open(database) as log, Projector(log, CLUBS, inline=inline) as projector:
            await projector.wait_for(await tell(log), timeout_seconds=30)
            await assert_rows_are_the_log(log, CLUBS)


class OtherRow(ClubRow, frozen=True, kw_only=True):
    """A row of no projection of the group."""


class Lost(Members):
    """Names a row that nobody owns."""

    concerned = OtherRow


class Selfish(Members):
    """Names a row of its own table, which events name."""

    concerned = MemberRow


class Deaf(Clubs):
    """Does not know of one of the events."""

    _methods: ClassVar[dict[Any, Any]] = {
        kind: method for kind, method in Clubs._methods.items() if kind is not OrderSubmitted
    }
    handles = frozenset(_methods)


class Chatty(Clubs):
    """Names rows itself."""

    def evolve(self, row: ClubRow | None, recorded: Recorded, key: str) -> Any:
        return Evolved(row, concerns=((ClubRow, "few"),))


class Broken(Clubs):
    """Raises at an event, though not at the first."""

    def evolve(self, row: ClubRow | None, recorded: Recorded, key: str) -> Any:
        if recorded.position == 3:
            raise ZeroDivisionError("by nothing")
        return super().evolve(row, recorded, key)


@pytest.mark.parametrize(
    ("projections", "position", "reason"),
    [
        ([Lost(), Clubs()], 1, "OtherRow is not a row of a projection of the group that others name"),
        ([Selfish(), Clubs()], 1, "MemberRow is not a row of a projection of the group that others name"),
        ([Members(), Deaf()], 4, "clubs handles no OrderSubmitted"),
        ([Members(), Chatty()], 1, "clubs names rows itself, though others name its own"),
        ([Members(), Broken()], 3, "ZeroDivisionError: by nothing"),
    ],
)
@pytest.mark.parametrize("chunk", [1, 1_000])
async def test_a_mistake_stops_the_group_at_the_event(
    database: str,
    monkeypatch: pytest.MonkeyPatch,
    projections: list[Projection[Any]],
    position: int,
    reason: str,
    chunk: int,
) -> None:
    """What came before is projected, rows that were named included."""
    monkeypatch.setattr(runner, "CHUNK_EVENTS", chunk)
    await create_tables(database, metadata)
    async with EventLog.open(database) as log:
        await tell(log)
        with pytest.raises(ProjectionStopped, match=reason) as stopped:
            await catch_up(log, Group("clubs", projections))
        assert stopped.value.position == position
        expected = Folded(CLUBS).fold_all(await events_of(log, position - 1)).rows
        assert await stored(log, CLUBS) == expected


class Unstorable(Clubs):
    """Makes a row that the database refuses, at the last event that concerns it."""

    def evolve(self, row: ClubRow | None, recorded: Recorded, key: str) -> Any:
        after: Any = super().evolve(row, recorded, key)
        return replace(after, places=None) if recorded.position == 16 else after


async def test_a_row_that_was_named_and_is_refused_stops_the_group_at_its_event(database: str) -> None:
    """Live and in a replay, though many events were folded at once."""
    await create_tables(database, metadata)
    group = Group("clubs", [Members(), Unstorable()])
    async with EventLog.open(database) as log:
        await tell(log)
        with pytest.raises(ProjectionStopped) as stopped:
            await catch_up(log, group)
        assert stopped.value.position == 16
        assert await stored(log, CLUBS) == Folded(CLUBS).fold_all(await events_of(log, 15)).rows
        async with replay_of(log, group) as replay:
            with pytest.raises(ReplayFailed) as failed:
                await replay.advance(await log.head())
        assert failed.value.position == 16
