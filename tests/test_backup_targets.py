"""Backups in a bucket, on a server that speaks S3, and in other places that fsspec has a filesystem for."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import shutil
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import fsspec
import portalocker
import pytest
import s3fs
import structlog
from fsspec.implementations.memory import MemoryFileSystem

from byjy_events import EventLog
from byjy_events.backup import (
    Backups,
    FolderBusy,
    FolderUnusable,
    Scheduler,
    SpaceShort,
    State,
    fsspec_target,
    restore,
)
from byjy_events.backup.access import shown
from byjy_events.backup.compressed import Stopped
from byjy_events.backup.folder_target import FolderTarget
from byjy_events.backup.fsspec_target import FsspecTarget
from byjy_events.backup.segments import Segments
from byjy_events.backup.target import target_of
from byjy_events.redaction import Redactor
from byjy_ops.cli import answered
from tests.backups import DAY, Clock, head, new_log, states, told, url
from tests.object_store import BUCKET, KEY, SECRET, ObjectStore, object_store

PREFIX = f"s3://{BUCKET}/byjy/trading"
PART_BYTES = 5 << 20
"""The smallest part of an upload that S3 takes."""

LARGE_BYTES = 2 * PART_BYTES + 1


@pytest.fixture(autouse=True)
def _logging() -> Iterator[None]:
    """A command sets logging up for its process."""
    yield
    structlog.reset_defaults()


@pytest.fixture(scope="module")
def server() -> Iterator[ObjectStore]:
    with object_store() as store:
        yield store


@pytest.fixture
def store(server: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> Iterator[ObjectStore]:
    """The server with an empty bucket, named by the environment. What it does not answer is not asked again."""
    server.empty()
    _named(server, monkeypatch)
    monkeypatch.setattr(s3fs.S3FileSystem, "retries", 1)
    yield server
    server.check_access(False)


def _named(store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in store.environment().items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def log_file(migrated_file: Path, tmp_path: Path) -> Path:
    path = tmp_path / "log.db"
    asyncio.run(told(new_log(migrated_file, path), orders=2))
    return path


@pytest.fixture(autouse=True)
def workplaces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for temporary files."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


def left(workplaces: Path) -> list[str]:
    """What lies in the workplaces, but for locks."""
    return [path.name for path in workplaces.glob("*/*") if not path.name.endswith(".lock")]


def unfinished() -> list[str]:
    """The uploads that were begun."""
    listed = s3fs.S3FileSystem().call_s3("list_multipart_uploads", Bucket=BUCKET)
    return [one["Key"] for one in listed.get("Uploads", ())]


# --- a bucket -------------------------------------------------------------------------------------


def test_a_day_with_backups_in_a_bucket(
    store: ObjectStore,
    log_file: Path,
    workplaces: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Made, listed, verified, shown by status, restored, pruned; of the database nothing stays on this machine."""

    def rows(*arguments: str, status: int = 0) -> list[dict[str, Any]]:
        capsys.readouterr()
        assert answered([*arguments, "--json"]) == status, capsys.readouterr().err
        return [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    monkeypatch.setenv("BYJY_DATABASE_URL", url(log_file))
    monkeypatch.setenv("BYJY_BACKUP_FOLDER", PREFIX)
    backups = Backups(PREFIX)
    assert backups.list() == []
    made = [asyncio.run(backups.create(url(log_file))).name, rows("backup", "create")[0]["name"]]
    assert [(one["name"], one["state"]) for one in rows("backup", "list")] == [
        (made[1], "VERIFIED"),
        (made[0], "VERIFIED"),
    ]
    assert rows("backup", "verify", "--thorough")[0]["thorough_check"]["problems"] == []
    (report,) = rows("status")
    assert (report["backup"]["folder"], report["backup"]["name"]) == (PREFIX, made[1])
    assert [one["name"] for one in rows("backup", "prune", "--keep", "0s")] == [made[0]]
    assert left(workplaces) == []
    target = log_file.with_name("new.db")
    asyncio.run(restore(backups.folder.target, "latest", target))
    assert head(target) == head(log_file)
    assert sorted(backups.folder.target.files()) == [f"{made[1]}.db.zst", f"{made[1]}.json"]


async def test_a_scheduler_works_with_a_bucket(store: ObjectStore, log_file: Path, workplaces: Path) -> None:
    """A backup for every period, old ones deleted, and one scheduler for each URL on a machine."""
    clock = Clock()
    scheduler = Scheduler(url(log_file), PREFIX, keep=timedelta(days=1), clock=clock)
    for _ in range(3):
        assert await scheduler.turn() is not None
        assert await scheduler.turn() is None
        clock.now += DAY
    assert states(scheduler.backups) == ["VERIFIED"] * 2
    async with scheduler.backups.folder.locked(".scheduler.lock"):
        (lock,) = workplaces.glob("*/.scheduler.lock")  # noqa: ASYNC240
        os.utime(lock, (1, 1))  # so old that what tidies temporary files up would delete it
        await scheduler.backups.prune()
        assert lock.stat().st_mtime > 1
        with pytest.raises(FolderBusy) as raised:
            await Scheduler(url(log_file), PREFIX + "/").run()
    assert raised.value.folder == PREFIX
    assert left(workplaces) == []


async def test_what_happens_between_two_backups_is_in_the_bucket_too(
    store: ObjectStore, log_file: Path, workplaces: Path
) -> None:
    """A segment is an object; a turn that the server did not answer is made up for by the next one."""
    backups = Backups(PREFIX)
    made = await backups.create(url(log_file))
    async with EventLog.open(url(log_file)) as log:
        segments = Segments(log, backups.folder.target)
        await told(url(log_file), 2, 1)
        assert await segments.turn() == 1
        await told(url(log_file), 3, 1)
        store.cut(1)
        with pytest.raises(FolderUnusable):
            await segments.turn()
        store.cut(0)
        assert await segments.turn() == 1
    assert [one.name for one in backups.list()] == [made.name]
    await restore(backups.folder.target, "latest", log_file.with_name("new.db"))
    assert head(log_file.with_name("new.db")) == head(log_file) > made.known().facts.head + 2
    assert left(workplaces) == []


async def test_a_manifest_is_read_again_when_somebody_else_changed_it(store: ObjectStore, log_file: Path) -> None:
    """And not when nobody did: a list of many backups asks for what is new in it."""
    here, there = Backups(PREFIX), Backups(PREFIX)
    made = await here.create(url(log_file))
    assert there.list() == here.list() == [made]
    store.cut(2)
    assert there.list() == [made]
    assert store.cut_requests() == 0
    store.cut(0)
    verified = await here.verify(thorough=True)
    assert there.list() == [verified] != [made]


async def test_whatever_request_fails_no_good_backup_is_lost(
    store: ObjectStore, log_file: Path, workplaces: Path
) -> None:
    """The server hangs up on the first request and all that follow, then on the second, and so on."""
    backups = Backups(PREFIX)
    good = await backups.create(url(log_file))
    for request in range(1, 100):
        store.cut(request)
        failed = None
        try:
            await backups.create(url(log_file))
        except FolderUnusable as error:
            failed = error
        reached = store.cut_requests()
        store.cut(0)
        found = backups.list()
        assert found[-1].name == good.name or found[-1].state is State.INCOMPLETE
        assert good.name in {one.name for one in found if one.state is State.VERIFIED}
        assert left(workplaces) == []
        if failed is None:
            break
        assert reached
        assert failed.folder == PREFIX
        for one in found:
            if one.state is State.UNVERIFIED:
                assert (await backups.verify(one.name)).state is State.VERIFIED
    assert request > 6
    assert backups.list()[0].state is State.VERIFIED


async def test_a_bucket_that_takes_nothing_more_loses_nothing(
    store: ObjectStore, log_file: Path, workplaces: Path
) -> None:
    """One that may only be read, or is full: what is there is restored, and nothing is added or deleted."""
    backups = Backups(PREFIX)
    made = [await backups.create(url(log_file)) for _ in range(2)]
    before = backups.folder.target.files()
    later = Backups(backups.folder.target, clock=Clock("2100-01-01T00:00:00+00:00"))
    for code in ("AccessDenied", "QuotaExceeded"):
        store.refuse_changes(code)
        for work in (later.create(url(log_file)), later.verify(made[0].name), later.prune(timedelta(0))):
            with pytest.raises(FolderUnusable, match=code):
                await work
        assert backups.folder.target.files() == before
    assert left(workplaces) == []
    await restore(backups.folder.target, "latest", log_file.with_name("new.db"))
    assert head(log_file.with_name("new.db")) == head(log_file)


async def test_a_server_that_is_killed_in_the_middle_of_an_upload_is_named(
    log_file: Path, workplaces: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is left on this machine, and the next backup is made where there is a server again."""
    monkeypatch.setattr(s3fs.S3FileSystem, "retries", 1)
    with object_store() as store:
        _named(store, monkeypatch)
        backups = Backups(PREFIX)
        assert (await backups.create(url(log_file))).state is State.VERIFIED
        store.die(1)
        with pytest.raises(FolderUnusable) as raised:
            await backups.create(url(log_file))
        assert store.process.wait() < 0
    assert raised.value.folder == PREFIX
    assert left(workplaces) == []


def test_an_upload_that_is_stopped_or_cut_off_is_aborted(
    store: ObjectStore, tmp_path: Path, workplaces: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At once, if the server is there to be told; else when it is a day old, and only in the folder that is swept."""
    monkeypatch.setattr(fsspec_target, "BLOCK_BYTES", PART_BYTES)
    monkeypatch.setattr(fsspec_target, "UPLOADS", 1)
    target, stop = FsspecTarget(PREFIX), threading.Event()
    large = tmp_path / "large"

    def written() -> Path:
        with large.open("wb") as file:
            file.truncate(LARGE_BYTES)
        return large

    stop.set()
    with pytest.raises(Stopped):
        target.put(written(), "a", stop)
    assert unfinished() == []
    store.cut(3)
    with pytest.raises(FolderUnusable):
        target.put(written(), "b", threading.Event())
    store.cut(0)
    FsspecTarget(f"s3://{BUCKET}/byjy").sweep(Clock("2100-01-01T00:00:00+00:00").now)
    target.sweep(Clock("2000-01-01T00:00:00+00:00").now)
    assert unfinished() == ["byjy/trading/b"]
    target.sweep(Clock("2100-01-01T00:00:00+00:00").now)
    assert unfinished() == []
    assert target.files() == {}
    target.put(written(), "c", threading.Event())
    assert not large.exists()
    assert target.files()["c"].size == LARGE_BYTES
    with target.open("c") as file:
        assert sum(len(piece) for piece in iter(lambda: file.read(1 << 20), b"")) == LARGE_BYTES


@pytest.mark.parametrize("trouble", ["credentials", "bucket", "server"])
async def test_what_cannot_be_reached_is_named_and_gives_nothing_away(
    store: ObjectStore, log_file: Path, trouble: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Wrong credentials, a bucket that is missing, nobody who listens: for every command, and in what is logged."""
    place = PREFIX
    if trouble == "credentials":
        store.check_access(True)
    elif trouble == "bucket":
        place = "s3://missing/byjy/trading"
    else:
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://somebody:whose-password@127.0.0.1:9")
    caplog.set_level(logging.INFO)
    target = FsspecTarget(place, key=KEY, secret=SECRET)
    backups = Backups(target)
    wanted = [backups.create(url(log_file)), backups.verify(), backups.prune(), restore(target, "latest", "new.db")]
    for work in wanted:
        with pytest.raises(FolderUnusable) as raised:
            await work
        assert raised.value.folder == place
        assert len(raised.value.reason) > 10
        said = "".join(traceback.format_exception(raised.value))
        assert not [one for one in (KEY, SECRET, "somebody", "whose-password") if one in said]
    with structlog.testing.capture_logs() as logged:
        assert await Scheduler(url(log_file), target).turn() is None
    assert logged[0]["folder"] == place
    assert SECRET not in f"{logged}{caplog.text}{target!r}"
    assert not Path("new.db").exists()  # noqa: ASYNC240


# --- other stores ---------------------------------------------------------------------------------


class ThreadedStore(MemoryFileSystem):  # type: ignore[misc]
    """A store that notes who asks it on the thread of the event loop."""

    protocol = "threaded"
    blocked: list[str] = []  # noqa: RUF012

    def __getattribute__(self, name: str) -> Any:
        if name in ("ls", "info", "cat_file", "open", "put_file", "pipe_file", "rm_file"):
            self.note(name)
        return super().__getattribute__(name)

    @classmethod
    def note(cls, name: str) -> None:
        with contextlib.suppress(RuntimeError):
            asyncio.get_running_loop()
            cls.blocked.append(name)


async def test_nobody_waits_for_a_store_on_the_event_loop(
    log_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the engine and its appends may be; nor for a lock, nor until long scratch files are deleted."""

    def noting(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            ThreadedStore.note(name)
            return function(*arguments, **options)

        return call

    monkeypatch.setattr(shutil, "rmtree", noting("rmtree", shutil.rmtree))
    monkeypatch.setattr(portalocker, "lock", noting("lock", portalocker.lock))
    fsspec.register_implementation("threaded", ThreadedStore, clobber=True)
    scheduler = Scheduler(url(log_file), "threaded://x/y")
    assert await scheduler.turn() is not None
    assert await scheduler.turn() is None
    await scheduler.backups.verify(thorough=True)
    await scheduler.backups.prune()
    monkeypatch.undo()
    await restore(scheduler.backups.folder.target, "latest", tmp_path / "new.db")
    assert ThreadedStore.blocked == []
    scheduler.backups.list()
    assert "ls" in ThreadedStore.blocked


class LateStore(MemoryFileSystem):  # type: ignore[misc]
    """A store that does not list what was written last, and may not say how old anything is."""

    protocol = "late"
    store: dict[str, Any] = {}  # noqa: RUF012
    pseudo_dirs = [""]  # noqa: RUF012
    hidden: set[str] = set()  # noqa: RUF012
    tells_times = False

    def ls(self, path: str, detail: bool = True, **kwargs: Any) -> Any:
        shown = super().ls(path, detail=True, **kwargs)
        listed = [one for one in shown if one["name"].rpartition("/")[2] not in self.hidden]
        return listed if self.tells_times else [{**one, "created": None} for one in listed]


@pytest.mark.parametrize("place", ["memory://trading/{}", "local://{}", "file://{}", "late://trading/{}", "{}"])
async def test_a_place_of_any_kind_is_worked_with_alike(place: str, log_file: Path, tmp_path: Path) -> None:
    """Made, verified thoroughly, restored, pruned; a manifest is replaced whole, and nothing half written is left."""
    fsspec.register_implementation("late", LateStore, clobber=True)
    folder = tmp_path / "backups"
    folder.mkdir()
    backups = Backups(place.format(folder), clock=Clock())
    made = [await backups.create(url(log_file)) for _ in range(2)]
    assert (await backups.verify(thorough=True)).name == made[1].name
    done = await restore(place.format(folder), "latest", tmp_path / "new.db")
    assert done.backup.name == made[1].name
    assert head(tmp_path / "new.db") == head(log_file)
    await backups.prune(timedelta(0))
    assert states(backups) == ["VERIFIED"] * 2  # they are of this very moment
    backups = Backups(place.format(folder), clock=Clock("2024-03-02T12:00:00+00:00"))
    await backups.prune(timedelta(hours=1))
    found = {name for name in backups.folder.target.files() if not name.endswith(".lock")}
    assert found == {f"{made[1].name}.db.zst", f"{made[1].name}.json"}


@pytest.mark.parametrize("tells_times", [False, True])
async def test_a_list_that_is_late_costs_no_backup(
    log_file: Path, tells_times: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it does not list yet is not there yet; what it lists and is gone is incomplete; nothing of it is deleted."""
    fsspec.register_implementation("late", LateStore, clobber=True)
    monkeypatch.setattr(LateStore, "store", {})
    monkeypatch.setattr(LateStore, "tells_times", tells_times)
    backups = Backups("late://late/list")
    first, second = await backups.create(url(log_file)), await backups.create(url(log_file))
    data, manifest = f"{second.name}.db.zst", f"{second.name}.json"
    for hidden in ({manifest}, {data}, {manifest, data}):
        LateStore.hidden = hidden
        found = {one.name: one.state for one in Backups("late://late/list").list()}
        assert found.pop(first.name) is State.VERIFIED
        assert set(found.values()) <= {State.INCOMPLETE}
        later = Backups("late://late/list", clock=Clock("2100-01-01T00:00:00+00:00"))
        assert (await later.prune()).backups == []
    third = await backups.create(url(log_file))
    LateStore.hidden = set()
    assert [one.name for one in Backups("late://late/list").list()] == [third.name, second.name, first.name]
    assert states(backups) == ["VERIFIED"] * 3


class StubbornStore(MemoryFileSystem):  # type: ignore[misc]
    """A store that renames nothing to a name that is taken, and does not say so."""

    protocol = "stubborn"

    def mv(self, old: str, new: str, **kwargs: Any) -> None:
        if not self.exists(new):
            super().mv(old, new, **kwargs)


async def test_a_store_that_replaces_nothing_is_noticed(log_file: Path) -> None:
    """Else a backup would be called verified that is not, and nobody would ever know what was found."""
    fsspec.register_implementation("stubborn", StubbornStore, clobber=True)
    backups = Backups("stubborn://x")
    with pytest.raises(FolderUnusable, match="json could not be renamed"):
        await backups.create(url(log_file))
    assert states(backups) == ["UNVERIFIED"]
    assert not [name for name in backups.folder.target.files() if name.endswith(".part")]


@pytest.mark.parametrize("place", ["{}", "local://{}"])
async def test_what_is_not_ours_is_left_alone(place: str, log_file: Path, tmp_path: Path) -> None:
    """Whatever it is called; and so is a backup whose data was moved to a disk that is away."""
    folder, others = tmp_path / "backups", tmp_path / "others"
    others.mkdir()
    made = await Backups(folder).create(url(log_file))
    for name in ("notes.txt", "mine.part", "20240301T120000.000000Z.db", "20240301T120000.000000Z.db.zst.old", ".json"):
        (folder / name).touch()
    for folder_name in ("20240302T120000.000000Z.json", "20240302T120000.000000Z.db.zst"):
        (folder / folder_name).mkdir()
    for odd in (b"\xff\n name.json", b"20240303T120000.000000Z.json\n"):
        (folder / os.fsdecode(odd)).touch()
    if place == "{}":
        made.path.rename(others / "away")
        made.path.symlink_to(others / "not mounted")
    before = set(folder.rglob("*"))
    later = Backups(place.format(folder), clock=Clock("2100-01-01T00:00:00+00:00"))
    assert [one.name for one in later.list()] == [made.name]
    assert await later.prune(timedelta(0)) == ([], [], [])
    assert set(folder.rglob("*")) - before <= {folder / ".lock"}
    assert before <= set(folder.rglob("*"))


async def test_a_disk_without_room_for_scratch_files_is_named(
    log_file: Path, workplaces: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is the one of this machine, on which a backup is made and looked at."""
    backups = Backups("memory://short")
    await backups.create(url(log_file))
    usage = shutil.disk_usage(log_file.parent)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=100_000))
    for work in (backups.create(url(log_file)), backups.verify()):
        with pytest.raises(SpaceShort) as raised:
            await work
        assert raised.value.folder == backups.folder.workplace.path
        assert raised.value.folder.parent == workplaces
    assert len(backups.list()) == 1


@pytest.mark.parametrize("place", ["{}", "local://{}"])
async def test_data_whose_manifest_cannot_be_written_is_taken_back(place: str, log_file: Path, tmp_path: Path) -> None:
    """A backup that was not made adds nothing."""
    folder = tmp_path / "backups"
    (folder / "20240301T120000.000000Z.json.part").mkdir(parents=True)  # where it would be written
    backups = Backups(place.format(folder), clock=Clock())
    with pytest.raises(FolderUnusable):
        await backups.create(url(log_file))
    assert backups.list() == []
    assert [name for name in backups.folder.target.files() if not name.endswith(".lock")] == []


def test_a_path_is_a_folder_whatever_it_looks_like(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Relative, with a colon, as a URL of a file; nothing is installed for it."""
    monkeypatch.setitem(sys.modules, "fsspec", None)
    places: list[tuple[str, str]] = [("a:b/c", "a:b/c"), ("file:///mnt/x", "/mnt/x"), ("s3:/b", "s3:/b")]
    for given, path in places:
        target = target_of(given)
        assert isinstance(target, FolderTarget)
        assert target.where == Path(path)
    assert target_of(tmp_path).where == tmp_path


def test_what_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """With the way to install it; by the command in one line."""
    for place, said in [
        ("gs://bucket/x", "gcsfs"),
        ("unknown://x", "unknown"),
        ("s3://bucket//x", "slashes"),
        ("simplecache::s3://bucket/x", "no chain"),
    ]:
        with pytest.raises(FolderUnusable, match=said):
            Backups(place).list()
    monkeypatch.setitem(sys.modules, "s3fs", None)
    monkeypatch.delitem(sys.modules["fsspec.registry"]._registry, "s3", raising=False)
    for module in ("s3fs", "fsspec"):
        monkeypatch.setitem(sys.modules, module, None)
        assert answered(["--database", "sqlite:///x.db", "backup", "list", "--folder", PREFIX]) == 2
        error = capsys.readouterr().err
        assert error.startswith(f"byjy: {PREFIX}: ")
        assert module in error
        assert error.endswith("pip install 'byjy-events[remote]'\n")


@pytest.mark.parametrize("user", ["somebody:pass", "somebody:p/a@s s?#:word", "AKIA:se/cret+x=", "token"])
def test_a_url_is_shown_without_what_gives_access(user: str, capsys: pytest.CaptureFixture[str]) -> None:
    """In errors, in what is printed, and as an attribute; also where the library complains about it."""
    for place in (f"memory://{user}@host/x", f"s3://{user}@bucket/x?token=abcdef", f"sftp://{user}@host/x"):
        answered(["--database", "sqlite:///x.db", "backup", "verify", "--folder", place])
        answered(["--database", "sqlite:///x.db", "backup", "list", "--folder", place])
        shown = "".join(capsys.readouterr())
        assert "host" in shown or "bucket" in shown
        assert not [one for one in (user, *user.split(":"), "abcdef", "cret") if one in shown], shown


class TalkativeStore(MemoryFileSystem):  # type: ignore[misc]
    """A store that says all it knows when something goes wrong."""

    protocol = "talkative"

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return "/" + path.partition("@")[2]

    def ls(self, path: str, detail: bool = True, **kwargs: Any) -> Any:
        del path, detail, kwargs
        raise ValueError(f"no access to http://guest:guessed@proxy/x?sig=signed as somebody/pa/ss with {SECRET}, brief")


def test_an_error_of_a_library_gives_nothing_away() -> None:
    """Neither in what is raised, nor behind it in a traceback."""
    fsspec.register_implementation("talkative", TalkativeStore, clobber=True)
    options = {"secret": SECRET, "client_kwargs": {"aws_session_token": "brief"}}
    target = FsspecTarget("talkative://somebody:pa%2Fss@host/x", **options)
    with pytest.raises(FolderUnusable, match="no access to http://proxy/x as") as raised:
        target.files()
    said = "".join(traceback.format_exception(raised.value))
    assert not [one for one in ("guest", "guessed", "signed", "pa/ss", SECRET, "brief") if one in said], said


@pytest.mark.parametrize("place", ["s3://AKIAKEY:se/cret@bucket/x", "unknown://AKIAKEY:se/cret@host/x?sig=se/cret"])
def test_a_log_that_shows_variables_gives_nothing_away(place: str) -> None:
    """Whichever of our frames the error went through: a URL that is refused, a filesystem that is not there."""
    with pytest.raises(FolderUnusable) as raised:
        FsspecTarget(place, key="AKIAKEY", client_kwargs={"token": "se/cret", "other": "se/cret"}).files()
    error = raised.value.with_traceback(raised.tb.tb_next)  # without that of the test
    logged = Redactor(show_locals=True).entry({"exc_info": error})
    assert len(logged["exception_locals"]) > 1
    assert not [one for one in ("AKIAKEY", "se/cret") if one in repr(logged)], logged


@pytest.mark.parametrize(
    ("given", "seen"),
    [
        ("s3://bucket/a@b/c", "s3://bucket/a@b/c"),
        ("abfs://container@account.example/x", "abfs://container@account.example/x"),
        ("https://me:p@ss@host/x?sig=abc#d", "https://host/x"),
        ("memory://x", "memory://x"),
    ],
)
def test_what_is_no_access_is_shown(given: str, seen: str) -> None:
    """So that two places are told apart."""
    assert shown(given) == seen


def test_a_workplace_of_somebody_else_is_not_used(workplaces: Path, log_file: Path) -> None:
    """Who may write in the folder for temporary files could have made it before."""
    backups = Backups("memory://workplace")
    theirs = workplaces / "theirs"
    theirs.mkdir()
    backups.folder.workplace.path.symlink_to(theirs)
    with pytest.raises(FolderUnusable, match="somebody else"):
        asyncio.run(backups.create(url(log_file)))
    assert list(theirs.iterdir()) == []
