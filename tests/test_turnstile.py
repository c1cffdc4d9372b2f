"""The turnstile: one writer of a file at a time, everybody in turn, and nobody's death locks the others out."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from byjy_events import EventLog, new_order_id, order_stream
from byjy_events.sqlite.turnstile import Turnstile
from tests.sample_events import placed

HOLD = """
import pathlib, sys, time
from byjy_events.sqlite.turnstile import Turnstile
with Turnstile(pathlib.Path(sys.argv[1])):
    print("inside", flush=True)
    time.sleep(60)
"""


def holder(path: Path) -> subprocess.Popen[str]:
    """Another process that stays inside until it is killed."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "inside\n"
    return process


def test_only_one_is_inside(tmp_path: Path) -> None:
    """Six threads, each with a turnstile of its own, as six processes would have."""
    inside: list[int] = []
    crowded = []

    def come_and_go(number: int) -> None:
        turnstile = Turnstile(tmp_path / "log.db")
        for _ in range(100):
            with turnstile:
                inside.append(number)
                crowded.extend([list(inside)] if len(inside) > 1 else [])
                time.sleep(0.0001)
                inside.remove(number)
        turnstile.close()

    threads = [threading.Thread(target=come_and_go, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert crowded == []


def test_whoever_comes_back_goes_behind_those_who_wait(tmp_path: Path) -> None:
    """Four that always want in again get turns within a few per cent of each other."""
    turns: Counter[int] = Counter()
    closing = time.monotonic() + 1

    def greedy(number: int) -> None:
        turnstile = Turnstile(tmp_path / "log.db")
        while time.monotonic() < closing:
            with turnstile:
                turns[number] += 1
                time.sleep(0.001)
        turnstile.close()

    threads = [threading.Thread(target=greedy, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(turns) == 4
    assert min(turns.values()) > max(turns.values()) / 2


def test_another_process_waits_outside(tmp_path: Path) -> None:
    """Until the one inside has left."""
    process = holder(tmp_path / "log.db")
    entered = threading.Event()
    turnstile = Turnstile(tmp_path / "log.db")

    def enter() -> None:
        with turnstile:
            entered.set()

    waiting = threading.Thread(target=enter)
    waiting.start()
    assert not entered.wait(0.2)
    process.kill()
    assert entered.wait(10)
    waiting.join()
    process.communicate()
    turnstile.close()


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_a_process_that_is_killed_inside_locks_nobody_out(tmp_path: Path) -> None:
    """The operating system takes its locks away, again and again."""
    for _ in range(3):
        process = holder(tmp_path / "log.db")
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        turnstile = Turnstile(tmp_path / "log.db")
        with turnstile:
            pass
        turnstile.close()


async def test_a_log_writes_only_when_it_is_its_turn(tmp_path: Path) -> None:
    """Appends wait for whoever is inside; reading goes on meanwhile."""
    turnstile = Turnstile(tmp_path / "log.db")
    async with EventLog.open(f"sqlite:///{tmp_path / 'log.db'}") as log:
        with turnstile:
            appending = asyncio.create_task(log.append(order_stream(new_order_id()), [placed()]))
            await asyncio.sleep(0.2)
            assert not appending.done()
            assert await log.head() == 0
        assert (await appending).position == 1
    turnstile.close()


def test_an_error_inside_opens_the_turnstile(tmp_path: Path) -> None:
    """It is left whatever happened inside."""
    turnstile = Turnstile(tmp_path / "log.db")
    with pytest.raises(ZeroDivisionError), turnstile:
        _ = 1 / 0
    with turnstile:
        pass
    turnstile.close()


def test_two_names_of_one_file_share_one_turnstile(tmp_path: Path) -> None:
    """A link must not be a way round it."""
    from byjy_events.database import parse_url, sqlite_path

    (tmp_path / "log.db").touch()
    (tmp_path / "link.db").symlink_to(tmp_path / "log.db")
    names = {sqlite_path(parse_url(f"sqlite:///{tmp_path / name}")) for name in ("log.db", "link.db", "./log.db")}
    assert len(names) == 1
