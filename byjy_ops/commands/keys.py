"""``byjy keys`` and its commands. No option takes a secret: who may list processes reads their arguments."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer

from byjy_ops.actor import Actor
from byjy_ops.arguments import LIMIT, AsJson, Limit, expiry, uuid
from byjy_ops.keys_option import KeyFilePath, KeyOptions, KeyringService, KeyVariableName
from byjy_ops.session import run

keys = typer.Typer(help="Keys of exchanges: add, reveal, revoke and erase them; and rotate the key that wraps them.")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(keys, name="keys")


ApiKeyId = Annotated[UUID, typer.Argument(metavar="API_KEY_ID", parser=uuid, help="As byjy keys list shows it.")]
Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, for the trail.")]
Permissions = Annotated[
    list[str] | None,
    typer.Option(
        "--permission",
        metavar="NAME",
        help="What the exchange lets the key do: READ, TRADE, MARGIN, FUTURES, TRANSFER, WITHDRAW; may be repeated.",
    ),
]
ExpiresAt = Annotated[
    int | None,
    typer.Option(
        "--expires",
        metavar="INSTANT",
        parser=expiry,
        help="From then on it is not revealed: ISO 8601 (UTC unless it says otherwise), or a span such as 90d.",
    ),
]
OfUser = Annotated[str | None, typer.Option("--user", metavar="USER", help="Only of this user: name or UUID.")]
OfExchange = Annotated[str | None, typer.Option("--exchange", metavar="NAME", help="Only for this exchange.")]


@keys.command()
def add(
    context: typer.Context,
    exchange: Annotated[str, typer.Argument(metavar="EXCHANGE", help="Which one, e.g. binance.")],
    user: Annotated[str, typer.Option("--user", metavar="USER", help="Whose key it is: name or UUID.")],
    label: Annotated[str, typer.Option("--label", metavar="TEXT", help="What to call it, e.g. main account.")],
    permissions: Permissions = None,
    expires_at: ExpiresAt = None,
    key_file: KeyFilePath = None,
    key_variable: KeyVariableName = None,
    keyring: KeyringService = None,
    actor: Actor = None,
    as_json: AsJson = False,
) -> None:
    """Store a key, read from a hidden prompt, or as a JSON object from standard input."""
    from byjy_ops.keys import add_key, described, read_credential

    key, about = KeyOptions(key_file, key_variable, keyring), described(label, permissions, expires_at)
    given = read_credential()
    run(context, lambda database: add_key(database, key, actor, exchange, user, about, given, as_json=as_json))


@keys.command("list")
def list_(
    context: typer.Context,
    user: OfUser = None,
    exchange: OfExchange = None,
    limit: Limit = LIMIT,
    as_json: AsJson = False,
) -> None:
    """List keys without their secrets."""
    from byjy_ops.keys import list_keys

    run(context, lambda database: list_keys(database, user, exchange, limit, as_json=as_json))


@keys.command()
def reveal(
    context: typer.Context,
    api_key_id: ApiKeyId,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="What for; it is stored, with who asked.")],
    key_file: KeyFilePath = None,
    key_variable: KeyVariableName = None,
    keyring: KeyringService = None,
    actor: Actor = None,
    as_json: AsJson = False,
) -> None:
    """Print the secrets of a key, once it is stored that they were asked for."""
    from byjy_ops.keys import reveal_key

    key = KeyOptions(key_file, key_variable, keyring)
    run(context, lambda database: reveal_key(database, key, actor, api_key_id, reason, as_json=as_json))


@keys.command()
def change(
    context: typer.Context,
    api_key_id: ApiKeyId,
    label: Annotated[str | None, typer.Option("--label", metavar="TEXT", help="What to call it.")] = None,
    permissions: Permissions = None,
    expires_at: ExpiresAt = None,
    never_expires: Annotated[bool, typer.Option("--never-expires", help="It does not expire any more.")] = False,
    actor: Actor = None,
) -> None:
    """Change what is known about a key; what is not given stays."""
    from byjy_ops.keys import change_key, described

    about = described(label, permissions, expires_at)
    run(context, lambda database: change_key(database, actor, api_key_id, about, never_expires=never_expires))


@keys.command()
def replace(
    context: typer.Context,
    api_key_id: ApiKeyId,
    expires_at: ExpiresAt = None,
    key_file: KeyFilePath = None,
    key_variable: KeyVariableName = None,
    keyring: KeyringService = None,
    actor: Actor = None,
) -> None:
    """Store the key that the exchange gave out in place of the old one, read as by add, and erase the old one."""
    from byjy_ops.keys import read_credential, replace_key

    key, given = KeyOptions(key_file, key_variable, keyring), read_credential()
    run(context, lambda database: replace_key(database, key, actor, api_key_id, expires_at, given))


@keys.command()
def revoke(context: typer.Context, api_key_id: ApiKeyId, reason: Reason = "", actor: Actor = None) -> None:
    """Let nobody have the secrets of a key any more, until it is reactivated."""
    from byjy_ops.keys import revoke_key

    run(context, lambda database: revoke_key(database, actor, api_key_id, reason))


@keys.command()
def reactivate(context: typer.Context, api_key_id: ApiKeyId, reason: Reason = "", actor: Actor = None) -> None:
    """Let a revoked key be used again."""
    from byjy_ops.keys import reactivate_key

    run(context, lambda database: reactivate_key(database, actor, api_key_id, reason))


@keys.command()
def erase(
    context: typer.Context,
    api_key_id: ApiKeyId,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    reason: Reason = "",
    actor: Actor = None,
) -> None:
    """Forget the secrets of a key for good. It cannot be undone."""
    from byjy_ops.confirming import refuse_unless_sure
    from byjy_ops.keys import erase_key

    refuse_unless_sure(f"the secrets of {api_key_id}", yes=yes)
    run(context, lambda database: erase_key(database, actor, api_key_id, reason))


@keys.command()
def rotate(
    context: typer.Context,
    new_file: Annotated[
        Path | None,
        typer.Option("--new-key-file", metavar="PATH", help="The new key is in this file, or is made there."),
    ] = None,
    new_variable: Annotated[
        str | None,
        typer.Option("--new-key-variable", metavar="NAME", help="The new key is in this environment variable."),
    ] = None,
    new_keyring: Annotated[
        str | None,
        typer.Option("--new-keyring", metavar="SERVICE", help="The new key is in the system's keyring, or is made."),
    ] = None,
    key_file: KeyFilePath = None,
    key_variable: KeyVariableName = None,
    keyring: KeyringService = None,
    as_json: AsJson = False,
) -> None:
    """Wrap all data keys under a new key-encryption key. If it is interrupted, running it again does the rest."""
    from byjy_ops.rotating import rotate_keys

    old, new = KeyOptions(key_file, key_variable, keyring), KeyOptions(new_file, new_variable, new_keyring)
    run(context, lambda database: rotate_keys(database, old, new, as_json=as_json))
