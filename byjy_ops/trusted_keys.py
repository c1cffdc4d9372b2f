"""Public keys that sign for a log, as they are named on the command line: by themselves, or by a file with them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from byjy_events.proof import InvalidSigningKey, Verifier, verifier_of
from byjy_ops.errors import InvalidArgument


def trusted_keys(given: Sequence[str], option: str) -> list[Verifier]:
    """The keys, each given as its text or as a file with one on each line.

    Raises:
        InvalidArgument: none is given, or a file cannot be read.
        InvalidSigningKey: something is no public key; the error names where it stands.
    """
    found = [verifier_of(text, source) for one in given for text, source in _texts(one, option)]
    if not found:
        raise InvalidArgument(option, "name the public key that signs for the log: byjy signing-key show writes it")
    return found


def _texts(given: str, option: str) -> Iterator[tuple[str, str]]:
    path = Path(given)
    if "+" in given and not path.exists():
        yield given, option
        return
    try:
        lines = path.read_bytes().decode().splitlines()
    except OSError as error:
        raise InvalidArgument(option, f"{given}: neither a public key nor a file: {error.strerror}") from None
    except UnicodeDecodeError:
        raise InvalidSigningKey(given, "no public key") from None
    for number, line in enumerate(lines, 1):
        if line.strip():
            yield line, f"{given} line {number}"
