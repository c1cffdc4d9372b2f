"""Which signing key a command works with, and which places checkpoints are exported to: options and their meaning."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:  # whoever only asks for help does not wait for the database's libraries
    from byjy_events.proof import SigningKeyFile

SIGNING_KEY_FILE_VARIABLE = "BYJY_SIGNING_KEY_FILE"
"""The environment variable that names the signing key file where no option does."""

CHECKPOINT_FILE_VARIABLE = "BYJY_CHECKPOINT_FILE"
CHECKPOINT_FOLDER_VARIABLE = "BYJY_CHECKPOINT_FOLDER"
"""The environment variables that name the places of checkpoints where no option does."""

_ELSE = "Else BYJY_SIGNING_KEY_FILE, else beside the SQLite file: byjy.db.signing-key."

SigningKeyPath = Annotated[
    Path | None, typer.Option("--signing-key", metavar="PATH", help=f"The file with the signing key. {_ELSE}")
]
SigningKeyFilePath = Annotated[
    Path | None, typer.Option("--file", metavar="PATH", help=f"The file with the signing key. {_ELSE}")
]


def signing_key_file(database: str, given: Path | None, option: str) -> SigningKeyFile:
    """The signing key file that is meant, not looked at yet.

    Args:
        option: as it is written on the command line.

    Raises:
        InvalidArgument: none is given, and the database is on a server.
    """
    from byjy_events.proof import SigningKeyFile

    return SigningKeyFile(given or _usual_file(database, option))


def _usual_file(database: str, option: str) -> Path:
    from byjy_events.database import is_sqlite, parse_url, sqlite_path
    from byjy_ops.errors import InvalidArgument

    if named := os.environ.get(SIGNING_KEY_FILE_VARIABLE):
        return Path(named)
    url = parse_url(database)
    if not is_sqlite(url):
        choices = f"{option}, or {SIGNING_KEY_FILE_VARIABLE} in the environment"
        raise InvalidArgument(option, f"for a database on a server say where the signing key is: {choices}")
    path = sqlite_path(url)
    return path.with_name(f"{path.name}.signing-key")
