"""``byjy demo``."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from byjy_ops.session import session


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(demo)


def demo(
    context: typer.Context,
    events: Annotated[int | None, typer.Option("--events", min=1, metavar="N", help="How many events, about.")] = None,
    seed: Annotated[int | None, typer.Option("--seed", metavar="N", help="Another one, another market.")] = None,
) -> None:
    """Run a simulated trading engine for some seconds, in a fresh file or the empty database of --database."""
    from byjy_ops.demo import run_demo

    asked = {"events": events, "seed": seed}
    given: dict[str, Any] = {name: value for name, value in asked.items() if value is not None}
    raise typer.Exit(run_demo(**given, database=session(context).given_database))
