"""``byjy export events``, ``orders``, ``trades``, ``positions``, ``anomalies`` and ``check``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from byjy_ops.arguments import Account, AsJson, Moment, PairName, Since, instant, sealed_or_moment
from byjy_ops.commands.proof import Keys
from byjy_ops.session import run

exporting = typer.Typer(help="Write the log or its tables into files that prove what they hold, and check such files.")

Until = Annotated[
    int | None, typer.Option("--until", metavar="INSTANT", parser=instant, help="Only before then; as for --since.")
]
Actor = Annotated[
    str | None, typer.Option("--actor", metavar="NAME", help="Only what this actor caused, e.g. strategy:mm-1.")
]
AsOf = Annotated[
    Moment | None,
    typer.Option(
        "--as-of",
        metavar="WHEN",
        parser=sealed_or_moment,
        help="As of a position, an instant with its offset, as 2012-06-21T10:00:00Z, or 'sealed', the newest signed"
        " checkpoint; tables are folded anew.",
    ),
]
Output = Annotated[str, typer.Option("--output", "-o", metavar="FILE", help="The file to make; -: standard output.")]
FormatName = Annotated[
    str | None,
    typer.Option("--format", metavar="FORMAT", help="jsonl, csv or parquet; else what the file's name ends in."),
]
ManifestFile = Annotated[
    str | None, typer.Option("--manifest", metavar="FILE", help="The manifest, if not FILE.manifest.json.")
]
Force = Annotated[bool, typer.Option("--force", help="Replace files that are there.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(exporting, name="export")


def _export(
    context: typer.Context,
    kind: str,
    target: tuple[str, str | None, str | None, bool, bool],
    as_of: Moment | None,
    filters: tuple[int | None, int | None, str | None, str | None, str | None],
) -> None:
    from byjy_ops.export import Target, export_rows
    from byjy_ops.exporting import Filters, Kind

    run(context, lambda database: export_rows(database, Kind(kind), Filters(*filters), as_of, Target(*target)))


@exporting.command()
def events(
    context: typer.Context,
    output: Output,
    file_format: FormatName = None,
    since: Since = None,
    until: Until = None,
    pair: PairName = None,
    actor: Actor = None,
    as_of: AsOf = None,
    manifest: ManifestFile = None,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Export the events of the log, with all that their leaf hashes cover; --since goes by recorded_at."""
    target = (output, file_format, manifest, force, as_json)
    _export(context, "events", target, as_of, (since, until, pair, actor, None))


@exporting.command()
def orders(
    context: typer.Context,
    output: Output,
    file_format: FormatName = None,
    since: Since = None,
    until: Until = None,
    pair: PairName = None,
    account: Account = None,
    actor: Actor = None,
    as_of: AsOf = None,
    manifest: ManifestFile = None,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Export orders; --since goes by created_at, --actor by who placed them."""
    target = (output, file_format, manifest, force, as_json)
    _export(context, "orders", target, as_of, (since, until, pair, actor, account))


@exporting.command()
def trades(
    context: typer.Context,
    output: Output,
    file_format: FormatName = None,
    since: Since = None,
    until: Until = None,
    pair: PairName = None,
    account: Account = None,
    actor: Actor = None,
    as_of: AsOf = None,
    manifest: ManifestFile = None,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Export trades; --since goes by executed_at, --actor by who recorded the fill."""
    target = (output, file_format, manifest, force, as_json)
    _export(context, "trades", target, as_of, (since, until, pair, actor, account))


@exporting.command()
def positions(
    context: typer.Context,
    output: Output,
    file_format: FormatName = None,
    since: Since = None,
    until: Until = None,
    pair: PairName = None,
    account: Account = None,
    as_of: AsOf = None,
    manifest: ManifestFile = None,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Export positions; --since goes by updated_at."""
    target = (output, file_format, manifest, force, as_json)
    _export(context, "positions", target, as_of, (since, until, pair, None, account))


@exporting.command()
def anomalies(
    context: typer.Context,
    output: Output,
    file_format: FormatName = None,
    since: Since = None,
    until: Until = None,
    pair: PairName = None,
    actor: Actor = None,
    as_of: AsOf = None,
    manifest: ManifestFile = None,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Export anomalies; --since goes by recorded_at, --actor by who recorded the odd event."""
    target = (output, file_format, manifest, force, as_json)
    _export(context, "anomalies", target, as_of, (since, until, pair, actor, None))


@exporting.command()
def check(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The exported file.")],
    manifest: Annotated[
        Path | None, typer.Option("--manifest", metavar="FILE", help="Its manifest, if not FILE.manifest.json.")
    ] = None,
    key: Keys = None,
    as_json: AsJson = False,
) -> None:
    """Hold an exported file against its manifest, without the database. Exit status 1: it does not hold.

    With the log's public key also against the signed checkpoint, which nobody but the log's owner can make anew.
    """
    from byjy_ops.export import check_export

    if status := check_export(file, manifest, key or (), as_json=as_json):
        raise typer.Exit(status)
