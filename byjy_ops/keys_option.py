"""Which key-encryption key a command works with: its options, and the vault that they make.

Every command that seals or reveals takes the same three options::

    def add(context: typer.Context, key_file: KeyFilePath = None, key_variable: KeyVariableName = None,
            keyring: KeyringService = None) -> None:
        key = KeyOptions(key_file, key_variable, keyring)
        run(context, lambda database: add_user(database, key, ...))
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

if TYPE_CHECKING:  # whoever only asks for help does not wait for the database's libraries
    from byjy_events import EventLog
    from byjy_events.sealing import KeyProvider, Vault

KEY_FILE_VARIABLE = "BYJY_KEY_FILE"
"""The environment variable that names the key file where no option does."""

KeyFilePath = Annotated[
    Path | None,
    typer.Option(
        "--key-file",
        metavar="PATH",
        help="The key file; made at the first use. Else BYJY_KEY_FILE, else beside the SQLite file: byjy.db.key.",
    ),
]
KeyVariableName = Annotated[
    str | None,
    typer.Option("--key-variable", metavar="NAME", help="The environment variable that holds the key instead."),
]
KeyringService = Annotated[
    str | None,
    typer.Option(
        "--keyring", metavar="SERVICE", help="The service in the system's keyring that holds the key instead."
    ),
]


class KeyOptions(NamedTuple):
    """Where the command line says the key-encryption key is; at most one of them.

    Attributes:
        file: a key file.
        variable: the name of an environment variable.
        keyring: the name of a service in the keyring of the operating system.
    """

    file: Path | None = None
    variable: str | None = None
    keyring: str | None = None


async def vault_for(log: EventLog, database: str, key: KeyOptions) -> Vault:
    """The vault of an open log.

    A key is made where there is none only as long as the database holds no sealed secret: if it holds some, a key that
    is not there is a key that was lost or not mounted, and a new one opens nothing.

    Raises:
        InvalidArgument: as :func:`provider_for`.
        KeyStoreUnavailable: the database fails.
    """
    from byjy_events.sealing import Vault

    vault = Vault(log, provider_for(database, key, create=False))
    return vault if await vault.in_use() else Vault(log, provider_for(database, key, create=True))


def provider_for(database: str, key: KeyOptions, *, create: bool) -> KeyProvider:
    """The key-encryption key that is meant, not looked at yet.

    Args:
        create: whether to make a key where there is none, at its first use; not in environment variables.

    Raises:
        InvalidArgument: more than one is given; or none, and the database is on a server.
    """
    from byjy_events.sealing import KeyFile, KeyVariable, OsKeyring
    from byjy_ops.errors import InvalidArgument

    if sum(one is not None for one in key) > 1:
        raise InvalidArgument("--key-file", "give one of --key-file, --key-variable and --keyring, not several")
    if key.variable is not None:
        return KeyVariable(key.variable)
    if key.keyring is not None:
        return OsKeyring(service=key.keyring, create=create)
    return KeyFile(key.file or _usual_file(database), create=create)


def _usual_file(database: str) -> Path:
    from byjy_events.database import is_sqlite, parse_url, sqlite_path
    from byjy_ops.errors import InvalidArgument

    if named := os.environ.get(KEY_FILE_VARIABLE):
        return Path(named)
    url = parse_url(database)
    if not is_sqlite(url):
        choices = f"--key-file, --key-variable or --keyring, or {KEY_FILE_VARIABLE} in the environment"
        raise InvalidArgument("--key-file", f"for a database on a server say where the key is: {choices}")
    path = sqlite_path(url)
    return path.with_name(f"{path.name}.key")
