"""The folder of oracles and sample data beside the project; not everybody has it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

_SHARED = Path(__file__).resolve().parents[2] / "shared"


def shared_path(name: str) -> Path:
    """A file or folder of the shared folder; where it is absent the test is skipped, and fails under CI."""
    path = _SHARED / name
    if not path.exists():
        message = f"{path} is not there"
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
    return path


def oracle(name: str) -> Any:
    """A file of results that were computed independently, decoded."""
    return json.loads(shared_path(f"oracles/{name}").read_text())
