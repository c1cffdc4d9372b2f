"""``byjy config`` and its commands. No argument takes a secret: who may list processes reads them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from byjy_ops.actor import Actor
from byjy_ops.arguments import LIMIT, AsJson, Limit
from byjy_ops.keys_option import KeyFilePath, KeyOptions, KeyringService, KeyVariableName
from byjy_ops.session import run

config = typer.Typer(help="Configuration: read and change it, look into its history, and go back to it.")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(config, name="config")


Key = Annotated[str, typer.Argument(metavar="KEY", help="E.g. risk.max_position.")]
Names = Annotated[
    list[str] | None, typer.Argument(metavar="[NAME]...", help="Only these keys and what is beneath them.")
]
Expected = Annotated[
    int | None,
    typer.Option(
        "--expected", metavar="N", min=0, help="Only if the value is of this version; 0: only if there is none."
    ),
]
ChangeType = Annotated[
    bool, typer.Option("--change-type", help="The value may be of another type than the one before.")
]


@config.command("get")
def get_(
    context: typer.Context,
    key: Key,
    version: Annotated[
        int | None, typer.Option("--version", metavar="N", min=1, help="An old version; else the value that there is.")
    ] = None,
    string: Annotated[bool, typer.Option("--string", help="A text as it is, without the quotes of JSON.")] = False,
    as_json: AsJson = False,
) -> None:
    """Print a value as JSON. Exit status 1: there is none. A secret is not shown."""
    from byjy_ops.config import get_value

    run(context, lambda database: get_value(database, key, version, string=string, as_json=as_json))


@config.command("set")
def set_(
    context: typer.Context,
    key: Key,
    value: Annotated[
        str | None,
        typer.Argument(metavar="[VALUE]", help="JSON. Else it is read from standard input, or from a hidden prompt."),
    ] = None,
    file: Annotated[Path | None, typer.Option("--file", metavar="PATH", help="Read the value from a file.")] = None,
    string: Annotated[bool, typer.Option("--string", help="The value is a text as it stands there, not JSON.")] = False,
    secret: Annotated[
        bool | None,
        typer.Option("--secret/--plain", help="Seal the value from now on, or no longer; else as the key is."),
    ] = None,
    expected: Expected = None,
    description: Annotated[
        str | None, typer.Option("--description", metavar="TEXT", help="What it is for; else it stays as it is.")
    ] = None,
    change_type: ChangeType = False,
    key_file: KeyFilePath = None,
    key_variable: KeyVariableName = None,
    keyring: KeyringService = None,
    actor: Actor = None,
    as_json: AsJson = False,
) -> None:
    """Give a key a value. A secret is read from standard input or a hidden prompt, never from arguments."""
    from byjy_ops.config import Given, read_value, set_value

    given = Given(read_value(value, file, secret=secret, string=string), value is not None or file is not None, string)
    options = KeyOptions(key_file, key_variable, keyring)
    run(
        context,
        lambda database: set_value(
            database,
            options,
            actor,
            key,
            given,
            secret=secret,
            expected=expected,
            description=description,
            change_type=change_type,
            as_json=as_json,
        ),
    )


@config.command("list")
def list_(context: typer.Context, names: Names = None, limit: Limit = LIMIT, as_json: AsJson = False) -> None:
    """List keys and their values, by key. Secrets are not shown."""
    from byjy_ops.config import list_values

    run(context, lambda database: list_values(database, names or [], limit, as_json=as_json))


@config.command()
def history(context: typer.Context, key: Key, limit: Limit = LIMIT, as_json: AsJson = False) -> None:
    """List every version of a key, the newest first. Secrets are not shown."""
    from byjy_ops.config import list_history

    run(context, lambda database: list_history(database, key, limit, as_json=as_json))


@config.command()
def diff(
    context: typer.Context,
    key: Key,
    old: Annotated[int, typer.Argument(metavar="OLD", help="A version, as history shows it.")],
    new: Annotated[int | None, typer.Argument(metavar="[NEW]", help="Another one; else the newest.")] = None,
    as_json: AsJson = False,
) -> None:
    """List where two versions of a key differ, place by place."""
    from byjy_ops.config import list_differences

    run(context, lambda database: list_differences(database, key, old, new, as_json=as_json))


@config.command()
def rollback(
    context: typer.Context,
    key: Key,
    version: Annotated[int, typer.Argument(metavar="VERSION", help="The version whose value shall be written again.")],
    expected: Expected = None,
    change_type: ChangeType = False,
    key_file: KeyFilePath = None,
    key_variable: KeyVariableName = None,
    keyring: KeyringService = None,
    actor: Actor = None,
    as_json: AsJson = False,
) -> None:
    """Write the value of an old version as a new one."""
    from byjy_ops.config import roll_back

    options = KeyOptions(key_file, key_variable, keyring)
    run(
        context,
        lambda database: roll_back(
            database, options, actor, key, version, expected=expected, change_type=change_type, as_json=as_json
        ),
    )


@config.command()
def remove(
    context: typer.Context, key: Key, expected: Expected = None, actor: Actor = None, as_json: AsJson = False
) -> None:
    """Take a value away. Its history stays, and rollback brings it back."""
    from byjy_ops.config import remove_value

    run(context, lambda database: remove_value(database, actor, key, expected, as_json=as_json))


@config.command()
def reveal(
    context: typer.Context,
    key: Key,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="What for; it is stored, with who asked.")],
    version: Annotated[
        int | None, typer.Option("--version", metavar="N", min=1, help="An old version; else the value that there is.")
    ] = None,
    key_file: KeyFilePath = None,
    key_variable: KeyVariableName = None,
    keyring: KeyringService = None,
    actor: Actor = None,
    as_json: AsJson = False,
) -> None:
    """Print a secret, once it is stored that it was asked for: a text as it is, anything else as JSON."""
    from byjy_ops.config import reveal_value

    options = KeyOptions(key_file, key_variable, keyring)
    run(context, lambda database: reveal_value(database, options, actor, key, reason, version, as_json=as_json))


@config.command()
def watch(context: typer.Context, names: Names = None, as_json: AsJson = False) -> None:
    """List the values that there are, and then every change as it comes, until Ctrl-C. Secrets are not shown."""
    from byjy_ops.config import watch_values

    run(context, lambda database: watch_values(database, names or [], as_json=as_json))
