"""Running ``byjy`` as an operator does, in a process of its own, and a small file to import."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

from byjy_events import EventLog
from byjy_ops.lobster.file import MessageFile
from byjy_ops.lobster.importer import Imported, import_file
from projections import TRADING, catch_up
from tests.byjy_server import Server

ROOT = Path(__file__).resolve().parents[1]
SECONDS = 60

NAME = "XYZ_2024-01-02_34200000_57600000_message_10.csv"
LINES = [
    "34200.000000001,1,101,100,1000000,1",  # bids for 100
    "34200.5,1,102,50,1010000,-1",
    "34201,2,101,10,1000000,1",  # 10 less
    "34202.25,4,101,40,1000000,1",
    "34203,5,0,7,1000500,-1",  # hidden
    "34204,3,102,50,1010000,-1",
    "34205,4,101,50,1000000,1",  # the last 50 of 90
    "34206,4,999,5,990000,-1",  # nobody submitted 999
    "34207,3,998,5,990000,-1",  # nor 998
    "34208,7,0,0,-1,-1",  # halt
    "34209,1,103,10,995000,1",  # rests
]
EVENTS = 13
"""What the lines become: the pair, three submissions of two events, and six other messages."""


def command(*arguments: str) -> list[str]:
    """The command line of ``byjy``."""
    return [sys.executable, "-m", "byjy_ops", *arguments]


def environment(database: str | None) -> dict[str, str]:
    """The environment of the process, where the database may be named in."""
    inherited = {name: value for name, value in os.environ.items() if name != "BYJY_DATABASE_URL"}
    named = {} if database is None else {"BYJY_DATABASE_URL": database}
    return {**inherited, "PYTHONPATH": str(ROOT), **named}


def byjy(*arguments: str, database: str | None = None, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run ``byjy`` to its end."""
    return _server().run(arguments, environment(database), cwd, SECONDS)


@cache
def _server() -> Server:
    return Server()


def rows(*arguments: str, database: str) -> list[dict[str, Any]]:
    """What a listing gives as JSON Lines."""
    done = byjy(*arguments, "--json", database=database)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def sample(folder: Path, lines: list[str] | None = None, name: str = NAME) -> Path:
    """A message file of these lines, or of the usual ones."""
    path = folder / name
    path.write_text("".join(f"{line}\n" for line in (LINES if lines is None else lines)))
    return path


def imported(database: str, *paths: Path, project: bool = True) -> list[Imported]:
    """Import files in this process, and bring the tables up to them."""

    async def work() -> list[Imported]:
        async with EventLog.open(database) as log:
            done = [await import_file(log, MessageFile(path), account="lobster") for path in paths]
            if project:
                await catch_up(log, TRADING)
            return done

    return asyncio.run(work())
