"""Places outside the database that checkpoints are exported to.

What makes a log tamper-evident are checkpoints where whoever can change the database cannot change them too: a disk of
another machine, storage that refuses to overwrite, somebody's mailbox. A place of your own is two methods.
"""

from __future__ import annotations

import asyncio
import os
from typing import Protocol

from byjy_events.proof.checkpoint import Checkpoint
from byjy_events.proof.entry import entry_of


class CheckpointPlace(Protocol):
    """Somewhere that checkpoints are exported to.

    Both methods may raise anything: the sealer logs it, goes on with the other places, and tries again.
    """

    @property
    def name(self) -> str:
        """What to call it in messages, e.g. the path of a file."""
        ...

    async def put(self, checkpoint: Checkpoint) -> None:
        """Keep a checkpoint, durably. One that is there already stays as it is.

        Several sealers may put theirs in any order.
        """

    async def newest(self) -> Checkpoint | None:
        """The checkpoint of the largest size there; None: there is none, or the place cannot be read back.

        Whether anybody signed it is not looked at: the sealer does.
        """
        ...


class StandardOutput:
    """Writes checkpoints to a stream, each followed by a line with a full stop, as :class:`AppendedFile` keeps them.

    It cannot be read back.
    """

    name = "standard output"

    def __init__(self, descriptor: int = 1) -> None:
        """
        Args:
            descriptor: an open file to write to.
        """
        self._descriptor = descriptor

    async def put(self, checkpoint: Checkpoint) -> None:
        await asyncio.to_thread(write_all, self._descriptor, entry_of(checkpoint))

    async def newest(self) -> Checkpoint | None:
        return None


def write_all(descriptor: int, content: bytes) -> None:
    """Write, in one go if the system takes it.

    Raises:
        OSError: it cannot be written, or only a part of it was.
    """
    while content:
        content = content[os.write(descriptor, content) :]
