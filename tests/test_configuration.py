"""Configuration: read and written with versions, typed by its first value, with a history to go back to."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import msgspec
import pytest

from byjy_events import EventLog, InvalidEvent, VersionConflict, configuration_stream
from byjy_events.json_text import InvalidJson
from byjy_events.vocabulary.configuration import (
    VALUE_BYTES,
    ConfigurationRevealed,
    ConfigurationSet,
    ValueType,
)
from projections import Configuration, Json, Setting
from projections.configuration.difference import Change, ChangeKind
from projections.configuration.errors import (
    ConfigurationConflict,
    ConfigurationNotSet,
    InvalidConfigurationKey,
    UnknownVersion,
    ValueTypeKept,
)

KEY = "risk.max_position"


def set_to(value: str, version: int = 1, key: str = KEY, **fields: Any) -> ConfigurationSet:
    """An event as another program would append it."""
    return ConfigurationSet(
        key=key,
        value=value,
        sealed_value=b"",
        value_type=ValueType.of(value),
        description="",
        is_secret=False,
        version=version,
        **fields,
    )


# --- reading and writing -----------------------------------------------------------------------------------


async def test_what_is_set_is_read(database: str) -> None:
    """Of every type that JSON has, from the moment when the write returned, with no projector at all."""
    values = [0, -7, 10**30, 1.5, "é", "", True, None, [], [1, {"a": None}], {"b": 1, "a": [2.0]}]
    async with EventLog.open(database) as log:
        config = Configuration(log)
        made = []
        for number, value in enumerate(values):
            key = f"key{number:02}"
            made.append(await config.set(key, value, description="Per pair.", actor="ops"))
            got = await config.get(key)
            assert (got, type(got)) == (value, type(value))
            assert made[-1] == await config.setting(key)
            assert (made[-1].version, made[-1].updated_by, made[-1].description) == (1, "ops", "Per pair.")
            assert made[-1].value_type is ValueType.of(json.dumps(value))
        assert await config.all() == made


async def test_a_key_without_a_value_says_so(database: str) -> None:
    """Whether it never had one or lost it; unless there is a default."""
    async with EventLog.open(database) as log:
        config = Configuration(log)
        with pytest.raises(ConfigurationNotSet, match=r"^configuration risk\.max_position: not set$") as never:
            await config.get(KEY)
        assert never.value.removed_in is None
        assert await config.get(KEY, default=7) == 7
        assert await config.setting(KEY) is None
        await config.set(KEY, 1)
        removed = await config.remove(KEY)
        assert (removed.version, removed.is_removed) == (2, True)
        with pytest.raises(ConfigurationNotSet, match="removed in version 2") as gone:
            await config.get(KEY)
        assert gone.value.removed_in == 2
        with pytest.raises(ConfigurationNotSet):
            await config.remove(KEY)
        with pytest.raises(ConfigurationNotSet):
            removed.value  # noqa: B018
        assert await config.get(KEY, default=None) is None
        assert (await config.set(KEY, "another type")).version == 3


async def test_a_value_belongs_to_whoever_asked_for_it(database: str) -> None:
    """Changing it changes nothing for anybody else."""
    async with EventLog.open(database) as log:
        setting = await Configuration(log).set(KEY, {"a": [1]})
        setting.value["a"].append(2)
        assert setting.value == {"a": [1]}


async def test_what_is_so_already_is_not_written_again(database: str) -> None:
    """However it is spelled; so a deployment may set everything each time. Another description is a change."""
    async with EventLog.open(database) as log:
        config = Configuration(log)
        first = await config.set(KEY, {"a": 1, "b": 2.5})
        assert await config.set(KEY, Json(' {"b": 25e-1, "a": 1}')) == first
        assert await log.head() == 1
        second = await config.set(KEY, {"a": 1, "b": 2.5}, description="Why.")
        assert (second.version, second.description) == (2, "Why.")
        assert (await config.set(KEY, {})).description == "Why."
        with pytest.raises(ConfigurationConflict):
            await config.set(KEY, {}, expected_version=2)


# --- versions ----------------------------------------------------------------------------------------------


async def test_an_expected_version_that_is_not_the_one_is_a_conflict(database: str) -> None:
    """With both versions, and nothing is appended; 0 stands for a key without a value."""
    async with EventLog.open(database) as log:
        config = Configuration(log)
        with pytest.raises(ConfigurationConflict, match="expected version 1, found no value"):
            await config.set(KEY, 1, expected_version=1)
        await config.set(KEY, 1, expected_version=0)
        await config.set(KEY, 2, expected_version=1)
        head = await log.head()
        for attempt in (
            config.set(KEY, 3, expected_version=1),
            config.set(KEY, 3, expected_version=0),
            config.remove(KEY, expected_version=1),
            config.rollback(KEY, 1, expected_version=1),
        ):
            with pytest.raises(ConfigurationConflict) as conflict:
                await attempt
            assert (conflict.value.key, conflict.value.actual) == (KEY, 2)
            assert conflict.value.expected in (0, 1)
        assert await log.head() == head
        await config.remove(KEY, expected_version=2)
        with pytest.raises(ConfigurationConflict, match="expected version 3, found no value"):
            await config.set(KEY, 4, expected_version=3)
        assert (await config.set(KEY, 4, expected_version=0)).version == 4


async def test_of_two_writers_with_the_same_expected_version_one_wins(database: str) -> None:
    """Also of twenty in two programs; the others are told, and nothing of theirs is stored."""
    async with EventLog.open(database) as log, EventLog.open(database) as other:
        await Configuration(log).set(KEY, 0)
        writers = [Configuration(log), Configuration(other)] * 10
        attempts = [one.set(KEY, number, expected_version=1) for number, one in enumerate(writers, 1)]
        answers = await asyncio.gather(*attempts, return_exceptions=True)
        won = [answer for answer in answers if isinstance(answer, Setting)]
        lost = [answer for answer in answers if isinstance(answer, ConfigurationConflict)]
        assert (len(won), len(lost)) == (1, 19)
        assert {(error.expected, error.actual) for error in lost} == {(1, 2)}
        assert await Configuration(other).setting(KEY) == won[0]
        assert await log.head() == 2


async def test_without_an_expected_version_the_last_writer_wins(database: str) -> None:
    """And every one of them has a version of its own."""
    async with EventLog.open(database) as log:
        config = Configuration(log)
        made = await asyncio.gather(*(config.set(KEY, number) for number in range(20)))
        assert sorted(one.version for one in made) == list(range(1, 21))
        history = await config.history(KEY)
        assert history == sorted(made, key=lambda one: one.version)
        assert await config.setting(KEY) == history[-1]


async def test_a_key_that_changes_in_every_moment_is_given_up(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """After five decisions, with nothing stored of it: here somebody is always faster."""
    async with EventLog.open(database) as log, EventLog.open(database) as other:
        config, rival = Configuration(log), Configuration(other)
        append_all, turns = log.append_all, iter(range(100))

        async def late(*arguments: Any, **keywords: Any) -> Any:
            await rival.set(KEY, next(turns))
            return await append_all(*arguments, **keywords)

        monkeypatch.setattr(log, "append_all", late)
        with pytest.raises(VersionConflict):
            await config.set(KEY, "mine", change_type=True)
        assert [one.value for one in await rival.history(KEY)] == [0, 1, 2, 3, 4]


# --- types -------------------------------------------------------------------------------------------------


TYPES: list[tuple[Any, Any, str, str]] = [
    (1, True, "INTEGER", "BOOLEAN"),
    (True, 1, "BOOLEAN", "INTEGER"),
    ("1", 1, "STRING", "INTEGER"),
    ({}, [], "OBJECT", "ARRAY"),
    ([], {}, "ARRAY", "OBJECT"),
    (1, None, "INTEGER", "NULL"),
    (None, 1, "NULL", "INTEGER"),
    (1.5, "1.5", "NUMBER", "STRING"),
]


async def test_the_type_of_the_first_value_is_kept(database: str) -> None:
    """Unless the writer says that it shall change; a removal forgets it."""
    async with EventLog.open(database) as log:
        config = Configuration(log)
        for number, (first, second, kept, given) in enumerate(TYPES):
            key = f"key{number}"
            await config.set(key, first)
            head = await log.head()
            with pytest.raises(ValueTypeKept, match=f"is {kept}, and {given} was given") as refused:
                await config.set(key, second)
            assert (refused.value.kept, refused.value.given) == (ValueType(kept), ValueType(given))
            assert await log.head() == head
            assert (await config.set(key, second, change_type=True)).value_type == given
            with pytest.raises(ValueTypeKept):
                await config.rollback(key, 1)
            assert (await config.rollback(key, 1, change_type=True)).value_type == kept
            await config.remove(key)
            assert (await config.set(key, second)).value_type == given


async def test_a_number_may_be_whole_and_stays_a_number(database: str) -> None:
    """1 is a NUMBER too, and what comes after it may have decimals again."""
    async with EventLog.open(database) as log:
        config = Configuration(log)
        for value in (1.5, 1, 2.5):
            assert (await config.set(KEY, value)).value_type is ValueType.NUMBER
        await config.set(KEY, 1, change_type=True)
        with pytest.raises(ValueTypeKept, match="is INTEGER, and NUMBER was given"):
            await config.set(KEY, 1.5)


# --- history -----------------------------------------------------------------------------------------------


async def test_the_history_has_every_version(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Values and removals, who and when, from either end and however many are fetched at a time."""
    async with EventLog.open(database) as log:
        config = Configuration(log)
        made = [await config.set(KEY, number, actor=f"ops-{number}") for number in range(5)]
        made += [await config.remove(KEY), await config.set(KEY, "back")]
        await config.set("risk.other", 1)
        for size in (1, 3, 7, 100):
            monkeypatch.setattr("projections.configuration.reading.VERSIONS", size)
            assert await config.history(KEY) == made
            assert await config.history(KEY, newest_first=True) == made[::-1]
            assert await config.history(KEY, limit=3) == made[:3]
            assert await config.history(KEY, limit=7, newest_first=True) == made[::-1]
            assert [await config.at(KEY, version) for version in range(1, 8)] == made
        assert [one.version for one in made] == list(range(1, 8))
        assert [one.updated_by for one in made[:5]] == [f"ops-{number}" for number in range(5)]
        assert await config.history("never.set") == []
        with pytest.raises(ValueError, match="limit 0"):
            await config.history(KEY, limit=0)


