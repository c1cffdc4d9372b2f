"""The benchmarks run, and notice when something was switched off. How fast is not asked here."""

from __future__ import annotations

import json
import sqlite3
import sys
from pathlib import Path
from random import Random

import pytest

from benchmarks import __main__ as command
from benchmarks import appending
from benchmarks.bench import Bench
from benchmarks.figure import Figure, Floor
from benchmarks.honesty import assert_honest
from benchmarks.page import page
from benchmarks.report import write_json
from benchmarks.told import read
from benchmarks.workload import lifecycle, producers
from byjy_events import EventLog
from byjy_events.codec import encode
from byjy_events.sqlite.backend import SqliteBackend

TINY = 0.0001


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """As little work as possible."""
    return Bench(tmp_path, rounds=1, scale=TINY)


@pytest.mark.parametrize("name", [name for name in command.MEASUREMENTS if name != "import"])
async def test_every_measurement_gives_figures(name: str, bench: Bench) -> None:
    """Also, every one of them asserts durability, triggers, indexes and leaf hashes on the way."""
    figures = await command.MEASUREMENTS[name](bench)
    assert figures
    assert all(figure.value > 0 and len(figure.rounds) == bench.rounds for figure in figures)


async def _filled(bench: Bench) -> Path:
    path = await bench.new_file()
    async with EventLog.open(f"sqlite:///{path}") as log:
        await appending.appended(log, producers(5, 50))
        await assert_honest(log, 50)
    return path


async def _accused(path: Path, events: int = 50) -> str:
    async with EventLog.open(f"sqlite:///{path}") as log:
        with pytest.raises(AssertionError) as caught:
            await assert_honest(log, events)
        return str(caught.value)


async def test_a_missing_event_is_noticed(bench: Bench) -> None:
    """Speed by losing something does not count."""
    assert "50 events are stored, not 51" in await _accused(await _filled(bench), 51)


@pytest.mark.parametrize(
    ("statement", "accusation"),
    [
        ("DROP TRIGGER {trigger}", "was not refused"),
        ("UPDATE events SET leaf_hash = zeroblob(32) WHERE position = 50", "position 50 has no leaf hash"),
    ],
)
async def test_what_was_taken_away_is_noticed(bench: Bench, statement: str, accusation: str) -> None:
    """Without its triggers, or without true leaf hashes, a log is fast and worthless."""
    path = await _filled(bench)
    connection = sqlite3.connect(path)
    triggers = connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'events'")
    kept = triggers.fetchall()
    assert kept
    for name, _ in kept:
        connection.execute(f"DROP TRIGGER {name}")
    if not statement.startswith("DROP"):
        connection.execute(statement)
        for _, sql in kept:
            connection.execute(sql)
    connection.commit()
    connection.close()
    assert accusation in await _accused(path)


async def test_a_lane_that_does_not_wait_for_the_disk_is_noticed(bench: Bench) -> None:
    """NORMAL in place of FULL loses acknowledged events with the power."""
    path = await _filled(bench)
    async with EventLog.open(f"sqlite:///{path}") as log:
        assert isinstance(log.backend, SqliteBackend)
        await log.backend.lane.run(lambda connection: connection.execute("PRAGMA synchronous = NORMAL"))
        with pytest.raises(AssertionError, match="not FULL"):
            await assert_honest(log, 50)


def test_the_workload_is_of_realistic_size_and_the_same_every_time() -> None:
    """About 330 bytes an event; the same seed, the same events."""
    sizes = [len(encode(step.event)[0]) for script in producers(10, 1_000) for step in script]
    assert 250 < sum(sizes) / len(sizes) < 400
    assert len(sizes) == 1_000
    one, two = ([step.event for step in lifecycle(random, 1)] for random in (Random(1), Random(1)))
    assert one == two


@pytest.mark.parametrize(
    ("floor", "rounds", "missed"),
    [
        (Floor(10), [1, 10, 99], False),
        (Floor(10), [1, 9, 99], True),
        (Floor(10, at_most=True), [1, 10, 99], False),
        (Floor(10, at_most=True), [1, 11, 12], True),
        (None, [0], False),
    ],
)
def test_a_floor_is_held_against_the_median(floor: Floor | None, rounds: list[float], missed: bool) -> None:
    """One good or one bad round decides nothing."""
    assert Figure(name="", unit="", rounds=rounds, floor=floor).missed is missed


@pytest.mark.parametrize(("floor", "status"), [(Floor(1.0), 0), (Floor(3.0), 1)])
def test_the_exit_status_tells_of_a_missed_floor(
    floor: Floor, status: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """So that a build can fail of it; table and JSON carry the figures either way."""

    async def measure(bench: Bench) -> list[Figure]:
        return [Figure(name="speed", unit="x", rounds=[1.0, 2.0, 9.0], floor=floor)]

    monkeypatch.setitem(command.MEASUREMENTS, "append", measure)
    monkeypatch.setattr(sys, "argv", ["benchmarks", "append", "--quick", "--json", str(tmp_path / "out.json")])
    assert command.main() == status
    assert ("missed" if status else "met") in capsys.readouterr().out
    (figure,) = json.loads((tmp_path / "out.json").read_text())["figures"]
    assert (figure["median"], figure["missed"]) == (2.0, bool(status))


def test_the_page_tells_what_the_benchmarks_wrote(tmp_path: Path) -> None:
    """Every figure with its floor and whether it was met; what was missed stands at the top too."""
    figures = [
        Figure(name="append", unit="events/s", rounds=[39_000.0, 40_000.0, 41_000.0], note="p50 1.00 ms"),
        Figure(name="lag p99", unit="ms", rounds=[6.0], floor=Floor(5.0, at_most=True)),
        Figure(name="read", unit="events/s", rounds=[410_000.0], floor=Floor(400_000)),
    ]
    about = {"processor": "fast", "disk": "ext4 at /somewhere/of/mine"}
    write_json(tmp_path / "run.json", about, figures)
    write_json(tmp_path / "peers.json", about, figures[:1])
    told = page(read(tmp_path / "run.json"), read(tmp_path / "peers.json"))
    assert told.count("| append | 40,000 | events/s |  |  | p50 1.00 ms |") == 2
    assert "| lag p99 | 6.00 | ms | ≤ 5.00 | **missed** |  |" in told
    assert "| read | 410,000 | events/s | ≥ 400,000 | met |  |" in told
    assert "Of 2 floors 1 was missed in this run: lag p99." in told
    assert "processor fast, file system ext4" in told
    assert "/somewhere" not in told
    assert "{" not in told


def test_rates_are_found_by_the_number_in_their_name(tmp_path: Path) -> None:
    """For the charts: a thousand is written with a comma."""
    figures = [
        Figure(name="append, 1 producer", unit="events/s", rounds=[3.0]),
        Figure(name="append, 1,000 producers", unit="events/s", rounds=[5.0]),
        Figure(name="append, 1,000 producers, of raw", unit="ratio", rounds=[0.5]),
    ]
    write_json(tmp_path / "run.json", {}, figures)
    assert read(tmp_path / "run.json").medians(r"append, ([\d,]+) producers?") == {1.0: 3.0, 1000.0: 5.0}
