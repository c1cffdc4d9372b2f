"""Strategies: made, named, changed and put away, by rules that hold on the log, whoever else does the same."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from itertools import product
from typing import Any
from uuid import UUID

import msgspec
import pytest
import pytest_asyncio
import sqlalchemy as sa

from byjy_events import (
    ByjyError,
    EventLog,
    InvalidEvent,
    StrategyCreated,
    StrategyExecutionEnded,
    StrategyRenamed,
    StrategyStatus,
    execution_stream,
    new_event_id,
    strategy_stream,
    user_stream,
)
from byjy_events.json_text import InvalidJson
from byjy_events.secret import Secret
from byjy_events.vocabulary.strategies import PARAMETERS_LIMIT, ExecutionStatus
from byjy_events.vocabulary.users import UserDeactivated
from projections import OWNERSHIP, StrategyDesk, StrategyQueries, StrategyRefused, UserUnfit, catch_up, rebuild, verify
from projections.errors import AlreadyTaken
from projections.replay import replay_of
from projections.strategies.deciding import DRAFT, MAY_BECOME, TURNING, turned
from projections.strategies.table import StrategyRow, strategies, strategy_executions
from tests.replay import stored
from tests.rows import writable_engine
from tests.strategies import active, assert_tables_are_the_log, user

ACTIVE, PAUSED, STOPPED, ARCHIVED = list(StrategyStatus)[1:]


@pytest_asyncio.fixture
async def log(database: str) -> AsyncIterator[EventLog]:
    async with EventLog.open(database) as log:
        yield log


class Limits(msgspec.Struct, forbid_unknown_fields=True):
    """Part of the parameters of a kind."""

    size: float


class MarketMakerParameters(msgspec.Struct, forbid_unknown_fields=True):
    """The parameters of a kind."""

    spread: float
    limits: list[Limits] = []


# --- creating and naming --------------------------------------------------------------------------


async def test_a_strategy_comes_into_being_as_a_draft(log: EventLog) -> None:
    """With the first version of its parameters, in one spelling; the table says the same as the log."""
    owner, desk = await user(log), StrategyDesk(log)
    one = await desk.create(
        owner, "Größter Maker", "market_maker", {"b": [1, 2.5], "a": "ü"}, is_test=True, actor="ops"
    )
    await assert_tables_are_the_log(log)
    row = await StrategyQueries(log.engine).strategy(one)
    assert row == await desk.strategy(one)
    assert row is not None
    assert (row.user_id, row.name, row.kind, row.status) == (owner, "Größter Maker", "market_maker", DRAFT)
    assert (row.parameters, row.parameters_version, row.is_test) == ('{"a":"ü","b":[1,2.5]}', 1, True)
    assert [event.actor async for event in log.read(stream=strategy_stream(one))] == ["ops"]


async def test_nobody_unknown_has_strategies(log: EventLog) -> None:
    """And nothing is stored of the attempt."""
    nobody = new_event_id()
    with pytest.raises(UserUnfit, match=f"^user {nobody} is not known$"):
        await StrategyDesk(log).create(nobody, "mm", "k")
    assert await log.head() == 0


SAME = ["mm one", "MM ONE", "ｍｍ ｏｎｅ", "mm ONE"]
"""Names that differ by case or Unicode form only."""


async def test_a_name_is_had_by_one_strategy_of_a_user(log: EventLog) -> None:
    """In whatever case and Unicode form; another user may have it too."""
    ada, grace, desk = await user(log), await user(log, "grace"), StrategyDesk(log)
    first = await desk.create(ada, SAME[0], "k")
    for other in SAME:
        with pytest.raises(AlreadyTaken) as caught:
            await desk.create(ada, other, "k")
        assert caught.value.holder == first
    await desk.create(grace, SAME[1], "k")
    await assert_tables_are_the_log(log)
    for other in SAME:
        found = await StrategyQueries(log.engine).strategy_named(ada, other)
        assert found is not None
        assert found.id == first


async def test_of_many_who_create_one_name_at_once_one_does(log: EventLog) -> None:
    """Of the others nothing is stored."""
    owner, desk = await user(log), StrategyDesk(log)
    answers = await asyncio.gather(
        *(desk.create(owner, SAME[number % 4], "k") for number in range(12)), return_exceptions=True
    )
    made = [answer for answer in answers if isinstance(answer, UUID)]
    assert len(made) == 1
    assert all(isinstance(answer, AlreadyTaken) for answer in answers if answer not in made)
    assert await log.head() == 3


async def test_a_name_is_free_after_a_rename_and_after_archiving(log: EventLog) -> None:
    """And another name of the same spelling is no other name."""
    owner, desk = await user(log), StrategyDesk(log)
    first = await desk.create(owner, "alpha", "k")
    second = await desk.create(owner, "beta", "k")
    with pytest.raises(AlreadyTaken):
        await desk.rename(second, "ALPHA")
    assert await desk.rename(first, "alpha") is None
    assert await desk.rename(first, "Alpha") is not None
    await desk.rename(first, "gamma")
    await desk.rename(second, "ALPHA")
    await desk.archive(second)
    third = await desk.create(owner, "alpha", "k")
    await assert_tables_are_the_log(log)
    queries = StrategyQueries(log.engine)
    names = {row.id: (row.name, row.name_key) for row in await queries.strategies(user_id=owner)}
    assert names == {first: ("gamma", "gamma"), second: ("ALPHA", None), third: ("alpha", "alpha")}


async def test_of_two_that_take_one_name_at_once_one_gets_it(log: EventLog) -> None:
    """Each renamed, many times over; afterwards every name has one holder."""
    owner, desk = await user(log), StrategyDesk(log)
    ids = [await desk.create(owner, f"s{number}", "k") for number in range(6)]
    answers = await asyncio.gather(*(desk.rename(one, "wanted") for one in ids), return_exceptions=True)
    assert sum(isinstance(answer, AlreadyTaken) for answer in answers) == len(ids) - 1
    await assert_tables_are_the_log(log)


async def test_two_strategies_that_swap_their_names_are_projected(log: EventLog) -> None:
    """In one step, and by a rebuild of tables that have them the wrong way round."""
    owner, desk = await user(log), StrategyDesk(log)
    one, other = await desk.create(owner, "x", "k"), await desk.create(owner, "y", "k")
    await catch_up(log, OWNERSHIP)
    for strategy_id, name in ((one, "z"), (other, "x"), (one, "y")):
        await desk.rename(strategy_id, name)
    await assert_tables_are_the_log(log)
    engine = writable_engine(str(log._url.render_as_string(hide_password=False)))
    async with engine.begin() as vandal:
        for strategy_id, name in ((one, "z"), (other, "y"), (one, "x")):
            changed = sa.update(strategies).where(strategies.c.id == strategy_id)
            await vandal.execute(changed.values(name=name, name_key=name))
    await engine.dispose()
    assert (await verify(log, OWNERSHIP)).differences == 2
    await rebuild(log, OWNERSHIP)
    await assert_tables_are_the_log(log)


async def test_a_name_that_changes_hands_is_folded_however_rows_are_stored(log: EventLog) -> None:
    """Live and in a replay, also where the one who takes it is stored before the one who gave it up."""
    owner, desk = await user(log), StrategyDesk(log)
    one, other = await desk.create(owner, "x", "k"), await desk.create(owner, "y", "k")
    await catch_up(log, OWNERSHIP)
    before = await log.head()
    await desk.change_parameters(other, {"changed": "first"})
    await desk.rename(one, "z")
    await desk.rename(other, "x")
    async with replay_of(log, OWNERSHIP) as replay:
        for position in (before, await log.head()):
            await replay.advance(position)  # and store
    await assert_tables_are_the_log(log)


BAD_NAMES: list[tuple[Any, str]] = [
    ("", "length >= 1"),
    ("a" * 256, "length <= 255"),
    ("\ufdfa" * 20, "length <= 255"),
    ("a\u200bb", "cannot be seen"),
    (" mm", "blanks around it"),
    ("a\nb", "cannot be seen"),
    ("a\0b", "NUL"),
    ("\ud800", "lone surrogate"),
    (7, "expected `str`"),
]


async def test_a_name_that_is_none_is_refused(log: EventLog) -> None:
    """In creating and in renaming, and nothing is stored."""
    owner, desk = await user(log), StrategyDesk(log)
    one = await desk.create(owner, "mm", "k")
    head = await log.head()
    for name, reason in BAD_NAMES:
        for attempt in (desk.create(owner, name, "k"), desk.rename(one, name)):
            with pytest.raises(InvalidEvent, match=reason) as caught:
                await attempt
            assert caught.value.field in ("name", "name_key")
    assert await log.head() == head


# --- parameters -----------------------------------------------------------------------------------


async def test_every_change_of_parameters_is_kept(log: EventLog) -> None:
    """By number, with who and why; what changes nothing is no change."""
    owner, desk = await user(log), StrategyDesk(log)
    one = await desk.create(owner, "mm", "k", '{"a": 1}', actor="ada")
    assert await desk.change_parameters(one, {"a": 2}, reason="calmer", actor="grace") == 2
    assert await desk.change_parameters(one, b'{ "a" : 2 }') == 2
    assert await desk.change_parameters(one, {"a": 1}) == 3
    history = await desk.parameters_history(one)
    assert [entry[:3] for entry in history] == [(1, '{"a":1}', ""), (2, '{"a":2}', "calmer"), (3, '{"a":1}', "")]
    assert [entry.changed_by for entry in history] == ["ada", "grace", "engine"]
    assert await desk.parameters_history(new_event_id()) == []
    await assert_tables_are_the_log(log)


async def test_changes_by_several_at_once_are_numbered_without_gaps(log: EventLog) -> None:
    """Each is decided on what the one before left; of those that expect a version, one is served."""
    owner, desk = await user(log), StrategyDesk(log)
    one = await desk.create(owner, "mm", "k")
    assert sorted(await asyncio.gather(*(desk.change_parameters(one, {"n": n}) for n in range(4)))) == [2, 3, 4, 5]
    answers = await asyncio.gather(
        *(desk.change_parameters(one, {"m": n}, expected_version=5) for n in range(4)), return_exceptions=True
    )
    assert sorted(answer for answer in answers if isinstance(answer, int)) == [6]
    (refused, *_) = [answer for answer in answers if isinstance(answer, StrategyRefused)]
    assert refused.reason == "its parameters are of version 6, not 5"


BAD: list[tuple[Any, str, str]] = [
    ("[]", "$", "expected an object"),
    ("7", "$", "expected an object"),
    ("{", "$", "not JSON"),
    ('{"a":{"b":1,"b":2}}', "$.a", "twice"),
    ('{"a":["\\u0000"]}', "$.a[0]", "NUL"),
    ('{"a":"\\ud800"}', "$.a", "lone surrogate"),
    ('{"a":NaN}', "$.a", "no number"),
    ({"a": float("inf")}, "$", "no JSON"),
    ({"a": object()}, "$", "no JSON"),
    ('{"a":"' + "x" * 10_000_000 + '"}', "$", f"more than {PARAMETERS_LIMIT}"),
    (b"\xff", "$", "not UTF-8"),
    ('{"a":' * 40 + "1" + "}" * 40, "$" + ".a" * 32, "nested deeper"),
]


async def test_parameters_that_are_none_are_refused(log: EventLog) -> None:
    """With the place in them, in creating and in changing; and nothing is stored."""
    owner, desk = await user(log), StrategyDesk(log)
    one = await desk.create(owner, "mm", "k")
    head = await log.head()
    for parameters, path, reason in BAD:
        for attempt in (desk.create(owner, "other", "k", parameters), desk.change_parameters(one, parameters)):
            with pytest.raises(InvalidJson, match=reason) as caught:
                await attempt
            assert (caught.value.field, caught.value.path) == ("parameters", path)
    assert await log.head() == head


async def test_the_largest_parameters_that_may_be_are_kept(log: EventLog) -> None:
    """To the byte, in the log and in the table."""
    owner, desk = await user(log), StrategyDesk(log)
    text = '{"a":"' + "x" * (PARAMETERS_LIMIT - 8) + '"}'
    one = await desk.create(owner, "mm", "k", text)
    with pytest.raises(InvalidJson, match="more than"):
        await desk.change_parameters(one, text.replace("x", "xx", 1))
    await assert_tables_are_the_log(log)
    row = await StrategyQueries(log.engine).strategy(one)
    assert row is not None
    assert row.parameters == text


@pytest.mark.parametrize("text", ['{"b":1,"a":2}', '{ "a":1}', "[]", "nothing", '{"a":"\\u0041"}'])
def test_an_event_holds_parameters_in_one_spelling_only(text: str) -> None:
    """So that everybody who compares texts compares parameters."""
    with pytest.raises(InvalidEvent) as caught:
        StrategyCreated(user_id=new_event_id(), name="mm", name_key="mm", kind="k", parameters=text)
    assert caught.value.field == "parameters"


async def test_a_kind_may_have_a_type(log: EventLog) -> None:
    """A Struct is taken as it is; what is not of the type is refused with the path of the field."""
    owner, desk = await user(log), StrategyDesk(log, kinds={"market_maker": MarketMakerParameters})
    one = await desk.create(owner, "mm", "market_maker", MarketMakerParameters(0.5, [Limits(1.0)]))
    for parameters, path, reason in (
        ({"spread": "wide"}, "$.spread", "expected `float`, got `str`"),
        ({"spread": 1, "limits": [{"size": 1}, {"size": None}]}, "$.limits[1].size", "expected `float`, got `null`"),
        ({"spread": 1, "speed": 2}, "$", "object contains unknown field `speed`"),
        ({}, "$", "object missing required field `spread`"),
    ):
        with pytest.raises(InvalidJson) as caught:
            await desk.change_parameters(one, parameters)
        assert (caught.value.path, caught.value.reason) == (path, reason)
    await desk.create(owner, "other", "of no type", {"spread": "wide"})
    row = await desk.strategy(one)
    assert row is not None
    assert row.parameters == '{"limits":[{"size":1.0}],"spread":0.5}'


async def test_a_secret_does_not_slip_into_parameters(log: EventLog) -> None:
    """It is refused, and the error does not tell it."""
    owner = await user(log)
    with pytest.raises(InvalidJson) as caught:
        await StrategyDesk(log).create(owner, "mm", "k", {"api": {"key": Secret("canary-4711")}})
    assert "canary" not in f"{caught.value!r} {caught.value}"


# --- status ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("status", "wanted"), list(product(StrategyStatus, TURNING)))
def test_the_transitions_are_those_of_the_table(status: StrategyStatus, wanted: StrategyStatus) -> None:
    """All others are refused, and say what would be legal."""
    key = new_event_id()
    archived = status is ARCHIVED
    row = StrategyRow(
        id=key, user_id=key, name="mm", name_key=None if archived else "mm", kind="k", parameters="{}",
        parameters_version=1, status=status, created_at=1, updated_at=1,
    )  # fmt: skip
    if wanted in MAY_BECOME[status]:
        assert type(turned(key, row, wanted, "")[1]) is TURNING[wanted]
    else:
        with pytest.raises(StrategyRefused) as caught:
            turned(key, row, wanted, "")
        assert caught.value.intent == TURNING[wanted].__name__
        assert all(str(one) in caught.value.reason for one in MAY_BECOME[status])


async def test_a_strategy_goes_its_way(log: EventLog) -> None:
    """Each step is in the table, with the rows of the log."""
    owner, desk = await user(log), StrategyDesk(log)
    one = await desk.create(owner, "mm", "k")
    seen = []
    for step in (desk.activate, desk.pause, desk.activate, desk.stop, desk.archive):
        await step(one, reason="because")
        await catch_up(log, OWNERSHIP)
        row = await StrategyQueries(log.engine).strategy(one)
        assert row is not None
        seen.append(row.status)
    assert seen == [ACTIVE, PAUSED, ACTIVE, STOPPED, ARCHIVED]
    await assert_tables_are_the_log(log)


Call = Callable[[StrategyDesk, UUID], Coroutine[Any, Any, object]]
CHANGES: list[Call] = [
    lambda desk, one: desk.rename(one, "other"),
    lambda desk, one: desk.change_parameters(one, {"a": 1}),
    lambda desk, one: desk.activate(one),
    lambda desk, one: desk.archive(one),
    lambda desk, one: desk.start(one),
]


async def test_what_is_archived_stays_as_it_is(log: EventLog) -> None:
    """And what nobody knows cannot be changed either."""
    owner, desk = await user(log), StrategyDesk(log)
    one = await desk.create(owner, "mm", "k")
    await desk.archive(one)
    head = await log.head()
    for change in CHANGES:
        with pytest.raises(StrategyRefused, match="what is archived stays as it is"):
            await change(desk, one)
        with pytest.raises(StrategyRefused, match="there is no such strategy"):
            await change(desk, new_event_id())
    assert await log.head() == head


async def test_a_user_who_is_not_active_gets_nothing_new(log: EventLog) -> None:
    """No strategy, none activated, none started; what there is can be stopped and put away."""
    owner, desk = await user(log), StrategyDesk(log)
    draft, one = await desk.create(owner, "draft", "k"), await active(desk, owner)
    await log.append(user_stream(owner), [UserDeactivated()])
    for attempt in (desk.create(owner, "new", "k"), desk.activate(draft), desk.start(one)):
        with pytest.raises(UserUnfit, match="is not active"):
            await attempt
    await desk.stop(one)
    await desk.archive(one)


async def test_of_many_who_turn_it_at_once_each_turn_is_legal(log: EventLog) -> None:
    """Whatever the order, the stream is a way through the table of transitions."""
    owner, desk = await user(log), StrategyDesk(log)
    one = await active(desk, owner)
    steps = [desk.pause, desk.stop, desk.activate, desk.pause] * 3
    answers = await asyncio.gather(*(step(one) for step in steps), return_exceptions=True)
    assert all(
        (answer is not None and not isinstance(answer, BaseException | None)) or isinstance(answer, ByjyError)
        for answer in answers
    )
    becomes: dict[type, StrategyStatus] = {event: status for status, event in TURNING.items()}
    status = DRAFT
    async for recorded in log.read(stream=strategy_stream(one)):
        if type(recorded.event) in becomes:
            wanted = becomes[type(recorded.event)]
            assert wanted in MAY_BECOME[status]
            status = wanted


# --- the tables -----------------------------------------------------------------------------------


async def test_children_go_with_their_parents(log: EventLog) -> None:
    """A user's strategies with the user, a strategy's executions with the strategy: by the database, in raw SQL."""
    desk = StrategyDesk(log)
    ada, grace = await user(log), await user(log, "grace")
    doomed, other = await active(desk, ada), await active(desk, grace)
    await desk.end((await desk.start(doomed)).id)
    kept = await desk.start(other)
    await catch_up(log, OWNERSHIP)
    engine = writable_engine(log._url.render_as_string(hide_password=False))
    async with engine.begin() as connection:
        literal = f"X'{ada.hex}'" if connection.dialect.name == "sqlite" else f"'{ada}'"
        await connection.exec_driver_sql(f"DELETE FROM users WHERE id = {literal}")
        assert (await connection.execute(sa.select(strategies.c.id))).scalars().all() == [other]
        assert (await connection.execute(sa.select(strategy_executions.c.id))).scalars().all() == [kept.id]
    await engine.dispose()
    assert (await verify(log, OWNERSHIP)).differences == 3
    await rebuild(log, OWNERSHIP)
    await assert_tables_are_the_log(log)


async def test_whatever_is_recorded_makes_rows(log: EventLog) -> None:
    """Also what no desk would have recorded: twice, of nobody, after the end."""
    owner, desk = await user(log), StrategyDesk(log)
    one = await active(desk, owner)
    execution = await desk.start(one)
    await desk.end(execution.id)
    await desk.stop(one)
    await desk.archive(one)
    strays = [StrategyRenamed(name="stray", name_key="stray"), *(event() for event in TURNING.values())]
    again = StrategyCreated(user_id=owner, name="again", name_key="again", kind="k")
    await log.append(strategy_stream(one), [*strays, again])
    await log.append(strategy_stream(new_event_id()), strays)
    end = StrategyExecutionEnded(status=ExecutionStatus.FAILED)
    for stream in (execution_stream(execution.id), execution_stream(new_event_id())):
        await log.append(stream, [end])
    await assert_tables_are_the_log(log)
    tables = await stored(log, OWNERSHIP)
    assert [(row.name, row.status) for row in tables["strategies"].values()] == [("mm", ARCHIVED)]  # type: ignore[attr-defined]
    assert [row.status for row in tables["strategy_executions"].values()] == [ExecutionStatus.COMPLETED]  # type: ignore[attr-defined]