async def test_a_rollback_writes_an_old_value_as_a_new_version(database: str) -> None:
    """Nothing is undone: the history goes on, with the description that is there; also after a removal."""
    async with EventLog.open(database) as log:
        config = Configuration(log)
        await config.set(KEY, {"max": 1}, description="First.")
        await config.set(KEY, {"max": 2}, description="Second.")
        back = await config.rollback(KEY, 1, actor="ops")
        assert (back.version, back.value, back.description, back.updated_by) == (3, {"max": 1}, "Second.", "ops")
        assert (await config.rollback(KEY, 3)) == back  # which is so already
        await config.remove(KEY)
        again = await config.rollback(KEY, 1)
        assert (again.version, again.value, again.description) == (5, {"max": 1}, "First.")


async def test_a_version_that_never_had_a_value_is_unknown(database: str) -> None:
    """A removal has none either, though it can be compared with."""
    async with EventLog.open(database) as log:
        config = Configuration(log)
        await config.set(KEY, 1)
        await config.remove(KEY)
        await config.set(KEY, 3)
        for version in (-1, 0, 2, 4, 2**63):
            with pytest.raises(UnknownVersion, match="no value of version") as unknown:
                await config.rollback(KEY, version)
            assert (unknown.value.key, unknown.value.version, unknown.value.newest) == (KEY, version, 3)
        with pytest.raises(UnknownVersion, match="it was never set"):
            await config.rollback("never.set", 1)
        assert await log.head() == 3


