"""Signed notes: as Go's package makes them, and nothing that was altered or that somebody else signed."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from byjy_events.proof.errors import InvalidNote, InvalidSigningKey, NotSigned
from byjy_events.proof.note import SIGNATURES, Signer, opened, signed, signer_of, taken_apart, verifier_of
from byjy_events.secret import Secret
from tests.sealed import NAME, PETER_NEUMANN, signer
from tests.sealing import shown

TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
NOTE = (
    TEXT + "\n— PeterNeumann "
    "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)
VERIFIER = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"


def test_notes_are_those_of_gos_package() -> None:
    """Its key, its text, its signature: byte by byte; and what it signed is opened with its public key."""
    assert signed(TEXT, [PETER_NEUMANN]) == NOTE
    assert str(PETER_NEUMANN.verifier) == VERIFIER
    assert opened(NOTE, [verifier_of(VERIFIER)]) == (TEXT, [PETER_NEUMANN.verifier])


@given(
    st.text(st.characters(exclude_categories=["Cs", "Cc"], include_characters="\n"), min_size=1),
    st.sampled_from(range(2, 6)),
)
def test_what_is_signed_is_opened_as_it_was(text: str, signers: int) -> None:
    """Whatever the text, also with empty lines and lines that look like signatures in it."""
    several = [signer(number, f"größe/{number}") for number in range(1, signers)]
    text += "\n"
    assert opened(signed(text, several), [one.verifier for one in several]) == (text, [one.verifier for one in several])


def test_every_flipped_bit_is_noticed() -> None:
    """In the text, in the names, in the signatures: the note is not opened, whatever bit it is."""
    note = signed("log\n12\nroot\n", [signer()]).encode()
    for bit in range(8 * len(note)):
        flipped = bytearray(note)
        flipped[bit // 8] ^= 1 << bit % 8
        try:
            text, _ = opened(flipped.decode(), [signer().verifier])
        except (InvalidNote, NotSigned, UnicodeDecodeError):
            continue
        # What base64 does not use of its last character, and nothing else.
        assert text == "log\n12\nroot\n"
        assert base64.b64decode(flipped.decode().split()[-1]) == base64.b64decode(note.decode().split()[-1])


def test_signatures_of_others_are_left_alone() -> None:
    """As long as one that is trusted signed; else the error names both sides."""
    note = signed("x\n", [signer(1), signer(2, "witness")])
    assert opened(note, [signer(2, "witness").verifier]) == ("x\n", [signer(2, "witness").verifier])
    with pytest.raises(NotSigned) as caught:
        opened(note, [signer(3).verifier])
    assert caught.value.found == (signer(1).verifier.label, signer(2, "witness").verifier.label)
    assert caught.value.trusted == (signer(3).verifier.label,)
    assert caught.value.forged is None
    with pytest.raises(NotSigned, match="trusted is nobody"):
        opened(note, [])


def test_a_forged_signature_of_a_trusted_key_is_an_error_even_beside_a_good_one() -> None:
    """Somebody altered something; and the first signature of a key is the one that counts."""
    good, other = signed("x\n", [signer(1), signer(2)]), signed("y\n", [signer(1)])
    mixed = "x\n\n" + good.splitlines(keepends=True)[3] + other.splitlines(keepends=True)[2]
    with pytest.raises(NotSigned) as caught:
        opened(mixed, [signer(2).verifier, signer(1).verifier])
    assert caught.value.forged == signer(1).verifier.label
    assert set(caught.value.trusted) == {signer(1).verifier.label, signer(2).verifier.label}
    twice = good + other.splitlines(keepends=True)[2]
    assert opened(twice, [signer(1).verifier])[1] == [signer(1).verifier]


@pytest.mark.parametrize(
    ("note", "reason"),
    [
        ("", "no empty line"),
        ("x\n", "no empty line"),
        ("x\n\n", "line 3: no signature|does not end with a line feed"),
        (NOTE[:-1], "does not end with a line feed"),
        (NOTE.replace("— ", "- "), "line 4: no signature"),
        (NOTE.replace("x08go", "x08g*"), "line 4: no signature"),
        (NOTE.replace("PeterNeumann x", "Peter+Neumann x"), "line 4: no signature"),
        ("x\n\n— a AAAA\n", "line 3: no signature"),
        (NOTE.replace("answer", "ans\x00wer"), "no note may"),
        (NOTE.replace("answer", "ans\twer"), "no note may"),
        (NOTE.replace("answer", "ans\ud800wer"), "no note may"),
        (NOTE + NOTE[len(TEXT) + 1 :] * SIGNATURES, f"{SIGNATURES + 1} signatures"),
    ],
)
def test_what_is_no_note_is_refused(note: str, reason: str) -> None:
    """The error says what is wrong, and on which line."""
    with pytest.raises(InvalidNote, match=reason):
        taken_apart(note)


def test_a_new_key_is_read_back() -> None:
    """As the text that it is kept as, with white space around it; two are never the same."""
    made = Signer.new(NAME)
    again = signer_of(Secret(f" {made.text.reveal()}\n"), "x")
    assert again.verifier == made.verifier == verifier_of(f"{made.verifier}\n")
    assert again.line("x\n") == made.line("x\n")
    assert Signer.new(NAME).verifier != made.verifier


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\nb", "a\u00a0b", "a\x07", "x" * 256])
def test_names_that_would_not_survive_a_note_are_refused(name: str) -> None:
    """With an error that says why."""
    with pytest.raises(InvalidSigningKey, match="name"):
        Signer.new(name)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "not spelled"),
        ("a+b", "not spelled"),
        ("a+00000000+!", "not spelled"),
        (VERIFIER[:-4], "no Ed25519 key"),
        (VERIFIER.replace("+AR", "+BR"), "no Ed25519 key"),
        (VERIFIER.replace("c74f20a3", "c74f20a4"), "the id is not that"),
        (VERIFIER.replace("PeterNeumann", "Peter"), "the id is not that"),
        (VERIFIER.replace("PeterNeumann", "Peter Neumann"), "white space"),
        (PETER_NEUMANN.text.reveal(), "a private key"),
    ],
)
def test_a_public_key_that_is_misspelt_is_refused(text: str, reason: str) -> None:
    """And a private one in its place is not shown."""
    with pytest.raises(InvalidSigningKey, match=reason) as caught:
        verifier_of(text, "here")
    assert caught.value.source == "here"
    assert "AYEKFALVFGyN" not in shown(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("PRIVATE+KEY+", "", "does not begin with"),
        ("c74f20a3", "c74f20a4", "the id is not that"),
        ("HKDFz", "HKD", "not spelled|no Ed25519 key"),
        ("PeterNeumann", "Peter", "the id is not that"),
        ("+c74f20a3+", " ", "not spelled"),
    ],
)
def test_no_error_shows_a_private_key(old: str, new: str, reason: str) -> None:
    """Neither its sentence, nor its facts, nor the variables of the frames that it came through."""
    import traceback

    with pytest.raises(InvalidSigningKey, match=reason) as caught:
        signer_of(Secret(PETER_NEUMANN.text.reveal().replace(old, new)), "here")
    assert "AYEKFALVFGyN" not in shown(caught.value)
    ours = traceback.TracebackException.from_exception(caught.value, capture_locals=True).stack[1:]
    seed = Secret(base64.b64decode("AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz")[1:])
    for frame in ours:
        assert "AYEKFALVFGyN" not in str(frame.locals)
        assert repr(seed.reveal()) not in str(frame.locals)


def test_a_signer_shows_its_public_half_only() -> None:
    """However it is printed."""
    secret = PETER_NEUMANN.text.reveal().split("+", 4)[4]
    assert repr(PETER_NEUMANN) == "Signer(PeterNeumann+c74f20a3)"
    assert secret not in f"{PETER_NEUMANN} {vars(PETER_NEUMANN)} {PETER_NEUMANN.text}"
