"""``byjy backup`` and ``byjy status`` with segments: how far they reach, restoring to a point, and what is damaged."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import structlog

from byjy_events import EventLog
from byjy_events.backup import Segments
from byjy_ops.cli import answered
from tests.backups import head, new_log
from tests.sealed import grow
from tests.test_cli_backup import rows


@pytest.fixture
def database(migrated_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A database, a backup of it with 10 events, and three segments of 5 events each."""
    found = new_log(migrated_file, tmp_path / "log.db")
    monkeypatch.setenv("BYJY_DATABASE_URL", found)
    monkeypatch.setenv("BYJY_BACKUP_FOLDER", str(tmp_path / "backups"))
    asyncio.run(grown(found, 10))
    assert answered(["backup", "create"]) == 0
    for _ in range(3):
        asyncio.run(grown(found, 5, tmp_path / "backups"))
    yield found
    structlog.reset_defaults()


async def grown(database: str, count: int, folder: Path | None = None) -> int:
    """So many events more, and a segment with them; the answer is when the last one was recorded."""
    async with EventLog.open(database) as log:
        await grow(log, count)
        if folder is not None:
            await Segments(log, folder).turn()
        return [one.recorded_at async for one in log.read()][-1]


def test_a_point_is_given_as_a_position_or_an_instant(
    database: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """For people and for programs; what was never known is refused, and a file where a point belongs is no point."""
    capsys.readouterr()
    recorded = asyncio.run(grown(database, 1, tmp_path / "backups"))
    moment = f"{datetime.fromtimestamp(recorded // 10**9, UTC):%Y-%m-%dT%H:%M:%S}.{recorded % 10**9:09}Z"
    asyncio.run(grown(database, 5, tmp_path / "backups"))
    for number, (to, expected) in enumerate((("12", 12), (moment, 26), (None, 31))):
        point = [] if to is None else ["--to", to]
        (done,) = rows(capsys, "backup", "restore", "latest", "--into", str(tmp_path / f"{number}.db"), *point)
        assert (done["head"], done["problems"], head(tmp_path / f"{number}.db")) == (expected, [], expected)
    assert answered(["backup", "restore", "latest", "--into", str(tmp_path / "people.db"), "--to", "12"]) == 0
    assert "and 1 segment up to position 12, recorded 20" in capsys.readouterr().out
    assert answered(["backup", "restore", "latest", "--into", str(tmp_path / "x.db"), "--to", "32"]) == 2
    assert "position 32 is not known, the last one is 31" in capsys.readouterr().err
    assert answered(["backup", "restore", "latest", "--into", str(tmp_path / "x.db"), "--to", "x.db"]) == 2
    assert not (tmp_path / "x.db").exists()


def test_a_damaged_segment_is_a_negative_answer(
    database: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of verify and of restore, which restores what is before; a missing one also of list and status."""
    assert answered(["backup", "verify"]) == 0
    assert "segments behind position 10: VERIFIED, up to position 25" in capsys.readouterr().out
    second = sorted((tmp_path / "backups").glob("segments-*"))[1]
    second.write_bytes(second.read_bytes()[:-1])
    assert answered(["backup", "verify"]) == 1
    assert "segment 2: torn" in capsys.readouterr().err
    (_, found) = rows(capsys, "backup", "verify", status=1)
    assert found["problems"][0].startswith("segment 2: torn")
    assert answered(["backup", "restore", "latest", "--into", str(tmp_path / "new.db")]) == 1
    said = capsys.readouterr()
    assert "segment 2: torn" in said.err
    assert "up to position 15" in said.out
    assert head(tmp_path / "new.db") == 15
    second.unlink()
    assert answered(["backup", "list"]) == 1
    assert "segment 2: missing" in capsys.readouterr().err
    (report,) = rows(capsys, "status", status=1)
    assert report["backup"]["segments"]["problem"] == "segment 2: missing"


def test_status_and_list_tell_how_far_segments_reach(
    database: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What waits for one too long needs attention."""
    assert answered(["backup", "list"]) == 0
    assert "segments: up to position 25, recorded 20" in capsys.readouterr().out
    assert rows(capsys, "backup", "list")[-1]["segments"]["position"] == 25
    asyncio.run(grown(database, 5))
    (report,) = rows(capsys, "status")
    segments = report["backup"]["segments"]
    assert (segments["position"], segments["lag_events"], segments["problem"]) == (25, 5, None)
    assert answered(["status"]) == 0
    assert "segments  up to position 25" in capsys.readouterr().out
    later = time.time_ns() + 80 * 10**9
    monkeypatch.setattr("byjy_ops.backup_segments.time.time_ns", lambda: later)
    (report,) = rows(capsys, "status", status=1)
    assert "one was due every 5" in report["backup"]["segments"]["problem"]
