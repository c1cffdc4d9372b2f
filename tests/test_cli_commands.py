"""Every command of ``byjy``, run as an operator runs it, on both databases."""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import signal
import sqlite3
import subprocess
from pathlib import Path
from uuid import UUID

import pytest
import sqlalchemy as sa
import structlog

from byjy_events.database import open_engine, parse_url
from byjy_events.schema import SCHEMA_REVISION
from byjy_ops.cli import answered
from projections.checkpoints import projection_checkpoints
from projections.registry import OWN_GROUPS
from tests.cli import EVENTS, SECONDS, byjy, command, environment, imported, rows, sample


@pytest.fixture
def filled(database: str, tmp_path: Path) -> str:
    """A database with the sample imported and projected."""
    imported(database, sample(tmp_path))
    return database


def test_the_whole_way_from_an_empty_database_to_a_position(empty_database: str, tmp_path: Path) -> None:
    """Migrate, import, project: each says what it did, and does nothing the second time."""
    path = str(sample(tmp_path))
    said = [
        byjy(*arguments, database=empty_database)
        for arguments in (
            ("migrate",),
            ("migrate",),
            ("import", "lobster", path),
            ("import", "lobster", path),
            ("project",),
            ("project",),
        )
    ]
    assert [done.returncode for done in said] == [0] * 6, [done.stderr for done in said]
    expected = [
        f"schema none -> {SCHEMA_REVISION}",
        f"schema {SCHEMA_REVISION} already",
        f"11 lines, {EVENTS} events stored, 0 known before; skipped 1 hidden executions, 1 halts",
        f"11 lines, 0 events stored, {EVENTS} known before",
        f"trading: 0 -> {EVENTS}",
        f"trading: at {EVENTS} already",
    ]
    for done, sentence in zip(said, expected, strict=True):
        assert sentence in done.stdout
    hint = said[2].stderr.partition("to it: byjy ")[2]
    assert f"trading: at {EVENTS} already" in byjy(*shlex.split(hint)).stdout  # without the environment
    [position] = rows("positions", database=empty_database)
    assert (position["quantity"], position["avg_price"], position["realized_pnl"]) == ("85", "100", "-5")


def test_listings_give_the_columns_of_their_tables(filled: str) -> None:
    """JSON: ids and decimals are strings, instants whole nanoseconds, pairs named; tables: the same for people."""
    orders = rows("orders", database=filled)
    assert [(row["exchange_order_id"], row["status"], row["external"]) for row in orders] == [
        ("103", "NEW", False),
        ("999", "PARTIALLY_FILLED", True),
        ("102", "CANCELED", False),
        ("101", "FILLED", False),
    ]
    last = orders[-1]
    assert (last["quantity"], last["price"], last["filled_quantity"], last["symbol"]) == ("90", "100", "90", "XYZ")
    assert last["created_at"] == (1704171600 + 34200) * 10**9 + 1
    trades = rows("trades", database=filled)
    assert [(row["quantity"], row["price"], row["side"], row["liquidity"]) for row in trades] == [
        ("5", "99", "SELL", "MAKER"),
        ("50", "100", "BUY", "MAKER"),
        ("40", "100", "BUY", "MAKER"),
    ]
    assert [row["kind"] for row in rows("anomalies", database=filled)] == ["UNKNOWN_ORDER", "UNKNOWN_ORDER"]
    [pair] = rows("pairs", database=filled)
    assert (pair["exchange"], pair["symbol"], pair["tick_size"]) == ("nasdaq", "XYZ", "0.01")
    for listing, telling in (
        ("orders", last["id"]),
        ("trades", trades[0]["order_id"]),
        ("positions", "XYZ"),
        ("anomalies", "UNKNOWN_ORDER"),
        ("pairs", "nasdaq"),
    ):
        done = byjy(listing, database=filled)
        assert (done.returncode, done.stderr) == (0, "")
        assert telling in done.stdout


def test_history_shows_every_event_of_one_order(filled: str) -> None:
    """Position, version, type, three clocks, actor and fields; an unknown order is a negative answer."""
    order = rows("orders", "--status", "filled", database=filled)[0]["id"]
    told = rows("history", order, database=filled)
    assert [(row["stream_version"], row["type"]) for row in told] == [
        (1, "OrderPlaced"),
        (2, "OrderAccepted"),
        (3, "OrderAmended"),
        (4, "OrderFilled"),
        (5, "OrderFilled"),
    ]
    assert told[3]["payload"]["quantity"] == "40"
    assert {row["actor"] for row in told} == {"import:lobster"}
    assert all(isinstance(row[clock], int) for row in told for clock in ("occurred_at", "received_at", "recorded_at"))
    shown = byjy("history", order, database=filled)
    for part in ("OrderAmended", "reduced_by=10", "occurred 2024-01-02 14:30:01.000000000", "by import:lobster"):
        assert part in shown.stdout
    unknown = byjy("history", "00000000-0000-0000-0000-000000000000", database=filled)
    assert (unknown.returncode, unknown.stdout) == (1, "")
    assert "knows no order" in unknown.stderr


