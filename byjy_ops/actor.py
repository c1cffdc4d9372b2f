"""Who acts, where a command changes something: for the trail."""

from __future__ import annotations

import getpass
from typing import Annotated

import typer

Actor = Annotated[
    str | None,
    typer.Option("--actor", metavar="NAME", help="Who does it, for the trail. Else ops: and the name of the login."),
]


def acting(actor: str | None) -> str:
    """The one that is named, or else whoever is logged in."""
    if actor is not None:
        return actor
    try:
        return f"ops:{getpass.getuser()}"
    except (KeyError, OSError):  # a login without a name, e.g. in a container
        return "ops"
