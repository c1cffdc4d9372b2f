"""Exports stream: memory does not grow with the log."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

from byjy_events import EventLog
from byjy_events.identifiers import new_order_id
from byjy_events.stream import order_stream
from byjy_events.vocabulary.orders import OrderCancelRequested
from tests.cli import ROOT, SECONDS, environment

EVENTS = 18_000
FIRST = 6_000
REASON_BYTES = 4_000
GROWTH_BYTES = 36_000_000
"""What the whole log has more than its first part is 48 MB; Parquet holds back 16 MiB."""

PROGRAM = """
import asyncio, json, resource, sys
from pathlib import Path
from byjy_events import EventLog
from byjy_ops.exporting import check, export

def peak():
    found = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return found if sys.platform == "darwin" else found * 1024

async def work(url, folder, first):
    async with EventLog.open(url, read_only=True) as log:
        peaks, sizes = [], []
        for as_of in (int(first), None):
            for file_format in ("jsonl", "parquet"):
                path = Path(folder) / f"{as_of}.{file_format}"
                manifest = await export(log, "events", path, as_of=as_of)
                assert check(path).holds
                sizes.append(manifest.rows)
            peaks.append(peak())
        print(json.dumps([peaks, sizes]))

asyncio.run(work(*sys.argv[1:]))
"""


def test_a_log_three_times_as_long_takes_no_more_memory(database: str, tmp_path: Path) -> None:
    """Neither to export, in any format, nor to check; by the peak of a process of its own."""

    async def fill() -> None:
        async with EventLog.open(database) as log:
            for _ in range(EVENTS // 1_000):
                event = OrderCancelRequested(reason=os.urandom(REASON_BYTES // 2).hex())
                await log.append(order_stream(new_order_id()), [event] * 1_000)

    asyncio.run(fill())
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, database, str(tmp_path), str(FIRST)],
        env=environment(None), cwd=ROOT, capture_output=True, text=True, timeout=SECONDS, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (first, whole), rows = json.loads(done.stdout)
    assert rows == [FIRST] * 2 + [EVENTS] * 2
    print(whole - first)
    assert whole - first < GROWTH_BYTES