def test_events_come_in_the_order_of_the_log(filled: str) -> None:
    """After a position, of some types, and no more than asked for, which is said."""
    assert [row["position"] for row in rows("events", database=filled)] == list(range(1, EVENTS + 1))
    fills = rows("events", "--type", "OrderFilled", "--type", "OrderAmended", database=filled)
    assert [row["type"] for row in fills] == ["OrderAmended", "OrderFilled", "OrderFilled", "OrderFilled"]
    done = byjy("events", "--after", "3", "--limit", "2", database=filled)
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["position", "4", "5"]
    assert "there are more" in done.stderr


def test_events_can_be_followed_across_processes(filled: str, tmp_path: Path) -> None:
    """What another process appends appears; Ctrl-C ends it quietly."""
    arguments = command("events", "--follow", "--json", "--after", str(EVENTS - 1))
    with subprocess.Popen(arguments, env=environment(filled), stdout=-1, stderr=-1, text=True) as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["position"] == EVENTS
        imported(filled, sample(tmp_path, name="ABC_2024-01-02_1_2_message_1.csv"), project=False)
        assert json.loads(process.stdout.readline())["type"] == "PairListed"
        process.send_signal(signal.SIGINT)
        _, complaint = process.communicate(timeout=SECONDS)
    assert (process.returncode, complaint) == (130, "")


def test_project_can_stay_and_follow(filled: str, tmp_path: Path) -> None:
    """The tables follow what another process appends, until Ctrl-C."""
    with subprocess.Popen(
        command("project", "--follow"), env=environment(filled), stdout=-1, stderr=-1, text=True
    ) as process:
        assert process.stderr is not None
        assert "following" in process.stderr.readline()
        imported(filled, sample(tmp_path, name="ABC_2024-01-02_1_2_message_1.csv"), project=False)
        for _ in range(50):
            if len(rows("positions", database=filled)) == 2:
                break
        else:
            pytest.fail("the tables did not follow")
        process.send_signal(signal.SIGINT)
        _, complaint = process.communicate(timeout=SECONDS)
    assert (process.returncode, complaint) == (130, "")


def test_status_says_how_far_behind_the_tables_are(database: str, tmp_path: Path) -> None:
    """Schema, head, checkpoint, lag in events and seconds; for people and as one JSON object."""
    imported(database, sample(tmp_path), project=False)
    behind = json.loads(byjy("status", "--json", database=database).stdout)
    assert (behind["schema_revision"], behind["head"]) == (SCHEMA_REVISION, EVENTS)
    assert {group["group"] for group in behind["groups"]} == {group.name for group in OWN_GROUPS}
    for group in behind["groups"]:
        assert (group["status"], group["lag_events"]) == ("NEVER_RUN", EVENTS)
        assert 0 < group["lag_seconds"] < SECONDS
    assert byjy("project", database=database).returncode == 0
    done = byjy("status", database=database)
    assert done.returncode == 0
    assert f"trading: RUNNING at {EVENTS}, up to date" in done.stdout


def test_status_answers_no_when_a_group_is_stopped(database: str, backend: str, tmp_path: Path) -> None:
    """It names the event and the error, and warns of an old SQLite."""
    imported(database, sample(tmp_path))
    asyncio.run(stop_group(database))
    done = byjy("status", database=database)
    assert done.returncode == 1
    assert "stopped at position 7 (OrderFilled): ValueError: no" in done.stdout
    old = backend == "sqlite" and sqlite3.sqlite_version_info < (3, 51, 3)
    assert ("WAL-reset" in done.stdout) is old
    report = json.loads(byjy("status", "--json", database=database).stdout)
    assert {group["group"]: group["error_event_type"] for group in report["groups"]}["trading"] == "OrderFilled"


async def stop_group(database: str) -> None:
    """Leave the checkpoint as an event leaves it that cannot be folded."""
    engine = open_engine(parse_url(database), writable=True)
    async with engine.begin() as connection:
        await connection.execute(
            sa.update(projection_checkpoints).values(
                status="STOPPED",
                position=6,
                error_position=7,
                error_event_type="OrderFilled",
                error="ValueError: no",
                stopped_at=1,
            )
        )
    await engine.dispose()


def test_status_answers_no_when_the_schema_is_not_there(empty_database: str) -> None:
    """It says what to run. A SQLite file that is not there is an error, and is not created."""
    done = byjy("status", database=empty_database)
    if empty_database.startswith("sqlite"):
        assert done.returncode == 2
        assert not os.path.exists(empty_database.removeprefix("sqlite:///"))  # noqa: PTH110
    else:
        assert done.returncode == 1
        assert "schema    none" in done.stdout
    assert "migrate" in done.stdout + done.stderr


@pytest.mark.parametrize(
    "command_line",
    ["orders", "trades", "positions", "anomalies", "pairs", "events", f"history {UUID(int=0)}", "project"],
)
def test_looking_never_creates_anything(
    empty_database: str, tmp_path: Path, command_line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every command that only looks, and project, ask for a migration instead."""
    assert answered([*command_line.split(), "--database", empty_database]) == 2
    structlog.reset_defaults()
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert "migrate" in said.err
    assert list(tmp_path.iterdir()) == []


def test_output_into_head_ends_quietly(database: str, tmp_path: Path) -> None:
    """Whoever read enough goes away, and nobody complains."""
    imported(database, sample(tmp_path, [f"34200,1,{n},1,100,1" for n in range(1, 500)]), project=False)
    arguments = command("events", "--limit", "0", "--json")
    with subprocess.Popen(arguments, env=environment(database), stdout=-1, stderr=-1) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == b""
        assert process.wait(SECONDS) == 0
