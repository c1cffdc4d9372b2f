"""``byjy project``."""

from __future__ import annotations

from typing import Annotated

import typer

from byjy_ops.arguments import GroupName
from byjy_ops.session import run


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(project)


def project(
    context: typer.Context,
    group: GroupName = None,
    follow: Annotated[bool, typer.Option("--follow", help="Stay, and follow the log until Ctrl-C.")] = False,
) -> None:
    """Bring the tables up to the log. Exit status 1: an event could not be projected."""
    from byjy_ops.projecting import project

    run(context, lambda database: project(database, group=group, follow=follow))
