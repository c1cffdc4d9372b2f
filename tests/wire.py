"""A wire to PostgreSQL that can be cut at any message."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import tempfile
from typing import Self
from urllib.parse import parse_qs, quote, urlsplit

SOCKET = ".s.PGSQL.5432"


class Wire:
    """A socket between the client and the server; ``url`` goes through it.

    Attributes:
        left: messages of the client that still pass; the next one meets the cut, once. None: all pass.
        delivered: whether the server gets the message at the cut, and only its answer is lost.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        (self._server_folder,) = parse_qs(parts.query)["host"]
        self._folder = tempfile.mkdtemp(prefix="byjy-wire-", dir="/tmp")
        self.url = f"{url.partition('?')[0]}?host={quote(self._folder)}"
        self.left: int | None = None
        self.delivered = False
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_unix_server(self._connected, f"{self._folder}/{SOCKET}")
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        shutil.rmtree(self._folder)

    async def _connected(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        server, to_server = await asyncio.open_unix_connection(f"{self._server_folder}/{SOCKET}")
        back = asyncio.create_task(_pump(server, to_client))
        try:
            while data := await client.read(1 << 20):
                if self._cut():
                    if self.delivered:
                        back.cancel()
                        to_server.write(data)
                        await server.read(1)  # the server has done it, or is about to
                    return
                to_server.write(data)
                await to_server.drain()
            to_server.write_eof()
            await back
        except OSError:
            pass
        finally:
            back.cancel()
            for one in (to_client, to_server):
                one.transport.abort()

    def _cut(self) -> bool:
        if self.left is None:
            return False
        self.left -= 1
        if self.left >= 0:
            return False
        self.left = None
        return True


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await source.read(1 << 20):
            sink.write(data)
            await sink.drain()
        sink.close()
