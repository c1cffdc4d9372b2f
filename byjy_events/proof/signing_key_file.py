"""The file that holds a log's signing key, and the public keys of those before it.

::

    PRIVATE+KEY+example.com/trading+4c8e1f07+AY…
    example.com/trading+9b21d0aa+AU…

The first line is the key that signs. The others are public keys that signed before, the newest first: what they signed
is still verified. The file is of mode 0600, and apart from the database, so that whoever can write the one cannot sign
for the other.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from byjy_events import private_file
from byjy_events.private_file import FileOpenToOthers, FileTooLong, NotAFile
from byjy_events.proof.errors import InvalidSigningKey, NoSigningKey
from byjy_events.proof.note import Signer, Verifier, signer_of, verifier_of
from byjy_events.secret import Secret


class SigningKeys(NamedTuple):
    """What a sealer signs with, and whose signatures it accepts.

    Attributes:
        signer: signs new checkpoints; its name is the log's.
        earlier: keys that signed before.
    """

    signer: Signer
    earlier: tuple[Verifier, ...] = ()

    @property
    def verifiers(self) -> tuple[Verifier, ...]:
        """The public keys whose checkpoints count, the current one first."""
        return self.signer.verifier, *self.earlier


class SigningKeyFile:
    """A log's signing keys in a file of mode 0600; nothing is looked at before a method is called.

    Losing it loses no proof: what was signed is verified with the public keys. Whoever has a copy of it can sign
    another history, and only earlier checkpoints that lie out of reach can tell the two apart.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)

    def __repr__(self) -> str:
        return f"SigningKeyFile({str(self._path)!r})"

    def create(self, name: str, *, earlier: Sequence[Verifier] = ()) -> SigningKeys:
        """Make a new key.

        Args:
            name: of the log, e.g. ``example.com/trading``: whatever its owner holds sway over, without white space.
            earlier: public keys that signed checkpoints of this log before, if their private key was lost.

        Raises:
            InvalidSigningKey: there is a file, or it cannot be written, or the name is none.
        """
        keys = SigningKeys(Signer.new(name), tuple(earlier))
        if not self._write(keys, replace=False):
            raise InvalidSigningKey(self._source, "there is a file already, and it was left alone")
        return keys

    def read(self) -> SigningKeys:
        """The keys in the file.

        Raises:
            NoSigningKey: there is no file.
            InvalidSigningKey: it cannot be read, others may use it, or it holds something else.
        """
        try:
            text = private_file.text_of(self._path)
        except FileNotFoundError:
            raise NoSigningKey(self._source, "there is no such file; byjy signing-key init makes one") from None
        except OSError as error:
            raise InvalidSigningKey(self._source, error.strerror or str(error)) from None
        except NotAFile:
            raise InvalidSigningKey(self._source, "not a file") from None
        except FileTooLong:
            raise InvalidSigningKey(self._source, "too long for a file of keys") from None
        except FileOpenToOthers as error:
            raise InvalidSigningKey(self._source, f"others may use it (mode {error.mode:04o}): chmod 600") from None
        return _keys_of(text, self._source)

    def rotate(self) -> SigningKeys:
        """Put a new key of the same name in place of the current one, whose public key is kept.

        The old private key is gone from then on. Sealers that run go on with it until they are started anew.

        Raises:
            InvalidSigningKey: as for :meth:`read`.
        """
        old = self.read()
        keys = SigningKeys(Signer.new(old.signer.verifier.name), old.verifiers)
        self._write(keys, replace=True)
        return keys

    @property
    def _source(self) -> str:
        return f"signing key file {self._path}"

    def _write(self, keys: SigningKeys, *, replace: bool) -> bool:
        lines = Secret("".join(f"{line}\n" for line in (keys.signer.text.reveal(), *map(str, keys.earlier))))
        if len(lines.reveal().encode()) > private_file.LONGEST_BYTES:
            raise InvalidSigningKey(self._source, f"{len(keys.earlier)} earlier keys are too many for a file")
        try:
            return private_file.make(self._path, lines, replace=replace)
        except OSError as error:
            raise InvalidSigningKey(self._source, error.strerror or str(error)) from None


def _keys_of(text: Secret[str], source: str) -> SigningKeys:
    lines = [Secret(line) for line in text.reveal().splitlines() if line.strip()]
    if not lines:
        raise InvalidSigningKey(source, "empty")
    signer = signer_of(lines[0], source)
    return SigningKeys(signer, tuple(verifier_of(line.reveal(), source) for line in lines[1:]))
