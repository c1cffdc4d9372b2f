"""``byjy events`` and ``byjy history``."""

from __future__ import annotations

from typing import Annotated

import typer

from byjy_ops.arguments import LIMIT, AsJson, Limit, Since, position
from byjy_ops.session import run

PairOfOrder = Annotated[
    str | None,
    typer.Option("--pair", metavar="[EXCHANGE:]SYMBOL", help="Of which pair the order is that the venue calls so."),
]


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
    what: Annotated[
        list[str],
        typer.Argument(
            metavar="ORDER_ID | KIND NAME",
            help="An order's id; or order, pair, position, user, key, strategy, execution or config, and its name.",
        ),
    ],
    account: Annotated[
        str | None, typer.Option("--account", metavar="NAME", help="Whose position; or of which account the order is.")
    ] = None,
    pair: PairOfOrder = None,
    paper: Annotated[bool, typer.Option("--paper", help="The position of paper trading.")] = False,
    since: Since = None,
    limit: Limit = LIMIT,
    as_json: AsJson = False,
) -> None:
    """Show all that happened to one thing, and its row before and after. Exit status 1: the log knows no such id."""
    from byjy_ops.entity import named
    from byjy_ops.history import entity_history

    asked = named(what, account, pair, is_test=paper)
    run(context, lambda database: entity_history(database, asked, since, limit, as_json=as_json))
