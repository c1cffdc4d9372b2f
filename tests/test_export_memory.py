"""Exports stream: memory does not grow with the log."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet
import pytest

from byjy_events import EventLog
from byjy_events.identifiers import new_order_id
from byjy_events.stream import order_stream
from byjy_events.vocabulary.orders import OrderCancelRequested
from byjy_ops.exporting import Kind, check, export
from tests.cli import ROOT, SECONDS, environment

EVENTS = 18_000
FIRST = 6_000
REASON_BYTES = 4_000
GROWTH_BYTES = 30_000_000
"""What the whole log has more than its first part is 48 MB."""

PROGRAM = """
import asyncio, json, sys
from pathlib import Path
from benchmarks.memory import peak_bytes
from byjy_events import EventLog
from byjy_ops.exporting import check, export

async def work(url, folder, first):
    async with EventLog.open(url, read_only=True) as log:
        peaks, rows = [], []
        for as_of in (int(first), None):
            path = Path(folder) / f"{as_of}.jsonl"
            rows.append((await export(log, "events", path, as_of=as_of)).rows)
            assert check(path).holds
            peaks.append(peak_bytes())
        print(json.dumps([peaks, rows]))

asyncio.run(work(*sys.argv[1:]))
"""


def fill(database: str, events: int) -> None:
    """Events of 4 kB each."""

    async def work() -> None:
        async with EventLog.open(database) as log:
            for _ in range(events // 1_000):
                event = OrderCancelRequested(reason=os.urandom(REASON_BYTES // 2).hex())
                await log.append(order_stream(new_order_id()), [event] * 1_000)

    asyncio.run(work())


def test_a_log_three_times_as_long_takes_no_more_memory(database: str, tmp_path: Path) -> None:
    """Neither to export nor to check; by the peak of a process of its own."""
    fill(database, EVENTS)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, database, str(tmp_path), str(FIRST)],
        env=environment(None), cwd=ROOT, capture_output=True, text=True, timeout=SECONDS, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (first, whole), rows = json.loads(done.stdout)
    assert rows == [FIRST, EVENTS]
    assert whole - first < GROWTH_BYTES


def test_parquet_holds_back_no_more_than_a_group(
    migrated_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of so many rows, or of so many bytes; a footer names all groups in the end."""
    (tmp_path / "log.db").write_bytes(migrated_file.read_bytes())
    url = f"sqlite:///{tmp_path / 'log.db'}"
    fill(url, 5_000)
    path = tmp_path / "events.parquet"

    async def work() -> None:
        async with EventLog.open(url, read_only=True) as log:
            await export(log, Kind.EVENTS, path, force=True)

    for name, limit, groups in (
        ("GROUP_ROWS", 2_000, [2_000, 2_000, 1_000]),
        ("GROUP_BYTES", 4 << 20, [1_000] * 5),
        ("GROUP_BYTES", 6 << 20, [2_000, 2_000, 1_000]),
    ):
        with monkeypatch.context() as patched:
            patched.setattr(f"byjy_ops.exporting.parquet_file.{name}", limit)
            asyncio.run(work())
        assert check(path).rows == 5_000
        told = pyarrow.parquet.read_metadata(path)
        assert [told.row_group(index).num_rows for index in range(told.num_row_groups)] == groups
