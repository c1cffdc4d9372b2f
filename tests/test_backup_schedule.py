"""Which backups may go, and when the next one is made, whatever the clock does."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import time
from datetime import timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

from byjy_events.backup import Backup, Backups, Check, Content, Facts, FolderBusy, Manifest, Scheduler, State, restore
from byjy_events.backup.manifest import FORMAT, name_of
from byjy_events.backup.retention import expired
from byjy_ops.backups import newest_backup
from tests.backups import DAY, HOUR, MINUTE, Clock, change, files, head, new_log, states, told, url
from tests.cli import command, environment

KEEP = timedelta(days=30)
NOW = Clock().now
NOTHING = Content(0, "")
FACTS = Facts(None, 0, None, None, None, {})
GOOD, BAD = Check(0, False, 0.0), Check(0, False, 0.0, ("something",))


def backup(sequence: int, created_at: int, check: Check | None = GOOD, thorough: Check | None = None) -> Backup:
    manifest = Manifest(
        FORMAT, sequence, created_at, FACTS, NOTHING, NOTHING, "", 0.0, check=check, thorough_check=thorough
    )
    return Backup(name_of(created_at), Path(), manifest)


def hourly(days: int, newest: int = NOW) -> list[Backup]:
    """One for every hour, the newest first."""
    return [backup(10_000 - number, newest - number * HOUR) for number in range(days * 24 + 1)]


def left(backups: list[Backup], now: int = NOW, keep: timedelta = KEEP) -> list[Backup]:
    """What stays."""
    going = expired(backups, now, keep)
    return [one for one in backups if one not in going]


def test_what_is_older_goes() -> None:
    """Thirty days of hours stay, to the hour."""
    backups = hourly(40)
    assert left(backups) == backups[: 30 * 24 + 1]
    assert left(left(backups)) == left(backups)


def test_the_newest_verified_one_stays_whatever_its_age() -> None:
    """Also when newer ones failed or were never verified."""
    backups = [backup(4, NOW, BAD), backup(3, NOW - DAY, None), backup(2, NOW - 900 * DAY), backup(1, NOW - 901 * DAY)]
    assert left(backups, keep=timedelta(hours=1)) == [backups[0], backups[2]]


@pytest.mark.parametrize("years", [1, 100])
def test_a_clock_that_is_set_forward_leaves_one_for_each_day(years: int) -> None:
    """Before the next backup is made, and after it: which counts as one of the days."""
    backups = hourly(30)
    jumped = NOW + years * 365 * DAY
    assert len({one.name[:8] for one in left(backups, jumped)}) == 30
    with_next = [backup(20_000, jumped), *backups]
    assert len({one.name[:8] for one in left(with_next, jumped)}) == 30
    assert left(with_next, jumped)[0] == with_next[0]


def test_a_backup_from_the_future_ages_with_those_made_after_it() -> None:
    """It does not stay until its date has come; and one that is set back takes nothing before its time."""
    odd = backup(5_000, NOW + 900 * DAY)
    later = [backup(20_000 - number, NOW + 40 * DAY - number * HOUR) for number in range(40 * 24)]
    everything = [*later, odd, *hourly(2)]
    assert odd in left(everything, NOW + DAY)
    assert odd not in left(everything, NOW + 40 * DAY, timedelta(days=3))


@pytest.mark.parametrize("began", [0, NOW - 200 * DAY])
def test_a_clock_that_was_behind_makes_no_older_backup_look_old(began: int) -> None:
    """Such as that of a machine which starts in 1970; what was made then ages with what was made after it."""
    before = hourly(20)
    behind = [backup(20_000 + hour, began + hour * HOUR) for hour in range(48)][::-1]
    assert left([*behind, *before], began + 2 * DAY) == [*behind, *before]
    after = [backup(30_000 + hour, NOW + hour * HOUR) for hour in range(1, 25)][::-1]
    assert left([*after, *behind, *before], NOW + DAY) == [*after, *behind, *before]
    later = backup(40_000, NOW + 31 * DAY)
    days = {one.name[:8] for one in left([later, *after, *behind, *before], NOW + 31 * DAY)}
    assert days == {one.name[:8] for one in [later, *after, *behind, *before]}
    assert len(left([later, *after, *behind, *before], NOW + 31 * DAY)) < 24 + len(days)


def test_while_the_newest_thorough_verification_failed_nothing_good_goes() -> None:
    """However many were made since that restore: what was not looked at may be as bad. What failed ages."""
    fine, bad = Check(0, True, 0.0), Check(0, True, 0.0, ("something",))
    damaged = backup(20_000, NOW + HOUR, GOOD, bad)
    before = [backup(1, NOW - 3 * DAY, BAD), *(backup(-n, NOW - 3 * DAY - n * HOUR) for n in range(1, 30))]
    since = [backup(30_000 - n, NOW + 40 * DAY - n * HOUR) for n in range(30)]
    now, keep = NOW + 40 * DAY, timedelta(days=1)
    assert expired([*since, damaged, *before], now, keep) == [before[0]]
    looked_at = backup(40_000, now, GOOD, fine)
    assert left([looked_at, *since, damaged, *before], now, keep) == [looked_at, *since[:25]]


def test_a_pause_of_months_leaves_backups_of_as_many_days() -> None:
    """Nothing was made for a while, so the last of each day stays."""
    backups = hourly(30)
    stay = left([backup(20_000, NOW + 90 * DAY), *backups], NOW + 90 * DAY)
    assert len(stay) == 30
    assert stay[1] == backups[0]


# --- the scheduler --------------------------------------------------------------------------------


@pytest.fixture
def log_file(migrated_file: Path, tmp_path: Path) -> Path:
    path = tmp_path / "log.db"
    asyncio.run(told(new_log(migrated_file, path), orders=2))
    return path


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def scheduler(log_file: Path, tmp_path: Path, clock: Clock) -> Scheduler:
    return Scheduler(url(log_file), tmp_path / "backups", keep=timedelta(days=3), clock=clock)


async def test_one_backup_is_made_for_every_period(scheduler: Scheduler, clock: Clock) -> None:
    """The first at once; a scheduler that is started anew goes on with the same periods."""
    assert await scheduler.turn() is not None
    clock.now += 59 * MINUTE
    assert await scheduler.turn() is None
    clock.now += MINUTE
    assert await scheduler.turn() is not None
    assert await scheduler.turn() is None
    assert states(scheduler.backups) == ["VERIFIED"] * 2


async def test_one_backup_makes_up_for_thirty_periods(
    scheduler: Scheduler, log_file: Path, tmp_path: Path, clock: Clock
) -> None:
    """Whether it was this scheduler that slept, or another that ended; it says so, and deletes after that."""
    await scheduler.turn()
    clock.now += 30 * HOUR
    anew = Scheduler(url(log_file), tmp_path / "backups", keep=timedelta(days=3), clock=clock)
    with capture_logs() as logged:
        assert await anew.turn() is not None
        assert await anew.turn() is None
    assert [(one["event"], one.get("periods")) for one in logged] == [("backups_missed", 29), ("backup_made", None)]
    clock.now += 10 * DAY
    assert await anew.turn() is not None
    assert len(states(anew.backups)) == 3  # the last of each of three days


async def test_a_clock_that_jumps_makes_one_backup_and_is_forgotten(
    scheduler: Scheduler, clock: Clock, log_file: Path, tmp_path: Path
) -> None:
    """Years forward and back again; the latest is the one that was made last, whatever its date. It is said."""
    await scheduler.turn()
    clock.now += 900 * DAY
    await scheduler.turn()
    clock.now -= 900 * DAY - HOUR
    await told(url(log_file), 2, 2)
    with capture_logs() as logged:
        last = await scheduler.turn()
    assert [one["event"] for one in logged] == ["clock_set_back", "backup_made"]
    assert last is not None
    assert await scheduler.turn() is None
    assert scheduler.backups.list()[0] == last
    assert (await restore(tmp_path / "backups", "latest", tmp_path / "new.db")).backup.name == last.name
    assert head(tmp_path / "new.db") == head(log_file)
    clock.now += HOUR
    assert await scheduler.turn() is not None


async def test_once_a_day_the_verification_is_thorough(scheduler: Scheduler, clock: Clock) -> None:
    """The first one is, and then the first one after a day."""
    thorough = []
    for _ in range(5):
        made = await scheduler.turn()
        assert made is not None
        thorough.append(made.known().thorough_check is not None)
        clock.now += 8 * HOUR
    assert thorough == [True, False, False, True, False]


@pytest.mark.parametrize("every", [timedelta(hours=1), timedelta(days=7)])
async def test_a_turn_that_fails_is_made_up_for_an_hour_later(
    every: timedelta, clock: Clock, tmp_path: Path, log_file: Path
) -> None:
    """For a file in place of the folder, then for want of the database; nothing is raised, or tried all the time."""
    folder = tmp_path / "backups"
    scheduler = Scheduler(url(log_file), folder, every=every, clock=clock)
    folder.touch()
    assert await scheduler.turn() is None
    folder.unlink()
    assert await scheduler.turn() is None
    log_file.rename(tmp_path / "elsewhere.db")  # noqa: ASYNC240
    clock.now += HOUR
    assert await scheduler.turn() is None
    (tmp_path / "elsewhere.db").rename(log_file)
    clock.now += HOUR
    made = await scheduler.turn()
    assert made is not None
    assert made.state is State.VERIFIED
    clock.now += HOUR
    assert (await scheduler.turn() is None) == (every > timedelta(hours=1))


async def test_a_thorough_verification_that_failed_is_told_until_another_one_finds_nothing(
    scheduler: Scheduler, clock: Clock, log_file: Path
) -> None:
    """By ``byjy status``, whatever those in between say, which did not look as far; nothing is deleted meanwhile."""
    first = await scheduler.turn()
    assert first is not None
    failed = Check(clock.now, True, 0.0, ("orders: 3 rows differ",))
    scheduler.backups.folder.record(first, first.known().checked(failed))
    for _ in range(2):
        clock.now += HOUR
        assert (await scheduler.turn() or first).state is State.VERIFIED
    report = newest_backup(str(scheduler.backups.folder.path))
    assert (report.state, report.problem) == (
        "VERIFIED",
        f"{first.name} failed the newest thorough verification: orders: 3 rows differ",
    )
    assert (await scheduler.backups.prune(timedelta(0), dry_run=True)).backups == []
    clock.now += HOUR
    await scheduler.backups.create(url(log_file), thorough=True)
    assert "thorough" not in (newest_backup(str(scheduler.backups.folder.path)).problem or "")
    assert len((await scheduler.backups.prune(timedelta(0))).backups) == 3


async def test_a_backup_that_nobody_verified_is_verified_by_the_next_scheduler(
    scheduler: Scheduler, clock: Clock
) -> None:
    """Since the process ended before; once, and beside the hours."""
    made = await scheduler.turn()
    assert made is not None
    made = scheduler.backups.folder.record(made, replace(made.known(), check=None, thorough_check=None))
    assert await scheduler.turn() is None
    anew = Scheduler("sqlite:///missing.db", scheduler.backups.folder.path, clock=clock)
    verified = await anew.turn()
    assert verified is not None
    assert (verified.name, verified.state) == (made.name, State.VERIFIED)
    assert verified.known().thorough_check is not None
    assert await anew.turn() is None


async def test_nobody_who_listens_harms_no_backup(log_file: Path, tmp_path: Path, clock: Clock) -> None:
    """Such as a pipe that was closed: it is said, and old ones are deleted all the same."""

    def told_nobody(_: Backup) -> None:
        raise OSError

    scheduler = Scheduler(url(log_file), tmp_path / "backups", keep=timedelta(0), told=told_nobody, clock=clock)
    await scheduler.turn()
    clock.now += HOUR
    with capture_logs() as logged:
        made = await scheduler.turn()
    assert scheduler.backups.list() == [made]
    assert [(one["event"], one.get("cause")) for one in logged] == [
        ("backup_made", None),
        ("telling_failed", "OSError"),
    ]


async def test_a_backup_that_fails_its_verification_deletes_nothing(
    scheduler: Scheduler, clock: Clock, log_file: Path
) -> None:
    """However old the good ones are."""
    await scheduler.turn()
    clock.now += MINUTE
    await scheduler.backups.create(url(log_file))
    change(log_file, "UPDATE events SET actor = 'nobody' WHERE position = 1")
    clock.now += 900 * DAY
    made = await scheduler.turn()
    assert made is not None
    assert made.state is State.FAILED
    assert states(scheduler.backups) == ["FAILED", "VERIFIED", "VERIFIED"]


async def test_a_folder_has_one_scheduler(log_file: Path, tmp_path: Path, clock: Clock) -> None:
    """The second is refused while the first one runs, and begins once it has ended; backups by hand go on."""
    running = asyncio.Event()

    async def sleep(seconds: float) -> None:
        assert 0 < seconds <= 60
        running.set()
        await asyncio.Event().wait()

    first, second = (
        Scheduler(url(log_file), tmp_path / "backups", segments_every=None, clock=clock, sleep=sleep) for _ in range(2)
    )
    task = asyncio.create_task(first.run())
    await running.wait()
    with pytest.raises(FolderBusy):
        await second.run()
    assert (await Backups(tmp_path / "backups", clock=clock).create(url(log_file))).state is State.VERIFIED
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    running.clear()
    task = asyncio.create_task(second.run())
    await running.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(states(second.backups)) == 2


def test_a_scheduler_that_is_asked_to_end_throws_away_what_it_began(log_file: Path, tmp_path: Path) -> None:
    """By SIGTERM, in the midst of a backup, as systemd asks: no copy of the database stays, and no lock."""
    folder = tmp_path / "backups"
    process = subprocess.Popen(command("backup", "run", "--folder", str(folder)), env=environment(url(log_file)))
    while not list(folder.glob(".scratch-*/*")):
        assert process.poll() is None
        time.sleep(0.001)
    process.terminate()
    assert process.wait() == -signal.SIGTERM
    assert not [name for name in files(folder) if name.startswith(".") or name.endswith(".part")]
    assert asyncio.run(Backups(folder).create(url(log_file))).state is State.VERIFIED


async def test_work_in_a_folder_takes_turns(log_file: Path, tmp_path: Path) -> None:
    """Of several at once each one is done, and each gets a name and a number of its own."""
    folder = tmp_path / "backups"
    made = await asyncio.gather(*(Backups(folder, clock=Clock()).create(url(log_file)) for _ in range(3)))
    assert len({one.name for one in made}) == 3
    assert [one.known().sequence for one in Backups(folder).list()] == [3, 2, 1]
    assert states(Backups(folder)) == ["VERIFIED"] * 3
