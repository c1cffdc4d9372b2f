"""``byjy strategies`` and ``byjy executions``."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer

from byjy_ops.actor import Actor
from byjy_ops.arguments import LIMIT, AsJson, Limit, Since, Statuses, span, uuid
from byjy_ops.session import run

strategies = typer.Typer(help="Make strategies, look at them, change them, and say whether they may be run.")
executions = typer.Typer(invoke_without_command=True)

Strategy = Annotated[
    str, typer.Argument(metavar="STRATEGY", help="Its id, or its name if nobody else has one called so.")
]
Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; it is kept in the log.")]
ParametersFile = Annotated[
    Path | None,
    typer.Option("--parameters", metavar="FILE", help="A JSON object; - for standard input. Else an empty one."),
]
LostAfter = Annotated[
    timedelta | None,
    typer.Option(
        "--lost-after", metavar="SPAN", parser=span, help="What gave no sign of life for so long is LOST; else 30s."
    ),
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(strategies, name="strategies")
    app.add_typer(executions, name="executions")


@strategies.command("list")
def list_(
    context: typer.Context,
    user: Annotated[
        str | None, typer.Option("--user", metavar="USER", help="Only those of this user, by name or id.")
    ] = None,
    status: Statuses = None,
    limit: Limit = LIMIT,
    as_json: AsJson = False,
) -> None:
    """List strategies, the newest first."""
    from byjy_ops.strategies import AskedStrategies, list_strategies

    run(context, lambda database: list_strategies(database, AskedStrategies(user, status), limit, as_json=as_json))


@strategies.command()
def create(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Unique among the user's strategies.")],
    user: Annotated[str, typer.Option("--user", metavar="USER", help="Whose it is, by name or id.")],
    kind: Annotated[str, typer.Option("--kind", metavar="KIND", help="What program it is, e.g. market_maker.")],
    parameters: ParametersFile = None,
    is_test: Annotated[bool, typer.Option("--test", help="It never trades for real.")] = False,
    actor: Actor = None,
    as_json: AsJson = False,
) -> None:
    """Create a strategy, a draft, and write its id."""
    from byjy_ops.strategies import create_strategy

    run(
        context,
        lambda database: create_strategy(
            database, actor, user, name, kind, parameters, is_test=is_test, as_json=as_json
        ),
    )


@strategies.command()
def show(context: typer.Context, strategy: Strategy, as_json: AsJson = False) -> None:
    """Show a strategy and its parameters, as the log has them now."""
    from byjy_ops.strategies import show_strategy

    run(context, lambda database: show_strategy(database, strategy, as_json=as_json))


@strategies.command()
def parameters(
    context: typer.Context,
    strategy: Strategy,
    source: Annotated[
        Path | None,
        typer.Option("--set", metavar="FILE", help="Change them to this JSON object; - for standard input."),
    ] = None,
    reason: Reason = "",
    expected: Annotated[
        int | None,
        typer.Option("--expected", metavar="VERSION", min=1, help="With --set: only if these are those of now."),
    ] = None,
    version: Annotated[
        int | None, typer.Option("--version", metavar="VERSION", min=1, help="Show these, not those of now.")
    ] = None,
    history: Annotated[bool, typer.Option("--history", help="List all that it ever had, the newest first.")] = False,
    actor: Actor = None,
    as_json: AsJson = False,
) -> None:
    """Show the parameters of a strategy, or change them from the next execution on."""
    from byjy_ops.strategies import change_parameters, show_parameters

    if source is not None and (history or version is not None):
        raise typer.BadParameter(
            "either change them or look at others: not with --version or --history", param_hint="--set"
        )
    if history and version is not None:
        raise typer.BadParameter("either one version or all of them: not with --version", param_hint="--history")
    if source is None and (reason or expected is not None):
        raise typer.BadParameter("is missing; --reason and --expected are for a change", param_hint="--set")
    if source is None:
        run(context, lambda database: show_parameters(database, strategy, version, history=history, as_json=as_json))
    else:
        run(
            context,
            lambda database: change_parameters(database, actor, strategy, source, reason, expected, as_json=as_json),
        )


@strategies.command()
def rename(
    context: typer.Context,
    strategy: Strategy,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Unique among the user's strategies.")],
    actor: Actor = None,
    as_json: AsJson = False,
) -> None:
    """Give a strategy another name; the one before is free."""
    from byjy_ops.strategies import rename_strategy

    run(context, lambda database: rename_strategy(database, actor, strategy, name, as_json=as_json))


@strategies.command()
def activate(
    context: typer.Context, strategy: Strategy, reason: Reason = "", actor: Actor = None, as_json: AsJson = False
) -> None:
    """Let a strategy be run."""
    _turn(context, strategy, "ACTIVE", reason, actor, as_json=as_json)


@strategies.command()
def pause(
    context: typer.Context, strategy: Strategy, reason: Reason = "", actor: Actor = None, as_json: AsJson = False
) -> None:
    """Let no execution of a strategy start for a while; one that runs goes on."""
    _turn(context, strategy, "PAUSED", reason, actor, as_json=as_json)


@strategies.command()
def stop(
    context: typer.Context, strategy: Strategy, reason: Reason = "", actor: Actor = None, as_json: AsJson = False
) -> None:
    """Take a strategy out of service; an execution that runs goes on."""
    _turn(context, strategy, "STOPPED", reason, actor, as_json=as_json)


@strategies.command()
def archive(
    context: typer.Context, strategy: Strategy, reason: Reason = "", actor: Actor = None, as_json: AsJson = False
) -> None:
    """Put a strategy away for good. Not while it runs; its name is free then."""
    _turn(context, strategy, "ARCHIVED", reason, actor, as_json=as_json)


def _turn(context: typer.Context, strategy: str, status: str, reason: str, actor: str | None, *, as_json: bool) -> None:
    from byjy_events.vocabulary.strategies import StrategyStatus
    from byjy_ops.strategies import turn_strategy

    wanted = StrategyStatus(status)
    run(context, lambda database: turn_strategy(database, actor, strategy, wanted, reason, as_json=as_json))


@executions.callback()
def list_executions(
    context: typer.Context,
    strategy: Annotated[
        str | None, typer.Option("--strategy", metavar="STRATEGY", help="Only those of this one, by id or name.")
    ] = None,
    status: Statuses = None,
    since: Since = None,
    lost_after: LostAfter = None,
    limit: Limit = LIMIT,
    as_json: AsJson = False,
) -> None:
    """List runs of strategies, the newest first; LOST is also what runs and gives no sign of life."""
    if context.invoked_subcommand is not None:
        return
    from byjy_ops.executions import Asked, list_executions

    asked = Asked(strategy, status, since, lost_after)
    run(context, lambda database: list_executions(database, asked, limit, as_json=as_json))


@executions.command("show")
def show_one(
    context: typer.Context,
    execution: Annotated[UUID, typer.Argument(metavar="EXECUTION", parser=uuid, help="Its id.")],
    lost_after: LostAfter = None,
    as_json: AsJson = False,
) -> None:
    """Show a run of a strategy, and what it traded of each pair on each account."""
    from byjy_ops.executions import show_execution

    run(context, lambda database: show_execution(database, execution, lost_after, as_json=as_json))


@executions.command("declare-lost")
def declare_lost(
    context: typer.Context,
    lost_after: LostAfter = None,
    reason: Reason = "",
    actor: Actor = None,
    as_json: AsJson = False,
) -> None:
    """Record as LOST what runs and gives no sign of life, so that its strategy can be started again."""
    from byjy_ops.executions import declare_lost as declared

    run(context, lambda database: declared(database, actor, lost_after, reason, as_json=as_json))
