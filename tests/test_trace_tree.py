"""The tree of cause and effect, from nothing but events: whatever they say of each other, each is there once."""

from __future__ import annotations

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from byjy_events.recorded import Recorded
from byjy_events.stream import Stream, order_stream
from byjy_events.vocabulary.orders import OrderSubmitted
from byjy_ops.tracing.tree import Link, Node, tree_of, walked
from tests.folding import recorded

ONE, OTHER = order_stream(UUID(int=1)), order_stream(UUID(int=2))


def event(position: int, cause: int | None = None, stream: Stream = ONE) -> Recorded:
    """An event whose id is its position, caused by another so named."""
    caused = None if cause is None else cause.to_bytes(16, "big")
    return replace(recorded(OrderSubmitted(), position, stream), causation_id_bytes=caused)


def shape(roots: list[Node]) -> list[tuple[int, int | None, Link | None]]:
    """Position, parent and link of each, as they are drawn."""
    return [(one.position, one.parent.position if one.parent else None, one.link) for one, _ in walked(roots)]


def test_an_event_hangs_beneath_its_cause() -> None:
    """Whatever their streams; siblings come in the order of the log."""
    tree = tree_of([event(1), event(2, 1, OTHER), event(3, 1), event(4, 2, ONE), event(5, 2, OTHER)])
    assert shape(tree) == [
        (1, None, None),
        (2, 1, Link.CAUSE),
        (4, 2, Link.CAUSE),
        (5, 2, Link.CAUSE),
        (3, 1, Link.CAUSE),
    ]
    assert [(node.depth, last) for node, last in walked(tree)][:3] == [(0, ()), (1, (False,)), (2, (False, False))]


def test_an_event_without_a_cause_hangs_beneath_the_first_of_its_stream() -> None:
    """Of an order that turned out to be another one: beneath the placing of that, even if it came later."""
    assert shape(tree_of([event(1), event(2, stream=OTHER), event(3), event(4, stream=OTHER)])) == [
        (1, None, None),
        (3, 1, Link.STREAM),
        (2, None, None),
        (4, 2, Link.STREAM),
    ]
    linked = tree_of([event(1, stream=OTHER), event(2), event(3, stream=OTHER)], same={OTHER: ONE})
    assert shape(linked) == [(2, None, None), (1, 2, Link.STREAM), (3, 2, Link.STREAM)]


def test_a_cause_that_is_not_there_is_named() -> None:
    """The event is a root, and says which one it misses."""
    (root,) = tree_of([event(3, 77)])
    assert root.note == f"its cause {UUID(int=77)} is not in the log"


def test_a_circle_begins_with_its_earliest_event() -> None:
    """Also one of a single event that is its own cause, and what hangs beneath a circle stays there."""
    tree = tree_of([event(1, 3), event(2, 1), event(3, 2), event(4, 3), event(5, 5)])
    assert shape(tree) == [
        (1, None, None),
        (2, 1, Link.CAUSE),
        (3, 2, Link.CAUSE),
        (4, 3, Link.CAUSE),
        (5, None, None),
    ]
    assert [root.note for root in tree] == [f"a circle: its cause at {cause} comes of itself" for cause in (3, 5)]


def test_a_long_chain_is_no_deep_recursion() -> None:
    """Each caused by the one before."""
    tree = tree_of([event(1), *(event(n, n - 1) for n in range(2, 5_001))])
    assert max(node.depth for node, _ in walked(tree)) == 4_999


@given(
    st.lists(st.tuples(st.one_of(st.none(), st.integers(1, 14)), st.sampled_from([ONE, OTHER])), max_size=12),
    st.booleans(),
)
def test_whatever_events_say_each_is_drawn_once(told: list[tuple[int | None, Stream]], same: bool) -> None:
    """Beneath its cause, or else as a root; only circles are cut."""
    log = [event(position, cause, stream) for position, (cause, stream) in enumerate(told, 1)]
    nodes = [node for node, _ in walked(tree_of(log, same={OTHER: ONE} if same else None))]
    assert sorted(node.position for node in nodes) == list(range(1, len(told) + 1))
    for node in nodes:
        cause = told[node.position - 1][0]
        if node.link is Link.CAUSE:
            assert node.parent is not None
            assert node.parent.position == cause
        elif cause is not None:
            assert node.parent is None
            assert node.note
