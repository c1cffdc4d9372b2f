"""``byjy events`` and ``byjy history``."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

import typer

from byjy_ops.arguments import LIMIT, AsJson, Limit, position, uuid
from byjy_ops.session import run


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(events)
    app.command()(history)


def events(
    context: typer.Context,
    after: Annotated[
        int | None, typer.Option("--after", metavar="POSITION", parser=position, help="Only behind this position.")
    ] = None,
    types: Annotated[
        list[str] | None,
        typer.Option("--type", metavar="TYPE", help="Only of this type, e.g. OrderFilled; may be repeated."),
    ] = None,
    limit: Limit = LIMIT,
    follow: Annotated[
        bool, typer.Option("--follow", help="Stay, and show new events as they come, without a limit, until Ctrl-C.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """List the events of the log in their order."""
    from byjy_ops.events import follow_events, list_events

    if follow:
        run(context, lambda database: follow_events(database, after or 0, types, as_json=as_json))
    else:
        run(context, lambda database: list_events(database, after or 0, types, limit, as_json=as_json))


def history(
    context: typer.Context,
    order: Annotated[
        UUID, typer.Argument(metavar="ORDER_ID", parser=uuid, help="The order's id, as byjy orders shows it.")
    ],
    as_json: AsJson = False,
) -> None:
    """Show every event of one order. Exit status 1: the log knows no such order."""
    from byjy_ops.history import order_history

    run(context, lambda database: order_history(database, order, as_json=as_json))
