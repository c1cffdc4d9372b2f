"""The package as others get it: what the wheel holds, that it works by itself, and what it does not drag in."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def run(*command: str | Path, cwd: Path = ROOT, **environment: str) -> str:
    done = subprocess.run(
        command, cwd=cwd, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built without a network."""
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT)
    (path,) = folder.glob("*.whl")
    return path


def test_the_wheel_holds_the_three_packages_and_the_migrations(wheel: Path) -> None:
    """Typed packages, every revision and every SQL file; no tests, and no second copy of the migrations."""
    names = set(zipfile.ZipFile(wheel).namelist())
    migrations = [path for path in (ROOT / "migrations").rglob("*") if path.suffix in {".py", ".sql", ".mako"}]
    assert len(migrations) >= 4
    assert {f"byjy_events/_migrations/{path.relative_to(ROOT / 'migrations')}" for path in migrations} <= names
    assert {f"{package}/py.typed" for package in ("byjy_events", "projections", "byjy_ops")} <= names
    tops = {name.partition("/")[0] for name in names if ".dist-info/" not in name}
    assert tops == {"byjy_events", "projections", "byjy_ops"}
    assert not [name for name in names if name.endswith((".pyc", ".db"))]


def test_the_wheel_declares_the_command_and_keeps_its_libraries_an_extra(wheel: Path) -> None:
    """Who only imports the library does not install the libraries of the CLI."""
    with zipfile.ZipFile(wheel) as archive:
        (metadata,) = (archive.read(name).decode() for name in archive.namelist() if name.endswith("/METADATA"))
        (scripts,) = (archive.read(name).decode() for name in archive.namelist() if name.endswith("/entry_points.txt"))
    required = [line for line in metadata.splitlines() if line.startswith("Requires-Dist:") and "extra ==" not in line]
    assert any("sqlalchemy" in line for line in required)
    assert not any(name in line for line in required for name in ("typer", "rich", "pytest"))
    assert "byjy = byjy_ops.__main__:main" in scripts


def test_the_command_without_its_extra_says_what_to_install() -> None:
    """In one line, in place of a traceback."""
    program = "import sys; sys.modules['typer'] = None; from byjy_ops.__main__ import main; main()"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == "byjy: typer is not installed; it comes with: pip install 'byjy-events[cli]'\n"


MIGRATE = """
import asyncio, sys
import byjy_events
from byjy_events import migrating, revisions

assert byjy_events.__file__.startswith(sys.argv[1]), byjy_events.__file__
assert revisions.migrations_folder().is_relative_to(sys.argv[1]), revisions.migrations_folder()
asyncio.run(migrating.upgrade("sqlite:///installed.db"))
asyncio.run(migrating.downgrade("sqlite:///installed.db"))
asyncio.run(migrating.upgrade("sqlite:///installed.db"))
"""


def test_an_installed_wheel_migrates_from_any_folder(wheel: Path, tmp_path: Path) -> None:
    """Nothing is read from the repository."""
    installed = tmp_path / "installed"
    run(sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", installed, wheel)
    run(sys.executable, "-c", MIGRATE, installed, cwd=tmp_path, PYTHONPATH=str(installed))
    assert (tmp_path / "installed.db").stat().st_size > 0


IMPORT_EVERYTHING = """
import importlib, pkgutil, sys

sys.modules.update(dict.fromkeys(["typer", "rich", "click", "pytest"]))  # None: as if not installed
count = 0
for name in ("byjy_events", "projections"):
    package = importlib.import_module(name)
    for module in pkgutil.walk_packages(package.__path__, name + "."):
        if module.name != "byjy_events.testing":
            importlib.import_module(module.name)
            count += 1
assert count > 20, count
assert "alembic" not in sys.modules
"""


def test_the_library_imports_without_the_cli_and_test_libraries_and_loads_no_alembic() -> None:
    """An engine installs none of the former; the latter is slow to load, and needed only to migrate."""
    run(sys.executable, "-c", IMPORT_EVERYTHING)
