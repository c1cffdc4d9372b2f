"""Several processes on one database: one order, nothing lost or doubled, and a fair share for each."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter, defaultdict
from pathlib import Path

from byjy_events import EventLog

PROCESSES = 4
SECONDS = 2.5


def run_appenders(url: str) -> list[list[list[str]]]:
    """Start four programs, let them begin at once, and return what each says it stored."""
    programs = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.appender", url, f"process-{number}", str(SECONDS)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[1],
        )
        for number in range(PROCESSES)
    ]
    for program in programs:
        assert program.stdout is not None
        assert program.stdout.readline() == "ready\n"
    for program in programs:
        assert program.stdin is not None
        program.stdin.write("go\n")
        program.stdin.flush()
    outputs = [program.communicate(timeout=60)[0] for program in programs]
    assert [program.returncode for program in programs] == [0] * PROCESSES
    return [[line.split() for line in output.splitlines() if line.startswith("process-")] for output in outputs]


async def test_four_processes_append_to_one_log(database: str) -> None:
    """Every receipt of every process is in the log where it says, each producer's events are in his order,
    positions and versions have no gap, clocks do not run backwards, facts told by all are stored once, and each
    process stored at least half of its fair share.
    """
    reports = run_appenders(database)

    async with EventLog.open(database) as log:
        stored = [recorded async for recorded in log.read()]
    assert [recorded.position for recorded in stored] == list(range(1, len(stored) + 1))
    assert len({recorded.event_id for recorded in stored}) == len(stored)
    moments = [recorded.recorded_at for recorded in stored]
    assert moments == sorted(moments)

    versions: Counter[object] = Counter()
    by_producer: defaultdict[str, list[list[str]]] = defaultdict(list)
    for recorded in stored:
        versions[recorded.stream] += 1
        assert recorded.stream_version == versions[recorded.stream]
        if recorded.actor != "everybody":
            by_producer[recorded.actor].append([recorded.actor, recorded.event_id.hex, str(recorded.position)])
    reported: defaultdict[str, list[list[str]]] = defaultdict(list)
    for line in (line for report in reports for line in report):
        reported[line[0]].append(line)
    assert by_producer == reported

    told = [recorded.event for recorded in stored if recorded.actor == "everybody"]
    assert len(told) == len(set(told)) > 0

    counts = [len(report) for report in reports]
    assert min(counts) >= sum(counts) / PROCESSES / 2, counts
