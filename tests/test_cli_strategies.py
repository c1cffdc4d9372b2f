"""``byjy strategies`` and ``byjy executions``, as an operator uses them."""

from __future__ import annotations

import asyncio
import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import structlog

from byjy_events import EventLog
from byjy_events.vocabulary.strategies import PARAMETERS_LIMIT, ExecutionStatus
from byjy_ops.cli import answered
from projections import OWNERSHIP, TRADING, StrategyDesk, catch_up
from tests.strategies import active, user


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    """In this process the command sends the library's log to a standard error that pytest closes afterwards."""
    yield
    structlog.reset_defaults()


class Cli:
    """``byjy`` in this process, on a database with two users; the tables follow after each command."""

    def __init__(self, database: str, capsys: pytest.CaptureFixture[str]) -> None:
        self.database = database
        self._capsys = capsys
        self.ada, self.grace = asyncio.run(self._users())

    def __call__(self, *arguments: str) -> tuple[int, str, str]:
        status = answered(["--database", self.database, *arguments])
        if not {"list", "show"}.intersection(arguments):
            asyncio.run(self._project())
        said = self._capsys.readouterr()
        return status, said.out, said.err

    def done(self, *arguments: str) -> str:
        status, out, err = self(*arguments)
        assert (status, err) == (0, ""), err
        return out

    def rows(self, *arguments: str) -> list[dict[str, Any]]:
        status, out, err = self(*arguments, "--json")
        assert (status, err) in ((0, ""), (0, "byjy: nothing found\n")), err
        return [json.loads(line) for line in out.splitlines()]

    async def _users(self) -> tuple[UUID, UUID]:
        async with EventLog.open(self.database) as log:
            ids = await user(log), await user(log, "grace")
            await catch_up(log, OWNERSHIP)
            return ids

    async def _project(self) -> None:
        async with EventLog.open(self.database) as log:
            await projected(log)


async def projected(log: EventLog) -> None:
    """All that the commands read."""
    for group in (OWNERSHIP, TRADING):
        await catch_up(log, group)


@pytest.fixture
def cli(database: str, capsys: pytest.CaptureFixture[str]) -> Cli:
    return Cli(database, capsys)


def test_a_strategy_goes_its_way_by_commands(cli: Cli, tmp_path: Path) -> None:
    """Created by name, changed by name in any case, and put away; each answer is a line or an object."""
    file = tmp_path / "parameters.json"
    file.write_text('{ "spread": 0.5, "limits": [1] }')
    create = ("strategies", "create", "Größter", "--user", "ADA", "--kind", "market_maker")
    key = cli.done(*create, "--parameters", str(file), "--test").strip()
    (row,) = cli.rows("strategies", "list", "--user", "ada", "--status", "draft")
    assert (row["id"], row["name"], row["username"], row["status"], row["is_test"]) == (
        key, "Größter", "ada", "DRAFT", True,
    )  # fmt: skip
    assert row["parameters"] == {"spread": 0.5, "limits": [1]}
    assert "name_key" not in row
    assert cli.done("strategies", "rename", "GRÖSSTER", "mm") == f"{key} is called mm\n"
    for command, status in (("activate", "ACTIVE"), ("pause", "PAUSED"), ("stop", "STOPPED"), ("archive", "ARCHIVED")):
        assert cli.done("strategies", command, "mm", "--reason", "because") == f"{key} is {status}\n"
        assert cli.rows("strategies", "show", key)[0]["status"] == status
    assert cli.rows("strategies", "list", "--status", "archived", "--status", "draft")[0]["id"] == key


