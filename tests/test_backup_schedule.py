"""Which backups may go, and when the next one is made, whatever the clock does."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from byjy_events.backup import Backup, Backups, Check, Content, Facts, FolderBusy, Manifest, Scheduler, State, restore
from byjy_events.backup.manifest import FORMAT, name_of
from byjy_events.backup.retention import expired
from tests.backups import DAY, HOUR, MINUTE, Clock, change, head, new_log, states, told, url

KEEP = timedelta(days=30)
NOW = Clock().now
FACTS = Facts(None, 0, None, None, None, {})
GOOD, BAD = Check(0, False, 0.0), Check(0, False, 0.0, ("something",))


def backup(sequence: int, created_at: int, check: Check | None = GOOD) -> Backup:
    nothing = Content(0, "")
    manifest = Manifest(FORMAT, sequence, created_at, FACTS, nothing, nothing, "", 0.0, check=check)
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
    """Whether it was this scheduler that slept, or another that ended; and it is pruned after that, not before."""
    await scheduler.turn()
    clock.now += 30 * HOUR
    anew = Scheduler(url(log_file), tmp_path / "backups", keep=timedelta(days=3), clock=clock)
    assert await anew.turn() is not None
    assert await anew.turn() is None
    clock.now += 10 * DAY
    assert await anew.turn() is not None
    assert len(states(anew.backups)) == 3  # the last of each of three days


async def test_a_clock_that_jumps_makes_one_backup_and_is_forgotten(
    scheduler: Scheduler, clock: Clock, log_file: Path, tmp_path: Path
) -> None:
    """Years forward and back again; the latest is the one that was made last, whatever its date."""
    await scheduler.turn()
    clock.now += 900 * DAY
    await scheduler.turn()
    clock.now -= 900 * DAY - HOUR
    await told(url(log_file), 2, 2)
    last = await scheduler.turn()
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


async def test_a_turn_that_fails_is_made_up_for_a_period_later(
    scheduler: Scheduler, clock: Clock, tmp_path: Path, log_file: Path
) -> None:
    """For a file in place of the folder, then for want of the database; nothing is raised, or tried all the time."""
    folder = tmp_path / "backups"
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


async def test_work_in_a_folder_takes_turns(log_file: Path, tmp_path: Path) -> None:
    """Of several at once each one is done, and each gets a name and a number of its own."""
    folder = tmp_path / "backups"
    made = await asyncio.gather(*(Backups(folder, clock=Clock()).create(url(log_file)) for _ in range(3)))
    assert len({one.name for one in made}) == 3
    assert [one.known().sequence for one in Backups(folder).list()] == [3, 2, 1]
    assert states(Backups(folder)) == ["VERIFIED"] * 3
