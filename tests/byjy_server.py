"""Processes of ``byjy`` without the time that Python takes to import it: a process that has, forks for each of them.

What a test gets is a process of its own, with its arguments, environment, folder, output and exit status; only its
imports were done before. That a command starts from nothing is tested where processes are started, watched and killed.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib
import json
import os
import pkgutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

ROOT = Path(__file__).resolve().parents[1]
REQUEST_BYTES = 1 << 20


class Server:
    """The process that forks, as a test sees it. One command runs at a time."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.byjy_server", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
            )
        self._socket = ours
        atexit.register(self.close)

    def run(
        self, arguments: tuple[str, ...], environment: Mapping[str, str], folder: Path | None, seconds: float
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end.

        Raises:
            TimeoutError: it took longer; it was killed, and the server is of no use any more.
        """
        asked = {"arguments": arguments, "environment": dict(environment), "folder": str(folder or Path.cwd())}
        with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
            request = json.dumps(asked).encode("utf-8", "surrogatepass")
            self._socket.settimeout(seconds)
            socket.send_fds(self._socket, [request], [output.fileno(), errors.fileno()])
            try:
                status = int(self._socket.recv(64))
            except TimeoutError:
                self.close()
                raise
            texts = [_all_of(file) for file in (output, errors)]
        return subprocess.CompletedProcess(["byjy", *arguments], status, *texts)

    def close(self) -> None:
        """End the process, and the command that it waits for."""
        self._socket.close()
        self._process.kill()
        self._process.wait()


def _all_of(file: Any) -> str:
    file.seek(0)
    text: str = file.read().decode()
    return text.replace("\r\n", "\n")


def serve(descriptor: int) -> None:
    """Fork for each request, until nobody asks any more."""
    for module in pkgutil.walk_packages(importlib.import_module("byjy_ops").__path__, "byjy_ops."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    with socket.socket(fileno=descriptor) as asking:
        while True:
            request, descriptors, _, _ = socket.recv_fds(asking, REQUEST_BYTES, 2)
            if not request:
                return
            child = os.fork()
            if child == 0:
                _become(json.loads(request), descriptors)
            for one in descriptors:
                os.close(one)
            _, status = os.waitpid(child, 0)
            asking.send(str(os.waitstatus_to_exitcode(status)).encode())


def _become(asked: Mapping[str, Any], descriptors: list[int]) -> NoReturn:
    """Be the process of one command."""
    status = 1
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.setsid()
        for number, descriptor in enumerate(descriptors, 1):
            os.dup2(descriptor, number)
        os.environ.clear()
        os.environ.update(asked["environment"])
        os.chdir(asked["folder"])
        sys.argv = ["byjy", *asked["arguments"]]
        from byjy_ops.__main__ import main

        try:
            main()
            status = 0
        except SystemExit as ended:
            status = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:  # noqa: BLE001 - as a process does that nobody catches anything of
        import traceback

        traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    serve(int(sys.argv[1]))
