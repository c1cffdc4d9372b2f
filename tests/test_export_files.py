"""The file of an export is there whole or not at all."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import io
import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from byjy_events import EventLog
from byjy_events.identifiers import new_order_id
from byjy_events.stream import order_stream
from byjy_ops.errors import OutputClosed
from byjy_ops.exporting import (
    Format,
    Kind,
    NotCheckable,
    OutputExists,
    OutputUnwritable,
    check,
    export,
    manifest_path,
)
from byjy_ops.exporting.destination import Destination
from byjy_ops.exporting.manifest import LONGEST_BYTES
from tests.cli import ROOT, SECONDS, command, environment
from tests.sample_events import SAMPLES, placed


@pytest.fixture
async def log_file(migrated_file: Path, tmp_path: Path) -> str:
    """A SQLite log of some thousand events: what is tested here is not the database."""
    path = tmp_path / "log.db"
    path.write_bytes(migrated_file.read_bytes())  # noqa: ASYNC240
    async with EventLog.open(f"sqlite:///{path}") as log:
        for _ in range(5):
            await log.append(order_stream(new_order_id()), [placed(), *[SAMPLES["OrderCancelRequested"]] * 999])
    return f"sqlite:///{path}"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder."""
    path = tmp_path / "exports"
    path.mkdir()
    return path


def names(folder: Path) -> set[str]:
    """What lies in a folder, hidden or not."""
    return {path.name for path in folder.iterdir()}


async def export_events(url: str, output: Any, **how: Any) -> Any:
    async with EventLog.open(url, read_only=True) as log:
        return await export(log, Kind.EVENTS, output, **how)


async def test_a_file_that_is_there_is_left_alone(log_file: str, folder: Path) -> None:
    """And so is a manifest; unless they are to be replaced, which leaves no trace of what was there."""
    path = folder / "events.jsonl"
    for occupied in (path, manifest_path(path)):
        occupied.write_text("precious")
        with pytest.raises(OutputExists) as raised:
            await export_events(log_file, path)
        assert raised.value.path == occupied
        assert (names(folder), occupied.read_text()) == ({occupied.name}, "precious")
        occupied.rename(folder / "moved")
        occupied.with_name("moved").unlink()
    await export_events(log_file, path, as_of=5)
    with pytest.raises(OutputExists):
        await export_events(log_file, path)
    assert check(path).rows == 5
    await export_events(log_file, path, force=True)
    assert (check(path).rows, names(folder)) == (5000, {path.name, manifest_path(path).name})


async def test_who_comes_second_does_not_win(log_file: str, folder: Path) -> None:
    """A file that appears while the export is under way is left alone, and nothing is left of the export."""
    path = folder / "events.jsonl"
    for appears in (path, manifest_path(path)):

        def meanwhile(_reached: int, _aimed: int, appears: Path = appears) -> None:
            appears.write_text("precious")

        with pytest.raises(OutputExists) as raised:
            await export_events(log_file, path, progress=meanwhile)
        assert raised.value.path == appears
        assert (names(folder), appears.read_text()) == ({appears.name}, "precious")
        appears.unlink()


@pytest.mark.parametrize(
    ("name", "reason"),
    [("no/such/events.jsonl", "there is no folder"), ("", "is there, and is no file"), ("x" * 300, "too long")],
)
async def test_where_no_file_can_be_is_said_at_once(log_file: str, folder: Path, name: str, reason: str) -> None:
    """Before anything is read."""
    with pytest.raises(OutputUnwritable, match=reason):
        await export_events(log_file, folder / name, file_format="jsonl")
    assert names(folder) == set()


async def test_the_manifest_may_lie_elsewhere(log_file: str, folder: Path) -> None:
    """Where it cannot, the file is not made either."""
    path, elsewhere = folder / "events.csv", folder / "told.json"
    with pytest.raises(OutputUnwritable):
        await export_events(log_file, path, manifest=folder / "no" / "told.json")
    assert names(folder) == set()
    await export_events(log_file, path, manifest=elsewhere)
    assert names(folder) == {path.name, elsewhere.name}
    assert check(path, elsewhere).holds


