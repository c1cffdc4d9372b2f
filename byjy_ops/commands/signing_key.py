"""``byjy signing-key`` and its commands. No option takes a private key: whoever lists processes reads arguments."""

from __future__ import annotations

from typing import Annotated

import typer

from byjy_ops.arguments import AsJson
from byjy_ops.session import session
from byjy_ops.signing_key_option import SigningKeyFilePath

signing_key = typer.Typer(help="The key that signs checkpoints of the log: make it, show its public part, rotate it.")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(signing_key, name="signing-key")


@signing_key.command()
def init(
    context: typer.Context,
    name: Annotated[
        str,
        typer.Option("--name", metavar="NAME", help="What the log is called in checkpoints, e.g. example.com/trading."),
    ],
    file: SigningKeyFilePath = None,
    earlier: Annotated[
        list[str] | None,
        typer.Option(
            "--earlier",
            metavar="PUBLIC_KEY",
            help="A public key that signed checkpoints of this log before, if its private key was lost;"
            " may be repeated.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a signing key in a new file that only its owner may read, and print its public key."""
    from byjy_ops.signing_key import init_key

    init_key(session(context).database, file, name, earlier or (), as_json=as_json)


@signing_key.command()
def show(context: typer.Context, file: SigningKeyFilePath = None, as_json: AsJson = False) -> None:
    """Print the public keys: the one that signs now, then those that did before."""
    from byjy_ops.signing_key import show_keys

    show_keys(session(context).database, file, as_json=as_json)


@signing_key.command()
def rotate(context: typer.Context, file: SigningKeyFilePath = None, as_json: AsJson = False) -> None:
    """Put a new key in place of the one that signs, keep the old public key, and print both."""
    from byjy_ops.signing_key import rotate_key

    rotate_key(session(context).database, file, as_json=as_json)
