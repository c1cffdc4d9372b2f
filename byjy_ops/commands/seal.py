"""``byjy seal`` and ``byjy checkpoints``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from byjy_ops.arguments import LIMIT, AsJson, Limit
from byjy_ops.session import run
from byjy_ops.signing_key_option import (
    CHECKPOINT_FILE_VARIABLE,
    CHECKPOINT_FOLDER_VARIABLE,
    SigningKeyPath,
)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(seal)
    app.command()(checkpoints)


def seal(
    context: typer.Context,
    follow: Annotated[
        bool, typer.Option("--follow", help="Stay, and seal the log whenever it has grown, until Ctrl-C.")
    ] = False,
    every: Annotated[
        float | None,
        typer.Option(
            "--every",
            metavar="SECONDS",
            min=0.05,
            help="With --follow: the least time between two checkpoints. Else 0.7, so that an event is under one within"
            " a second.",
        ),
    ] = None,
    to_file: Annotated[
        Path | None,
        typer.Option(
            "--to-file",
            metavar="PATH",
            envvar=CHECKPOINT_FILE_VARIABLE,
            help="Append checkpoints to this file. Else BYJY_CHECKPOINT_FILE.",
        ),
    ] = None,
    to_folder: Annotated[
        Path | None,
        typer.Option(
            "--to-folder",
            metavar="PATH",
            envvar=CHECKPOINT_FOLDER_VARIABLE,
            help="Keep each checkpoint as a file in this folder. Else BYJY_CHECKPOINT_FOLDER.",
        ),
    ] = None,
    to_stdout: Annotated[
        bool, typer.Option("--to-stdout", help="Write checkpoints to standard output, as they lie in a file.")
    ] = False,
    signing_key: SigningKeyPath = None,
) -> None:
    """Sign what the log is now, and take the checkpoint out of the database. Exit status 1: the log was changed."""
    from byjy_ops.sealing import Places, seal

    places = Places(to_file, to_folder, to_stdout)
    run(context, lambda database: seal(database, signing_key, places, follow=follow, every_seconds=every))


def checkpoints(context: typer.Context, limit: Limit = LIMIT, as_json: AsJson = False) -> None:
    """List the checkpoints that are stored in the database, the newest first."""
    from byjy_ops.sealing import list_checkpoints

    run(context, lambda database: list_checkpoints(database, limit, as_json=as_json))
