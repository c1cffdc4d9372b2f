"""``byjy logs``: what programs logged, listed, followed and pruned."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess

import pytest
import typer

from byjy_events import EventLog
from byjy_events.log_sink import SystemLogSink
from byjy_ops.arguments import span
from byjy_ops.commands.logs import listing
from tests.cli import ROOT, SECONDS, byjy, command, environment, rows

CORRELATION = "019a0000-0000-7000-8000-0000000000aa"


def logged(database: str, *events: str) -> None:
    """Have a program log these, with the level as the first word."""

    async def work() -> None:
        async with EventLog.open(database) as log, SystemLogSink(log) as sink:
            for event in events:
                level, _, name = event.partition(" ")
                part = {"correlation_id": CORRELATION} if "fill" in name else {}
                sink(None, level, {"event": name, "logger": "engine", "quantity": 2, "password": "canary", **part})

    asyncio.run(work())


def test_entries_are_listed_the_newest_first(database: str) -> None:
    """By least level, time and correlation id, at most so many; for people, and with all columns as JSON."""
    logged(database, "debug tick", "info fill one", "warning slow", "error fill two")
    assert [row["event"] for row in rows("logs", database=database)] == ["fill two", "slow", "fill one", "tick"]
    assert [row["event"] for row in rows("logs", "--level", "warning", database=database)] == ["fill two", "slow"]
    assert [row["event"] for row in rows("logs", "--correlation", CORRELATION, "--limit", "1", database=database)] == [
        "fill two"
    ]
    assert len(rows("logs", "--since", "1h", "--limit", "0", database=database)) == 4
    row = rows("logs", "--limit", "1", database=database)[0]
    assert row["context"] == {"quantity": 2, "password": "**********"}
    assert (row["level"], row["logger"], row["correlation_id"]) == ("ERROR", "engine", CORRELATION)
    done = byjy("logs", "--limit", "2", database=database)
    assert "quantity=2 password=**********" in done.stdout
    assert "canary" not in done.stdout
    assert "there are more" in done.stderr


def test_entries_can_be_followed_across_processes(database: str) -> None:
    """The newest of before in their order, then what another process logs; Ctrl-C ends it quietly."""
    logged(database, "info one", "info two", "info three")
    arguments = command("logs", "--follow", "--json", "--limit", "2", "--level", "INFO")
    with subprocess.Popen(arguments, env=environment(database), stdout=-1, stderr=-1, text=True) as process:
        assert process.stdout is not None
        assert [json.loads(process.stdout.readline())["event"] for _ in range(2)] == ["two", "three"]
        logged(database, "debug unwanted", "info four")
        assert json.loads(process.stdout.readline())["event"] == "four"
        process.send_signal(signal.SIGINT)
        _, complaint = process.communicate(timeout=SECONDS)
    assert (process.returncode, complaint) == (130, "")


def test_pruning_deletes_entries_and_nothing_else(database: str) -> None:
    """By age and by number; a call that says neither is refused."""
    logged(database, *(f"info {number}" for number in range(5)))
    refused = byjy("logs", "prune", database=database)
    assert (refused.returncode, refused.stderr) == (2, "byjy: logs prune: give --older-than, --keep or both\n")
    assert byjy("logs", "prune", "--older-than", "30d", database=database).stdout == "0 entries deleted\n"
    assert json.loads(byjy("logs", "prune", "--keep", "2", "--json", database=database).stdout) == {"pruned": 3}
    assert [row["event"] for row in rows("logs", database=database)] == ["4", "3"]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--level", "loud"], "expected one of DEBUG"),
        (["--correlation", "17"], "'17' is no UUID"),
        (["--since", "yesterday"], "'yesterday' is no instant"),
        (["prune", "--keep", "-1"], "--keep"),
        (["prune", "--older-than", "2024-01-01"], "no span of time"),
    ],
)
def test_bad_usage_is_named(migrated_file: str, arguments: list[str], reason: str) -> None:
    """In one line."""
    done = byjy("logs", *arguments, database=f"sqlite:///{migrated_file}")
    assert (done.returncode, done.stdout) == (2, "")
    assert reason in done.stderr


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("15m", 900), ("1.5h", 5_400), ("30d", 2_592_000)])
def test_spans_of_time_are_read(text: str, seconds: int) -> None:
    """In the units that a time ago has."""
    assert span(text).total_seconds() == seconds


@pytest.mark.parametrize("text", ["", "30", "-1d", "1y", "99999999999999w"])
def test_what_is_no_span_of_time_is_refused(text: str) -> None:
    """Rather than taken for something else."""
    with pytest.raises(typer.BadParameter):
        span(text)


def test_the_reference_names_every_option() -> None:
    """Of the listing itself, which the tree of commands does not count as one."""
    options = [one for one in typer.main.get_command(listing).params if "completion" not in str(one.name)]
    section = (ROOT / "docs/reference/cli.md").read_text().split("\n## `byjy logs`\n")[1].split("\n## ")[0]
    assert len(options) == 6
    assert [one.opts[0] for one in options if f"`{one.opts[0]}" not in section] == []
    assert all(getattr(one, "help", None) for one in options)
