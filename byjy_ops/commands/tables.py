"""``byjy orders``, ``in-doubt``, ``trades``, ``positions``, ``cycles``, ``anomalies`` and ``pairs``."""

from __future__ import annotations

import typer

from byjy_ops.arguments import (
    LIMIT,
    Account,
    AsJson,
    ExecutionOption,
    Kinds,
    Limit,
    Marks,
    OpenOnly,
    OrderOption,
    PairName,
    Since,
    Statuses,
)
from byjy_ops.session import run


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (orders, in_doubt, trades, positions, cycles, anomalies, pairs):
        app.command(name=command.__name__.replace("_", "-"))(command)


def orders(
    context: typer.Context,
    pair: PairName = None,
    status: Statuses = None,
    open_only: OpenOnly = False,
    account: Account = None,
    order: OrderOption = None,
    execution: ExecutionOption = None,
    since: Since = None,
    limit: Limit = LIMIT,
    as_json: AsJson = False,
) -> None:
    """List orders, the newest first; --since goes by created_at."""
    from byjy_ops import tables

    wanted = tables.Filters(pair, status, None, open_only, account, order, since, execution)
    run(context, lambda database: tables.listed(database, tables.ORDERS, wanted, limit, as_json=as_json))


def in_doubt(context: typer.Context, account: Account = None, limit: Limit = LIMIT, as_json: AsJson = False) -> None:
    """List orders that the venue owes an answer: the order itself, a cancel or an amendment.

    Exit status 1: there are some, or the tables are behind the log, so that there may be.
    """
    from byjy_ops.doubt import listed_in_doubt

    run(context, lambda database: listed_in_doubt(database, account, limit, as_json=as_json))


def trades(
    context: typer.Context,
    pair: PairName = None,
    order: OrderOption = None,
    execution: ExecutionOption = None,
    account: Account = None,
    since: Since = None,
    limit: Limit = LIMIT,
    as_json: AsJson = False,
) -> None:
    """List trades, the newest first; --since goes by executed_at."""
    from byjy_ops import tables

    wanted = tables.Filters(pair=pair, order=order, account=account, since=since, execution=execution)
    run(context, lambda database: tables.listed(database, tables.TRADES, wanted, limit, as_json=as_json))


def positions(
    context: typer.Context,
    pair: PairName = None,
    account: Account = None,
    since: Since = None,
    marks: Marks = None,
    limit: Limit = LIMIT,
    as_json: AsJson = False,
) -> None:
    """List positions by account, at market where a mark is given; --since goes by updated_at."""
    from byjy_ops import tables
    from byjy_ops.marks import positions_at_marks

    wanted = tables.Filters(pair=pair, account=account, since=since)
    if marks:
        run(context, lambda database: positions_at_marks(database, marks, wanted, limit, as_json=as_json))
    else:
        run(context, lambda database: tables.listed(database, tables.POSITIONS, wanted, limit, as_json=as_json))


def cycles(
    context: typer.Context,
    pair: PairName = None,
    account: Account = None,
    since: Since = None,
    limit: Limit = LIMIT,
    as_json: AsJson = False,
) -> None:
    """List holdings that were closed, the newest first; --since goes by closed_at."""
    from byjy_ops import tables

    wanted = tables.Filters(pair=pair, account=account, since=since)
    run(context, lambda database: tables.listed(database, tables.CYCLES, wanted, limit, as_json=as_json))


def anomalies(
    context: typer.Context,
    kind: Kinds = None,
    pair: PairName = None,
    order: OrderOption = None,
    since: Since = None,
    limit: Limit = LIMIT,
    as_json: AsJson = False,
) -> None:
    """List what was odd, the newest first; --since goes by recorded_at."""
    from byjy_ops import tables

    wanted = tables.Filters(pair=pair, kind=kind, order=order, since=since)
    run(context, lambda database: tables.listed(database, tables.ANOMALIES, wanted, limit, as_json=as_json))


def pairs(
    context: typer.Context,
    pair: PairName = None,
    status: Statuses = None,
    since: Since = None,
    limit: Limit = LIMIT,
    as_json: AsJson = False,
) -> None:
    """List trading pairs by exchange and symbol; --since goes by updated_at."""
    from byjy_ops import tables

    wanted = tables.Filters(pair=pair, status=status, since=since)
    run(context, lambda database: tables.listed(database, tables.PAIRS, wanted, limit, as_json=as_json))
