"""``byjy grants``."""

from __future__ import annotations

from typing import Annotated

import typer

from byjy_ops.session import run


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(grants)


def grants(
    context: typer.Context,
    roles: Annotated[
        list[str] | None,
        typer.Option(
            "--role",
            metavar="KIND=NAME",
            help="A login role and what it is for: engine, projector, auditor or backup; may be repeated."
            " Else byjy_engine, byjy_projector and byjy_auditor.",
        ),
    ] = None,
    apply: Annotated[bool, typer.Option("--apply", help="Run the statements, as the owner of the tables.")] = False,
) -> None:
    """Print what least-privilege roles of PostgreSQL need, or grant it."""
    from byjy_ops.grants import grant, wanted

    run(context, lambda database: grant(database, wanted(roles or ()), apply=apply))
