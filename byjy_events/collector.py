"""The garbage collector, out of the way of work that makes many small objects at once and no cycles."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator


@contextlib.contextmanager
def paused() -> Iterator[None]:
    """Look for no cycles inside: in a chunk of thousands of events that took a sixth of the time, and found none.

    Nothing may await inside, so that no other task of the process runs while the collector is off.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
