"""``byjy demo``."""

from __future__ import annotations

from typing import Annotated

import typer

from byjy_ops.session import session

EVENTS = 40_000
SEED = 1


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(demo)


def demo(
    context: typer.Context,
    events: Annotated[int, typer.Option("--events", min=1, metavar="N", help="How many events, about.")] = EVENTS,
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="Another one, another market.")] = SEED,
) -> None:
    """Run a simulated trading engine for some seconds, in a fresh file or the empty database of --database."""
    from byjy_ops.demo import run_demo

    status = run_demo(events=events, seed=seed, database=session(context).given_database)
    raise typer.Exit(status)
