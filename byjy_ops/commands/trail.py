"""``byjy trail``."""

from __future__ import annotations

from typing import Annotated

import typer

from byjy_ops.arguments import LIMIT, AsJson, Limit, Since
from byjy_ops.session import run


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(trail)


def trail(
    context: typer.Context,
    actor: Annotated[
        str | None, typer.Option("--actor", metavar="NAME", help="Only what this actor did, e.g. strategy:mm-1.")
    ] = None,
    entity: Annotated[
        str | None,
        typer.Option(
            "--entity",
            metavar="[KIND:]UUID|PAIR",
            help="Only what was done to this: order:UUID or any other stream, a UUID alone, or the name of a pair.",
        ),
    ] = None,
    event_type: Annotated[
        str | None, typer.Option("--type", metavar="TYPE", help="Only events of this type, e.g. OrderPlaced.")
    ] = None,
    since: Since = None,
    limit: Limit = LIMIT,
    as_json: AsJson = False,
) -> None:
    """List who did what when, over everything, newest first."""
    from byjy_ops.trail import Asked, list_trail

    run(context, lambda database: list_trail(database, Asked(actor, entity, event_type, since), limit, as_json=as_json))
