"""Watching configuration: the values that there are, then every change, live and across processes."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections import defaultdict
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, contextmanager
from pathlib import Path

import pytest

from byjy_events import EventLog, LogClosed
from byjy_events.sealing import Vault
from byjy_events.secret import Secret
from projections import CONFIGURATION, Configuration, Projector, Setting, catch_up
from tests.sealing import local_key
from tests.story import place

SECONDS = 60


async def some(watching: AsyncGenerator[Setting, None], count: int) -> list[Setting]:
    """The next so many."""
    async with asyncio.timeout(SECONDS):
        return [await anext(watching) for _ in range(count)]


@pytest.mark.parametrize("projected", [False, True])
async def test_values_come_first_and_then_changes(database: str, projected: bool) -> None:
    """By key the ones, in the order of the log the others, removals too, whatever else happens in the log."""
    async with EventLog.open(database) as log:
        config = Configuration(log)
        first = [await config.set("b", 1), await config.set("a.x", 2), await config.set("gone", 3)]
        await config.remove("gone")
        if projected:
            await catch_up(log, CONFIGURATION)
        async with aclosing(config.watch()) as watching:
            assert await some(watching, 2) == [first[1], first[0]]
            waiting = asyncio.create_task(anext(watching))
            await place(log)
            made = [await config.set("b", 5), await config.remove("a.x"), await config.set("new", 6)]
            assert [await waiting, *await some(watching, 2)] == made
            assert made[1].is_removed


async def test_only_what_was_named_is_watched(database: str) -> None:
    """Keys, and what is beneath them."""
    async with EventLog.open(database) as log:
        config = Configuration(log)
        await config.set("risk.max", 1)
        await config.set("risk-free", 1)
        async with aclosing(config.watch("risk", "venue.binance")) as watching:
            assert [one.key for one in await some(watching, 1)] == ["risk.max"]
            for key in ("venue", "risky", "risk", "venue.kucoin", "venue.binance.fee", "risk.max"):
                await config.set(key, 2)
            assert [one.key for one in await some(watching, 3)] == ["risk", "venue.binance.fee", "risk.max"]


async def test_nothing_is_missed_between_the_values_and_the_changes(database: str) -> None:
    """A change in the midst of reading the values, or before the first change is asked for, comes once."""
    async with EventLog.open(database) as log, EventLog.open(database) as other:
        config, rival = Configuration(log), Configuration(other)
        made = [await config.set("a", 1), await config.set("b", 1)]
        async with aclosing(config.watch()) as watching:
            assert await some(watching, 1) == made[:1]
            late = [await rival.set("a", 2), await rival.set("b", 2)]
            assert await some(watching, 3) == [made[1], *late]


async def test_a_slow_consumer_gets_all_changes_in_order(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """More than wait in memory for it: the database has them."""
    monkeypatch.setattr("byjy_events.tail.BUFFER_EVENTS", 10)
    async with EventLog.open(database) as log:
        config = Configuration(log)
        await config.set("a", 0)
        async with aclosing(config.watch()) as watching:
            await some(watching, 1)
            await config.set("a", 1)
            await some(watching, 1)
            for number in range(2, 60):
                await config.set("a", number)
            assert [one.value for one in await some(watching, 58)] == list(range(2, 60))


async def test_watching_ends_when_the_log_is_closed(database: str) -> None:
    """For whoever waits; whoever begins afterwards is told."""
    log = await EventLog.open(database).start()
    config = Configuration(log)
    await config.set("a", 1)
    seen: list[Setting] = []

    async def watch() -> None:
        async for setting in config.watch():
            seen.append(setting)
            waiting.set()

    waiting = asyncio.Event()
    watching = asyncio.create_task(watch())
    await waiting.wait()
    await log.close()
    async with asyncio.timeout(SECONDS):
        await watching
    assert [one.key for one in seen] == ["a"]
    with pytest.raises(LogClosed):
        await anext(config.watch())


async def test_secrets_are_watched_without_their_value(database: str) -> None:
    """That one changed is no secret."""
    async with EventLog.open(database) as log:
        config = Configuration(log, vault=Vault(log, local_key()))
        async with aclosing(config.watch()) as watching:
            waiting = asyncio.create_task(anext(watching))
            await config.set("token", Secret("canary"), secret=True)
            await config.reveal("token", "a revealing is no change")
            await config.set("token", Secret("canary two"))
            found = [await waiting, *await some(watching, 1)]
        assert [(one.key, one.version, one.is_secret, one.text) for one in found] == [
            ("token", 1, True, None),
            ("token", 2, True, None),
        ]
        assert "canary" not in repr(found)


async def test_changes_of_other_processes_come_each_once_and_in_order(database: str) -> None:
    """While two programs write, watchers that begin one after the other see every version from where they began."""
    with writing(database) as children:
        async with EventLog.open(database) as log, Projector(log, CONFIGURATION):
            _tell(children)
            watchers = [asyncio.create_task(_watched(log)) for _ in range(2)]
            await asyncio.sleep(0.2)
            watchers.append(asyncio.create_task(_watched(log)))  # in the midst of it
            await asyncio.sleep(0.2)
            _tell(children)
            async with asyncio.timeout(SECONDS):
                found = await asyncio.gather(*watchers)
            history = {key: await Configuration(log).history(key) for key in ("shared.one", "shared.two")}
    for seen in found:
        positions = [one.position for one in seen]
        assert len(positions) == len(set(positions))
        by_key = defaultdict(list)
        for one in seen:
            by_key[one.key].append(one)
        for key, versions in history.items():
            assert by_key[key] == versions[len(versions) - len(by_key[key]) :]
            assert by_key[key]


@contextmanager
def writing(database: str) -> Iterator[list[subprocess.Popen[str]]]:
    """Two programs that are ready to change configuration."""
    children = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.configuration_child", database, name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[1],
        )
        for name in ("one", "two")
    ]
    try:
        for child in children:
            assert child.stdout is not None
            assert child.stdout.readline() == "ready\n"
        yield children
    finally:
        for child in children:
            child.communicate(timeout=SECONDS)


def _tell(children: list[subprocess.Popen[str]]) -> None:
    for child in children:
        assert child.stdin is not None
        child.stdin.write("\n")
        child.stdin.flush()


async def _watched(log: EventLog) -> list[Setting]:
    """All that a watcher sees until both programs are done."""
    seen: list[Setting] = []
    finished = set()
    async with aclosing(Configuration(log).watch()) as watching:
        async for setting in watching:
            seen.append(setting)
            finished |= {setting.key} & {"finished.one", "finished.two"}
            if len(finished) == 2:
                return seen
    raise AssertionError("the log was closed")
