"""Places that checkpoints are exported to: nothing is lost or overwritten, and what a crash tore is passed over."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from byjy_events.proof import AppendedFile, Checkpoint, CheckpointPlace, Folder, InvalidNote, StandardOutput
from byjy_events.proof import appended_file as module
from byjy_events.proof.checkpoint import signed_checkpoint
from byjy_events.proof.note import signed
from tests.sealed import signer


def checkpoint(size: int, number: int = 1) -> Checkpoint:
    return signed_checkpoint(size, size.to_bytes(32), [signer(number)])


ONE, TWO, THREE = (checkpoint(size) for size in (1, 20, 300))


def places(folder: Path) -> list[AppendedFile | Folder]:
    return [AppendedFile(folder / "file"), Folder(folder / "folder")]


async def test_what_was_put_is_found_again(tmp_path: Path) -> None:
    """The one of the largest size as the newest, and all of them in order; of nothing, nothing."""
    for place in places(tmp_path):
        assert await place.newest() is None
        for number, one in enumerate((ONE, TWO, THREE), 1):
            await place.put(one)
            assert await type(place)(place.name).newest() == one
            assert list(place.notes()) == [each.note for each in (ONE, TWO, THREE)[:number]]


async def test_what_is_there_stays_as_it_is(tmp_path: Path) -> None:
    """Put again, or another of the same size: nothing is overwritten."""
    for place in places(tmp_path):
        await place.put(TWO)
        await place.put(TWO)
        await place.put(checkpoint(20, number=2))
        assert list(place.notes()) == [TWO.note]


async def test_a_file_is_whole_notes_with_full_stops(tmp_path: Path) -> None:
    """A smaller size than the last one is covered by it and left out; a folder keeps it."""
    file, folder = places(tmp_path)
    for place in (file, folder):
        await place.put(TWO)
        await place.put(ONE)
    assert (tmp_path / "file").read_text() == f"{TWO.note}.\n"
    assert list(folder.notes()) == [ONE.note, TWO.note]
    assert sorted(path.name for path in (tmp_path / "folder").iterdir()) == [
        "0000000000000000001.checkpoint",
        "0000000000000000020.checkpoint",
    ]


async def test_a_torn_end_is_passed_over_and_written_on(tmp_path: Path) -> None:
    """Wherever a crash cut the last one off: what is whole counts, and nothing is taken back."""
    path = tmp_path / "file"
    whole, last = f"{ONE.note}.\n".encode(), f"{TWO.note}.\n".encode()
    for cut in range(len(last)):
        path.write_bytes(whole + last[:cut])
        place = AppendedFile(path)
        assert await place.newest() == ONE
        assert list(place.notes()) == [ONE.note]
        for one in (TWO, THREE):
            await place.put(one)
        whole_anyway = cut == len(last) - 1  # but for its last line feed, which the mend brings
        assert list(place.notes()) == [ONE.note, *[TWO.note] * (1 + whole_anyway), THREE.note]
        assert path.read_bytes().startswith(whole + last[:cut])
        assert await place.newest() == THREE


async def test_the_newest_is_found_at_the_end_of_a_long_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever the part that is read begins; and if that holds no whole one, the whole file is read."""
    place = AppendedFile(tmp_path / "file")
    for one in (ONE, TWO, THREE):
        await place.put(one)
    with (tmp_path / "file").open("ab") as file:
        file.write(b"torn\n" * 5)
    for tail in range(1, 700):
        monkeypatch.setattr(module, "TAIL_BYTES", tail)
        assert await place.newest() == THREE, tail


async def test_what_is_no_checkpoint_is_named_by_its_file(tmp_path: Path) -> None:
    """Somebody wrote into the file, or renamed one in the folder."""
    file, folder = places(tmp_path)
    await file.put(ONE)
    with (tmp_path / "file").open("a") as by_hand:
        by_hand.write("nonsense\n.\n")
    with pytest.raises(InvalidNote, match=f"{tmp_path}/file: near its end: has no empty line"):
        await file.newest()
    await folder.put(ONE)
    path = tmp_path / "folder" / "0000000000000000001.checkpoint"
    path.rename(path.with_name("0000000000000000002.checkpoint"))
    with pytest.raises(InvalidNote, match=r"2[.]checkpoint: the checkpoint is of size 1"):
        await folder.newest()
    path.with_name("0000000000000000003.checkpoint").write_bytes(b"\xff")
    with pytest.raises(InvalidNote, match=r"3[.]checkpoint: "):
        await folder.newest()
    assert len(list(folder.notes())) == 2


async def test_changed_line_ends_are_named_and_nothing_is_written(tmp_path: Path) -> None:
    """What lies there would count as torn from then on."""
    place = AppendedFile(tmp_path / "file")
    await place.put(ONE)
    changed = (tmp_path / "file").read_bytes().replace(b"\n", b"\r\n")
    (tmp_path / "file").write_bytes(changed)
    with pytest.raises(InvalidNote, match="line ends were changed"):
        await place.put(TWO)
    assert (tmp_path / "file").read_bytes() == changed


async def test_a_line_that_would_end_an_entry_is_refused(tmp_path: Path) -> None:
    """It is no part of a checkpoint of ours; it would cut the entry in two."""
    note = signed(f"{ONE.note.partition(chr(10) * 2)[0]}\n.\n", [signer()])
    place = AppendedFile(tmp_path / "file")
    with pytest.raises(InvalidNote, match="full stop"):
        await place.put(ONE._replace(note=note))
    assert not (tmp_path / "file").exists()


async def test_a_folder_shows_whole_files_only(tmp_path: Path) -> None:
    """What a crash left half written is of no concern, and is written over; others may read what is there."""
    place = Folder(tmp_path / "folder")
    await place.put(ONE)
    torn = tmp_path / "folder" / f".{20:019}.{os.getpid()}"
    torn.write_text(TWO.note[:30])
    (tmp_path / "folder" / "README").write_text("whatever")
    assert await place.newest() == ONE
    await place.put(TWO)
    assert not torn.exists()
    assert list(place.notes()) == [ONE.note, TWO.note]
    path = tmp_path / "folder" / "0000000000000000001.checkpoint"
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~mask


async def test_places_that_cannot_be_written_say_so(tmp_path: Path) -> None:
    """With the path; nothing is left there."""
    for place in places(tmp_path / "no" / "such"):
        assert await place.newest() is None
        with pytest.raises(FileNotFoundError, match="no/such"):
            await place.put(ONE)


async def test_standard_output_is_written_as_a_file_is() -> None:
    """So that it can be redirected into one; it cannot be read back."""
    reads, writes = os.pipe()
    place: CheckpointPlace = StandardOutput(writes)
    for one in (ONE, TWO):
        await place.put(one)
    assert await place.newest() is None
    os.close(writes)
    with open(reads) as file:  # noqa: PTH123, ASYNC230
        assert file.read() == f"{ONE.note}.\n{TWO.note}.\n"


async def test_standard_output_that_nobody_reads_is_an_error() -> None:
    """Which the sealer logs; it does not end the process."""
    reads, writes = os.pipe()
    os.close(reads)
    with pytest.raises(BrokenPipeError):
        await StandardOutput(writes).put(ONE)
    os.close(writes)
