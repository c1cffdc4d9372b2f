"""What a sealer knows of the places outside: the newest checkpoint of each, and which of them fail."""

from __future__ import annotations

from collections.abc import Sequence

from byjy_events.proof.checkpoint import Checkpoint, checkpoint_of
from byjy_events.proof.note import Verifier
from byjy_events.proof.place import CheckpointPlace


class Exports:
    """Checkpoints in places. A place that fails is tried again at the next turn, and harms no other.

    A place is read once, and again after it failed. From then on what counts is what it was seen to hold: taking
    checkpoints away from it does not make a sealer that runs forget them.
    """

    def __init__(self, places: Sequence[CheckpointPlace], trusted: Sequence[Verifier]) -> None:
        self._places = tuple(places)
        self._trusted = tuple(trusted)
        self._newest: dict[int, Checkpoint | None] = {}
        self._unreadable: dict[int, str] = {}

    async def looked_at(self) -> list[tuple[str, Checkpoint]]:
        """The newest checkpoint of each place that has one and can be read, and the place's name."""
        self._unreadable = {}
        for number, place in enumerate(self._places):
            if number not in self._newest:
                try:
                    self._newest[number] = self._verified(await place.newest())
                except Exception as error:  # noqa: BLE001 - a place is somebody else's code
                    self._unreadable[number] = _sentence(error)
        return [(self._places[number].name, newest) for number, newest in self._newest.items() if newest is not None]

    async def put(self, checkpoint: Checkpoint) -> dict[str, str]:
        """Take a checkpoint to every place that has none as new; the answer is why it failed, by the place's name.

        A place that could not be read gets none: what lies there may be what the log has to be held against.
        """
        failed = {self._places[number].name: reason for number, reason in self._unreadable.items()}
        for number, newest in self._newest.items():
            if newest is not None and newest.size >= checkpoint.size:
                continue
            try:
                await self._places[number].put(checkpoint)
            except Exception as error:  # noqa: BLE001 - a place is somebody else's code
                failed[self._places[number].name] = _sentence(error)
            else:
                self._newest[number] = checkpoint
        return failed

    def _verified(self, found: Checkpoint | None) -> Checkpoint | None:
        return None if found is None else checkpoint_of(found.note, self._trusted)


def _sentence(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
