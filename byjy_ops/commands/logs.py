"""``byjy logs`` and ``byjy logs prune``."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated
from uuid import UUID

import typer

from byjy_ops.arguments import LIMIT, AsJson, Limit, Since, span, uuid
from byjy_ops.session import run

listing = typer.Typer(invoke_without_command=True)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(listing, name="logs")


@listing.callback()
def logs(
    context: typer.Context,
    level: Annotated[
        str | None,
        typer.Option("--level", metavar="LEVEL", help="Only this level and those that matter more, e.g. WARNING."),
    ] = None,
    since: Since = None,
    correlation: Annotated[
        UUID | None,
        typer.Option("--correlation", metavar="ID", parser=uuid, help="Only what is part of this, e.g. a signal."),
    ] = None,
    follow: Annotated[
        bool,
        typer.Option("--follow", help="The newest at the end; stay, and show new entries as they come, until Ctrl-C."),
    ] = False,
    limit: Limit = LIMIT,
    as_json: AsJson = False,
) -> None:
    """List what programs logged into the database, the newest first. ``byjy logs prune`` deletes old entries."""
    if context.invoked_subcommand is not None:
        return
    from byjy_ops.logs import follow_logs, list_logs, wanted

    asked = wanted(level, since, correlation)
    if follow:
        run(context, lambda database: follow_logs(database, asked, limit, as_json=as_json))
    else:
        run(context, lambda database: list_logs(database, asked, limit, as_json=as_json))


@listing.command()
def prune(
    context: typer.Context,
    older_than: Annotated[
        timedelta | None,
        typer.Option("--older-than", metavar="SPAN", parser=span, help="Entries of longer ago, e.g. 30d or 12h."),
    ] = None,
    keep: Annotated[
        int | None, typer.Option("--keep", metavar="N", min=0, help="All entries but the last so many.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Delete old entries of the system logs, and nothing else; appends go on meanwhile."""
    from byjy_ops.logs import prune_logs

    run(context, lambda database: prune_logs(database, older_than, keep, as_json=as_json))
