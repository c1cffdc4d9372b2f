"""``byjy signing-key``: the file with the key that signs checkpoints."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from byjy_events.proof import InvalidSigningKey, SigningKeys, Verifier, verifier_of
from byjy_ops.errors import InvalidArgument
from byjy_ops.listing import emit, tell, write_json
from byjy_ops.signing_key_option import signing_key_file

OPTION = "--file"


def init_key(database: str, file: Path | None, name: str, earlier: Sequence[str], *, as_json: bool) -> None:
    """Make a key and write its public part.

    Raises:
        InvalidArgument: an earlier key is none, or nothing says where the file shall be.
        InvalidSigningKey: the name is none, there is a file already, or it cannot be written.
    """
    before = [_earlier(text) for text in earlier]
    _write(signing_key_file(database, file, OPTION).create(name, earlier=before), as_json=as_json)


def show_keys(database: str, file: Path | None, *, as_json: bool) -> None:
    """Write the public keys, the one that signs now first.

    Raises:
        InvalidSigningKey: there is no file, or it holds something else.
    """
    _write(signing_key_file(database, file, OPTION).read(), as_json=as_json)


def rotate_key(database: str, file: Path | None, *, as_json: bool) -> None:
    """Make a new key and write the public keys. Raises as :func:`show_keys`."""
    _write(signing_key_file(database, file, OPTION).rotate(), as_json=as_json)
    tell("sealers that run sign with the old key until they are started anew; publish the new public key before")


def _earlier(text: str) -> Verifier:
    try:
        return verifier_of(text)
    except InvalidSigningKey as error:
        raise InvalidArgument("--earlier", error.reason) from None


def _write(keys: SigningKeys, *, as_json: bool) -> None:
    if as_json:
        write_json(
            {"name": one.name, "id": one.id.hex(), "public_key": str(one), "current": one == keys.signer.verifier}
            for one in keys.verifiers
        )
    else:
        emit("".join(f"{one}\n" for one in keys.verifiers))
