"""Canaries: random secrets of many shapes that are planted everywhere, and the search that finds them in any spelling.

The search looks for pieces of :data:`PIECE` characters, so that a secret that was cut short is found too. Of each piece
in each spelling only the first bytes are looked up, at every fifth byte of what is searched: a set of short slices is
quick to make, and what is in both sets is looked at closely.
"""

from __future__ import annotations

import base64
import json
import random
import string
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from urllib.parse import quote_from_bytes, quote_plus

from byjy_events.secret import Secret

PIECE = 12
"""Characters of a canary that are found wherever they stand together, if it has no more than those."""

STEP = 4
"""Of a longer canary pieces are looked for at every such character."""

BASE64_BYTES = 9
"""Of a piece in Base64: few enough that some of them lie on a boundary of three bytes."""

SLICE, STRIDE = 8, 5

LETTERS = ((0x4E00, 0x9FFF), (0xAC00, 0xD7A3), (0x1D400, 0x1D454), (0x1F300, 0x1F5FF), (0xC0, 0xD6), (0x410, 0x44F))
"""Chinese, Korean, mathematical, pictures, Latin and Cyrillic."""

MARKS = "'\"\\%&<>$`{}"


@dataclass(frozen=True, eq=False, repr=False)
class Canary:
    """One secret. It is planted as a :class:`Secret`, so that no frame of the test has it in a variable."""

    number: int
    shape: str
    secret: Secret[str]

    @property
    def blob(self) -> Secret[bytes]:
        """As bytes: those of the shape ``bytes`` are no UTF-8."""
        encoding = "latin-1" if self.shape == "bytes" else "utf-8"
        return Secret(self.secret.reveal().encode(encoding))

    def __repr__(self) -> str:
        return f"<{self.shape} canary {self.number}>"


