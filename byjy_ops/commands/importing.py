"""``byjy import``."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Annotated

import typer

from byjy_ops.arguments import trading_date
from byjy_ops.session import run

imports = typer.Typer(help="Append what a file tells to the log. Importing it again stores nothing twice.")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.add_typer(imports, name="import")


@imports.callback()
def formats() -> None:
    """Makes ``import`` a command with one subcommand for each format."""


formats.__doc__ = None


@imports.command()
def lobster(
    context: typer.Context,
    files: Annotated[list[Path], typer.Argument(metavar="FILE", help="Message files, compressed or not.")],
    on: Annotated[
        date | None,
        typer.Option(
            "--date", metavar="YYYY-MM-DD", parser=trading_date, help="Where the file's name does not say it."
        ),
    ] = None,
    account: Annotated[str, typer.Option("--account", metavar="NAME", help="Book the orders on it.")] = "lobster",
) -> None:
    """Import NASDAQ order flow from LOBSTER message files (TICKER_YYYY-MM-DD_START_END_message_LEVEL.csv)."""
    from byjy_ops.importing import import_lobster

    run(context, lambda database: import_lobster(database, files, on=on, account=account))
