"""``byjy migrate``."""

from __future__ import annotations

import typer

from byjy_ops.session import run


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(migrate)


def migrate(context: typer.Context) -> None:
    """Bring the database to the newest schema. A database that does not exist is created."""
    from byjy_ops.migration import migrate

    run(context, migrate)
