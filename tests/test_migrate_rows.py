"""From every revision up and down: rows, triggers, constraints and references survive where there is room for them."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from byjy_events import migrating, revisions
from byjy_events.database import parse_url
from byjy_events.moving import WouldLoseData, move
from byjy_events.schema import SCHEMA_REVISION
from tests.revised import OWNERS, fill, inventory, rows

LINEAGE = revisions.lineage()


@pytest.mark.parametrize("found", LINEAGE[:-1])
def test_up_and_down_and_up_again_from_every_revision(tmp_path: Path, found: str) -> None:
    """With a row in every table, up loses nothing; down and up again loses what the older schema has no room for."""
    up_and_down_and_up(f"sqlite:///{tmp_path / 'log.db'}", found)


@pytest.mark.parametrize("found", ["0001"])
@pytest.mark.parametrize("backend", ["postgresql"], indirect=True)
def test_the_same_on_postgresql(empty_database: str, found: str) -> None:
    """There a table is changed where it lies, so less can go wrong."""
    up_and_down_and_up(empty_database, found)


def up_and_down_and_up(empty_database: str, found: str) -> None:
    url = parse_url(empty_database)
    asyncio.run(migrating.upgrade(url, found))
    fill(empty_database)
    old, old_rows = inventory(empty_database), rows(empty_database)
    assert {content.rows for content in old.tables.values()} == {1}

    up = move(url, SCHEMA_REVISION, owners=OWNERS)
    assert up.rebuilt == []
    assert old.parts - up.after.parts == set()
    survived(old_rows, rows(empty_database))

    down = move(url, found, owners=OWNERS, lose_data=True)
    assert (down.after.parts, down.after.tables) == (old.parts, old.tables)
    survived(old_rows, rows(empty_database), marked=bool(down.rebuilt))

    again = move(url, SCHEMA_REVISION, owners=OWNERS)
    assert again.after.parts == up.after.parts
    survived(old_rows, rows(empty_database), marked=bool(down.rebuilt))


Rows = dict[str, list[dict[str, Any]]]


def survived(before: Rows, after: Rows, *, marked: bool = False) -> None:
    """Every row is there, with every value it had, but for the version of a group that was marked."""
    for table, old in before.items():
        names = set(old[0]) - ({"version"} if marked and table == "projection_checkpoints" else set())
        assert [{name: row[name] for name in names} for row in after[table]] == [
            {name: row[name] for name in names} for row in old
        ], table


@pytest.mark.parametrize("to", ["0001", "0003", "0011"])
def test_going_down_says_what_would_be_lost(database: str, to: str) -> None:
    """Tables that no rebuild brings back, with the number of their rows; afterwards the database is as it was."""
    fill(database)
    before = inventory(database)
    lost = {
        table
        for table, since in (
            ("system_logs", "0003"),
            ("key_store", "0004"),
            ("strategy_execution_heartbeats", "0008"),
            ("merkle_nodes", "0011"),
            ("tree_checkpoints", "0011"),
        )
        if to < since
    }
    if lost:
        with pytest.raises(WouldLoseData) as caught:
            move(parse_url(database), to, owners=OWNERS)
        assert {(one.table, one.column, one.before, one.after) for one in caught.value.lost} == {
            (table, None, 1, 0) for table in lost
        }
        assert all(f"{table}: rows 1 -> 0" in str(caught.value) for table in lost)
    else:
        move(parse_url(database), to, owners=OWNERS, keep=False)
    assert inventory(database) == before
