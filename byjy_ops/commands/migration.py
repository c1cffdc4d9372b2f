"""``byjy migrate``."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from byjy_ops.session import run


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(migrate)


def migrate(
    context: typer.Context,
    to: Annotated[str, typer.Option("--to", metavar="REVISION", help="Up or down to this revision.")] = "head",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the SQL that would run; change nothing.")] = False,
    rehearse: Annotated[
        bool, typer.Option("--rehearse", help="Try it out with the real rows, say how long it took; change nothing.")
    ] = False,
    no_backup: Annotated[bool, typer.Option("--no-backup", help="SQLite: make no backup first.")] = False,
    scratch: Annotated[
        Path | None, typer.Option("--scratch", metavar="FOLDER", help="SQLite: where to rehearse, if not beside it.")
    ] = None,
    lose_data: Annotated[
        bool, typer.Option("--lose-data", help="Go down although what no rebuild brings back is lost.")
    ] = False,
) -> None:
    """Bring the database to the newest schema, or to another. A database that does not exist is created."""
    from byjy_ops.migration import Wanted, migrate

    wanted = Wanted(to, dry_run, rehearse, not no_backup, scratch, lose_data)
    run(context, partial(migrate, wanted=wanted))
