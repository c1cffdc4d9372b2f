"""``byjy project`` and ``byjy status`` with groups of other packages, some of them broken."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from byjy_events import EventLog
from projections import catch_up, create_tables, group_statuses
from projections.registry import OWN_GROUPS
from tests.cli import EVENTS, ROOT, SECONDS, command, environment, imported, sample
from tests.own_groups import placings_group
from tests.plugins import install
from tests.story import place

OWN = [group.name for group in OWN_GROUPS]

CREATE = """
import asyncio, sys
from byjy_events import EventLog
from projections import create_tables, group_named

async def main():
    async with EventLog.open(sys.argv[1]) as log:
        for name in sys.argv[2:]:
            print(await create_tables(log, group_named(name)))

asyncio.run(main())
"""


class Site:
    """A folder with packages, and commands that see them."""

    def __init__(self, folder: Path, database: str) -> None:
        self.folder = folder
        self.database = database

    def environment(self) -> dict[str, str]:
        return {**environment(self.database), "PYTHONPATH": f"{ROOT}:{self.folder}"}

    def byjy(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self._run(*command(*arguments))

    def create(self, *groups: str) -> None:
        done = self._run(sys.executable, "-c", CREATE, self.database, *groups)
        assert done.returncode == 0, done.stderr

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            arguments, env=self.environment(), capture_output=True, text=True, timeout=SECONDS, check=False
        )


@pytest.fixture
def site(database: str, tmp_path: Path) -> Site:
    """A database with the sample imported, and a package that announces a group ``mine``."""
    folder = tmp_path / "site"
    install(folder, "acme", "mine = acme:MINE", "MINE = group('mine', 'mine')")
    imported(database, sample(tmp_path), project=False)
    return Site(folder, database)


def test_project_takes_all_groups_or_the_one_named(site: Site) -> None:
    """One after the other, each with its line."""
    site.create("mine")
    done = site.byjy("project", "mine")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"mine: 0 -> {EVENTS}, ")
    done = site.byjy("project")
    *own, mine = done.stdout.splitlines()
    assert [line.partition(f": 0 -> {EVENTS}, ")[0] for line in own] == OWN
    assert mine == f"mine: at {EVENTS} already, nothing to do"
    done = site.byjy("project", "theirs")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"byjy: there is no group 'theirs'; installed are {', '.join(OWN)}, mine\n"


def test_status_shows_every_installed_group(site: Site) -> None:
    """Those that never ran too."""
    assert site.byjy("project", "trading").returncode == 0
    [report] = [json.loads(line) for line in site.byjy("status", "--json").stdout.splitlines()]
    expected = dict.fromkeys([*OWN, "mine"], "NEVER_RUN") | {"trading": "RUNNING"}
    assert {group["group"]: group["status"] for group in report["groups"]} == expected
    assert report["problems"] == []
    assert all(" fold=" in group["version"] for group in report["groups"])


def test_a_group_that_fails_does_not_keep_the_others_back(site: Site) -> None:
    """What is wrong is said at the end; here nobody made the tables of one and the other one raises."""
    install(site.folder, "bad", "a = bad:A", "A = group('raising', 'raising')", body="raise ValueError('no')")
    install(site.folder, "zoo", "z = zoo:Z", "Z = group('zoo', 'zoo')")
    site.create("raising", "zoo")
    done = site.byjy("project")
    assert done.returncode == 2
    assert [line.partition(":")[0] for line in done.stdout.splitlines()] == [*OWN, "zoo"]
    stopped, unusable = sorted(done.stderr.splitlines())
    assert stopped.startswith("byjy: group raising stopped at position 2 (OrderPlaced): ValueError: no")
    assert unusable.startswith("byjy: tables of the read side cannot be used: ")
    done = site.byjy("status")
    assert done.returncode == 1
    assert "raising: STOPPED" in done.stdout


def test_a_broken_package_is_shown_and_breaks_nothing_else(site: Site) -> None:
    """Commands that need no groups do not notice; ``status`` shows everything and says what is wrong."""
    install(site.folder, "bad", "x = bad:X", "1 / 0")
    reason = "package bad, entry point [x = bad:X]: ZeroDivisionError: division by zero"
    events = site.byjy("events", "--limit", "1")
    assert (events.returncode, events.stderr.count("bad")) == (0, 0)
    done = site.byjy("project", "trading")
    assert (done.returncode, done.stderr) == (0, "")
    assert site.byjy("orders").returncode == 0
    done = site.byjy("status")
    assert done.returncode == 1
    assert f"log head  {EVENTS}" in done.stdout
    assert f"trading: RUNNING at {EVENTS}, up to date" in done.stdout
    assert f"problem   {reason}\n" in done.stdout
    site.create("mine")
    done = site.byjy("project")
    assert (done.returncode, done.stderr) == (2, f"byjy: {reason}\n")
    assert f"mine: 0 -> {EVENTS}, " in done.stdout


async def test_following_takes_every_group_along(site: Site) -> None:
    """Until one stops, which the others survive."""
    body = f"if recorded.position > {EVENTS}:\n                raise ValueError\n            return Row(id=key)"
    install(site.folder, "short", "s = short:S", "S = group('short', 'short')", body=body)
    site.create("mine", "short")
    following = await asyncio.create_subprocess_exec(
        *command("project", "--follow"), env=site.environment(), stdout=-1, stderr=-1
    )
    try:
        async with EventLog.open(site.database) as log:
            await _until(log, {"mine": EVENTS, "short": EVENTS, "trading": EVENTS})
            position = await place(log)
            await _until(log, {"mine": position, "trading": position})
            position = await place(log)
            await _until(log, {"mine": position, "trading": position, "short": EVENTS})
    finally:
        following.terminate()
        _, said = await following.communicate()
    assert b"group short stopped at position" in said


async def _until(log: EventLog, wanted: dict[str, int]) -> None:
    end = time.monotonic() + SECONDS
    reached: dict[str, int] = {}
    while time.monotonic() < end:
        reached = {one.group_name: one.position for one in await group_statuses(log) if one.group_name in wanted}
        if reached == wanted:
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"{reached}, not {wanted}")


async def test_what_the_database_holds_of_a_group_that_is_not_installed_is_shown(site: Site) -> None:
    """By its checkpoint alone."""
    async with EventLog.open(site.database) as log:
        await create_tables(log, placings_group())
        await catch_up(log, placings_group())
    done = site.byjy("status")
    assert f"placings: RUNNING at {EVENTS}, up to date" in done.stdout
