"""``byjy copy``."""

from __future__ import annotations

from typing import Annotated

import typer

from byjy_ops.arguments import AsJson
from byjy_ops.session import run, session


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(copy)


def copy(
    context: typer.Context,
    source: Annotated[str, typer.Argument(metavar="FROM_URL", help="The database to copy; it is only read.")],
    target: Annotated[
        str, typer.Argument(metavar="TO_URL", help="An empty database, or a copy of the same log to go on with.")
    ],
    verify: Annotated[
        bool,
        typer.Option(
            "--verify/--no-verify",
            help="Whether both logs are audited and the new tables verified in the end, which reads everything again.",
        ),
    ] = True,
    replace_keys: Annotated[
        bool,
        typer.Option(
            "--replace-keys",
            help="After a rotation at the source: take its wrapped data keys even if both logs end at the same event.",
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Copy a log with its proofs and keys into another database, and replay its tables there.

    What was cut short goes on where it ended. Exit status 1: something is wrong with a log or a table.
    """
    from byjy_ops.copying import copy_database
    from byjy_ops.errors import InvalidArgument

    if session(context).given_database is not None:
        raise InvalidArgument("--database", "copy names its databases itself: FROM_URL and TO_URL")

    async def work(_: str) -> int:
        return await copy_database(source, target, thorough=verify, replace_keys=replace_keys, as_json=as_json)

    run(context, work)
