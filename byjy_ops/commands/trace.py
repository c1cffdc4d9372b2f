"""``byjy trace``."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

import typer

from byjy_ops.arguments import AsJson, uuid
from byjy_ops.session import run

LIMIT = 1_000
"""Events that are shown where ``--limit`` says nothing."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(trace)


def trace(
    context: typer.Context,
    named: Annotated[
        UUID,
        typer.Argument(metavar="ID", parser=uuid, help="A correlation id; or that of an event or an order."),
    ],
    limit: Annotated[int, typer.Option("--limit", min=0, help="At most so many events; 0: all.")] = LIMIT,
    as_json: AsJson = False,
) -> None:
    """Draw what led to what: signal, orders, fills, positions. Exit status 1: the log knows no such id."""
    from byjy_ops.trace import trace as write_trace

    run(context, lambda database: write_trace(database, named, limit, as_json=as_json))
