"""Asking before what cannot be undone."""

from __future__ import annotations

import sys

from byjy_ops.errors import InvalidArgument
from byjy_ops.listing import tell


def refuse_unless_sure(lost: str, *, yes: bool) -> None:
    """Ask, where there is somebody to ask. It is called before the event loop runs, for Ctrl-C to reach the question.

    Args:
        lost: what will be gone, e.g. ``the secrets of …``.
        yes: it was said already.

    Raises:
        InvalidArgument: there is nobody, or the answer was not yes.
    """
    if yes:
        return
    if sys.stdin is None or not sys.stdin.isatty():
        raise InvalidArgument("--yes", "erasing cannot be undone; say that it is meant")
    tell(f"{lost} will be gone for good; type yes to erase them")
    if sys.stdin.readline().strip() != "yes":
        raise InvalidArgument("--yes", "nothing was erased")
