"""Key providers: key files, environment variables, the keyring of the operating system, and a service."""

from __future__ import annotations

import asyncio
import base64
import multiprocessing
import os
import subprocess
import sys
from multiprocessing.synchronize import Barrier
from pathlib import Path
from types import ModuleType

import pytest

from byjy_events.sealing import InsecureKeyFile, InvalidKey, KeyFile, KeyUnavailable, KeyVariable, OsKeyring
from byjy_events.sealing.local_key import new_key_text
from byjy_events.secret import Secret
from tests.schema import ROOT
from tests.sealing import local_key, open_vault, shown, user

TEXT = base64.b64encode(bytes([1]) * 32).decode()
POSIX = pytest.mark.skipif(sys.platform == "win32", reason="permission bits")
PROCESSES, ROUNDS = 4, 25


async def test_a_key_file_is_made_at_the_first_use(database: str, tmp_path: Path) -> None:
    """And used from then on, by this and other processes. Nothing else is left in the folder."""
    path = tmp_path / "keys" / "byjy.key"
    path.parent.mkdir()
    provider = KeyFile(path)
    assert not path.exists()
    async with open_vault(database, provider) as vault:
        value = await vault.seal(user(1), "email", "secret")
    assert list(path.parent.iterdir()) == [path]
    assert len(base64.b64decode(path.read_text())) == 32
    async with open_vault(database, KeyFile(path, create=False)) as vault:
        assert await vault.reveal(user(1), "email", value) == Secret("secret")


@POSIX
async def test_only_the_owner_may_use_a_key_file(tmp_path: Path) -> None:
    """It is made so whatever the umask says; with any other permission it is refused, and works again without."""
    path = tmp_path / "byjy.key"
    mask = os.umask(0)
    try:
        made = await KeyFile(path).key_id()
    finally:
        os.umask(mask)
    assert path.stat().st_mode & 0o777 == 0o600
    for mode in (0o640, 0o604, 0o620, 0o602, 0o610, 0o601, 0o644, 0o777):
        path.chmod(mode)
        with pytest.raises(
            InsecureKeyFile, match=f"key file {path}: others may use it \\(mode {mode:04o}\\)"
        ) as caught:
            await KeyFile(path).key_id()
        assert caught.value.mode == mode
        assert path.read_text().strip() not in shown(caught.value)
    for mode in (0o600, 0o400):
        path.chmod(mode)
        assert await KeyFile(path).key_id() == made


def _race(folder: str, start: Barrier) -> None:
    start.wait()
    ids = [asyncio.run(KeyFile(Path(folder) / f"{n}.key").key_id()) for n in range(ROUNDS)]
    (Path(folder) / f"{os.getpid()}.ids").write_text("\n".join(ids))


