"""``byjy rebuild``, ``verify`` and ``as-of``: what a replay of the log is for."""

from __future__ import annotations

from typing import Annotated

import typer

from byjy_ops.arguments import (
    LIMIT,
    Account,
    AsJson,
    ClockName,
    ExecutionOption,
    GroupName,
    Kinds,
    Limit,
    Marks,
    Moment,
    OpenOnly,
    OrderOption,
    PairName,
    Since,
    Statuses,
    moment,
)
from byjy_ops.session import run


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(rebuild)
    app.command()(verify)
    app.command(name="as-of")(as_of)


def rebuild(context: typer.Context, group: GroupName = None, as_json: AsJson = False) -> None:
    """Make the tables equal to the log, and show what was wrong with them. Engine and readers go on meanwhile."""
    from byjy_ops.rebuilding import rebuild_groups

    run(context, lambda database: rebuild_groups(database, group=group, as_json=as_json))


def verify(
    context: typer.Context,
    group: GroupName = None,
    limit: Annotated[int, typer.Option("--limit", min=0, help="At most so many rows of each table and kind.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Prove that the tables equal the log. Nothing is changed. Exit status 1: they do not; every row is shown."""
    from byjy_ops.verifying import verify_groups

    run(context, lambda database: verify_groups(database, group=group, limit=limit, as_json=as_json))


def as_of(
    context: typer.Context,
    when: Annotated[
        Moment,
        typer.Argument(
            metavar="WHEN", parser=moment, help="A position, or an instant with its offset: 2012-06-21T10:00:00Z."
        ),
    ],
    table: Annotated[
        str,
        typer.Argument(
            metavar="TABLE",
            help="orders, trades, positions, cycles, anomalies, pairs, or any table of an installed group.",
        ),
    ],
    pair: PairName = None,
    order: OrderOption = None,
    execution: ExecutionOption = None,
    status: Statuses = None,
    kind: Kinds = None,
    open_only: OpenOnly = False,
    account: Account = None,
    since: Since = None,
    marks: Marks = None,
    clock: Annotated[
        ClockName,
        typer.Option(
            "--clock",
            help="Of an instant. recorded: what the log held by then, as the tables then stood. venue: what had"
            " happened by then at the venue, as far as it was told up to now, however late.",
        ),
    ] = ClockName.RECORDED,
    limit: Limit = LIMIT,
    as_json: AsJson = False,
) -> None:
    """List a table as it was, with the filters that it has live. Folded from the log; no table is changed."""
    from byjy_ops import past, tables
    from projections import Clock

    filters = tables.Filters(pair, status, kind, open_only, account, order, since, execution)
    question = past.asked(table, filters, marks or ())
    by = Clock[clock.name]
    run(context, lambda database: past.listed_as_of(database, when, question, limit, clock=by, as_json=as_json))
