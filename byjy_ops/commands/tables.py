"""``byjy orders``, ``trades``, ``positions``, ``anomalies`` and ``pairs``."""

from __future__ import annotations

import typer

from byjy_ops.arguments import LIMIT, Account, AsJson, Kinds, Limit, OpenOnly, OrderOption, PairName, Since, Statuses
from byjy_ops.session import run


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (orders, trades, positions, anomalies, pairs):
        app.command()(command)


def orders(
    context: typer.Context,
    pair: PairName = None,
    status: Statuses = None,
    open_only: OpenOnly = False,
    account: Account = None,
    order: OrderOption = None,
    since: Since = None,
    limit: Limit = LIMIT,
    as_json: AsJson = False,
) -> None:
    """List orders, the newest first; --since goes by created_at."""
    from byjy_ops import tables

    wanted = tables.Filters(pair, status, None, open_only, account, order, since)
    run(context, lambda database: tables.listed(database, tables.ORDERS, wanted, limit, as_json=as_json))


def trades(
    context: typer.Context,
    pair: PairName = None,
    order: OrderOption = None,
    account: Account = None,
    since: Since = None,
    limit: Limit = LIMIT,
    as_json: AsJson = False,
) -> None:
    """List executions, the newest first; --since goes by executed_at."""
    from byjy_ops import tables

    wanted = tables.Filters(pair=pair, order=order, account=account, since=since)
    run(context, lambda database: tables.listed(database, tables.TRADES, wanted, limit, as_json=as_json))


def positions(
    context: typer.Context,
    pair: PairName = None,
    account: Account = None,
    since: Since = None,
    limit: Limit = LIMIT,
    as_json: AsJson = False,
) -> None:
    """List positions by account; --since goes by updated_at."""
    from byjy_ops import tables

    wanted = tables.Filters(pair=pair, account=account, since=since)
    run(context, lambda database: tables.listed(database, tables.POSITIONS, wanted, limit, as_json=as_json))


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
