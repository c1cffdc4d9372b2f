"""``byjy users`` and its commands. No argument takes an email or a password: who may list processes reads them."""

from __future__ import annotations

from typing import Annotated

import typer

from byjy_ops.actor import Actor
from byjy_ops.arguments import LIMIT, AsJson, Limit
from byjy_ops.keys_option import KeyFilePath, KeyOptions, KeyringService, KeyVariableName
from byjy_ops.session import run

users = typer.Typer(help="Users: register them, say what they may do, let them in or not, and erase them.")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(users, name="users")


User = Annotated[str, typer.Argument(metavar="USER", help="Username or UUID.")]
RoleName = Annotated[str, typer.Argument(metavar="ROLE", help="ADMIN, TRADER, AUDITOR or READ_ONLY.")]
Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, for the trail.")]


@users.command("list")
def list_(
    context: typer.Context,
    role: Annotated[str | None, typer.Option("--role", metavar="ROLE", help="Only users of this role.")] = None,
    limit: Limit = LIMIT,
    as_json: AsJson = False,
) -> None:
    """List users, in the order in which they were registered."""
    from byjy_ops.users import list_users, role_of

    wanted = None if role is None else role_of(role)
    run(context, lambda database: list_users(database, wanted, limit, as_json=as_json))


@users.command()
def add(
    context: typer.Context,
    username: Annotated[str, typer.Argument(metavar="USERNAME", help="1 to 64 characters, without an @.")],
    role: RoleName,
    key_file: KeyFilePath = None,
    key_variable: KeyVariableName = None,
    keyring: KeyringService = None,
    actor: Actor = None,
    as_json: AsJson = False,
) -> None:
    """Register a user; email and password come from a prompt, or as a JSON object from standard input."""
    from byjy_ops.users import add_user, read_new_user, role_of

    key, wanted = KeyOptions(key_file, key_variable, keyring), role_of(role)
    given = read_new_user()
    run(context, lambda database: add_user(database, key, actor, username, wanted, given, as_json=as_json))


@users.command()
def show(
    context: typer.Context,
    user: User,
    email: Annotated[bool, typer.Option("--email", help="The email address too, for which the key is needed.")] = False,
    key_file: KeyFilePath = None,
    key_variable: KeyVariableName = None,
    keyring: KeyringService = None,
    as_json: AsJson = False,
) -> None:
    """Show a user as the log says now, however far the tables are."""
    from byjy_ops.users import show_user

    key = KeyOptions(key_file, key_variable, keyring)
    run(context, lambda database: show_user(database, key, user, with_email=email, as_json=as_json))


@users.command()
def role(context: typer.Context, user: User, role: RoleName, actor: Actor = None) -> None:
    """Give a user another role."""
    from byjy_ops.users import change_role, role_of

    wanted = role_of(role)
    run(context, lambda database: change_role(database, actor, user, wanted))


@users.command()
def deactivate(context: typer.Context, user: User, reason: Reason = "", actor: Actor = None) -> None:
    """Let a user log in no more, until reactivated."""
    from byjy_ops.users import deactivate as work

    run(context, lambda database: work(database, actor, user, reason))


@users.command()
def reactivate(context: typer.Context, user: User, reason: Reason = "", actor: Actor = None) -> None:
    """Let a user log in again."""
    from byjy_ops.users import reactivate as work

    run(context, lambda database: work(database, actor, user, reason))


@users.command()
def unlock(context: typer.Context, user: User, reason: Reason = "", actor: Actor = None) -> None:
    """End the lock-out of a user, and forget the failures that led to it."""
    from byjy_ops.users import unlock as work

    run(context, lambda database: work(database, actor, user, reason))


@users.command()
def password(
    context: typer.Context,
    user: User,
    key_file: KeyFilePath = None,
    key_variable: KeyVariableName = None,
    keyring: KeyringService = None,
    actor: Actor = None,
) -> None:
    """Give a user another password, from a prompt, or as a JSON object from standard input."""
    from byjy_ops.users import change_password, read_password

    key, given = KeyOptions(key_file, key_variable, keyring), read_password()
    run(context, lambda database: change_password(database, key, actor, user, given))


@users.command()
def erase(
    context: typer.Context,
    user: User,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    reason: Reason = "",
    actor: Actor = None,
) -> None:
    """Forget a user's email and password for good. It cannot be undone."""
    from byjy_ops.confirming import refuse_unless_sure
    from byjy_ops.listing import text
    from byjy_ops.users import erase as work

    refuse_unless_sure(f"email and password of {text(user)}", yes=yes)
    run(context, lambda database: work(database, actor, user, reason))
