"""Signed notes of C2SP (c2sp.org/signed-note) with Ed25519: a text, and who signed it.

Keys are spelled as Go's ``note`` package and the tools of transparency logs do: the verifier key is
``name+id+base64(01 ‖ public key)``, the signer key ``PRIVATE+KEY+name+id+base64(01 ‖ seed)``. The id, in 8 hexadecimal
digits, is the beginning of SHA-256 over name, line feed, 01 and public key.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Sequence
from hashlib import sha256
from typing import NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from byjy_events.proof.errors import InvalidNote, InvalidSigningKey, NotSigned
from byjy_events.secret import Secret

ED25519 = b"\x01"
"""The type of signature that this module makes and knows."""

SIGNATURES = 64
"""Signatures that a note may have."""

NAME_CHARACTERS = 255

_PRIVATE = "PRIVATE+KEY+"
_DASH = "— "


class Verifier(NamedTuple):
    """A public key and the name that it signs under.

    Attributes:
        name: e.g. ``example.com/trading``.
        public_key: 32 bytes.
    """

    name: str
    public_key: bytes

    @property
    def id(self) -> bytes:
        """Tells keys of one name apart; 4 bytes."""
        return sha256(self.name.encode() + b"\n" + ED25519 + self.public_key).digest()[:4]

    @property
    def label(self) -> str:
        """Name and id, for people."""
        return f"{self.name}+{self.id.hex()}"

    def __str__(self) -> str:
        return f"{self.label}+{_base64(ED25519 + self.public_key)}"


class Signer:
    """A private key, and what verifies its signatures."""

    def __init__(self, name: str, seed: Secret[bytes]) -> None:
        self._seed = seed
        self._key = Ed25519PrivateKey.from_private_bytes(seed.reveal())
        self.verifier = Verifier(name, self._key.public_key().public_bytes_raw())

    def __repr__(self) -> str:
        return f"Signer({self.verifier.label})"

    @classmethod
    def new(cls, name: str) -> Signer:
        """A new key.

        Raises:
            InvalidSigningKey: the name is empty or long, or holds white space or a plus.
        """
        return cls(_checked_name("name", name), Secret(Ed25519PrivateKey.generate().private_bytes_raw()))

    @property
    def text(self) -> Secret[str]:
        """The key as it is kept."""
        key = _base64(ED25519 + self._seed.reveal())
        return Secret(f"{_PRIVATE}{self.verifier.label}+{key}")

    def line(self, text: str) -> str:
        """The line that signs a text."""
        return f"{_DASH}{self.verifier.name} {_base64(self.verifier.id + self._key.sign(text.encode()))}\n"


def signed(text: str, signers: Sequence[Signer]) -> str:
    """The note of a text that ends with a line feed."""
    return text + "\n" + "".join(signer.line(text) for signer in signers)


def opened(note: str, trusted: Sequence[Verifier]) -> tuple[str, list[Verifier]]:
    """The text of a note, and those of the trusted keys that signed it, at least one.

    Signatures of others are left alone, as the specification wants.

    Raises:
        InvalidNote: it is no signed note.
        NotSigned: see there.
    """
    text, signatures = taken_apart(note)
    by_label = {one.label: one for one in trusted}
    labels = [f"{name}+{key_id.hex()}" for name, key_id, _ in signatures]
    found: dict[str, Verifier] = {}
    for label, (_, _, signature) in zip(labels, signatures, strict=True):
        verifier = by_label.get(label)
        if verifier is not None and label not in found:  # of several signatures of one key the first counts
            if not _is_of(verifier, signature, text):
                raise NotSigned(list(by_label), labels, forged=label)
            found[label] = verifier
    if not found:
        raise NotSigned(list(by_label), labels)
    return text, list(found.values())


def taken_apart(note: str) -> tuple[str, list[tuple[str, bytes, bytes]]]:
    """The text, and for each signature name, key id and signature. Nothing is verified.

    Raises:
        InvalidNote: it is no signed note.
    """
    if "\r" in note:
        raise InvalidNote("its line ends were changed; a note has line feeds alone")
    if any((character < " " and character != "\n") or "\ud800" <= character <= "\udfff" for character in note):
        raise InvalidNote("holds characters that no note may")
    text, empty_line, rest = note.rpartition("\n\n")
    if not empty_line:
        raise InvalidNote("has no empty line before its signatures")
    return text + "\n", list(_signatures(rest, first_line=text.count("\n") + 3))


def verifier_of(text: str, source: str = "public key") -> Verifier:
    """The verifier key that a text spells.

    Raises:
        InvalidSigningKey: it spells none. The error does not show the text: it may be a private key by mistake.
    """
    if text.strip().startswith(_PRIVATE):
        raise InvalidSigningKey(source, "a private key; the public one is wanted, and the private one is for nobody")
    name, key_id, public_key = _fields(Secret(text.strip()), source)
    verifier = Verifier(name, public_key.reveal())
    if verifier.id.hex() != key_id:
        raise InvalidSigningKey(source, "the id is not that of name and key")
    return verifier


def signer_of(text: Secret[str], source: str) -> Signer:
    """The signer key that a text spells.

    Raises:
        InvalidSigningKey: it spells none. The error does not show it.
    """
    if not text.reveal().strip().startswith(_PRIVATE):
        raise InvalidSigningKey(source, f"no signing key: it does not begin with {_PRIVATE}")
    name, key_id, seed = _fields(Secret(text.reveal().strip().removeprefix(_PRIVATE)), source)
    signer = Signer(name, seed)
    if signer.verifier.id.hex() != key_id:
        raise InvalidSigningKey(source, "the id is not that of name and key")
    return signer


def _fields(text: Secret[str], source: str) -> tuple[str, str, Secret[bytes]]:
    """Name, id and key. What may be a private key is in no variable of a frame that raises."""
    key = _key(text)
    if key is None:
        raise InvalidSigningKey(source, "not spelled as name+id+key")
    if key.reveal()[:1] != ED25519 or len(key.reveal()) != 33:
        raise InvalidSigningKey(source, "no Ed25519 key")
    name, key_id = text.reveal().split("+", 2)[:2]
    return _checked_name(source, name), key_id, Secret(key.reveal()[1:])


def _key(text: Secret[str]) -> Secret[bytes] | None:
    fields = text.reveal().split("+", 2)
    try:
        return Secret(base64.b64decode(fields[2], validate=True)) if len(fields) == 3 else None
    except (binascii.Error, ValueError):
        return None


def _checked_name(source: str, name: str) -> str:
    if not 0 < len(name) <= NAME_CHARACTERS:
        raise InvalidSigningKey(source, f"the name of a key has 1 to {NAME_CHARACTERS} characters, not {len(name)}")
    if not _is_name(name):
        raise InvalidSigningKey(source, f"the name {name!a} holds a plus, white space or what cannot be printed")
    return name


def _is_name(name: str) -> bool:
    return bool(name) and "+" not in name and not any(map(str.isspace, name)) and name.isprintable()


def _signatures(lines: str, first_line: int) -> Iterator[tuple[str, bytes, bytes]]:
    if not lines.endswith("\n"):
        raise InvalidNote("does not end with a line feed")
    found = lines.split("\n")[:-1]
    if len(found) > SIGNATURES:
        raise InvalidNote(f"{len(found)} signatures, more than {SIGNATURES}")
    for number, line in enumerate(found, first_line):
        name, space, encoded = line.removeprefix(_DASH).partition(" ")
        try:
            decoded = base64.b64decode(encoded, validate=True)
        except (binascii.Error, ValueError):
            decoded = b""
        if not (line.startswith(_DASH) and _is_name(name) and space) or len(decoded) < 5:
            raise InvalidNote("no signature", number)
        yield name, decoded[:4], decoded[4:]


def _is_of(verifier: Verifier, signature: bytes, text: str) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(verifier.public_key).verify(signature, text.encode())
    except (InvalidSignature, ValueError):
        return False
    return True


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