class Canaries:
    """Makes canaries, the same for the same seed, and remembers them."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self.all: list[Canary] = []

    def new(self, *shapes: str) -> Canary:
        """A canary of one of these shapes, of one after the other; unless told, of those that any text may have."""
        choice = shapes or LINES
        shape = choice[len(self.all) % len(choice)]
        self.all.append(Canary(len(self.all), shape, Secret(SHAPES[shape](self._random))))
        return self.all[-1]

    def secret(self, *shapes: str) -> Secret[str]:
        """The secret of a new one."""
        return self.new(*shapes).secret

    def email(self) -> Secret[str]:
        """An address that nobody else has."""
        return Secret(f"{self.secret('base64', 'hex', 'unicode').reveal()}@example.org")


def _base64(source: random.Random) -> str:
    return base64.b64encode(source.randbytes(27)).decode()


def _hex(source: random.Random) -> str:
    return source.randbytes(20).hex()


def _unicode(source: random.Random) -> str:
    """In NFC, as passwords are hashed; NFKC and case folding change some of it."""
    letters = [chr(source.randint(*span)) for span in source.choices(LETTERS, weights=(6, 6, 1, 1, 1, 1), k=18)]
    return unicodedata.normalize("NFC", "".join(letters))


def _quoted(source: random.Random) -> str:
    letters = source.choices(string.ascii_letters, k=14)
    for mark in source.sample(MARKS, k=5):
        letters.insert(source.randrange(1, len(letters)), mark)
    return "".join(letters)


def _passphrase(source: random.Random) -> str:
    words = ["".join(source.choices(string.ascii_lowercase, k=length)) for length in (4, 3, 3)]
    return " ".join(words)


def _bytes(source: random.Random) -> str:
    return (b"\xff\xfe" + source.randbytes(22)).decode("latin-1")


def _pem(source: random.Random) -> str:
    body = base64.b64encode(source.randbytes(96)).decode()
    return "\n".join(["-----BEGIN PRIVATE KEY-----", body[:64], body[64:], "-----END PRIVATE KEY-----", ""])


SHAPES: dict[str, Callable[[random.Random], str]] = {
    "base64": _base64,
    "hex": _hex,
    "unicode": _unicode,
    "quoted": _quoted,
    "passphrase": _passphrase,
    "bytes": _bytes,
    "pem": _pem,
}
LINES = ("base64", "hex", "unicode", "quoted", "passphrase")
"""Shapes of one line, for whatever takes a password."""

TEXTS = (*LINES, "pem")


# --- spellings -------------------------------------------------------------------------------------------


def spellings(piece: str) -> set[bytes]:
    """A piece as databases, files, programs and people write it, but for Base64."""
    blobs = {piece.encode(), piece.encode("utf-16-le"), piece.encode("utf-16-be")}
    if all(ord(character) < 256 for character in piece):
        blobs.add(piece.encode("latin-1"))
    found = set(blobs)
    for blob in blobs:
        found |= {blob.hex().encode(), blob.hex().upper().encode(), repr(blob)[2:-1].encode()}
        found |= {quote_from_bytes(blob, safe="").encode(), quote_from_bytes(blob).encode()}
    escaped = json.dumps(piece)[1:-1]
    texts = {
        escaped,
        json.dumps(escaped)[1:-1],
        json.dumps(piece, ensure_ascii=False)[1:-1],
        repr(piece)[1:-1],
        ascii(piece)[1:-1],
        json.dumps(repr(piece)[1:-1], ensure_ascii=False)[1:-1],
        piece.encode("ascii", "backslashreplace").decode(),
        piece.encode("ascii", "xmlcharrefreplace").decode(),
        piece.replace('"', '""'),
        piece.replace("'", "''"),
        quote_plus(piece),
    }
    return found | {text.encode() for text in texts}


def _pieces(canary: Canary) -> Iterator[str]:
    """All that are looked for, also as usernames and addresses are spelled to be compared; of PEM each line."""
    text = canary.secret.reveal()
    for line in text.split("\n")[1:3] if canary.shape == "pem" else [text]:
        for spelled in {line, line.casefold(), unicodedata.normalize("NFKC", line)}:
            last = len(spelled) - PIECE
            for start in {*range(0, last + 1, STEP), last}:
                yield spelled[start : start + PIECE]


def _base64_pieces(canary: Canary) -> Iterator[bytes]:
    """From the middle, since PEM begins and ends alike, and of others from the beginning, which all short ones have."""
    for text in {canary.secret.reveal().encode(), canary.blob.reveal()}:
        for first in {len(text) // 2, 0} if canary.shape != "pem" else {len(text) // 2}:
            for start in range(first, min(first + 3, len(text) - BASE64_BYTES + 1)):
                piece = text[start : start + BASE64_BYTES]
                yield from (base64.b64encode(piece), base64.urlsafe_b64encode(piece))


# --- the search ------------------------------------------------------------------------------------------


class Search:
    """Finds canaries in bytes, however they are spelled."""

    def __init__(self, canaries: Iterable[Canary]) -> None:
        self._of: dict[bytes, Canary] = {}
        for canary in canaries:
            for piece in _pieces(canary):
                self._of.update(dict.fromkeys(spellings(piece), canary))
            self._of.update(dict.fromkeys(_base64_pieces(canary), canary))
        self._lengths = sorted(set(map(len, self._of)))
        starts = range(STRIDE)
        self._slices = {piece[start : start + SLICE] for piece in self._of for start in starts}

    def found(self, content: bytes | str) -> set[Canary]:
        """Those that are in there."""
        hay = content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass")
        places = range(0, len(hay) - SLICE + 1, STRIDE)
        suspect = {hay[place : place + SLICE] for place in places} & self._slices
        if not suspect:
            return set()
        return {
            canary for place in places if hay[place : place + SLICE] in suspect for canary in self._close_to(hay, place)
        }

    def _close_to(self, hay: bytes, place: int) -> Iterator[Canary]:
        for start in range(max(0, place - STRIDE + 1), place + 1):
            for length in self._lengths:
                if (canary := self._of.get(hay[start : start + length])) is not None:
                    yield canary
