"""``byjy trace``: which signal led to which order, to which fills, to which position."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from typing import Any
from uuid import UUID

from byjy_events import Recorded
from byjy_events.vocabulary.orders import OrderFilled, OrderPlaced, TradeCorrected
from byjy_ops.events import cells
from byjy_ops.listing import emit, tell, terminal_width, text, utc, write_json
from byjy_ops.reading import existing_log
from byjy_ops.session import NO, YES
from byjy_ops.states import said, written
from byjy_ops.tracing.events import Trace, traced
from byjy_ops.tracing.states import State, States, states_of
from byjy_ops.tracing.tree import Link, Node, tree_of, walked

DEPTH = 16
"""Levels that are drawn; what lies deeper tells its level by a number."""

WORDS_LENGTH = 80
"""Characters of what an event says."""

_DIGITS = 9
_KNOWN = frozenset(
    {"pair", "account", "client_order_id", "exchange_order_id", "execution_id", "update_id", "side", "type", "is_test"}
)
"""Fields that tell nothing new in a tree."""


async def trace(database: str, named: UUID, limit: int, *, as_json: bool) -> int:
    """Write the tree of a correlation, or of what an event or an order belongs to; the answer is no without any.

    Raises:
        ReplayFailed, CorruptLog: an event cannot be folded, or is not what was appended.
    """
    async with existing_log(database, read_only=True) as log:
        found = await traced(log, named, limit)
        if found is None:
            tell(f"the log knows no correlation, event or order {named}")
            return NO
        states = await states_of(log, found)
    roots = tree_of(list(found.events.values()), found.outside, found.same)
    if as_json:
        write_json(_cells(node, states) for node, _ in walked(roots))
    else:
        emit("".join(f"{line}\n" for line in _drawn(found, roots, states)))
    _tell_the_rest(found, limit)
    return YES


def _tell_the_rest(found: Trace, limit: int) -> None:
    if found.more:
        tell(f"the first {limit} events of the correlation shown, there are more: --limit N, or 0 for all")
    if found.unprojected:
        tell(f"the trail is {found.unprojected} events behind the log, which was read instead: byjy project trail")
    for correlation, number in found.elsewhere.most_common(3):
        events = "1 event" if number == 1 else f"{number} events"
        tell(f"{events} of these orders came of something else: byjy trace {correlation}")


def _cells(node: Node, states: States) -> dict[str, Any]:
    parent = node.parent
    return {
        **cells(node.recorded),
        "payload": said(node.recorded),
        "parent_event_id": None if parent is None else parent.recorded.event_id,
        "parent_position": None if parent is None else parent.position,
        "linked_by": node.link,
        "depth": node.depth,
        "outside": node.outside,
        "note": node.note or None,
        "states": [
            {"of": one.of, "name": one.name or None, "changed": {k: list(v) for k, v in one.columns.items()}}
            for one in states.get(node.position, [])
        ],
    }


# --- the drawing ----------------------------------------------------------------------------------


def _drawn(found: Trace, roots: Sequence[Node], states: States) -> Iterator[str]:
    first, last = min(found.events), max(found.events)
    began = found.events[first].recorded_at
    took = (found.events[last].recorded_at - began) / 1e9
    streams = len({one.stream for one in found.events.values()})
    named = "no correlation" if found.correlation_id is None else f"correlation {found.correlation_id}"
    yield f"{named}: {_counted(len(found.events), 'event')}, {_counted(streams, 'stream')}, {took:.6f} s"
    yield f"{utc(began)} UTC"
    yield ""
    for node, lasts in walked(roots):
        after = (node.recorded.recorded_at - began) / 1e9
        margin = f"{after:+.6f}".rjust(12) + str(node.position).rjust(_DIGITS) + "  "
        yield from _wrapped(
            margin, lasts, _line(node, states.get(node.position, [])), caused=node.link is not Link.STREAM
        )


def _line(node: Node, states: Sequence[State]) -> str:
    recorded, parent = node.recorded, node.parent
    parts = [text(recorded.type)]
    if parent is None or parent.recorded.stream != recorded.stream:
        parts.append(text(recorded.stream))
    if parent is None or parent.recorded.actor != recorded.actor:
        parts.append(f"by {text(recorded.actor)}")
    if words := _words(recorded):
        parts.append(words)
    line = "  ".join(parts)
    if node.outside:
        line += f"  (of correlation {recorded.correlation_id})" if recorded.correlation_id else "  (of no correlation)"
    if node.note:
        line += f"  ({node.note})"
    return line + "".join(f"  | {_told(one)}" for one in states)


def _words(recorded: Recorded) -> str:
    event = recorded.event
    if isinstance(event, OrderPlaced):
        price = "" if event.price is None else f" at {text(event.price)}"
        return f"{event.side} {text(event.quantity)} {text(event.pair.exchange)}:{text(event.pair.symbol)}{price}"
    if isinstance(event, OrderFilled | TradeCorrected):
        return f"{text(event.quantity)} at {text(event.price)}"
    told = said(recorded)
    if not isinstance(told, dict):
        return ""
    held = [f"{text(k)}={written(k, v)}" for k, v in told.items() if k not in _KNOWN and v not in (None, "", False)]
    words = " ".join(held)
    return words if len(words) <= WORDS_LENGTH else f"{words[: WORDS_LENGTH - 1]}…"


def _told(state: State) -> str:
    named = f"{state.of} {text(state.name)}".rstrip()
    return f"{named}: {', '.join(_became(name, *values) for name, values in state.columns.items())}"


def _became(name: str, before: Any, after: Any) -> str:
    if name == "realized":
        return f"realized {'+' if after > 0 else ''}{text(after)}"
    return f"{name} {_short(name, before)} -> {_short(name, after)}"


def _short(name: str, value: Any) -> str:
    told = written(name, value)
    return told if len(told) <= WORDS_LENGTH else f"{told[: WORDS_LENGTH - 1]}…"


def _wrapped(margin: str, lasts: tuple[bool, ...], line: str, *, caused: bool) -> list[str]:
    shown = lasts[-DEPTH:]
    deep = f"[{len(lasts)}] " if len(lasts) > DEPTH else ""
    rails = "".join("   " if last else "│  " for last in shown[:-1])
    branch = "" if not shown else f"{'└' if shown[-1] else '├'}{'─' if caused else '┄'} "
    on = "" if not shown else "   " if shown[-1] else "│  "
    width = terminal_width()
    if width is None:
        return [f"{margin}{rails}{branch}{deep}{line}"]
    room = max(width, len(margin) + len(rails) + 24)
    return textwrap.wrap(
        line,
        room,
        initial_indent=f"{margin}{rails}{branch}{deep}",
        subsequent_indent=f"{' ' * len(margin)}{rails}{on}   ",
    )


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
