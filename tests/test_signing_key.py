"""The file with a log's signing key: private, never overwritten but by a rotation, which keeps the old public key."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

import pytest

from byjy_events.private_file import LONGEST_BYTES
from byjy_events.proof import InvalidSigningKey, SigningKeyFile
from tests.sealed import NAME, signer
from tests.sealing import shown

not_on_windows = pytest.mark.skipif(sys.platform == "win32", reason="files have no permission bits there")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log.signing-key"


@not_on_windows
def test_a_new_key_is_its_owners_alone(path: Path) -> None:
    """In a file of mode 0600, whatever the mask; and nothing else is left in the folder."""
    mask = os.umask(0)
    try:
        made = SigningKeyFile(path).create("größe/trading")
    finally:
        os.umask(mask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(path.parent.iterdir()) == [path]
    read = SigningKeyFile(path).read()
    assert (read.signer.verifier, read.earlier) == (made.signer.verifier, ())
    assert read.signer.line("x\n") == made.signer.line("x\n")


def test_a_key_that_is_there_is_left_alone(path: Path) -> None:
    """Losing it would be losing the name that it vouches for."""
    SigningKeyFile(path).create(NAME)
    before = path.read_bytes()
    with pytest.raises(InvalidSigningKey, match="there is a file already"):
        SigningKeyFile(path).create(NAME)
    assert path.read_bytes() == before


def test_a_rotation_keeps_every_public_key_and_no_private_one(path: Path) -> None:
    """The newest first; what the file held before cannot sign any more."""
    file = SigningKeyFile(path)
    keys = [file.create(NAME, earlier=[signer(9).verifier])]
    keys += [file.rotate() for _ in range(3)]
    verifiers = [one.signer.verifier for one in keys]
    assert len(set(verifiers)) == 4
    assert {one.name for one in verifiers} == {NAME}
    assert file.read().verifiers == (*reversed(verifiers), signer(9).verifier)
    content = path.read_text()
    assert content.count("PRIVATE") == 1
    for one in keys[:-1]:
        assert one.signer.text.reveal().split("+", 4)[4] not in content
    assert list(path.parent.iterdir()) == [path]


def test_a_file_that_would_grow_too_long_is_not_rotated(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rather than read by half the next time; what is there stays."""
    file = SigningKeyFile(path)
    file.create(NAME)
    monkeypatch.setattr("byjy_events.private_file.LONGEST_BYTES", len(path.read_bytes()))
    before = path.read_bytes()
    with pytest.raises(InvalidSigningKey, match="1 earlier keys are too many"):
        file.rotate()
    assert path.read_bytes() == before


@not_on_windows
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o622])
def test_a_file_that_others_may_use_is_refused(path: Path, mode: int) -> None:
    """With what to do about it."""
    SigningKeyFile(path).create(NAME)
    path.chmod(mode)
    with pytest.raises(InvalidSigningKey, match=f"mode {mode:04o}.*chmod 600"):
        SigningKeyFile(path).read()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"\n \n", "empty"),
        (b"nonsense\n", "does not begin with PRIVATE"),
        (b"\xff\xfe\n", "does not begin with PRIVATE"),
        (f"{signer().verifier}\n".encode(), "does not begin with PRIVATE"),
        (f"{signer().text.reveal()}\nnonsense\n".encode(), "not spelled"),
        (f"{signer().text.reveal()}\n{signer(2).text.reveal()}\n".encode(), "a private key"),
        (signer().text.reveal().encode() + b"\n" * LONGEST_BYTES, "too long"),
    ],
)
def test_a_file_that_holds_something_else_is_refused(path: Path, content: bytes, reason: str) -> None:
    """The error names the file and shows nothing of what is in it."""
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(InvalidSigningKey, match=reason) as caught:
        SigningKeyFile(path).read()
    assert str(path) in caught.value.source
    for number in (1, 2):
        assert signer(number).text.reveal().split("+", 4)[4] not in shown(caught.value)


def test_what_is_no_file_is_refused(path: Path) -> None:
    """Nothing, a folder, a place that cannot be written."""
    for act in (SigningKeyFile(path).read, SigningKeyFile(path).rotate):
        with pytest.raises(InvalidSigningKey, match="there is no such file; byjy signing-key init makes one"):
            act()
    with pytest.raises(InvalidSigningKey, match="No such file or directory"):
        SigningKeyFile(path / "deeper").create(NAME)
    path.mkdir()
    with pytest.raises(InvalidSigningKey, match=r"not a file|Is a directory"):
        SigningKeyFile(path).read()
