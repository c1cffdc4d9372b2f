"""Secrets inside of text: what was formatted, or is the ``repr`` of something, before anybody could look at its parts.

This is the second net, and a coarse one: it knows passwords of URLs, private keys in PEM, ``Bearer …``, and whatever
stands behind the name of a secret field (``password=…``, ``"api_key": "…"``). A secret in plain prose gets through it.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from byjy_events.secret import MASK

# Every pattern begins with something that is rare in a text, or cannot begin twice in one run of letters: its time
# grows with the length of the text and not with the square of it.
_PEM = re.compile(r"-----BEGIN [A-Z0-9 ]{0,32}PRIVATE KEY.*?(?:-----END [A-Z0-9 ]{0,32}PRIVATE KEY-----|\Z)", re.DOTALL)
_URL = re.compile(r"(://[^\s/:@]*:)[^\s/]*@")
_BEARER = re.compile(r"(?<!\w)(Bearer\s{1,3})[\w.~+/=-]+", re.IGNORECASE)
_NAME = re.compile(r"""(?<![\w-])([\w-]++)\\*["']?\s{0,3}[:=]>?\s{0,3}""")
_VALUE = re.compile(
    r"""
      b? \\* " (?: [^"\\] | \\. )*+ "?
    | b? \\* ' (?: [^'\\] | \\. )*+ '?
    | (?: (?: Bearer | Basic | Digest | Token ) \s{1,3} )? [^\s,;&"'\])}]+
    """,
    re.VERBOSE | re.IGNORECASE | re.DOTALL,
)
_OPENING, _CLOSING = "([{", ")]}"
_NOTHING = frozenset({"", "None", "null", "True", "False", "true", "false"})


def scrubbed(text: str, is_secret_name: Callable[[str], bool]) -> str:
    """The text with a mask in place of every secret that was found in it."""
    if "PRIVATE KEY" in text:
        text = _PEM.sub(MASK, text)
    if "://" in text:
        text = _URL.sub(rf"\1{MASK}@", text)
    if ":" in text or "=" in text:
        text = _without_named(text, is_secret_name)
    return _BEARER.sub(rf"\1{MASK}", text) if "bearer" in text.lower() else text


def _without_named(text: str, is_secret_name: Callable[[str], bool]) -> str:
    pieces: list[str] = []
    done = 0
    for name in _NAME.finditer(text):
        if name.start() < done or not is_secret_name(name[1]):
            continue
        end = _end_of_value(text, name.end())
        if text[name.end() : end] not in _NOTHING:
            pieces += (text[done : name.end()], MASK)
            done = end
    return "".join(pieces) + text[done:]


def _end_of_value(text: str, start: int) -> int:
    if text[start : start + 1] not in _OPENING:
        value = _VALUE.match(text, start)
        return value.end() if value else start
    depth = 0
    for place in range(start, len(text)):
        depth += (text[place] in _OPENING) - (text[place] in _CLOSING)
        if depth == 0:
            return place + 1
    return len(text)
