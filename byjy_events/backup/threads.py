"""Work that blocks, in a thread, with a way to end it early."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from byjy_events.backup.compressed import Stopped

LOOK_SECONDS = 0.05
"""How often it is looked whether work shall end."""

T = TypeVar("T")


async def in_thread(work: Callable[[threading.Event], T]) -> T:
    """Run something in a thread. When the caller is cancelled it is asked to stop, and waited for."""
    stop = threading.Event()
    task = asyncio.ensure_future(asyncio.to_thread(work, stop))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        stop.set()
        await asyncio.wait([task])
        if not task.cancelled():
            task.exception()  # which nobody wants to know any more
        raise


async def in_own_loop(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine in a thread with an event loop of its own. However long it computes, the caller's loop goes on.

    When the caller is cancelled it is cancelled, and waited for.
    """
    return await in_thread(lambda stop: asyncio.run(_until(work, stop)))


async def _until(work: Callable[[], Coroutine[Any, Any, T]], stop: threading.Event) -> T:
    task = asyncio.ensure_future(work())
    while not task.done():
        if stop.is_set():
            task.cancel()
        await asyncio.wait([task], timeout=LOOK_SECONDS)
    if task.cancelled():
        raise Stopped
    return task.result()