async def test_two_versions_can_be_compared(database: str) -> None:
    """Any two, or one with the last; where there was no value, the whole value is what came or went."""
    async with EventLog.open(database) as log:
        config = Configuration(log)
        await config.set(KEY, {"max": 1, "gone": [1]})
        await config.set(KEY, {"max": 2, "new": None})
        await config.remove(KEY)
        changed = [
            Change("$.gone", ChangeKind.REMOVED, [1], None),
            Change("$.max", ChangeKind.CHANGED, 1, 2),
            Change("$.new", ChangeKind.ADDED, None, None),
        ]
        assert await config.diff(KEY, 1, 2) == changed
        assert await config.diff(KEY, 1, 1) == []
        assert await config.diff(KEY, 1) == [Change("$", ChangeKind.REMOVED, {"max": 1, "gone": [1]}, None)]
        assert await config.diff(KEY, 3, 2) == [Change("$", ChangeKind.ADDED, None, {"max": 2, "new": None})]
        assert await config.diff(KEY, 3) == []
        with pytest.raises(UnknownVersion):
            await config.diff(KEY, 1, 4)


# --- bad input ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        ("", "0 characters"),
        ("a" * 256, "256 characters"),
        ("Risk.max", "character 1 is 'R'"),
        ("risk.maX", "character 8 is 'X'"),
        ("risk.ma\u0445", r"character 8 is '\u0445'"),
        ("ri\ufb01", r"character 3 is '\ufb01'"),
        ("é", r"character 1 is '\xe9'"),
        ("risk\0", r"character 5 is '\x00'"),
        ("\ud800", r"character 1 is '\ud800'"),
        ("risk max", "character 5 is ' '"),
        ("risk.max\n", r"character 9 is '\n'"),
        ("risk/max", "character 5 is '/'"),
        (".risk", "a segment is empty"),
        ("risk.", "a segment is empty"),
        ("risk..max", "a segment is empty"),
        (5, "a key is a text"),
    ],
)
async def test_a_key_has_one_spelling(migrated_file: str, key: Any, reason: str) -> None:
    """So no two keys differ in case or Unicode form alone; every method refuses the others before it does anything."""
    async with EventLog.open(f"sqlite:///{migrated_file}", read_only=True) as log:
        config = Configuration(log)
        for attempt in (
            config.get(key),
            config.set(key, 1),
            config.remove(key),
            config.history(key),
            config.rollback(key, 1),
            config.diff(key, 1),
            config.reveal(key, "why"),
            config.all(key),
            anext(config.watch(key)),
        ):
            with pytest.raises(InvalidConfigurationKey) as refused:
                await attempt
            assert reason in refused.value.reason
            assert str(refused.value).isascii()
        with pytest.raises(InvalidConfigurationKey):
            Configuration(log, types={key: int})
    with pytest.raises(InvalidEvent):
        set_to("1", key=key)


