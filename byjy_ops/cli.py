"""The command ``byjy``: its tree, and what becomes of errors.

Exit status: 0; 1 for a negative answer (nothing found, a stopped group); 2 for bad usage or input; 130 after Ctrl-C.
An error is one line on standard error that says what is wrong and where. Nothing slow is imported before a
command needs it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import cache
from typing import Annotated

import typer

from byjy_ops.commands import (
    backup,
    config,
    copy,
    demo,
    events,
    export,
    grants,
    importing,
    keys,
    logs,
    migration,
    projecting,
    proof,
    replay,
    seal,
    signing_key,
    status,
    strategies,
    tables,
    trace,
    trail,
    users,
)
from byjy_ops.session import BAD, DEFAULT_DATABASE, INTERRUPTED, NO, YES, Session

app = typer.Typer(
    name="byjy",
    help="The operator's door to a byjy-events database: migrate it, fill it, look into it.",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for family in (
    migration,
    status,
    importing,
    projecting,
    replay,
    tables,
    events,
    trail,
    trace,
    users,
    export,
    strategies,
    config,
    grants,
    copy,
    backup,
    keys,
    seal,
    signing_key,
    logs,
    demo,
    proof,
):
    family.register(app)

# What Typer raises for every wrong option or argument; under this name it does not export it.
_UsageError: type[Exception] = typer.BadParameter.__bases__[0]

_GLOBAL_OPTIONS = {"--database": True, "--verbose": False}


@app.callback()
def options(
    context: typer.Context,
    database: Annotated[
        str,
        typer.Option(
            "--database",
            metavar="URL",
            envvar="BYJY_DATABASE_URL",
            help="sqlite:///file.db or postgresql://user@host/name.",
        ),
    ] = DEFAULT_DATABASE,
    verbose: Annotated[bool, typer.Option("--verbose", help="Show the traceback of an error.")] = False,
) -> None:
    """Remember the global options; they may stand before or behind the command. ``answered`` deals with --verbose."""
    source = context.get_parameter_source("database")
    context.obj = Session(database, database if source is not None and source.name == "COMMANDLINE" else None)


options.__doc__ = None  # else it would stand in place of the application's own help


SWITCH_SECONDS = 0.0005
"""How long one thread may keep the interpreter from another: a tenth of what Python sets, since the thread that stores
a batch and the one that prepares the next wait for each other many times a second."""


def main() -> None:
    """The entry point."""
    sys.setswitchinterval(SWITCH_SECONDS)
    sys.exit(answered(sys.argv[1:]))


def answered(arguments: Sequence[str]) -> int:
    """Run a command line and return the exit status."""
    try:
        command = _command()
        status = command(_global_options_first(arguments or ["--help"]), prog_name="byjy", standalone_mode=False)
    except (KeyboardInterrupt, typer.Abort):
        return INTERRUPTED
    except _UsageError as error:
        from byjy_events.scrubbing import scrubbed

        # It quotes what was given, which may be a URL; the names of options are no names of secrets.
        _complain(scrubbed(error.format_message(), lambda _: False))  # type: ignore[attr-defined]
        return BAD
    except Exception as error:  # noqa: BLE001 (whatever it is, the operator gets one line)
        return _failed(error, verbose="--verbose" in arguments)
    return status if isinstance(status, int) else YES


@cache
def _command() -> Callable[..., object]:
    """The tree of commands; making it takes longer than most of them."""
    return typer.main.get_command(app)


def _failed(error: Exception, *, verbose: bool) -> int:
    from byjy_events import ByjyError
    from byjy_events.proof.errors import HistoryChanged
    from byjy_ops.errors import OutputClosed
    from projections import GroupOutdated, ProjectionStopped

    if isinstance(error, OutputClosed):
        return YES
    if verbose:
        import traceback

        traceback.print_exception(error)
    if isinstance(error, ByjyError):
        _complain(str(error))
    else:
        _complain(f"{type(error).__name__}: {error}{'' if verbose else ' (--verbose tells more)'}")
    return NO if isinstance(error, ProjectionStopped | GroupOutdated | HistoryChanged) else BAD


def _complain(sentence: str) -> None:
    print(f"byjy: {' '.join(sentence.split())}", file=sys.stderr)


def _global_options_first(arguments: Sequence[str]) -> list[str]:
    """Typer wants them before the command; operators add them at the end."""
    first: list[str] = []
    rest: list[str] = []
    remaining = list(arguments)
    while remaining:
        argument = remaining.pop(0)
        if argument == "--":
            return [*first, *rest, argument, *remaining]
        takes_value = _GLOBAL_OPTIONS.get(argument.partition("=")[0])
        (rest if takes_value is None else first).append(argument)
        if takes_value and "=" not in argument:
            if not remaining:
                raise typer.BadParameter(f"Option '{argument}' requires an argument.")
            first.append(remaining.pop(0))
    return [*first, *rest]
