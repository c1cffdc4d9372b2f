"""One order's history: every event of its stream, with all that the log knows of it."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from byjy_events import Recorded, order_stream
from byjy_ops.events import cells, fields
from byjy_ops.listing import emit, rendered, tell, terminal_width, text, utc, write_json
from byjy_ops.reading import existing_log
from byjy_ops.session import NO, YES


async def order_history(database: str, order_id: UUID, *, as_json: bool) -> int:
    """Write the events of an order; the answer is no where the log knows none."""
    async with existing_log(database, read_only=True) as log:
        events = [recorded async for recorded in log.read(stream=order_stream(order_id))]
    if not events:
        tell(f"the log knows no order {order_id}")
        return NO
    if as_json:
        write_json(map(cells, events))
    else:
        emit(_table(events))
    return YES


def _table(events: list[Recorded]) -> str:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for heading, justify in (("position", "right"), ("version", "right"), ("type", "left")):
        table.add_column(heading, justify=justify, no_wrap=True)  # type: ignore[arg-type]
    table.add_column("clocks (UTC), actor, fields", overflow="fold")
    for recorded in events:
        table.add_row(str(recorded.position), str(recorded.stream_version), text(recorded.type), _details(recorded))
    return f"{rendered(table).rstrip()}\n"


def _details(recorded: Recorded) -> Any:
    from rich.text import Text

    lines = [
        f"{name} {'-' if clock is None else utc(clock)}"
        for name, clock in (
            ("occurred", recorded.occurred_at),
            ("received", recorded.received_at),
            ("recorded", recorded.recorded_at),
        )
    ]
    said = [f"{name}={_value(value)}" for name, value in fields(recorded).items() if value not in (None, "")]
    # A terminal is narrow, so a field a line; into a pipe goes a line that a program can search.
    separator = " " if terminal_width() is None else "\n"
    return Text("\n".join([*lines, f"by {text(recorded.actor)}", separator.join(said), ""]))


def _value(value: Any) -> str:
    if isinstance(value, dict) and {"exchange", "symbol"} <= value.keys():
        return f"{text(value['exchange'])}:{text(value['symbol'])}"
    return text(value)