@pytest.mark.parametrize("force", [True, False])
async def test_a_manifest_never_takes_the_place_of_its_export(log_file: str, folder: Path, force: bool) -> None:
    """However the folder is spelled; what was there stays."""
    path = folder / "events.csv"
    if force:
        path.write_text("precious")
    with pytest.raises(OutputUnwritable, match="the manifest would take the place of the export"):
        await export_events(log_file, path, manifest=folder / ".." / folder.name / path.name, force=force)
    assert {name: (folder / name).read_text() for name in names(folder)} == (
        {"events.csv": "precious"} if force else {}
    )


@pytest.mark.parametrize("name", [".", "/"])
async def test_a_folder_is_no_file(log_file: str, name: str) -> None:
    """Neither to be made nor to be checked."""
    with pytest.raises(OutputUnwritable, match="is there, and is no file"):
        await export_events(log_file, Path(name), file_format="csv")
    with pytest.raises(NotCheckable):
        check(Path(name))


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere names of files are texts")
def test_the_name_of_a_file_may_be_no_text(log_file: str, folder: Path) -> None:
    """Nor fit for a terminal: it is shown with escapes, in the manifest, too."""
    path = folder / os.fsdecode(b"caf\xe9\n.jsonl")
    done = subprocess.run(
        command("export", "events", "--output", str(path)),
        env=environment(log_file), cwd=ROOT, capture_output=True, text=True, timeout=SECONDS, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"{folder}/caf\\udce9\\n.jsonl: 5000 events")
    verdict = check(path)
    assert (verdict.holds, verdict.manifest.file) == (True, "caf\\xe9\n.jsonl")


@pytest.mark.parametrize("file_format", list(Format))
async def test_a_cancelled_export_leaves_nothing(log_file: str, folder: Path, file_format: Format) -> None:
    """At whatever chunk."""
    path = folder / f"events.{file_format}"
    for at in (1000, 4000, 5000):
        reached = asyncio.Event()
        task = asyncio.create_task(
            export_events(
                log_file,
                path,
                progress=lambda position, _, at=at, reached=reached: reached.set() if position >= at else None,
            )
        )
        await reached.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert names(folder) == set()


@pytest.mark.parametrize("file_format", list(Format))
async def test_an_export_cancelled_at_any_step_leaves_all_or_nothing(
    log_file: str, folder: Path, file_format: Format
) -> None:
    """However few steps it has taken, and when it is being named."""
    path = folder / f"events.{file_format}"
    whole = {path.name, manifest_path(path).name}
    ends = set()
    for steps in [*range(12), *range(12, 60, 4), None]:
        task = asyncio.create_task(export_events(log_file, path, as_of=10))
        if steps is None:
            await asyncio.wait([task])
        for _ in range(steps or 0):
            await asyncio.sleep(0.0005)
        task.cancel()
        await asyncio.wait([task])
        ends.add(frozenset(names(folder)))
        for one in folder.iterdir():  # noqa: ASYNC240
            one.unlink()
    assert ends == {frozenset(), frozenset(whole)}


async def test_a_stream_gets_the_rows_alone(log_file: str, folder: Path) -> None:
    """The same bytes as a file would hold; a manifest only where one is named."""
    stream, path = io.BytesIO(), folder / "events.jsonl"
    into_stream = await export_events(log_file, stream)
    in_file = await export_events(log_file, path)
    assert stream.getvalue() == path.read_bytes()
    assert (into_stream.sha256, into_stream.file) == (in_file.sha256, None)
    told = folder / "told.json"
    await export_events(log_file, io.BytesIO(), manifest=told)
    assert check(path, told).holds


