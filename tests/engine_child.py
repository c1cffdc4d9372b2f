"""A process that runs a strategy until it is killed, or told to go on."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
from collections.abc import Iterator
from multiprocessing.connection import Connection
from typing import Any, NamedTuple
from uuid import UUID

from byjy_events.log import EventLog
from projections import StrategyDesk, StrategyRunning

BEAT_SECONDS = 0.02

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["__main__", __name__])


class Engine(NamedTuple):
    """A process that runs a strategy, or was refused.

    Attributes:
        execution_id: None: it was refused.
        pid: of the process.
    """

    process: Any
    execution_id: UUID | None
    pid: int

    def kill(self) -> None:
        """By kill -9, and wait for its end."""
        self.process.kill()
        self.process.join()


@contextlib.contextmanager
def engines(url: str, strategy_id: UUID, number: int = 1) -> Iterator[list[Engine]]:
    """Processes that all start the strategy at once; at the end of the block they are dead."""
    gate = _context.Barrier(number)
    pipes = [_context.Pipe(duplex=False) for _ in range(number)]
    processes = [
        _context.Process(target=_main, args=(url, strategy_id, there, gate), daemon=True) for _, there in pipes
    ]
    try:
        for process in processes:
            process.start()
        yield [
            Engine(process, here.recv(), process.pid or 0) for process, (here, _) in zip(processes, pipes, strict=True)
        ]
    finally:
        for process, (here, there) in zip(processes, pipes, strict=True):
            process.kill()
            process.join()
            process.close()
            here.close()
            there.close()


def _main(url: str, strategy_id: UUID, told: Connection, gate: Any) -> None:
    asyncio.run(_run(url, strategy_id, told, gate))


async def _run(url: str, strategy_id: UUID, told: Connection, gate: Any) -> None:
    async with EventLog.open(url) as log:
        gate.wait()
        try:
            async with StrategyDesk(log).running(strategy_id, beat_seconds=BEAT_SECONDS) as execution:
                told.send(execution.id)
                await asyncio.sleep(3600)
        except StrategyRunning:
            told.send(None)
