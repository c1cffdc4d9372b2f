"""A server in a process of its own that speaks S3 and keeps objects in memory, and can be told to fail.

The name of the bucket is :data:`BUCKET`. Faults are asked for over HTTP, below ``/fault/``.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterable, Iterator
from typing import Any

BUCKET = "backups"
KEY, SECRET = "AKIATESTTESTTESTTEST", "a/secret+that/nobody=mistakes"


class ObjectStore:
    """A server that runs."""

    def __init__(self, process: subprocess.Popen[str], port: int) -> None:
        self.process = process
        self.url = f"http://127.0.0.1:{port}"

    def environment(self) -> dict[str, str]:
        """What a program needs to find it and to get in."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_MAX_ATTEMPTS": "1",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        }

    def cut(self, request: int) -> None:
        """From the n-th request on, hang up in the midst of it; 0: no more."""
        self._ask(f"fault/cut/{request}")

    def cut_requests(self) -> int:
        """How many requests were hung up upon since."""
        return int(self._ask("fault/count"))

    def die(self, upload: int) -> None:
        """At the n-th upload of anything, kill the server."""
        self._ask(f"fault/die/{upload}")

    def refuse_changes(self, code: str) -> None:
        """Answer with this error whatever would change something; nothing: no more."""
        self._ask(f"fault/refuse/{code}")

    def check_access(self, wanted: bool) -> None:
        """Let in only who has an account, which is nobody; or everybody."""
        self._ask("moto-api/reset-auth", b"0" if wanted else b"1000000000")

    def empty(self) -> None:
        """Throw everything away, and begin with an empty bucket."""
        self.cut(0)
        self.refuse_changes("")
        self._ask("moto-api/reset", b"")
        self._ask(BUCKET, b"", "PUT")

    def _ask(self, path: str, data: bytes | None = None, method: str | None = None) -> str:
        request = urllib.request.Request(f"{self.url}/{path}", data, {"Content-Type": "text/plain"}, method=method)
        with urllib.request.urlopen(request) as answer:
            return str(answer.read().decode())


@contextlib.contextmanager
def object_store() -> Iterator[ObjectStore]:
    """A server with an empty bucket."""
    with subprocess.Popen([sys.executable, __file__], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            store = ObjectStore(process, int(process.stdout.readline()))
            store.empty()
            yield store
        finally:
            process.kill()


class _Faulty:
    """The server's application behind what fails."""

    def __init__(self, application: Any) -> None:
        self._application = application
        self._lock = threading.Lock()
        self._cut_at = self._die_at = self._requests = self._cut = 0
        self._refused = ""

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if path.startswith("/fault/"):
            start_response("200 OK", [])
            return [self._told(path).encode()]
        if not path.startswith("/moto-api/") and self._fails(environ):
            environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
            raise ConnectionAbortedError
        if (
            self._refused
            and environ["REQUEST_METHOD"] in ("PUT", "POST", "DELETE")
            and not path.startswith("/moto-api/")
        ):
            start_response("403 Forbidden", [("Content-Type", "application/xml")])
            return [f"<Error><Code>{self._refused}</Code><Message>{self._refused}: no</Message></Error>".encode()]
        found: Iterable[bytes] = self._application(environ, start_response)
        return found

    def _told(self, path: str) -> str:
        with self._lock:
            match path.split("/")[2:]:
                case ["cut", number]:
                    self._cut_at, self._requests, self._cut = int(number), 0, 0
                case ["die", number]:
                    self._die_at = int(number)
                case ["refuse", code]:
                    self._refused = code
        return str(self._cut)

    def _fails(self, environ: dict[str, Any]) -> bool:
        with self._lock:
            self._requests += 1
            if environ["REQUEST_METHOD"] == "PUT" and self._die_at:
                self._die_at -= 1
                if not self._die_at:
                    environ["wsgi.input"].read(1000)
                    os.kill(os.getpid(), signal.SIGKILL)
            fails = bool(self._cut_at) and self._requests >= self._cut_at
            self._cut += fails
        return fails


def _serve() -> None:
    import logging

    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server

    logging.disable()
    server = make_server("127.0.0.1", 0, _Faulty(DomainDispatcherApplication(create_backend_app)), threaded=True)
    print(server.server_port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    _serve()
