"""``byjy status``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from byjy_ops.arguments import AsJson
from byjy_ops.commands.backup import BACKUP_FOLDER_VARIABLE
from byjy_ops.session import run
from byjy_ops.signing_key_option import CHECKPOINT_FILE_VARIABLE, CHECKPOINT_FOLDER_VARIABLE


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(status)


def status(
    context: typer.Context,
    checkpoint_file: Annotated[
        Path | None,
        typer.Option(
            "--checkpoint-file",
            metavar="PATH",
            envvar=CHECKPOINT_FILE_VARIABLE,
            help="Where byjy seal --to-file appends checkpoints: shows how far it is behind.",
        ),
    ] = None,
    checkpoint_folder: Annotated[
        Path | None,
        typer.Option(
            "--checkpoint-folder",
            metavar="PATH",
            envvar=CHECKPOINT_FOLDER_VARIABLE,
            help="Where byjy seal --to-folder keeps checkpoints: shows how far it is behind.",
        ),
    ] = None,
    backups: Annotated[
        str | None,
        typer.Option(
            "--backups",
            metavar="PATH|URL",
            envvar=BACKUP_FOLDER_VARIABLE,
            help="The folder of byjy backup: shows how old the newest is, and whether it was verified.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show schema, log head, groups of projections, what is sealed and backed up.

    Exit status 1: something needs attention.
    """
    from byjy_ops.sealing import Places
    from byjy_ops.status import status

    places = Places(checkpoint_file, checkpoint_folder).open()
    run(context, lambda database: status(database, places, backups, as_json=as_json))