def test_of_several_processes_one_makes_the_key_file(tmp_path: Path) -> None:
    """All of them use that one, however close the race; and two files never hold the same key."""
    context = multiprocessing.get_context("spawn")
    start = context.Barrier(PROCESSES)
    processes = [context.Process(target=_race, args=(str(tmp_path), start)) for _ in range(PROCESSES)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    found = [path.read_text().splitlines() for path in tmp_path.glob("*.ids")]
    assert len(found) == PROCESSES
    assert all(ids == found[0] for ids in found)
    assert len(set(found[0])) == ROUNDS
    assert len(list(tmp_path.glob("*.key"))) == ROUNDS
    assert list(tmp_path.glob(".*")) == []


async def test_a_key_file_that_is_none_is_refused(tmp_path: Path) -> None:
    """It is never replaced, and the error names the file and does not show what is in it."""
    path = tmp_path / "byjy.key"
    bad = "not-a-key-but-secret-all-the-same"
    short = base64.b64encode(b"x" * 31).decode()
    for text, reason in (("", "0 bytes, a key has 32"), (short, "31 bytes"), (bad, "not Base64 of 32 bytes")):
        path.write_text(text)
        path.chmod(0o600)
        with pytest.raises(InvalidKey, match=f"key file {path}: {reason}") as caught:
            await KeyFile(path).key_id()
        assert not text or text not in shown(caught.value)
        assert path.read_text() == text


@POSIX
async def test_a_key_file_may_be_a_link_but_not_a_pipe(tmp_path: Path) -> None:
    """Secrets are often mounted as links; a pipe would be waited for, for ever."""
    path, link, pipe = tmp_path / "byjy.key", tmp_path / "link", tmp_path / "pipe"
    link.symlink_to(path)
    os.mkfifo(pipe, 0o600)
    made = await KeyFile(path).key_id()
    assert await KeyFile(link).key_id() == made
    with pytest.raises(InvalidKey, match="pipe: not a file"):
        await KeyFile(pipe).key_id()


async def test_a_key_file_that_cannot_be_had_is_told_with_its_reason(tmp_path: Path) -> None:
    """A missing file that may not be made, a missing folder, a folder in its place; and it is looked for again."""
    path = tmp_path / "byjy.key"
    retired = KeyFile(path, create=False)
    with pytest.raises(KeyUnavailable, match=r"byjy\.key: No such file"):
        await retired.key_id()
    with pytest.raises(KeyUnavailable, match="No such file"):
        await KeyFile(tmp_path / "nowhere" / "byjy.key").key_id()
    with pytest.raises(KeyUnavailable, match=r"directory|Permission"):
        await KeyFile(tmp_path).key_id()
    made = await KeyFile(path).key_id()
    assert await retired.key_id() == made


async def test_a_key_in_an_environment_variable(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same key as in a file, with the same id; an error names the variable and does not show it."""
    monkeypatch.setenv("MY_KEY", f" {TEXT}\n")
    async with open_vault(database, KeyVariable("MY_KEY")) as vault:
        value = await vault.seal(user(1), "email", "secret")
    async with open_vault(database, local_key(1)) as vault:
        assert await vault.reveal(user(1), "email", value) == Secret("secret")
    monkeypatch.setenv("MY_KEY", "surely-no-key")
    with pytest.raises(InvalidKey, match="environment variable MY_KEY: not Base64") as caught:
        await KeyVariable("MY_KEY").key_id()
    assert "surely" not in shown(caught.value)
    for missing in (None, ""):
        monkeypatch.delenv("MY_KEY") if missing is None else monkeypatch.setenv("MY_KEY", missing)
        with pytest.raises(KeyUnavailable, match="environment variable MY_KEY: not set"):
            await KeyVariable("MY_KEY").key_id()


@pytest.fixture
def keyring(monkeypatch: pytest.MonkeyPatch) -> dict[tuple[str, str], str]:
    """The library's functions that are used, over a dictionary: not every machine has a keyring."""
    entries: dict[tuple[str, str], str] = {}
    library, errors = ModuleType("keyring"), ModuleType("keyring.errors")
    errors.KeyringError = type("KeyringError", (Exception,), {})  # type: ignore[attr-defined]
    library.errors = errors  # type: ignore[attr-defined]
    library.get_password = lambda service, name: entries.get((service, name))  # type: ignore[attr-defined]
    library.set_password = lambda service, name, text: entries.update({(service, name): text})  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "keyring", library)
    monkeypatch.setitem(sys.modules, "keyring.errors", errors)
    return entries


async def test_a_key_in_the_keyring_of_the_operating_system(keyring: dict[tuple[str, str], str]) -> None:
    """Made at the first use, and used from then on; an entry that is no key is refused and stays."""
    made = await OsKeyring("trading").key_id()
    assert list(keyring) == [("byjy-events", "trading")]
    assert await OsKeyring("trading", create=False).key_id() == made
    assert await OsKeyring("other").key_id() != made
    with pytest.raises(KeyUnavailable, match="keyring entry byjy-events/none: there is no such entry"):
        await OsKeyring("none", create=False).key_id()
    keyring["byjy-events", "trading"] = "surely-no-key"
    with pytest.raises(InvalidKey, match="keyring entry byjy-events/trading: not Base64") as caught:
        await OsKeyring("trading").key_id()
    assert "surely" not in shown(caught.value)


async def test_a_keyring_that_is_locked_says_so(
    keyring: dict[tuple[str, str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the library raises becomes an error of ours, with its text."""
    library = sys.modules["keyring"]

    def locked(service: str, name: str) -> None:
        raise library.errors.KeyringError("locked")

    monkeypatch.setattr(library, "get_password", locked)
    with pytest.raises(KeyUnavailable, match="byjy-events/default: KeyringError: locked"):
        await OsKeyring().key_id()


async def test_without_the_keyring_library_the_error_names_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is an extra, imported when it is used."""
    monkeypatch.setitem(sys.modules, "keyring", None)
    monkeypatch.delitem(sys.modules, "keyring.errors", raising=False)
    with pytest.raises(KeyUnavailable, match=r"install byjy-events\[keyring\]"):
        await OsKeyring().key_id()


def test_no_provider_shows_its_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither they nor a new key's text."""
    monkeypatch.setenv("MY_KEY", TEXT)
    for one in (KeyFile("byjy.key"), KeyVariable("MY_KEY"), OsKeyring(), local_key(1), new_key_text()):
        assert TEXT not in repr(one)
    assert repr(KeyVariable("MY_KEY").read()) == f"LocalKey({local_key(1).id})"
    assert str(new_key_text()) == "**********"


def test_the_example_of_a_key_management_service_runs() -> None:
    """As its first lines say, and it prints what it promises, and not the secret."""
    done = subprocess.run(
        [sys.executable, "examples/sealing_with_kms.py"],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "sealed: 61 bytes, under {'kms:trading-2026': 1}",
        "rotated: 1 data key, 0 remaining, under {'kms:trading-2027': 1}",
        "revealed: Secret(**********) of 15 characters",
        "without the service: kms:trading-2027: no route to the service",
    ]
