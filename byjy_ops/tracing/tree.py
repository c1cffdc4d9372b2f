"""The tree of cause and effect. Pure: events in, a tree out, whatever they say of each other.

An event hangs beneath the one that it names as its cause. One that names none hangs beneath the first event of its own
stream, since most facts of a venue name no cause: a fill then stands beneath the placing of its order. Whatever is left
over is a root: what began it all, and what names a cause that is not there.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from enum import StrEnum

from msgspec import Struct

from byjy_events import Recorded
from byjy_events.stream import Stream


class Link(StrEnum):
    """Why an event hangs where it does.

    Attributes:
        CAUSE: it names the other as its cause.
        STREAM: it names none, and the other began its stream.
    """

    CAUSE = "CAUSE"
    STREAM = "STREAM"


class Node(Struct):
    """An event in its place.

    Attributes:
        parent: the event that it hangs beneath; None: it is a root.
        outside: it belongs to another correlation, or to none.
        note: what is odd about its place; empty: nothing.
        depth: how many it hangs beneath.
    """

    recorded: Recorded
    parent: Node | None = None
    link: Link | None = None
    outside: bool = False
    note: str = ""
    children: list[Node] = []
    depth: int = 0

    @property
    def position(self) -> int:
        """Of the event, in the log."""
        return self.recorded.position


def tree_of(
    events: Sequence[Recorded], outside: Collection[int] = (), same: Mapping[Stream, Stream] | None = None
) -> list[Node]:
    """The roots, with everything beneath them, in the order of the log.

    Args:
        outside: the positions of those events that belong to another correlation.
        same: streams of orders that turned out to be another one, and that one's.
    """
    nodes = [Node(one, outside=one.position in outside, children=[]) for one in sorted(events, key=_position)]
    by_id = {node.recorded.event_id_bytes: node for node in nodes}
    first = _first_of_streams(nodes, same or {})
    for node in nodes:
        _hang(node, by_id, first, same or {})
    _cut_circles(nodes)
    for node in nodes:
        if node.parent is not None:
            node.parent.children.append(node)
    return [node for node in nodes if node.parent is None]


def walked(roots: Sequence[Node]) -> Iterator[tuple[Node, tuple[bool, ...]]]:
    """Every node, parents before their children, and for each level above it whether that was the last child."""
    waiting: list[tuple[Node, tuple[bool, ...]]] = [(root, ()) for root in reversed(roots)]
    while waiting:
        node, last = waiting.pop()
        node.depth = len(last)
        yield node, last
        number = len(node.children)
        waiting += [(child, (*last, index == number - 1)) for index, child in reversed(list(enumerate(node.children)))]


def _hang(node: Node, by_id: Mapping[bytes, Node], first: Mapping[Stream, Node], same: Mapping[Stream, Stream]) -> None:
    cause = node.recorded.causation_id_bytes
    if cause is None:
        begun = first[same.get(node.recorded.stream, node.recorded.stream)]
        if begun is not node:
            node.parent, node.link = begun, Link.STREAM
    elif cause in by_id:
        node.parent, node.link = by_id[cause], Link.CAUSE
    else:
        node.note = f"its cause {node.recorded.causation_id} is not in the log"


def _first_of_streams(nodes: Sequence[Node], same: Mapping[Stream, Stream]) -> dict[Stream, Node]:
    """The placing of an order comes first, even if the venue told of the order earlier under another name."""
    first: dict[Stream, Node] = {}
    for node in nodes:
        if node.recorded.stream not in same:
            first.setdefault(node.recorded.stream, node)
    for node in nodes:
        first.setdefault(same.get(node.recorded.stream, node.recorded.stream), node)
    return first


def _cut_circles(nodes: Sequence[Node]) -> None:
    """Of events that are each other's causes the earliest becomes a root."""
    sound: set[int] = set()
    for start in nodes:
        path: dict[int, Node] = {}
        node: Node | None = start
        while node is not None and node.position not in sound and node.position not in path:
            path[node.position] = node
            node = node.parent
        if node is not None and node.position in path:
            places = list(path)
            circle = places[places.index(node.position) :]
            head = path[min(circle)]
            assert head.parent is not None
            head.note = f"a circle: its cause at {head.parent.position} comes of itself"
            head.parent = head.link = None
        sound.update(path)


def _position(recorded: Recorded) -> int:
    return recorded.position