class Broken(io.RawIOBase):
    """A stream that takes some bytes at a time, and then fails."""

    name: str

    def __init__(self, error: OSError, after: int) -> None:
        self.error = error
        self.left = after

    def write(self, data: Any) -> int:
        taken = min(len(data), self.left, 1000)
        self.left -= taken
        if not taken:
            raise self.error
        return taken


@pytest.mark.parametrize("file_format", list(Format))
async def test_a_reader_that_goes_away_ends_the_export(log_file: str, file_format: Format) -> None:
    """It is no fault of anybody, and has a name of its own."""
    with pytest.raises(OutputClosed):
        await export_events(log_file, Broken(BrokenPipeError(), 10_000), file_format=file_format)


@pytest.mark.parametrize("file_format", list(Format))
async def test_a_stream_that_fails_is_blamed_and_not_the_log(log_file: str, file_format: Format) -> None:
    """It has a name, or is shown as it is."""
    stream = Broken(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), 10_000)
    stream.name = "<stdout>"
    with pytest.raises(OutputUnwritable, match=f"^<stdout>: {os.strerror(errno.ENOSPC)}$"):
        await export_events(log_file, stream, file_format=file_format)


LIMIT = 100_000


def limited() -> None:
    """No file of this process may grow beyond the limit: what a full disk looks like to it."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT, LIMIT))


@pytest.mark.skipif(sys.platform == "win32", reason="file size limits are a thing of Unix")
@pytest.mark.parametrize("file_format", list(Format))
def test_a_full_disk_leaves_nothing(log_file: str, folder: Path, file_format: Format) -> None:
    """One line says which file could not be written, and why."""
    path = folder / f"events.{file_format}"
    done = subprocess.run(
        command("export", "events", "--output", str(path)),
        env=environment(log_file), cwd=ROOT, capture_output=True, text=True, timeout=SECONDS, check=False,
        preexec_fn=limited,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"byjy: {path}: {os.strerror(errno.EFBIG)}\n"
    assert names(folder) == set()


def test_a_crash_between_the_names_never_pairs_a_file_with_a_foreign_manifest(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped at any step of replacing an export: there is the old pair, the new one, or no pair."""
    path = folder / "events.jsonl"
    steps = 0

    def killing(original: Callable[..., Any], at: int) -> Callable[..., Any]:
        def step(*arguments: Any, **named: Any) -> Any:
            nonlocal steps
            steps += 1
            if steps == at:
                raise KeyboardInterrupt
            return original(*arguments, **named)

        return step

    ends = set()
    for at in range(1, 9):
        path.write_text("old")
        manifest_path(path).write_text("of old")
        destination = Destination(path, manifest_path(path), force=True)
        destination.open()
        destination.write(b"new")
        steps = 0
        with monkeypatch.context() as patched:
            for name in ("replace", "unlink"):
                patched.setattr(Path, name, killing(getattr(Path, name), at))
            with contextlib.suppress(KeyboardInterrupt):
                destination.publish(b"of new")
        there = tuple(one.read_text() if one.exists() else None for one in (path, manifest_path(path)))
        assert there in {("old", "of old"), ("old", None), ("new", None), ("new", "of new"), (None, None)}
        ends.add(there)
        destination.discard()
    assert {("old", "of old"), ("old", None), ("new", "of new")} <= ends


def test_a_manifest_is_short_enough_to_be_read(log_file: str, folder: Path) -> None:
    """And JSON that people can read, too."""
    path = folder / "orders.jsonl"

    async def work() -> None:
        async with EventLog.open(log_file, read_only=True) as log:
            await export(log, Kind.ORDERS, path, as_of=5000)

    asyncio.run(work())
    text = manifest_path(path).read_text()
    assert len(text) < LONGEST_BYTES / 100
    assert text.splitlines()[1] == '  "manifest_version": 1,'
    assert json.loads(text)["rows"] == 5
