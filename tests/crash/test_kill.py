"""Two hundred kills on the append path, a hundred on each database."""

from __future__ import annotations

import contextlib
import sqlite3
import sys
from pathlib import Path

import pytest

from byjy_events import EventLog, new_event_id, new_order_id, order_stream
from byjy_events.database import parse_url, sqlite_path
from tests.crash.campaign import campaign, verify
from tests.sample_events import placed

KILLS = 100


@pytest.mark.skipif(sys.platform == "win32", reason="lives are forked")
def test_nothing_acknowledged_is_lost_when_processes_are_killed(database: str, tmp_path: Path) -> None:
    """Two processes with eight producers each die at random moments, over and over, while the other one goes on.

    What was acknowledged is where the receipt said, once; no append is stored by half, no position is left out.
    """
    outcome = campaign(database, KILLS, tmp_path / "acknowledged", seed=7)
    assert outcome.faults == []
    assert outcome.kills == KILLS
    assert outcome.acknowledged > KILLS


@pytest.mark.parametrize("backend", ["sqlite"])
async def test_the_campaign_would_notice(database: str, tmp_path: Path) -> None:
    """An acknowledged event that is not there, one that lies elsewhere, half an append, and a changed payload."""
    stream, correlation = order_stream(new_order_id()), new_event_id()
    async with EventLog.open(database) as log:
        receipt = await log.append(stream, [placed()] * 3, correlation_id=correlation)
    one, two, three = (event.event_id.hex for event in receipt.events)
    acknowledged = tmp_path / "acknowledged"
    for lines, fault in (
        (f"\n{one} 1 .\n{two} 2 .", None),
        (f"\n{one} 1 .\n{three} 9\n{two[:5]}\n{two} 2 .", None),  # two lines were cut off
        (f"\n{'00' * 16} 1 .", "1 acknowledged events lost"),
        (f"\n{one} 2 .", "1 acknowledged events lost or elsewhere"),
    ):
        acknowledged.write_text(lines)
        faults = (await verify(database, 0, acknowledged, [])).faults
        assert faults == [] if fault is None else faults[0].startswith(fault)
    with contextlib.closing(sqlite3.connect(sqlite_path(parse_url(database)))) as vandal, vandal:
        for trigger in ("events_no_delete", "events_no_update"):
            vandal.execute(f"DROP TRIGGER {trigger}")
        vandal.execute("DELETE FROM events WHERE position = 3")
        vandal.execute("UPDATE events SET payload = CAST(replace(payload, 'main', 'mine') AS BLOB) WHERE position = 2")
    faults = (await verify(database, 0, tmp_path / "none", [])).faults
    assert faults == ["2: wrong leaf hash", f"1 appends stored by half, e.g. {correlation.hex}"]