def test_parameters_are_shown_and_changed(cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """From standard input too; of any version, and their history."""
    (made,) = cli.rows("strategies", "create", "mm", "--user", str(cli.ada), "--kind", "k")
    assert cli.done("strategies", "parameters", "mm", "--json") == "{}\n"
    text = '{"b": 1, "a": [true]}'
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    why = ("--reason", "calmer", "--actor", "ada")
    assert cli.done("strategies", "parameters", "mm", "--set", "-", *why) == "version 2\n"
    assert cli.done("strategies", "parameters", made["id"]) == '{\n  "a": [\n    true\n  ],\n  "b": 1\n}\n'
    assert cli.done("strategies", "parameters", "mm", "--version", "1") == "{}\n"
    newest, oldest = cli.rows("strategies", "parameters", "mm", "--history")
    assert (newest["version"], newest["reason"], newest["changed_by"]) == (2, "calmer", "ada")
    assert (oldest["version"], oldest["parameters"]) == (1, {})
    assert "calmer" in cli.done("strategies", "parameters", "mm", "--history")
    shown = cli.done("strategies", "show", "mm")
    assert '"a": [' in shown
    assert "DRAFT" in shown
    file = tmp_path / "p.json"
    file.write_text("{}")
    status, _, err = cli("strategies", "parameters", "mm", "--set", str(file), "--expected", "1")
    assert (status, err.endswith("its parameters are of version 2, not 1\n")) == (2, True)
    for senseless in (["--set", str(file), "--history"], ["--reason", "why"], ["--history", "--version", "1"]):
        assert cli("strategies", "parameters", "mm", *senseless)[0] == 2
    assert cli.rows("strategies", "list")[0]["parameters_version"] == 2


BAD = {
    "[]": "parameters: expected an object",
    '{"a":1,"a":2}': "parameters: 'a' stands in it twice",
    '{"a":"\\u0000"}': "parameters: holds a NUL character - at $.a",
    '{"a":"' + "x" * PARAMETERS_LIMIT + '"}': f"parameters: {PARAMETERS_LIMIT + 1} bytes, more than {PARAMETERS_LIMIT}",
}


def test_what_makes_no_sense_is_refused_in_a_line(cli: Cli, tmp_path: Path) -> None:
    """That says what and where; and nothing is stored."""
    cli.done("strategies", "create", "mm", "--user", "ada", "--kind", "k")
    cli.done("strategies", "create", "mm", "--user", "grace", "--kind", "k")
    create = ("strategies", "create", "new", "--kind", "k")
    for number, (text, complaint) in enumerate(BAD.items()):
        file = tmp_path / f"{number}.json"
        file.write_text(text)
        status, out, err = cli(*create, "--user", "ada", "--parameters", str(file))
        assert (status, out) == (2, "")
        assert err.startswith(f"byjy: {complaint}")
        assert err.count("\n") == 1
    for arguments, complaint in (
        ((*create, "--user", "nobody"), "--user: nobody is called 'nobody'"),
        ((*create, "--user", "ada", "--parameters", "/nowhere"), "/nowhere: No such file"),
        (("strategies", "create", "MM", "--user", "ada", "--kind", "k"), "strategy_name: taken by "),
        (("strategies", "activate", "mm"), "STRATEGY: 'mm': several users have one of this name"),
        (("strategies", "activate", "other"), "STRATEGY: 'other': there is none of this name"),
        (("strategies", "show", str(cli.ada)), f"STRATEGY: there is no strategy '{cli.ada}'"),
        (("strategies", "list", "--status", "busy"), "--status: 'busy' is unknown"),
        (("executions", "--strategy", "other"), "STRATEGY: 'other': there is none"),
    ):
        status, out, err = cli(*arguments)
        assert (status, out) == (2, ""), arguments
        assert err.startswith(f"byjy: {complaint}"), arguments
    assert len(cli.rows("strategies", "list")) == 2


def test_executions_are_listed_with_what_is_lost(cli: Cli) -> None:
    """By strategy, by status as it looks, and since when; a limit says that there is more."""

    async def work() -> tuple[UUID, UUID, UUID]:
        async with EventLog.open(cli.database) as log:
            desk = StrategyDesk(log)
            one, other = await active(desk, cli.ada), await active(desk, cli.grace, "other")
            failed = await desk.start(one)
            await desk.end(failed.id, ExecutionStatus.FAILED, error="KeyError: 'BTC'")
            runs, beside = await desk.start(one), await desk.start(other)
            await projected(log)
            return failed.id, runs.id, beside.id

    failed, runs, beside = map(str, asyncio.run(work()))

    def ids(*arguments: str) -> list[str]:
        return [row["id"] for row in cli.rows("executions", *arguments)]

    assert ids() == [beside, runs, failed]
    assert ids("--strategy", "MM") == [runs, failed]
    assert ids("--status", "running") == [beside, runs]
    assert ids("--status", "running", "--status", "failed", "--since", "1h") == [beside, runs, failed]
    assert ids("--since", "2100-01-01") == []
    assert ids("--lost-after", "0s", "--status", "lost") == [beside, runs]
    assert "KeyError: 'BTC'" in cli.done("executions", "--status", "failed")
    status, out, err = cli("executions", "--limit", "1")
    assert (status, err) == (0, "byjy: 1 shown, there are more: --limit N, or 0 for all\n")
    assert beside in out
    assert cli.done("executions", "declare-lost") == "none\n"
    declared = cli.rows("executions", "declare-lost", "--lost-after", "0s", "--reason", "host is gone")
    assert sorted(row["id"] for row in declared) == sorted([runs, beside])
    assert {row["stop_reason"] for row in cli.rows("executions", "--status", "lost")} == {"host is gone"}


def test_tables_that_lag_say_so(cli: Cli) -> None:
    """Else what was made just now would be missed."""

    async def work() -> None:
        async with EventLog.open(cli.database) as log:
            await StrategyDesk(log).create(cli.ada, "mm", "k")

    asyncio.run(work())
    status, out, err = cli("strategies", "list")
    assert (status, out) == (0, "")
    assert err.startswith("byjy: nothing found\nbyjy: the tables are 2 events and ")
