"""Proofs of inclusion and of consistency: files that hold by themselves, and of nothing but what they say."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from byjy_events import ByjyError, EventLog, new_event_id
from byjy_events.proof.checkpoint import signed_checkpoint
from byjy_events.proof.consistency import checked_consistency, consistency_proof
from byjy_events.proof.errors import InvalidNote, NotCovered, NotSigned, ProofBroken, UnknownEventId
from byjy_events.proof.inclusion import checked_inclusion, inclusion_proof, is_inclusion
from byjy_events.proof.note import Signer
from tests.sample_events import placed
from tests.tamper.sealed import EVENTS, ORIGIN, SIZES, Sealed, sealed_log

OTHER = Signer.new(ORIGIN).verifier


@pytest.fixture
async def sealed(database: str) -> Sealed:
    return await sealed_log(database)


async def proof_of(sealed: Sealed, position: int) -> str:
    async with EventLog.open(sealed.url, read_only=True) as log:
        recorded = await anext(log.read(after=position - 1, limit=1))
        return await inclusion_proof(log, recorded.event_id)


# --- inclusion ------------------------------------------------------------------------------------


async def test_every_event_can_be_proved_to_be_in_the_log(sealed: Sealed) -> None:
    """The first, the last, those around the edges of stored subtrees; with what was said, by whom and when."""
    async with EventLog.open(sealed.url, read_only=True) as log:
        events = [recorded async for recorded in log.read()]
        for position in (1, 2, 89, 90, 91, 255, 256, 257, 511, 512, 513, EVENTS - 1, EVENTS):
            recorded = events[position - 1]
            text = await inclusion_proof(log, recorded.event_id)
            assert is_inclusion(text)
            found = checked_inclusion(text, sealed.trusted)
            assert found.checkpoint.note == sealed.notes[-1]
            event = found.event
            assert (event.position, event.event_id, event.actor) == (position, recorded.event_id, recorded.actor)
            assert (event.type, event.payload.encode()) == (recorded.type, recorded.payload)
            assert event.leaf == recorded.leaf_hash


async def test_an_event_that_is_not_sealed_yet_has_no_proof(sealed: Sealed) -> None:
    """The error says how far the newest checkpoint goes; nor has one that is not there."""
    async with EventLog.open(sealed.url) as log:
        first = await anext(log.read(limit=1))
        receipt = await log.append(first.stream, [placed()])
        with pytest.raises(NotCovered) as refused:
            await inclusion_proof(log, receipt.events[0].event_id)
        assert (refused.value.position, refused.value.covered) == (EVENTS + 1, EVENTS)
        with pytest.raises(UnknownEventId):
            await inclusion_proof(log, new_event_id())


async def test_a_proof_is_of_what_it_says_and_of_nothing_else(sealed: Sealed) -> None:
    """Another payload, clock, actor, position, index or checkpoint, and hashes left out: each has its own error."""
    text = await proof_of(sealed, 300)
    lines = text.split("\n")
    event = json.loads(base64.b64decode(lines[1].removeprefix("extra ")))
    older = sealed.notes[0]
    head, _, note = text.partition("\n\n")

    def with_event(**changes: object) -> str:
        changed = json.dumps({**event, **changes}).encode()
        return "\n".join([lines[0], f"extra {base64.b64encode(changed).decode()}", *lines[2:]])

    for broken, reason in (
        (
            with_event(payload=event["payload"].replace("main", "mine")),
            "not in the log that example.com/trading",
        ),
        (with_event(actor="nobody"), "not in the log"),
        (with_event(recorded_at=event["recorded_at"] + 1), "not in the log"),
        (with_event(occurred_at=2**80), "none can have"),
        (with_event(position=301), "says that it is at 301, the proof is of 300"),
        (with_event(further=1), "cannot be read"),
        (text.replace("index 299", "index 300"), "the proof is of 301"),
        (text.replace("index 299", "index 0299"), "names no index"),
        (text.replace("index 299", f"index {EVENTS}"), "the proof is of"),
        ("\n".join(lines[:3] + lines[4:]), "hashes are not the way from event 300"),
        ("\n".join(lines[:3] + lines[4:5] + lines[3:4] + lines[5:]), "not in the log"),
        (text.replace("c2sp.org/tlog-proof@v1", "c2sp.org/tlog-proof@v2"), "not a proof"),
        (text.replace("extra ", " extra "), "no extra data"),
        (head.replace(lines[4], "!" * 44) + f"\n\n{note}", "line 5 is not Base64"),
        (head.replace(lines[4], "AAAA") + f"\n\n{note}", "line 5 is no hash"),
        (f"{head}\n\n{older}", "hashes are not the way from event 300 to the root over 90"),
    ):
        with pytest.raises(ProofBroken, match=reason):
            checked_inclusion(broken, sealed.trusted)
    for broken in (head, f"{head}\n\n{note[:-1]}", f"{head}\n\n{note.replace(ORIGIN, '')}"):
        with pytest.raises((InvalidNote, NotSigned)):
            checked_inclusion(broken, sealed.trusted)


async def test_a_proof_is_of_those_who_are_trusted_and_of_nobody_else(sealed: Sealed) -> None:
    """A key of the same name is another key, and a checkpoint that one signs says what it wants."""
    text = await proof_of(sealed, 300)
    with pytest.raises(NotSigned) as refused:
        checked_inclusion(text, [OTHER])
    assert refused.value.found == (sealed.signer.verifier.label,)
    assert checked_inclusion(text, [OTHER, *sealed.trusted]).event.position == 300
    with pytest.raises(NotSigned, match="is not of this text"):
        checked_inclusion(text.replace(f"\n{EVENTS}\n", f"\n{EVENTS + 1}\n"), sealed.trusted)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=200)
@given(data=st.data())
def test_no_changed_byte_of_a_proof_goes_unseen(one_proof: tuple[Sealed, str], data: st.DataObject) -> None:
    """Whatever is changed in the file, it proves the same event or nothing."""
    sealed, text = one_proof
    at = data.draw(st.integers(0, len(text) - 1))
    changed = text[:at] + data.draw(st.characters(exclude_categories=["Cs"])) + text[at + 1 :]
    try:
        found = checked_inclusion(changed, sealed.trusted)
    except ByjyError:
        return
    assert found.event == checked_inclusion(text, sealed.trusted).event


@pytest.fixture
async def one_proof(sealed: Sealed) -> tuple[Sealed, str]:
    return sealed, await proof_of(sealed, 513)


# --- consistency ----------------------------------------------------------------------------------


async def test_each_checkpoint_can_be_proved_to_be_the_beginning_of_every_later_one(sealed: Sealed) -> None:
    """And of itself."""
    async with EventLog.open(sealed.url, read_only=True) as log:
        for number, old in enumerate(sealed.notes):
            for size, new in list(zip(SIZES, sealed.notes, strict=True))[number:]:
                found = checked_consistency(await consistency_proof(log, old, new), sealed.trusted)
                assert (found.old.size, found.new.size) == (SIZES[number], size)


async def test_a_log_that_did_not_grow_from_a_checkpoint_cannot_prove_it(sealed: Sealed) -> None:
    """Whoever signed for another log of the same name is shown to have signed for two."""
    forked = signed_checkpoint(300, bytes(32), [sealed.signer]).note
    longer = signed_checkpoint(EVENTS + 1, bytes(32), [sealed.signer]).note
    elsewhere = Signer.new("example.com/other")
    async with EventLog.open(sealed.url, read_only=True) as log:
        for old, new in ((forked, sealed.notes[-1]), (sealed.notes[0], forked)):
            with pytest.raises(ProofBroken, match="did not grow out of"):
                checked_consistency(await consistency_proof(log, old, new), sealed.trusted)
        with pytest.raises(NotCovered):
            await consistency_proof(log, sealed.notes[0], longer)
        with pytest.raises(ProofBroken, match="does not grow from 700 to 90"):
            await consistency_proof(log, sealed.notes[-1], sealed.notes[0])
        other = signed_checkpoint(90, bytes(32), [elsewhere]).note
        mixed = await consistency_proof(log, other, sealed.notes[-1])
        with pytest.raises(ProofBroken, match="of two logs"):
            checked_consistency(mixed, [*sealed.trusted, elsewhere.verifier])


async def test_a_consistency_proof_that_was_altered_does_not_hold(sealed: Sealed) -> None:
    """Hashes left out or changed, another format, no JSON at all."""
    async with EventLog.open(sealed.url, read_only=True) as log:
        text = await consistency_proof(log, sealed.notes[0], sealed.notes[-1])
    proof = json.loads(text)
    for changes, reason in (
        ({"hashes": proof["hashes"][1:]}, "hashes are not the way"),
        ({"hashes": proof["hashes"][::-1]}, "did not grow out of"),
        ({"hashes": ["AAAA"]}, "is no hash"),
        ({"format": "something"}, "not a proof of this kind"),
        ({"further": 1}, "not a proof"),
    ):
        with pytest.raises(ProofBroken, match=reason):
            checked_consistency(json.dumps({**proof, **changes}), sealed.trusted)
    for text in ("", "[]", "{", "\ud800"):
        with pytest.raises(ProofBroken, match="not a proof"):
            checked_consistency(text, sealed.trusted)
    with pytest.raises(NotSigned):
        checked_consistency(json.dumps(proof), [OTHER])
