"""The plan of a batch equals what one append after the other would have done."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from byjy_events.errors import VersionConflict
from byjy_events.plan import Draft, Known, Part, Plan, StreamKey, plan, repeatable_ids, streams_of
from byjy_events.stream import ANY, Expected
from tests.sample_events import SAMPLES

STREAMS: list[StreamKey] = [("order", bytes([number]) * 16) for number in range(3)]
RECORDED_AT = 99
TYPE = "OrderCanceled"


def draft(number: int, fresh: bool = False) -> Draft:
    event_id = (number + (2**64 if fresh else 0)).to_bytes(16, "big")
    event = SAMPLES[TYPE]
    return Draft(event_id, TYPE, 1, b"{}", None, 0, "a", None, None, b"", fresh, event)


class Answer(NamedTuple):
    """What one append came to: the places of its events, or its conflict."""

    positions: tuple[int, ...] = ()
    conflict: tuple[UUID, int, int, frozenset[UUID]] | None = None


class OneByOne:
    """The model: a list of events, and appends that are carried out one after the other."""

    def __init__(self) -> None:
        self.log: list[tuple[bytes, StreamKey]] = []

    def version(self, stream: StreamKey) -> int:
        return sum(where == stream for _, where in self.log)

    def position(self, event_id: bytes) -> int | None:
        return next((number for number, (known, _) in enumerate(self.log, 1) if known == event_id), None)

    def append(self, parts: Sequence[Part]) -> Answer:
        ids = [one.event_id for part in parts for one in part.drafts]
        known = frozenset(one for one in ids if self.position(one))
        if len(known) < len(set(ids)) or not ids:
            for part in parts:
                actual, expected = self.version(part.stream), part.expected
                if isinstance(expected, int) and (known or expected != actual):
                    told = frozenset(UUID(bytes=one) for one in known)
                    return Answer(conflict=(UUID(bytes=part.stream[1]), expected, actual, told))
            for part in parts:
                for one in part.drafts:
                    if self.position(one.event_id) is None:
                        self.log.append((one.event_id, part.stream))
        return Answer(tuple(self.position(one) or 0 for one in ids))

    def versions(self) -> dict[StreamKey, int]:
        return {stream: self.version(stream) for stream in STREAMS}

    def known(self, ids: Sequence[bytes]) -> dict[bytes, Known]:
        found = {one: self.position(one) for one in ids}
        return {
            one: Known(position, 1, RECORDED_AT, self.log[position - 1][1], TYPE, 1, b"{}")
            for one, position in found.items()
            if position
        }


def answers(decision: Plan, head: int) -> list[Answer]:
    found = []
    for verdict in decision.verdicts:
        if isinstance(verdict.error, VersionConflict):
            error = verdict.error
            known = frozenset(error.known_event_ids)
            found.append(Answer(conflict=(error.stream.id, error.expected, error.actual, known)))
        else:
            places = (one.position if isinstance(one, Known) else head + 1 + one.offset for one in verdict.places)
            found.append(Answer(tuple(places)))
    return found


expectations: st.SearchStrategy[Expected] = st.just(ANY) | st.integers(0, 4)
drafts = st.lists(st.builds(draft, st.integers(0, 9)), max_size=3)
parts = st.lists(st.builds(Part, st.sampled_from(STREAMS), expectations, drafts), min_size=1, max_size=3).filter(
    lambda some: len({part.stream for part in some}) == len(some) and any(part.drafts for part in some)
)
batches = st.lists(parts, max_size=6)


@given(batches, batches)
def test_a_batch_is_decided_as_if_its_appends_came_one_by_one(
    before: list[list[Part]], batch: list[list[Part]]
) -> None:
    """Ids known and unknown, within the batch and before it, any and exact versions, several streams at once."""
    model = OneByOne()
    for append in before:
        model.append(append)
    head = len(model.log)

    decision = plan(batch, model.versions(), model.known(repeatable_ids(batch)))

    assert answers(decision, head) == [model.append(append) for append in batch]
    assert [(one.draft.event_id, one.stream) for one in decision.placed] == model.log[head:]
    assert decision.versions == model.versions()
    for stream in STREAMS:
        stored = [one.stream_version for one in decision.placed if one.stream == stream]
        assert stored == list(range(model.version(stream) - len(stored) + 1, model.version(stream) + 1))


@given(batches, st.tuples(*[st.integers(0, 3)] * 3), st.tuples(*[st.integers(0, 3)] * 3))
def test_a_belief_that_decided_nothing_need_not_be_right(
    batch: list[list[Part]], true: tuple[int, ...], believed: tuple[int, ...]
) -> None:
    """PostgreSQL checks only the versions that are relied on: with these right, the same is stored and refused."""
    truth, belief = dict(zip(STREAMS, true, strict=True)), dict(zip(STREAMS, believed, strict=True))
    guess, decision = plan(batch, belief, {}), plan(batch, truth, {})
    if all(truth[stream] == version for stream, version in guess.relied_on.items()):
        assert [one.draft for one in guess.placed] == [one.draft for one in decision.placed]
        assert [str(one.error) for one in guess.verdicts] == [str(one.error) for one in decision.verdicts]


@given(batches)
def test_a_plan_touches_nothing_but_what_it_returns(batch: list[list[Part]]) -> None:
    """Planning twice gives the same plan: a batch is planned again when a belief was wrong."""
    versions = dict.fromkeys(STREAMS, 1)
    once, twice = plan(batch, versions, {}), plan(batch, versions, {})
    assert versions == dict.fromkeys(STREAMS, 1)
    assert once.placed == twice.placed
    assert answers(once, 0) == answers(twice, 0)


def test_only_ids_that_somebody_may_have_stored_are_looked_up() -> None:
    """A fresh id costs no look into the index; an id that appears twice costs one."""
    some = [[Part(STREAMS[0], ANY, [draft(1), draft(2, fresh=True)])], [Part(STREAMS[1], ANY, [draft(1)])]]
    assert repeatable_ids(some) == [draft(1).event_id]
    assert list(streams_of(some)) == STREAMS[:2]


def test_one_append_in_conflict_leaves_its_neighbours_alone() -> None:
    """First, refused, third: the third follows directly upon the first."""
    batch = [[Part(STREAMS[0], 0, [draft(number, fresh=True)])] for number in (1, 2)]
    batch.append([Part(STREAMS[0], 1, [draft(3, fresh=True)])])
    decision = plan(batch, {STREAMS[0]: 0}, {})
    assert [verdict.error is None for verdict in decision.verdicts] == [True, False, True]
    assert [one.stream_version for one in decision.placed] == [1, 2]
