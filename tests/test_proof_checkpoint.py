"""Checkpoints: what is signed about a log, and how it is spelled."""

from __future__ import annotations

import base64
import re

import pytest

from byjy_events.proof import InvalidNote, NotSigned, checkpoint_of, verifier_of
from byjy_events.proof.checkpoint import signed_checkpoint, unverified
from byjy_events.proof.merkle import root_of
from byjy_events.proof.note import signed
from tests.cli import ROOT
from tests.sealed import NAME, signer

ROOT_HASH = bytes(range(32))
SPELLED = base64.b64encode(ROOT_HASH).decode()


def test_a_checkpoint_is_name_size_and_root() -> None:
    """Each on a line; and it says the same to whoever trusts the key."""
    made = signed_checkpoint(217_003, ROOT_HASH, [signer()])
    assert made.note.startswith(f"{NAME}\n217003\n{SPELLED}\n\n— {NAME} ")
    assert checkpoint_of(made.note, [signer(2).verifier, signer().verifier]) == made == unverified(made.note)
    assert (made.origin, made.size, made.root) == (NAME, 217_003, ROOT_HASH)
    with pytest.raises(NotSigned):
        checkpoint_of(made.note, [signer(2).verifier])


def test_extensions_are_left_alone() -> None:
    """Lines below the root, which the specification allows and we do not write."""
    note = signed(f"{NAME}\n0\n{SPELLED}\nmore\nto come\n", [signer()])
    assert checkpoint_of(note, [signer().verifier]).size == 0


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (f"{NAME}\n1\n", None),
        (f"\n1\n{SPELLED}\n", None),
        (f"{NAME}\n1\n{SPELLED}\n\nmore\n", None),
        *((f"{NAME}\n{size}\n{SPELLED}\n", 2) for size in ("x", "-1", "+1", "01", "1 ", "٣", 2**63, 10**19)),
        (f"{NAME}\n1\n{SPELLED[:-1]}\n", 3),
        (f"{NAME}\n1\n{SPELLED[:-2]}9=\n", 3),
        (f"{NAME}\n1\n{base64.b64encode(bytes(31)).decode()}\n", 3),
        (f"{NAME}\n1\n {SPELLED}\n", 3),
    ],
)
def test_what_is_no_checkpoint_is_refused(text: str, line: int | None) -> None:
    """Though it is well signed; the error names the line."""
    with pytest.raises(InvalidNote) as caught:
        checkpoint_of(signed(text, [signer()]), [signer().verifier])
    assert caught.value.line == line


def test_a_checkpoint_of_another_log_is_refused() -> None:
    """A key vouches for the log that is called after it, and for no other."""
    note = signed(f"{NAME}/other\n1\n{SPELLED}\n", [signer()])
    with pytest.raises(InvalidNote, match=r"of the log '.*/other', signed by"):
        checkpoint_of(note, [signer().verifier])


def test_the_worked_example_of_the_reference_holds() -> None:
    """The leaf hashes that it lists make the root that it shows, and its public key opens its note."""
    text = (ROOT / "docs/reference/checkpoint.md").read_text()
    blocks = re.findall(r"^```\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    note = next(block for block in blocks if "\n\n— " in block and "…" not in block)
    public_key = next(block for block in blocks if re.fullmatch(r"\S+[+][0-9a-f]{8}[+]\S+\n", block))
    hashes = next(block for block in blocks if re.fullmatch(r"([0-9a-f]{64}\n)+", block))
    checkpoint = checkpoint_of(note, [verifier_of(public_key)])
    leaves = [bytes.fromhex(line) for line in hashes.split()]
    assert (checkpoint.size, checkpoint.root) == (len(leaves), root_of(leaves))
    assert signed_checkpoint(len(leaves), root_of(leaves), [signer()]) == checkpoint