@pytest.mark.parametrize("key", ["a", "0", "-", "_", "risk.max_position", "venue.binance.api-key", "a" * 255])
def test_these_are_keys(key: str) -> None:
    """As short and as long as they may be."""
    assert set_to("1", key=key).key == key


@pytest.mark.parametrize(
    ("value", "path", "reason"),
    [
        (float("nan"), "$", "has no JSON"),
        ("a\0b", "$", "NUL"),
        ({"a": ["\ud800"]}, "$", "not UTF-8"),
        (Json('{"a": ["\\ud800"]}'), "$.a[0]", "lone surrogate"),
        (Json('{"a": 1, "a": 2}'), "$", "'a' stands in it twice"),
        ({"a": 1, 1: 2, "1": 3}, "$", "'1' stands in it twice"),
        (Json('{"a": NaN}'), "$.a", "NaN is no number"),
        (Json("{"), "$", "not JSON"),
        (object(), "$", "has no JSON"),
        ("x" * VALUE_BYTES, "$", f"{VALUE_BYTES + 2} bytes, more than {VALUE_BYTES}"),
        (Json("[" + "1," * 5_000_000 + "1]"), "$", f"10000003 bytes, more than {VALUE_BYTES}"),
    ],
    ids=lambda value: repr(value)[:20],
)
async def test_a_value_that_cannot_be_stored_is_refused(migrated_file: str, value: Any, path: str, reason: str) -> None:
    """With its key and the path to what is wrong; the log, which is read only here, is not even asked to store it."""
    async with EventLog.open(f"sqlite:///{migrated_file}", read_only=True) as log:
        with pytest.raises(InvalidJson) as refused:
            await Configuration(log).set(KEY, value)
    assert (refused.value.field, refused.value.path) == (KEY, path)
    assert reason in refused.value.reason


async def test_the_longest_value_can_be_stored(database: str) -> None:
    """256 KiB of UTF-8 as JSON."""
    async with EventLog.open(database) as log:
        config = Configuration(log)
        await config.set(KEY, "x" * (VALUE_BYTES - 2))
        assert len(await config.get(KEY)) == VALUE_BYTES - 2


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"value": '{"b":1, "a":2}'}, "value"),
        ({"value": "nonsense"}, "value"),
        ({"value": ""}, "value"),
        ({"value": "1", "is_secret": True}, "value"),
        ({"value": "", "is_secret": True}, "sealed_value"),
        ({"sealed_value": b"\1sealed"}, "sealed_value"),
        ({"value": "", "is_secret": True, "sealed_value": bytes(VALUE_BYTES + 65)}, "sealed_value"),
        ({"value_type": ValueType.STRING}, "value_type"),
        ({"description": "x" * 4097}, "description"),
        ({"version": 0}, "version"),
    ],
)
def test_an_event_that_contradicts_itself_cannot_be_made(changes: dict[str, Any], field: str) -> None:
    """Whoever appends without asking the service."""
    good = msgspec.structs.asdict(set_to("1"))
    with pytest.raises(InvalidEvent) as refused:
        ConfigurationSet(**{**good, **changes})
    assert refused.value.field == field


async def test_a_stream_that_only_reveals_has_no_value(database: str) -> None:
    """Somebody may append anything: the versions count what was set."""
    async with EventLog.open(database) as log:
        config = Configuration(log)
        await log.append(configuration_stream(KEY), [ConfigurationRevealed(key=KEY, version=1, reason="odd")])
        assert await config.get(KEY, default=None) is None
        assert (await config.set(KEY, 5)).version == 1
        assert await config.get(KEY) == 5
