"""``byjy status``."""

from __future__ import annotations

import typer

from byjy_ops.arguments import AsJson
from byjy_ops.session import run


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(status)


def status(context: typer.Context, as_json: AsJson = False) -> None:
    """Show schema, log head and each group of projections. Exit status 1: something needs attention."""
    from byjy_ops.status import status

    run(context, lambda database: status(database, as_json=as_json))
