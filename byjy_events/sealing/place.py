"""Where a secret belongs: the row and the field that its ciphertext is bound to."""

from __future__ import annotations

from typing import NamedTuple
from uuid import UUID

from byjy_events.sealing.errors import InvalidSecret
from byjy_events.stream import Stream

KIND_CHARACTERS = 64
FIELD_CHARACTERS = 128


class Place(NamedTuple):
    """A subject and one of its fields.

    Attributes:
        subject: the stream whose events carry the secret; its category is the kind of the subject.
        field: the name of the field, at most 128 characters, e.g. ``email``.
    """

    subject: Stream
    field: str

    def __str__(self) -> str:
        return f"{self.subject}/{self.field}"

    def binding(self, data_key_id: UUID) -> bytes:
        """What every encryption for this place authenticates, so that its result opens nowhere else.

        ``"byjy-events sealed 1" ‖ data key id ‖ subject id ‖ frame(subject kind) ‖ frame(field)``, where a frame is the
        length in 4 bytes, big-endian, and then the UTF-8.
        """
        kind, field = self.subject.category.encode(), self.field.encode()
        return b"byjy-events sealed 1" + data_key_id.bytes + self.subject.id.bytes + framed(kind) + framed(field)


def framed(part: bytes) -> bytes:
    """A part with its length in front, so that parts in a row cannot be taken for others."""
    return len(part).to_bytes(4, "big") + part


def place_of(subject: Stream, field: str) -> Place:
    """The place, if a database can hold it.

    Raises:
        InvalidSecret: an empty or too long name, or one with characters that are none.
    """
    place = Place(subject, field)
    for what, name, most in (("subject's kind", subject.category, KIND_CHARACTERS), ("field", field, FIELD_CHARACTERS)):
        if not 1 <= len(name) <= most:
            raise InvalidSecret(place, f"the name of the {what} needs 1 to {most} characters, not {len(name)}")
        if not name.isprintable():  # nor are NUL and lone surrogates
            shown = Place(Stream(ascii(subject.category)[1:-1], subject.id), ascii(field)[1:-1])
            raise InvalidSecret(shown, f"the name of the {what} holds characters that cannot be printed")
    return place
