"""What the README shows works as it stands there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def test_the_example_runs_and_prints_the_order_and_its_history(tmp_path: Path) -> None:
    """Copied into a file, in a folder with nothing in it; and again, on the log that is there then."""
    example = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert example is not None
    for first in (1, 3):
        done = subprocess.run(
            [sys.executable, "-c", example[1]], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
        row, placed, filled = done.stdout.splitlines()
        assert row.startswith("OrderRow(")
        assert "<OrderStatus.FILLED: 'FILLED'>" in row
        assert placed.startswith(f"{first} OrderPlaced(")
        assert filled.startswith(f"{first + 1} OrderFilled(")


def test_every_link_within_the_repository_leads_somewhere() -> None:
    """In the README and in the docs."""
    for page in (ROOT / "README.md", *(ROOT / "docs").rglob("*.md")):
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.relative_to(ROOT)} links to {target}"
