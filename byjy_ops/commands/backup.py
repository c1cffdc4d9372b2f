"""``byjy backup`` and what belongs to it."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

import typer

from byjy_ops.arguments import AsJson, Moment, moment, span
from byjy_ops.session import run

BACKUP_FOLDER_VARIABLE = "BYJY_BACKUP_FOLDER"

family = typer.Typer(
    name="backup", help="Back a database up, and get it back: every backup is verified by restoring it."
)

Folder = Annotated[
    str,
    typer.Option(
        "--folder",
        metavar="PATH|URL",
        envvar=BACKUP_FOLDER_VARIABLE,
        help="The folder with the backups of this database, or its URL, such as s3://bucket/prefix.",
    ),
]
Thorough = Annotated[
    bool, typer.Option("--thorough", help="Audit the whole log and replay the tables, too; takes much longer.")
]
Keep = Annotated[
    timedelta | None,
    typer.Option("--keep", metavar="SPAN", parser=span, help="Delete only backups that are older; 30d unless told."),
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(family)


@family.command()
def create(context: typer.Context, folder: Folder, thorough: Thorough = False, as_json: AsJson = False) -> None:
    """Make a backup while the engine goes on, and verify it. Exit status 1: it does not restore."""
    from byjy_ops.backups import create_backup

    run(context, lambda database: create_backup(database, folder, thorough=thorough, as_json=as_json))


@family.command("list")
def list_(context: typer.Context, folder: Folder, as_json: AsJson = False) -> None:
    """List the backups, newest first; what is incomplete at the end. Exit status 1: there is none that was verified."""
    from byjy_ops.backups import list_backups

    run(context, lambda _: list_backups(folder, as_json=as_json))


@family.command()
def verify(
    context: typer.Context,
    folder: Folder,
    name: Annotated[str, typer.Argument(metavar="[NAME]", help="Of a backup; else the newest.")] = "latest",
    every: Annotated[bool, typer.Option("--all", help="All backups.")] = False,
    thorough: Thorough = False,
    as_json: AsJson = False,
) -> None:
    """Restore backups into a scratch file, and look for what is wrong. Exit status 1: something is."""
    from byjy_ops.backups import verify_backups

    run(
        context,
        lambda _: verify_backups(folder, None if every else name, thorough=thorough, as_json=as_json),
    )


@family.command()
def restore(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME|latest", help="Of a backup, or the newest that did not fail.")],
    into: Annotated[
        str,
        typer.Option(
            "--into", metavar="FILE|URL", help="The database file to make, or the URL of an empty PostgreSQL database."
        ),
    ],
    folder: Folder,
    to: Annotated[
        Moment | None,
        typer.Option(
            "--to",
            metavar="WHEN",
            parser=moment,
            help="The last event that is wanted: a position, or an instant with its offset: 2012-06-21T10:00:00Z.",
        ),
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="If the file exists, put the backup in its place; it is kept beside.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Even while a process has the database open that is to be replaced.")
    ] = False,
    thorough: Thorough = False,
    as_json: AsJson = False,
) -> None:
    """Make a database of a backup and the segments behind it, verified before it takes its name.

    Exit status 1: a backup or a segment is damaged; what is before it is restored, and told.
    """
    from byjy_ops.backups import restore_backup

    run(
        context,
        lambda _: restore_backup(
            folder, name, into, to, replace=replace, force=force, thorough=thorough, as_json=as_json
        ),
    )


@family.command()
def prune(
    context: typer.Context,
    folder: Folder,
    keep: Keep = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be deleted.")] = False,
    as_json: AsJson = False,
) -> None:
    """Delete old backups, and what killed processes left behind; never the newest one that was verified."""
    from byjy_ops.backups import prune_backups

    run(context, lambda _: prune_backups(folder, keep, dry_run=dry_run, as_json=as_json))


@family.command("run")
def run_(
    context: typer.Context,
    folder: Folder,
    every: Annotated[
        timedelta | None,
        typer.Option("--every", metavar="SPAN", parser=span, help="How often a backup is made; 1h unless told."),
    ] = None,
    segments_every: Annotated[
        timedelta | None,
        typer.Option(
            "--segments-every",
            metavar="SPAN",
            parser=span,
            help="How often what is new is written down in between; 5s unless told, 0s: never.",
        ),
    ] = None,
    keep: Keep = None,
    thorough_every: Annotated[
        timedelta | None,
        typer.Option(
            "--thorough-every",
            metavar="SPAN",
            parser=span,
            help="How often one is verified thoroughly; 1d unless told.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a verified backup every hour and segments in between, delete old ones, until Ctrl-C. One for each folder."""
    from byjy_ops.backups import run_scheduler

    run(
        context,
        lambda database: run_scheduler(database, folder, every, keep, thorough_every, segments_every, as_json=as_json),
    )
