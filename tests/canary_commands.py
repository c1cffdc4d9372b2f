"""Canaries planted through ``byjy``, in this process, which is faster, and in some of their own, to be looked at."""

from __future__ import annotations

import contextlib
import io
import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

from byjy_events.secret import Secret
from byjy_ops.cli import answered
from tests.canaries import TEXTS, Canaries
from tests.canary_places import Places
from tests.cli import SECONDS, command, environment

Given = dict[str, Secret[str]]

IN_TERMINAL = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""
"""Makes standard input the terminal of the process, for prompts to be found there."""


class Revealed(NamedTuple):
    """What a command wrote that was asked for a secret, and the secrets that are in it on purpose."""

    out: str
    secrets: list[Secret[str]]


class Operator:
    """Somebody who runs ``byjy`` on a database, and is watched."""

    def __init__(
        self, database: str, key_file: Path, canaries: Canaries, decoys: Canaries, places: Places, folder: Path
    ) -> None:
        self.database, self.key_file, self.folder = database, key_file, folder
        self.new, self.decoys, self.places = canaries, decoys, places
        self.revealed: list[Revealed] = []

    def __repr__(self) -> str:
        return "<operator>"

    def run(self, *arguments: str, given: Secret[bytes] | None = None, status: int = 0) -> str:
        """What a command writes to standard output; it, and what it complains of, is seen."""
        out, complaints = self._ran(arguments, given, status)
        self.places.see("standard output", " ".join(arguments[:2]), out)
        self.places.see("standard error", " ".join(arguments[:2]), complaints)
        return out

    def done(self, *arguments: str, given: Given | None = None) -> str:
        """The same, with secrets as a JSON object on standard input."""
        return self.run(*arguments, given=None if given is None else _json(given)).strip()

    def refused(self, *arguments: str, given: Given | Secret[bytes] | None = None) -> None:
        """A command that has to fail, and tells all that it knows."""
        whole = _json(given) if isinstance(given, dict) else given
        self.run(*arguments, "--verbose", given=whole, status=2)

    def reveal(self, *arguments: str, secrets: list[Secret[str]]) -> None:
        """The one kind of command whose standard output is a place for secrets."""
        out, complaints = self._ran(arguments, None, 0)
        self.revealed.append(Revealed(out, secrets))
        self.places.see("standard error", " ".join(arguments[:2]), complaints)

    def _ran(self, arguments: tuple[str, ...], given: Secret[bytes] | None, status: int) -> tuple[str, str]:
        source = io.TextIOWrapper(io.BytesIO(b"" if given is None else given.reveal()))
        out, complaints = io.StringIO(), io.StringIO()
        with (
            mock.patch.object(sys, "stdin", source),
            mock.patch.dict(os.environ, BYJY_KEY_FILE=str(self.key_file)),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(complaints),
        ):
            found = answered([*arguments, "--database", self.database])
        assert found == status, (arguments, complaints.getvalue())
        return out.getvalue(), complaints.getvalue()

    # --- what is run ----------------------------------------------------------------------------------

    def users(self) -> str:
        """A user is registered, and gets another password; what is wrong is refused. The user's name."""
        given = {"email": self.new.email(), "password": self.new.secret()}
        self.done("users", "add", "Eve", "TRADER", "--json", given=given)
        self.done("users", "password", "Eve", given={"password": self.new.secret()})
        self.refused("users", "add", "eve", "TRADER", given={**given, "password": self.new.secret()})
        self.refused("users", "add", "Ann", "TRADER", given={**given, "password": self.new.secret()})
        self.refused("users", "add", "Ann", "TRADER", given={"email": self.new.secret(), "password": self.new.secret()})
        short = {"email": self.new.email(), "password": self.new.secret("pem")}
        self.refused("users", "add", "Ann", "TRADER", given=short)
        for wrong in self._malformed():
            self.refused("users", "add", "Ann", "TRADER", given=wrong)
            self.refused("users", "password", "Eve", given=wrong)
        strange = self._strange_key()
        self.refused("users", "password", "Eve", *strange, given={"password": self.new.secret()})
        self.refused("users", "password", self.decoys.secret("hex").reveal(), given={"password": self.new.secret()})
        self.reveal("users", "show", "Eve", "--email", "--json", secrets=[given["email"]])
        self.reveal("users", "show", "Eve", "--email", secrets=[given["email"]])
        return "Eve"

    def keys(self, user: str) -> str:
        """A key is added, revealed, and replaced; what is wrong is refused. Its id."""
        first, second, where = self._credential(), self._credential(), ("--user", user, "--label", "x")
        added = self.done("keys", "add", "binance", *where, given=first)
        self.reveal("keys", "reveal", added, "--reason", "x", "--json", secrets=list(first.values()))
        self.refused("keys", "add", "binance", *where, given={**self._credential(), "key": first["key"]})
        self.refused("keys", "add", "kraken", "--user", self.decoys.secret("hex").reveal(), "--label", "x",
                     given=self._credential())  # fmt: skip
        for wrong in self._malformed():
            self.refused("keys", "add", "kraken", *where, given=wrong)
            self.refused("keys", "replace", added, given=wrong)
        blank = {"key": Secret(f" {self.new.secret().reveal()}"), "secret": self.new.secret()}
        self.refused("keys", "add", "kraken", *where, given=blank)
        strange = self._strange_key()
        self.refused("keys", "reveal", added, "--reason", "x", *strange)
        self.refused("keys", "add", "kraken", *where, *strange, given=self._credential())
        self.refused("keys", "rotate", *strange, "--new-key-file", str(self.folder / "new.key"))
        self.done("keys", "replace", added, given=second)
        self.reveal("keys", "reveal", added, "--reason", "x", secrets=[second["key"], second["secret"]])
        return added

    def config(self) -> None:
        """A secret is set, rolled back, and revealed; what is wrong is refused."""
        first = self.new.secret()
        secret = ("--secret", "--string")
        self.run("config", "set", "cli.token", *secret, given=_bytes(first))
        self.run("config", "set", "cli.token", "--string", given=_bytes(self.new.secret()))
        self.run("config", "rollback", "cli.token", "1")
        self.reveal("config", "reveal", "cli.token", "--reason", "x", secrets=[first])
        self.run("config", "set", "cli.plain", f'"{self.decoys.secret("hex").reveal()}"', "--description", "A decoy.")
        for raw in (self.new.new("bytes").blob, _bytes(self.new.secret("base64")), _json({"a": self.new.secret()})):
            self.refused("config", "set", "cli.token", given=raw)
        self.refused("config", "set", "cli.token", "--expected", "1", *secret, given=_bytes(self.new.secret()))
        self.refused("config", "set", "cli.token", *secret, *self._strange_key(), given=_bytes(self.new.secret()))
        self.refused("config", "get", "cli.token")
        self.refused("config", "diff", "cli.token", "1", "2")

    def looks(self, event_id: str, secret_event_id: str, setting: str, decoy: str) -> None:
        """All that shows what the log and the tables hold."""
        shown = [("events", "--limit", "0"), ("trail", "--limit", "0"), ("config", "history", setting), ("logs",)]
        shown += [("history", "config", setting), ("history", "user", "Eve"), ("trace", event_id)]
        for arguments in shown:
            self.run(*arguments)
        for arguments in (*shown, ("users", "list"), ("keys", "list"), ("config", "list"), ("trace", secret_event_id)):
            self.run(*arguments, "--json")
        self.run("checkpoints")
        self.run("status")
        self.run("logs", "--limit", "0", "--json")
        for name in ("events.jsonl", "events.csv", "events.parquet", "orders.jsonl", "trades.csv", "positions.parquet"):
            path = self.folder / "exports" / name
            self.run("export", path.stem, "--output", str(path))
            self.run("export", "check", str(path))
        self.run("export", "events", "--actor", decoy, "--output", str(self.folder / "exports" / "of_decoy.jsonl"))
        for one in (event_id, secret_event_id):
            path = self.folder / "proofs" / one
            self.run("proof", "inclusion", one, "--output", str(path))

    def _credential(self) -> Given:
        return {field: self.new.secret(*TEXTS[:5]) for field in ("key", "secret", "passphrase")}

    def _malformed(self) -> Iterator[Secret[bytes]]:
        """What is no JSON object, and objects of other fields."""
        for form in (
            b'{"password": "%s", "password": "x"}',
            b'["%s"]',
            b'{"key": {"secret": "%s"}}',
            b"%s",
            b'{"%s": 1}',
        ):
            yield Secret(form % self.new.new("base64", "hex").blob.reveal())
        yield Secret(b'{"password": "%s"}' % self.new.new("bytes").blob.reveal())

    def _strange_key(self) -> tuple[str, str]:
        path = self.folder / "strange.key"
        if not path.exists():
            path.write_bytes(b"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n")
            path.chmod(0o600)
        return ("--key-file", str(path))

    def signed(self, signing_key: Path) -> None:
        """The log is sealed with a signing key that is made for it."""
        self.run("signing-key", "init", "--name", "example.com/trading", "--file", str(signing_key))
        self.run("signing-key", "show", "--file", str(signing_key))
        self.run("seal", "--signing-key", str(signing_key), "--to-stdout")
        self.run("audit", "--signing-key", str(signing_key))

    def databases(self) -> None:
        """A password in what is no URL."""
        for form in ("postgresql//ada:{}@host/x", "ada:{}@host", "postgresql:ada:{}@host/x"):
            url = Secret(form.format(self.new.secret("hex").reveal()))
            with mock.patch.object(self, "database", url.reveal()):
                self.refused("status")

    # --- processes ------------------------------------------------------------------------------------

    def processes(self) -> None:
        """A command that waits at its last prompt, and one that reads a pipe which has not ended, are looked at."""
        with self._at_prompt() as prompting, self._at_pipe() as piping:
            for name, process in (("prompt", prompting), ("pipe", piping)):
                for kind, file in (("process arguments", "cmdline"), ("process environment", "environ")):
                    self.places.see(kind, name, Path(f"/proc/{process.pid}/{file}").read_bytes())

    @contextlib.contextmanager
    def _at_prompt(self) -> Iterator[subprocess.Popen[bytes]]:
        ours, theirs = pty.openpty()
        arguments = command("users", "add", "Zoe", "TRADER", "--actor", self.decoys.secret("hex").reveal())
        process = subprocess.Popen(
            [sys.executable, "-c", IN_TERMINAL, *arguments], env=self._environment(), stdin=theirs, stdout=theirs,
            stderr=theirs, start_new_session=True,
        )  # fmt: skip
        os.close(theirs)
        password = self.new.secret("passphrase")
        seen = self._answered(ours, (b"email: ", self.new.email()), (b"password: ", password))
        while not seen.endswith(b"again: "):
            seen += os.read(ours, 1)
        yield process
        os.write(ours, password.reveal().encode() + b"\n")
        with contextlib.suppress(OSError):  # so Linux says that the other end was closed
            while piece := os.read(ours, 4096):
                seen += piece
        os.close(ours)
        assert process.wait(SECONDS) == 0, seen
        self.places.see("terminal", "users add", seen)

    @staticmethod
    def _answered(terminal: int, *dialogue: tuple[bytes, Secret[str]]) -> bytes:
        seen = b""
        for question, answer in dialogue:
            while not seen.endswith(question):
                seen += os.read(terminal, 1)
            os.write(terminal, answer.reveal().encode() + b"\n")
        return seen

    @contextlib.contextmanager
    def _at_pipe(self) -> Iterator[subprocess.Popen[bytes]]:
        arguments = command("keys", "add", "kraken", "--user", "Eve", "--label", self.decoys.secret("hex").reveal())
        process = subprocess.Popen(
            arguments, env=self._environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        assert process.stdin is not None
        process.stdin.write(_json(self._credential()).reveal())
        process.stdin.flush()
        yield process
        out, complaints = process.communicate(timeout=SECONDS)
        assert process.returncode == 0, complaints
        self.places.see("standard output", "keys add in a process", out)
        self.places.see("standard error", "keys add in a process", complaints)

    def _environment(self) -> dict[str, str]:
        decoy = {"BYJY_DECOY": self.decoys.secret("hex").reveal(), "BYJY_KEY_FILE": str(self.key_file)}
        return {**environment(self.database), **decoy}


def _json(given: Given) -> Secret[bytes]:
    return Secret(json.dumps({name: secret.reveal() for name, secret in given.items()}).encode())


def _bytes(secret: Secret[Any]) -> Secret[bytes]:
    return Secret(secret.reveal().encode())


def in_sight(revealed: Revealed) -> list[bool]:
    """Whether each secret is in what was written."""
    return [
        secret.reveal() in revealed.out or json.dumps(secret.reveal()) in revealed.out for secret in revealed.secrets
    ]
