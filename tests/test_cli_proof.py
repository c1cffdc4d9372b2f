"""``byjy proof`` and ``byjy audit``: what an auditor does, from the key to the answer."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import sqlalchemy as sa

from byjy_events.database import open_engine, parse_url
from tests.cli import byjy
from tests.tamper.sealed import EVENTS, ORIGIN, SIZES, Sealed, restored, sealed_log, unguarded


@pytest.fixture
async def sealed(database: str) -> Sealed:
    return await sealed_log(database)


@pytest.fixture
def key(sealed: Sealed, tmp_path: Path) -> Path:
    """The public key, in a file."""
    path = tmp_path / "key.pub"
    path.write_text(f"{sealed.signer.verifier}\n")
    return path


async def test_a_proof_of_inclusion_is_made_and_checked(sealed: Sealed, key: Path, tmp_path: Path) -> None:
    """The check names no database; an altered file does not hold; a file that is there is not overwritten."""
    told = byjy("events", "--limit", "1", "--json", database=sealed.url).stdout
    event = json.loads(told)
    proof = tmp_path / "event.tlog-proof"
    done = byjy("proof", "inclusion", event["event_id"], "-o", str(proof), database=sealed.url)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", f"byjy: written to {proof}\n")
    for named in (str(key), str(sealed.signer.verifier)):
        done = byjy("proof", "check", str(proof), "--key", named, database="sqlite:///not-there.db")
        assert (done.returncode, done.stderr) == (0, "")
        assert f"in the log {ORIGIN}, under its checkpoint of {EVENTS} events" in done.stdout
        assert f"event {event['event_id']}" in done.stdout
    shown = json.loads(byjy("proof", "check", str(proof), "--key", str(key), "--json", database=sealed.url).stdout)
    assert (shown["holds"], shown["event"]["position"]) == (True, event["position"])
    done = byjy("proof", "inclusion", event["event_id"], "-o", str(proof), database=sealed.url)
    assert (done.returncode, done.stderr) == (2, f"byjy: --output: {proof}: File exists\n")
    proof.write_bytes(proof.read_bytes().replace(b"\n", b"\r\n"))
    assert byjy("proof", "check", str(proof), "--key", str(key), database=sealed.url).returncode == 0
    proof.write_text(proof.read_text().replace(f"index {event['position'] - 1}", "index 5"))
    done = byjy("proof", "check", str(proof), "--key", str(key), database=sealed.url)
    assert done.returncode == 1
    assert done.stdout.startswith("it does not hold: the event says that it is at ")


async def test_a_proof_of_consistency_is_made_and_checked(sealed: Sealed, key: Path, tmp_path: Path) -> None:
    """Checkpoints by their size, or from a file that left the database."""
    exported = tmp_path / "old.checkpoint"
    exported.write_text(sealed.notes[0])
    appended = tmp_path / "appended"
    appended.write_text(f"{sealed.notes[0]}.\n")
    for old in (str(SIZES[0]), str(exported), str(appended)):
        proof = tmp_path / f"{Path(old).name}.proof"
        done = byjy("proof", "consistency", old, "-o", str(proof), database=sealed.url)
        assert done.returncode == 0, done.stderr
        done = byjy("proof", "check", str(proof), "--key", str(key), database=sealed.url)
        told = f"the log {ORIGIN} of {EVENTS} events begins with the {SIZES[0]} that it had before, unchanged\n"
        assert (done.returncode, done.stdout) == (0, told)
    for old, reason in (
        ("91", "no checkpoint of 91 events is stored"),
        ("9" * 30, "events is stored"),
        ("²", "neither a size nor a file"),
        (str(key), f"{key}: no checkpoint: "),
    ):
        done = byjy("proof", "consistency", old, database=sealed.url)
        assert done.returncode == 2
        assert done.stderr.startswith("byjy: OLD: ")
        assert reason in done.stderr


async def test_a_place_with_nothing_to_compare_is_no_silent_yes(sealed: Sealed, key: Path, tmp_path: Path) -> None:
    """A single checkpoint is compared; an empty place is refused; changed line ends are a finding."""
    note, entries, empty = tmp_path / "note", tmp_path / "entries", tmp_path / "empty"
    note.write_text(sealed.notes[0])
    entries.write_bytes(f"{sealed.notes[0]}.\n{sealed.notes[1]}.\n".replace("\n", "\r\n").encode())
    empty.touch()
    stored = len(SIZES)
    for path, status, told in (
        (note, 0, f"{stored + 1} checkpoints compared"),
        (entries, 1, "CHECKPOINT: an exported checkpoint: its line ends were changed"),
        (entries, 1, "2 findings; no event is to blame"),
    ):
        done = byjy("audit", "--key", str(key), "--checkpoints", str(path), database=sealed.url)
        assert (done.returncode, told in done.stdout) == (status, True), done
    done = byjy("audit", "--key", str(key), "--checkpoints", str(empty), database=sealed.url)
    assert (done.returncode, done.stderr) == (2, f"byjy: --checkpoints: {empty}: no checkpoint is in it\n")


async def test_bad_keys_and_files_are_named(sealed: Sealed, tmp_path: Path) -> None:
    """Each in a line, and nothing is believed."""
    odd = tmp_path / "odd"
    odd.write_text("odd")
    for arguments, reason in (
        ((str(odd),), "--key: name the public key"),
        ((str(odd), "--key", "not-there"), "--key: not-there: neither a public key nor a file"),
        ((str(odd), "--key", str(odd)), f"{odd} line 1: not spelled as name+id+key"),
        ((str(odd), "--key", "a+b+c"), "--key: not spelled as name+id+key"),
        ((str(odd), "--key", sealed.signer.text.reveal()), "--key: a private key"),
        (("not-there", "--key", str(sealed.signer.verifier)), "FILE: not-there: No such file"),
    ):
        done = byjy("proof", "check", *arguments, database=sealed.url)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith(f"byjy: {reason}")
        assert sealed.signer.text.reveal().rpartition("+")[2] not in done.stderr


async def test_an_audit_answers_for_a_good_log_and_names_what_is_wrong_with_a_bad_one(
    sealed: Sealed, key: Path, tmp_path: Path
) -> None:
    """With the exported checkpoints; and it says what it could not check."""
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    for size, note in zip(SIZES, sealed.notes, strict=True):
        (folder / f"{size:019}.checkpoint").write_text(note)
    trusting = ("audit", "--key", str(key), "--checkpoints", str(folder))
    done = byjy(*trusting, database=sealed.url)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("the log is what was appended\n")
    assert f"{2 * len(SIZES)} checkpoints compared, signed for up to {EVENTS}" in done.stdout
    done = byjy("audit", database=sealed.url)
    assert (done.returncode, "no key is trusted" in done.stderr) == (0, True)

    await unguarded(sealed.url)
    engine = open_engine(parse_url(sealed.url), writable=True)
    async with engine.begin() as connection:
        await connection.execute(sa.text("UPDATE events SET actor = 'nobody' WHERE position = 345"))
    done = byjy(*trusting, database=sealed.url)
    assert done.returncode == 1
    assert done.stdout.startswith("ALTERED at 345: its leaf hash is of something else\n")
    assert "the log is good up to 344" in done.stdout
    finding, summary = map(json.loads, byjy(*trusting, "--json", database=sealed.url).stdout.splitlines())
    assert (finding["kind"], finding["first"], finding["last"]) == ("ALTERED", 345, 345)
    assert (summary["intact"], summary["findings"]) == (False, 1)

    async with engine.begin() as connection:
        await restored(connection)
        for table, column in (("events", "position"), ("tree_checkpoints", "size")):
            await connection.execute(sa.text(f"DELETE FROM {table} WHERE {column} > {SIZES[-2]}"))
    await engine.dispose()
    done = byjy("audit", "--key", str(key), database=sealed.url)
    assert (done.returncode, "set back to an older copy" in done.stderr) == (0, True)
    done = byjy(*trusting, database=sealed.url)
    assert done.returncode == 1
    assert done.stdout.startswith(f"TRUNCATED at {SIZES[-2] + 1} to {EVENTS}: ")
